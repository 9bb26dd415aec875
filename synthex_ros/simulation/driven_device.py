"""A simulated device behind its drive electronics: servo, planned moves, enable and faults."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from synthex_ros.control.guard import CommandGuard
from synthex_ros.devices.base import Device, DeviceState
from synthex_ros.devices.magnetic.contract import MagneticDevice
from synthex_ros.devices.magnetic.field_source import FieldSource
from synthex_ros.geometry import Array
from synthex_ros.simulation.trajectory import JointTrajectory

_PLAN_STEP_S = 0.01


class DrivenDevice:
    """Accept commands only when they pass the guard; hold on the first that does not.

    A magnetic device also moves in the field of a source, which has drives and guards of its own.

    Args:
        plant: the device.
        start: joints at rest at start, shape (J,) [m or rad].
        max_age_s: oldest command that is followed [s].
        enabled: energised at start.
    """

    def __init__(self, plant: Device, start: ArrayLike, max_age_s: float, enabled: bool) -> None:
        self._plant, self._start = plant, np.asarray(start, float)
        # asked once: a protocol is compared member by member
        self._magnetic = plant if isinstance(plant, MagneticDevice) else None
        self._guard = CommandGuard(plant.limits, max_age_s=max_age_s)
        self.enabled, self.fault = enabled, ''
        self.reset()

    @property
    def names(self) -> tuple[str, ...]:
        """Joint names."""
        return self._plant.limits.names

    @property
    def state(self) -> DeviceState:
        """State of the plant."""
        return self._plant.state

    @property
    def is_magnetic(self) -> bool:
        """Whether a field moves the device."""
        return self._magnetic is not None

    @property
    def wall_force_n(self) -> float:
        """Largest force on the vessel wall in the last step; 0 where none is known [N]."""
        return 0.0 if self._magnetic is None else self._magnetic.wall_force_n

    def set_source(self, source: FieldSource | None) -> None:
        """Set what makes the field from now on, None for no field.

        Raises:
            ValueError: no field moves the device.
        """
        if self._magnetic is None:
            raise ValueError(f'no field moves a device with joints {list(self.names)}')
        self._magnetic.set_source(source)

    @property
    def rejections(self) -> dict[str, int]:
        """Rejected commands by kind."""
        return dict(self._guard.counts)

    @property
    def accepted(self) -> int:
        """Accepted commands."""
        return self._guard.accepted

    def reset(self) -> None:
        """Return to the start at rest; rejection counts stay."""
        self._plant.reset(self._start)
        self._guard.reset()
        self._plan: JointTrajectory | None = None
        self._plan_time_s = 0.0

    def enable(self, on: bool) -> None:
        """Energise, or hold and refuse commands."""
        self.enabled = on
        if not on:
            self.make_safe()

    def trip(self, reason: str) -> None:
        """Hold and refuse commands until the fault is acknowledged."""
        self.fault = reason
        self.make_safe()

    def acknowledge(self) -> str:
        """Clear the fault and return what it was, '' if there was none."""
        reason, self.fault = self.fault, ''
        return reason

    def hold(self) -> None:
        """Stop where the drives are and forget any plan."""
        self._plan = None
        self._plant.hold()

    def make_safe(self) -> None:
        """Go to the state in which nothing drives the device; here that is to hold it."""
        self.hold()

    @property
    def trouble(self) -> str:
        """What a person should know although the device goes on, '' for nothing."""
        return ''

    def report(self) -> dict[str, object]:
        """Return what diagnostics show beside faults and rejections."""
        return {}

    def servo(
        self, names: Sequence[str], positions: ArrayLike, stamp_s: float, now_s: float
    ) -> str | None:
        """Follow a set-point, or hold and return the reason why not.

        Args:
            names: joint names of the command.
            positions: set-point, shape (J,) [m or rad].
            stamp_s: stamp of the frame that the command answers [s].
            now_s: present time on the same clock [s].
        """
        if self.fault:
            return f'device is faulted ({self.fault}): call device/reset_fault'
        if not self.names:
            return 'device has no joints: command the field that moves it'
        reason = self._guard.rejection(
            names,
            positions,
            stamp_s,
            now_s,
            enabled=self.enabled,
            measured=self._plant.state.joints,
        )
        if reason is not None:
            self.hold()
            return reason
        self._plan = None
        self._plant.command(positions)
        return None

    def move(self, times_s: Sequence[float], positions: ArrayLike) -> None:
        """Start a planned move through `positions`, shape (N, J), at `times_s` [s] from now.

        Raises:
            ValueError: not enabled, faulted, or a plan outside the limits.
        """
        if self.fault or not self.enabled:
            raise ValueError(f'device is {self.fault or "not enabled"}: the move is refused')
        if not self.names:
            raise ValueError('device has no joints: command the field that moves it')
        table = np.asarray(positions, float).reshape(len(times_s), -1)
        plan = JointTrajectory(self._plant.state.joints, times_s, table)
        outside = [row for row in table if not self._plant.limits.contains(row)]
        if outside:
            limits = self._plant.limits
            raise ValueError(
                f'plan leaves the joint limits at {outside[0].tolist()}: '
                f'allowed {limits.lower.tolist()} to {limits.upper.tolist()}'
            )
        self._plan, self._plan_time_s = plan, 0.0

    def step(self, duration_s: float) -> None:
        """Advance by `duration_s` [s]; an unstable plant trips and holds."""
        try:
            self._step(duration_s)
        except FloatingPointError as error:
            self._plant.reset(self._start)
            self.trip(str(error))

    def _step(self, duration_s: float) -> None:
        remaining_s = duration_s
        while self._plan is not None and remaining_s > 0:
            part_s = min(_PLAN_STEP_S, remaining_s)
            self._plan_time_s += part_s
            self._plant.command(self._plan.at(self._plan_time_s))
            if self._plan_time_s >= self._plan.duration_s:
                self._plan = None
            self._plant.step(part_s)
            remaining_s -= part_s
        self._plant.step(max(remaining_s, 0.0))

    def bodies(self, world_from_device_base: ArrayLike):
        """Return the closed meshes to draw, posed in `world`."""
        return self._plant.bodies(world_from_device_base)

    def landmarks(self, world_from_device_base: ArrayLike) -> Array:
        """Return the landmark positions in `world`, shape (K, 3) [m]."""
        return self._plant.landmarks(world_from_device_base)

    def centerline(self, world_from_device_base: ArrayLike) -> Array:
        """Return points from base to tip in `world`, shape (N, 3) [m]."""
        return self._plant.centerline(world_from_device_base)

    def tip_pose(self, world_from_device_base: ArrayLike) -> Array:
        """Return the tip frame in `world`, shape (4, 4) [m]."""
        return self._plant.tip_pose(world_from_device_base)
