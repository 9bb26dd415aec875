"""How a point moves between frames: what is believed of it, carried on in time and corrected.

The unit of length is the caller's, metres or pixels, the same in all numbers. A point has D
coordinates. Matrices of a motion are D copies of one of a single axis.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from synthex_ros.tracking.covariance import symmetric

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Mode:
    """One of several motions that are thought possible.

    Attributes:
        probability: of this motion, 0..1.
        mean: position, velocity and acceleration, shape (3 D,).
        covariance: of the mean, shape (3 D, 3 D).
    """

    probability: float
    mean: Array
    covariance: Array


@dataclass(frozen=True)
class Belief:
    """Position and velocity of a point.

    Attributes:
        mean: position and velocity [1/s], shape (2 D,).
        covariance: of the mean, shape (2 D, 2 D).
        modes: what it is made of, for a motion that mixes several.
    """

    mean: Array
    covariance: Array
    modes: tuple[Mode, ...] = ()

    @property
    def dimension(self) -> int:
        """Number of coordinates D."""
        return len(self.mean) // 2

    @property
    def position(self) -> Array:
        """Position, shape (D,)."""
        return self.mean[: self.dimension]

    @property
    def position_covariance(self) -> Array:
        """Covariance of the position, shape (D, D)."""
        return self.covariance[: self.dimension, : self.dimension]


class Motion(Protocol):
    """A model of motion; its functions are pure."""

    def start(self, position: Array, noise: Array) -> Belief:
        """Return what one measurement says: position (D,) and its noise covariance (D, D)."""

    def moved(self, belief: Belief, duration_s: float) -> Belief:
        """Return a belief carried on by `duration_s` [s]."""

    def updated(self, belief: Belief, position: Array, noise: Array) -> Belief:
        """Return a belief corrected by a measurement (D,) and its noise covariance (D, D)."""


@dataclass(frozen=True)
class WhiteAcceleration:
    """Constant velocity, disturbed by white acceleration.

    Attributes:
        acceleration_density: square root of the acceleration's spectral density [length/s^1.5];
            the default lets a tip start at 30 mm/s between two frames of 15 Hz within the gate.
        start_velocity_sigma: velocity uncertainty of a new track per axis [length/s].
    """

    acceleration_density: float = 0.1
    start_velocity_sigma: float = 0.03

    def __post_init__(self):
        check_positive(self)

    def start(self, position: Array, noise: Array) -> Belief:
        """Return a track at rest whose velocity is not known."""
        axes = len(position)
        spread = np.zeros((2 * axes, 2 * axes))
        spread[:axes, :axes] = noise
        spread[axes:, axes:] = self.start_velocity_sigma**2 * np.eye(axes)
        return Belief(np.concatenate([position, np.zeros(axes)]), spread)

    def moved(self, belief: Belief, duration_s: float) -> Belief:
        """Return a belief carried on by `duration_s` [s]."""
        dt, unit = duration_s, np.eye(belief.dimension)
        step = np.eye(2 * belief.dimension)
        step[: belief.dimension, belief.dimension :] = dt * unit
        block = np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]])
        noise = self.acceleration_density**2 * np.kron(block, unit)
        return Belief(step @ belief.mean, symmetric(step @ belief.covariance @ step.T + noise))

    def updated(self, belief: Belief, position: Array, noise: Array) -> Belief:
        """Return a belief corrected by a measurement."""
        return Belief(*corrected(belief.mean, belief.covariance, position, noise))


def corrected(
    mean: Array, covariance: Array, position: Array, noise: Array
) -> tuple[Array, Array]:
    """Return mean (n,) and covariance (n, n) after the first D entries were measured.

    Joseph's form keeps the covariance positive whatever the rounding.
    """
    axes = len(position)
    gain = np.linalg.solve(covariance[:axes, :axes] + noise, covariance[:axes]).T
    rest = np.eye(len(mean))
    rest[:, :axes] -= gain
    updated = symmetric(rest @ covariance @ rest.T + gain @ noise @ gain.T)
    return mean + gain @ (position - mean[:axes]), updated


def check_positive(settings) -> None:
    """Refuse a dataclass of numbers that are not all positive and finite.

    Raises:
        ValueError: one is not; it is named.
    """
    for name in settings.__dataclass_fields__:
        value = getattr(settings, name)
        if not (np.isfinite(value) and value > 0):
            raise ValueError(f'{name} must be positive and finite, got {value}')
