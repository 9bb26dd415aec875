"""Kalman filter of the tip that knows its measurements are late.

Measurements carry the time of their exposure, arrive later and not always in order. One second of
them is kept with the state after each; a late one is put in its place and those after it are
replayed, so the result does not depend on the order of arrival. Times are seconds on one clock.

The state is position and velocity under white acceleration. Part of a measurement's error, that
of the prior, is the same from frame to frame: averaging does not remove it. It stays out of the
update and is added to the covariance that is reported (a consider state, Schmidt 1966).
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.tracking.covariance import mahalanobis_squared, symmetric

Array = NDArray[np.float64]

CHI2_3_DOF_999 = 16.266
"""0.999 quantile of chi-square with 3 degrees of freedom."""


@dataclass(frozen=True)
class FilterSettings:
    """Motion model, gate and rules of loss.

    Attributes:
        acceleration_density: square root of the acceleration's spectral density [m/s^1.5]; the
            default lets a tip start at 30 mm/s between two frames of 15 Hz within the gate.
        start_velocity_sigma_m_s: velocity uncertainty of a new track per axis [m/s].
        gate_chi2: largest squared Mahalanobis distance of an accepted measurement.
        lost_after: rejected or missed measurements in a row after which the track is lost.
        recover_after: measurements in a row that must agree before a lost track is found again.
        lost_timeout_s: time without an accepted measurement after which the track is lost [s].
        horizon_s: how much history is kept; older measurements are refused [s].
    """

    acceleration_density: float = 0.1
    start_velocity_sigma_m_s: float = 0.03
    gate_chi2: float = CHI2_3_DOF_999
    lost_after: int = 3
    recover_after: int = 2
    lost_timeout_s: float = 0.5
    horizon_s: float = 1.0

    def __post_init__(self):
        for name in self.__dataclass_fields__:
            if not (np.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise ValueError(f'{name} must be positive and finite, got {getattr(self, name)}')


@dataclass(frozen=True)
class Measurement:
    """A tip seen at an exposure, or a frame in which it was not seen.

    Attributes:
        time_s: time of the exposure [s].
        position_m: the tip in `world` [m], shape (3,); None if the frame shows none.
        covariance_m2: covariance of its whole error [m^2], shape (3, 3).
        bias_covariance_m2: the part of it that successive frames share [m^2], shape (3, 3).
    """

    time_s: float
    position_m: Array | None = None
    covariance_m2: Array = field(default_factory=lambda: np.zeros((3, 3)))
    bias_covariance_m2: Array = field(default_factory=lambda: np.zeros((3, 3)))


@dataclass(frozen=True)
class TipState:
    """The track at one time.

    Attributes:
        time_s: time of the state [s].
        mean: position [m] and velocity [m/s], shape (6,).
        noise_covariance: covariance of the mean without the shared error, shape (6, 6).
        bias_covariance_m2: shared error of the newest accepted measurement, shape (3, 3).
        updated_s: time of the newest accepted measurement [s].
        lost: whether the position must not be used.
        started: whether there has been any measurement.
        failures: rejected or missed in a row.
        agreed: agreeing measurements in a row while lost.
        accepted: whether the newest measurement passed the gate.
    """

    time_s: float = -np.inf
    mean: Array = field(default_factory=lambda: np.zeros(6))
    noise_covariance: Array = field(default_factory=lambda: np.zeros((6, 6)))
    bias_covariance_m2: Array = field(default_factory=lambda: np.zeros((3, 3)))
    updated_s: float = -np.inf
    lost: bool = True
    started: bool = False
    failures: int = 0
    agreed: int = 0
    accepted: bool = False

    @property
    def position_m(self) -> Array:
        """Tip in `world` [m], shape (3,)."""
        return self.mean[:3]

    @property
    def velocity_m_s(self) -> Array:
        """Velocity of the tip [m/s], shape (3,)."""
        return self.mean[3:]

    @property
    def covariance_m2(self) -> Array:
        """Covariance of the position, shared error included [m^2], shape (3, 3)."""
        return symmetric(self.noise_covariance[:3, :3] + self.bias_covariance_m2)


class TipFilter:
    """Delay-aware filter of one tip.

    Args:
        settings: motion model, gate and rules of loss.

    Attributes:
        late: measurements refused because they were older than the history.
    """

    def __init__(self, settings: FilterSettings | None = None) -> None:
        self.settings = settings or FilterSettings()
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.late = 0
        self._measurements: list[Measurement] = []
        self._states: list[TipState] = [TipState()]

    @property
    def state(self) -> TipState:
        """The state after the newest exposure."""
        return self._states[-1]

    def add(self, measurement: Measurement) -> TipState | None:
        """Put a measurement in its place; return the state after it, or None if it is too old.

        Raises:
            ValueError: a time or a position that is not finite, or a covariance that is not
                positive definite.
        """
        _check(measurement)
        times = [item.time_s for item in self._measurements]
        newest = times[-1] if times else -np.inf
        if measurement.time_s < newest - self.settings.horizon_s:
            self.late += 1
            return None
        place = bisect_right(times, measurement.time_s)
        if place == 0 and self._states[0].started and self._states[0].time_s > measurement.time_s:
            self.late += 1
            return None
        self._measurements.insert(place, measurement)
        del self._states[place + 1 :]
        for item in self._measurements[place:]:
            self._states.append(self._after(self._states[-1], item))
        result = self._states[place + 1]
        self._forget()
        return result

    def predict(self, time_s: float) -> TipState:
        """Return the state at `time_s` [s], from the measurements up to then.

        Raises:
            ValueError: `time_s` lies before the history.
        """
        place = bisect_right([item.time_s for item in self._measurements], time_s)
        state = self._states[place]
        if place == 0 and len(self._measurements) > 0 and not state.started:
            raise ValueError(
                f'time_s must not be before the first measurement '
                f'({self._measurements[0].time_s:.6f} s), got {time_s:.6f}'
            )
        if not state.started:
            return replace(state, time_s=time_s)
        moved = self._moved(state, time_s)
        late = time_s - state.updated_s > self.settings.lost_timeout_s
        return replace(moved, lost=moved.lost or late)

    def _forget(self) -> None:
        oldest = self._measurements[-1].time_s - self.settings.horizon_s
        keep = bisect_right([item.time_s for item in self._measurements], oldest)
        # The state before the oldest measurement that is kept stays: replay starts there.
        del self._measurements[:keep]
        del self._states[:keep]

    def _after(self, state: TipState, seen: Measurement) -> TipState:
        """Return the state after one measurement; a pure function, so that replay repeats it."""
        if not state.started and seen.position_m is not None:
            return self._fresh(seen, lost=False, agreed=1)
        if not state.started:
            return replace(state, time_s=seen.time_s)
        moved = self._moved(state, seen.time_s)
        silent = seen.time_s - state.updated_s > self.settings.lost_timeout_s
        if silent and not moved.lost:
            moved = replace(moved, lost=True, agreed=0)
        passed = seen.position_m is not None and self._gate(moved, seen)
        if moved.lost:
            return self._while_lost(moved, seen, passed)
        if passed:
            return replace(self._updated(moved, seen), failures=0, accepted=True)
        failures = moved.failures + 1
        lost = failures >= self.settings.lost_after
        return replace(moved, failures=failures, lost=lost, agreed=0, accepted=False)

    def _while_lost(self, moved: TipState, seen: Measurement, passed: bool) -> TipState:
        if seen.position_m is None:
            return replace(moved, agreed=0, failures=moved.failures + 1, accepted=False)
        if moved.agreed == 0 or not passed:
            enough = self.settings.recover_after <= 1
            return self._fresh(seen, lost=not enough, agreed=1)
        agreed = moved.agreed + 1
        found = agreed >= self.settings.recover_after
        return replace(
            self._updated(moved, seen), agreed=agreed, lost=not found, failures=0, accepted=True
        )

    def _fresh(self, seen: Measurement, lost: bool, agreed: int) -> TipState:
        position = np.asarray(seen.position_m, float)
        spread = np.zeros((6, 6))
        spread[:3, :3] = seen.covariance_m2 - seen.bias_covariance_m2
        spread[3:, 3:] = self.settings.start_velocity_sigma_m_s**2 * np.eye(3)
        return TipState(
            time_s=seen.time_s,
            mean=np.concatenate([position, np.zeros(3)]),
            noise_covariance=spread,
            bias_covariance_m2=seen.bias_covariance_m2,
            updated_s=seen.time_s,
            lost=lost,
            started=True,
            agreed=agreed,
            accepted=True,
        )

    def _moved(self, state: TipState, time_s: float) -> TipState:
        """Return the state carried on by the motion model (white acceleration)."""
        dt = time_s - state.time_s
        step = np.eye(6)
        step[:3, 3:] = dt * np.eye(3)
        block = np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]])
        noise = self.settings.acceleration_density**2 * np.kron(block, np.eye(3))
        spread = symmetric(step @ state.noise_covariance @ step.T + noise)
        return replace(state, time_s=time_s, mean=step @ state.mean, noise_covariance=spread)

    def _gate(self, moved: TipState, seen: Measurement) -> bool:
        expected = moved.noise_covariance[:3, :3] + seen.covariance_m2
        error = np.asarray(seen.position_m) - moved.mean[:3]
        return mahalanobis_squared(error, expected) <= self.settings.gate_chi2

    def _updated(self, moved: TipState, seen: Measurement) -> TipState:
        noise = seen.covariance_m2 - seen.bias_covariance_m2
        spread = moved.noise_covariance
        gain = np.linalg.solve(spread[:3, :3] + noise, spread[:3]).T
        rest = np.eye(6)
        rest[:, :3] -= gain
        # Joseph's form keeps the covariance positive whatever the rounding.
        updated = symmetric(rest @ spread @ rest.T + gain @ noise @ gain.T)
        return replace(
            moved,
            mean=moved.mean + gain @ (np.asarray(seen.position_m) - moved.mean[:3]),
            noise_covariance=updated,
            bias_covariance_m2=seen.bias_covariance_m2,
            updated_s=seen.time_s,
        )


def _check(measurement: Measurement) -> None:
    if not np.isfinite(measurement.time_s):
        raise ValueError(f'time_s must be finite, got {measurement.time_s}')
    if measurement.position_m is None:
        return
    position = np.asarray(measurement.position_m, float)
    if position.shape != (3,) or not np.all(np.isfinite(position)):
        raise ValueError(f'position_m must be 3 finite numbers, got {position}')
    for name in ('covariance_m2', 'bias_covariance_m2'):
        matrix = np.asarray(getattr(measurement, name))
        if matrix.shape != (3, 3) or not np.all(np.isfinite(matrix)):
            raise ValueError(f'{name} must be a finite 3x3 matrix, got shape {matrix.shape}')
    lowest = _lowest_variance(measurement.covariance_m2 - measurement.bias_covariance_m2)
    if lowest <= 0:
        raise ValueError(
            f'covariance_m2 must exceed bias_covariance_m2 in every direction, got a variance of '
            f'{lowest:.3g} m^2 between them'
        )


def _lowest_variance(matrix: ArrayLike) -> float:
    return float(np.linalg.eigvalsh(np.asarray(matrix, float))[0])
