"""The contract of a device: named joints with limits, a plant that moves, and what is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.bodies import Body

Array = NDArray[np.float64]


@dataclass(frozen=True)
class JointLimits:
    """Travel and rate limits of the joints of a device, in the device's joint order.

    Attributes:
        names: joint names, J of them.
        lower: lowest positions, shape (J,) [m or rad].
        upper: highest positions, shape (J,) [m or rad].
        rate: highest speeds, shape (J,) [m/s or rad/s].
    """

    names: tuple[str, ...]
    lower: Array
    upper: Array
    rate: Array

    def __post_init__(self):
        count = len(self.names)
        for label in ('lower', 'upper', 'rate'):
            values = getattr(self, label)
            if values.shape != (count,) or not np.all(np.isfinite(values)):
                raise ValueError(f'{label} must be {count} finite numbers, got {values}')
        if not np.all(self.lower < self.upper) or not np.all(self.rate > 0):
            raise ValueError('limits need lower < upper and rate > 0 for every joint')

    def check(self, joints: ArrayLike) -> Array:
        """Return `joints` as float64, shape (J,), or raise ValueError.

        Raises:
            ValueError: wrong shape, or a value that is not finite.
        """
        values = np.asarray(joints, float)
        if values.shape != (len(self.names),):
            raise ValueError(f'joints must be {list(self.names)}, got shape {values.shape}')
        if not np.all(np.isfinite(values)):
            bad = [n for n, v in zip(self.names, values, strict=True) if not np.isfinite(v)]
            raise ValueError(f'joints must be finite, got {values[~np.isfinite(values)]} in {bad}')
        return values

    def contains(self, joints: ArrayLike, tolerance: float = 1e-12) -> bool:
        """Tell whether `joints`, shape (J,), lie within the travel limits."""
        values = self.check(joints)
        return bool(
            np.all(values >= self.lower - tolerance) and np.all(values <= self.upper + tolerance)
        )

    def clamp(self, joints: ArrayLike) -> Array:
        """Return `joints`, shape (J,), moved to the nearest point within the travel limits."""
        return np.clip(self.check(joints), self.lower, self.upper)


@dataclass(frozen=True)
class DeviceState:
    """What a device reports, and (in simulation) what is true, at one instant.

    Attributes:
        time_s: simulated time since the last reset [s].
        joints: joint positions as the encoders at the drives read them, shape (J,) [m or rad].
        velocities: joint velocities at the drives, shape (J,) [m/s or rad/s].
        tip_base: true pose of the tip in `device_base`, shape (4, 4) [m].
    """

    time_s: float
    joints: Array
    velocities: Array
    tip_base: Array


class Device(Protocol):
    """A simulated device that accepts joint commands and can be drawn."""

    @property
    def limits(self) -> JointLimits:
        """Joint names and their limits."""

    @property
    def state(self) -> DeviceState:
        """The present state."""

    def command(self, joints: ArrayLike) -> Array:
        """Set the set-point, shape (J,); return what was accepted after the travel limits.

        Raises:
            ValueError: wrong shape or not finite; nothing changes.
        """

    def hold(self) -> None:
        """Freeze the set-point where the drives stand now."""

    def reset(self, joints: ArrayLike | None = None) -> None:
        """Start again at rest at `joints`, shape (J,) (all zero by default)."""

    def step(self, duration_s: float) -> DeviceState:
        """Advance simulated time [s] and return the new state."""

    def bodies(self, world_from_device_base: ArrayLike) -> list[Body]:
        """Return the closed meshes to draw, posed in `world`."""

    def landmarks(self, world_from_device_base: ArrayLike) -> Array:
        """Return the landmark positions in `world`, shape (K, 3) [m]."""

    def centerline(self, world_from_device_base: ArrayLike) -> Array:
        """Return points along the device in `world`, shape (N, 3) [m]."""

    def tip_pose(self, world_from_device_base: ArrayLike) -> Array:
        """Return the true pose of the tip in `world`, shape (4, 4) [m]."""
