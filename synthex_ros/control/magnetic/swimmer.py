"""Model of a small body that a magnetic force pulls through a fluid, as its controller sees it.

Drag balances force: F = c (1 + 0.15 Re^0.687) u, with u relative to the fluid (Schiller and
Naumann, 1933). The controller thinks in u, the swimming velocity that a force gives.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Flow(Protocol):
    """What is known beforehand of the moving fluid."""

    def velocity_m_s(self, points_m: Array, time_s: float) -> Array:
        """Return the velocity of the fluid [m/s], (N, 3), at points, (N, 3) [m], at a time [s]."""
        ...


@dataclass(frozen=True, eq=False)
class SwimmerModel:
    """Nominal numbers of the body, its fluid and the coils.

    Attributes:
        drag_n_s_m: creeping drag over speed with the vessel's wall factor [N s/m].
        reynolds_s_m: Reynolds number over speed, 2 R rho / eta [s/m].
        moment_a_m2: magnetic moment in the commanded field [A m^2].
        weight_n: weight less buoyancy in `world`, shape (3,) [N].
        lag_s: time constant from a command to the motion: drivers, coils and inertia [s].
        radius_m: with which it rolls on a wall [m]; 0 for a droplet, which does not.
    """

    drag_n_s_m: float
    reynolds_s_m: float
    moment_a_m2: float
    weight_n: Array = field(default_factory=lambda: np.zeros(3))
    lag_s: float = 0.04
    radius_m: float = 0.0

    def __post_init__(self):
        for name in ('drag_n_s_m', 'moment_a_m2'):
            if not (np.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise ValueError(f'{name} must be positive, got {getattr(self, name)}')
        if not min(self.reynolds_s_m, self.lag_s, self.radius_m) >= 0:
            raise ValueError('reynolds_s_m, lag_s and radius_m must not be negative')
        weight = np.array(self.weight_n, float)
        if weight.shape != (3,) or not np.all(np.isfinite(weight)):
            raise ValueError(f'weight_n must be three finite numbers, got {weight.tolist()}')
        object.__setattr__(self, 'weight_n', weight)

    def drag_n(self, speed_m_s: float) -> float:
        """Return the drag [N] at a speed relative to the fluid [m/s]."""
        reynolds = min(self.reynolds_s_m * speed_m_s, 800.0)
        return self.drag_n_s_m * (1 + 0.15 * reynolds**0.687) * speed_m_s

    def force_n(self, swimming_m_s: Array) -> Array:
        """Return the magnetic force [N], shape (3,), for a velocity relative to the fluid."""
        speed = float(np.linalg.norm(swimming_m_s))
        scale = self.drag_n(speed) / speed if speed > 0 else self.drag_n_s_m
        return scale * np.asarray(swimming_m_s, float) - self.weight_n

    def swimming_m_s(self, force_n: Array) -> Array:
        """Return the velocity relative to the fluid [m/s], shape (3,), that a force gives."""
        driving = np.asarray(force_n, float) + self.weight_n
        size = float(np.linalg.norm(driving))
        if size == 0.0:
            return np.zeros(3)
        low, high = 0.0, size / self.drag_n_s_m
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (middle, high) if self.drag_n(middle) < size else (low, middle)
        return driving * (high / size)


@dataclass(frozen=True)
class DriftNoise:
    """How fast what the model does not know may change; standard deviations.

    Attributes:
        position_m: of the position in a second [m].
        drift_m_s: of the unknown velocity in a second [m/s].
        flow_scale: of the factor on the known flow in a second.
        mobility: of the factor on the swimming velocity in a second.
        first_drift_m_s: of the unknown velocity at the start [m/s].
        first_scale: of the factor on the flow at the start.
        first_mobility: of the factor on the swimming velocity at the start.
    """

    position_m: float = 0.2e-3
    drift_m_s: float = 0.7e-3
    flow_scale: float = 0.02
    mobility: float = 0.02
    first_drift_m_s: float = 5e-3
    first_scale: float = 0.2
    first_mobility: float = 0.25


LEAST_MOBILITY = 0.4
"""The learned factor on the swimming velocity is not taken to be less."""


class DriftModel:
    """State (position, unknown drift, flow factor, mobility), shape (8,), for the filter.

    Inputs are the swimming velocity of the model and the known flow, shape (6,):
    dp/dt = mobility * swimming + factor * flow + drift.
    """

    size = 8

    def __init__(self, noise: DriftNoise | None = None) -> None:
        self.noise = noise = noise or DriftNoise()
        rates = [noise.position_m] * 3 + [noise.drift_m_s] * 3 + [noise.flow_scale, noise.mobility]
        self._rates = np.square(rates)

    @staticmethod
    def first_mean(position_m: Array) -> Array:
        """Return the state at the start, shape (8,), from a position, shape (3,) [m]."""
        return np.concatenate([position_m, np.zeros(3), [1.0, 1.0]])

    def first_covariance(self, position_m2: Array) -> Array:
        """Return the covariance at the start, shape (8, 8), from that of the position."""
        covariance, noise = np.zeros((8, 8)), self.noise
        covariance[:3, :3] = position_m2
        covariance[3:6, 3:6] = noise.first_drift_m_s**2 * np.eye(3)
        covariance[6, 6], covariance[7, 7] = noise.first_scale**2, noise.first_mobility**2
        return covariance

    def advance(
        self, mean: Array, covariance: Array, inputs: Array, duration_s: float
    ) -> tuple[Array, Array]:
        """Return mean (8,) and covariance (8, 8) after `duration_s` [s]."""
        move = _STAY.copy()
        move[:3, 3:6] = duration_s * _STAY[:3, :3]
        move[:3, 6], move[:3, 7] = duration_s * inputs[3:], duration_s * inputs[:3]
        spread = move @ covariance @ move.T
        spread.ravel()[::9] += self._rates * duration_s  # the diagonal
        return move @ mean, spread


_STAY = np.eye(8)
