"""The contract of a device: named joints with limits, a plant that moves, and what is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.bodies import Body
from synthex_ros.joints import JointLimits

Array = NDArray[np.float64]


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
