"""A simulated magnetic device with the drive that makes its field."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.control.magnetic.field_guard import FieldCommand, FieldGuard
from synthex_ros.devices.base import Device
from synthex_ros.simulation.driven_device import DrivenDevice
from synthex_ros.simulation.field_drive import FieldDrive, Wish

Array = NDArray[np.float64]

STEP_S = 0.01
"""Field and device are advanced in turn, this long each [s]."""


class DrivenMagnetic(DrivenDevice):
    """Joints and field behind guards; the field goes away when commands stay out.

    Args:
        plant: the device; a field moves it.
        start: joints at rest at start, shape (J,) [m or rad].
        max_age_s: oldest command that is followed [s].
        enabled: energised at start.
        drive: what makes the field.
        frame: frame that fields are commanded in.
        wall_force_max_n: force on the vessel wall above which the device is not fed on [N].
    """

    def __init__(
        self,
        plant: Device,
        start: ArrayLike,
        max_age_s: float,
        enabled: bool,
        drive: FieldDrive,
        frame: str = 'world',
        wall_force_max_n: float = 0.7,
    ) -> None:
        self.drive = drive
        self._field_guard = FieldGuard(frame, drive.centre_m, drive.limits, max_age_s)
        self._wall_force_max_n = wall_force_max_n
        self._wall_counts: Counter[str] = Counter()
        self.point_m = drive.centre_m.copy()
        self.largest_wall_force_n = 0.0
        super().__init__(plant, start, max_age_s, enabled)
        self.set_source(drive.source)

    @property
    def rejections(self) -> dict[str, int]:
        """Rejected commands by kind, of joints and field together."""
        return dict(
            Counter(self._guard.counts) + Counter(self._field_guard.counts) + self._wall_counts
        )

    @property
    def accepted(self) -> int:
        """Accepted commands."""
        return max(self._guard.accepted, self._field_guard.accepted)

    def reset(self) -> None:
        """Return to the start at rest, without field; rejection counts stay."""
        self.drive.reset()
        self._field_guard.reset()
        self.largest_wall_force_n = 0.0
        super().reset()

    def hold(self) -> None:
        """Stop the joints and keep the field as it is."""
        super().hold()
        self.drive.hold()

    def make_safe(self) -> None:
        """Stop the joints and take the field away."""
        super().hold()
        self.drive.make_safe()

    def acknowledge(self) -> str:
        """Clear the fault and return what it was; drivers may work again."""
        self.drive.acknowledge()
        return super().acknowledge()

    def servo(
        self, names: Sequence[str], positions: ArrayLike, stamp_s: float, now_s: float
    ) -> str | None:
        """Follow a set-point, or hold and return why not; see `DrivenDevice`."""
        if self._pushes_on(positions):
            self._wall_counts['wall_force'] += 1
            self.hold()
            return (
                f'wall force is {self.wall_force_n:.2f} N, limit {self._wall_force_max_n:g} N: '
                'only commands that pull back are followed'
            )
        return super().servo(names, positions, stamp_s, now_s)

    def _pushes_on(self, positions: ArrayLike) -> bool:
        """Tell whether a set-point feeds a device on that presses too hard on the wall."""
        values = np.asarray(positions, float)
        if self.wall_force_n <= self._wall_force_max_n or values.shape != (len(self.names),):
            return False
        return bool(len(values) and values[0] > self.state.joints[0])

    def servo_field(self, command: FieldCommand, now_s: float) -> str | None:
        """Follow a wanted field and force, or hold and return the reason why not.

        Args:
            command: what is wanted.
            now_s: present time on the clock of the stamps [s].
        """
        if self.fault:
            return f'device is faulted ({self.fault}): call device/reset_fault'
        reason = self._field_guard.rejection(command, now_s, enabled=self.enabled)
        if reason is not None:
            self.hold()
            return reason
        self.point_m = np.array(command.point_m, float)
        force = None if command.force_n is None else np.array(command.force_n, float)
        self.drive.want(Wish(np.array(command.field_t, float), self.point_m, force))
        return None

    def servo_all(
        self,
        field: FieldCommand | None,
        joints: tuple[Sequence[str], ArrayLike] | None,
        stamp_s: float,
        now_s: float,
    ) -> str | None:
        """Follow set-points of joints and field, or hold all and return the first reason why not.

        Args:
            field: wanted field and force; None leaves the field as it is.
            joints: names and set-points; None leaves the joints where they are.
            stamp_s: stamp of the frame that the command answers [s].
            now_s: present time on the same clock [s].
        """
        if joints is not None and len(self.names):
            reason = self.servo(*joints, stamp_s, now_s)
            if reason is not None:
                return reason
        return None if field is None else self.servo_field(field, now_s)

    def _step(self, duration_s: float) -> None:
        parts = max(1, int(np.ceil(duration_s / STEP_S - 1e-9)))
        for _ in range(parts):
            self.drive.step(duration_s / parts)
            super()._step(duration_s / parts)
            force_n = self.wall_force_n
            self.largest_wall_force_n = max(self.largest_wall_force_n, force_n)
            if force_n > self._wall_force_max_n and len(self.names):
                self._plant.hold()
            if self.drive.fault and not self.fault:
                self.trip(self.drive.fault)

    @property
    def trouble(self) -> str:
        """What is wrong with what makes the field, '' for nothing."""
        return self.drive.trouble

    def report(self) -> dict[str, object]:
        """Return what diagnostics show of field and wall."""
        field_mt = 1e3 * self.drive.modelled_field_t(self.point_m)
        return {
            'field_mt': ' '.join(f'{value:.2f}' for value in field_mt),
            'wall_force_n': f'{self.wall_force_n:.4f}',
            'wall_force_largest_n': f'{self.largest_wall_force_n:.4f}',
            **self.drive.report(),
        }
