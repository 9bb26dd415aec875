"""What a commanded field and force must pass before coils or a magnet may follow.

The same questions in the same order as for joints (`synthex_ros.control.guard`): enabled? finite?
frame named? stamp fresh and not older than the last? within the limits of field and force?
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from synthex_ros.control.guard import stamp_rejection

KINDS = (
    'disabled', 'not_finite', 'names', 'stamp_zero', 'stamp_future', 'stamp_stale', 'stamp_order',
    'field_limit', 'force_limit', 'point_limit',
)  # fmt: skip


@dataclass(frozen=True)
class FieldLimits:
    """What may be commanded.

    Attributes:
        field_max_t: strongest field [T].
        force_max_n: largest force on the device [N].
        reach_m: farthest point from the middle of the workspace [m].
    """

    field_max_t: float = 0.05
    force_max_n: float = 0.01
    reach_m: float = 0.3

    def __post_init__(self):
        for name in ('field_max_t', 'force_max_n', 'reach_m'):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f'{name} must be positive and finite, got {value}')


@dataclass(frozen=True, eq=False)
class FieldCommand:
    """A wanted field and force at a point.

    Attributes:
        frame: frame that all of it is in.
        field_t: shape (3,) [T].
        point_m: where, shape (3,) [m].
        force_n: on the device, shape (3,) [N]; None leaves gradients free.
        stamp_s: stamp of the frame that the command answers [s].
    """

    frame: str
    field_t: ArrayLike
    point_m: ArrayLike
    force_n: ArrayLike | None
    stamp_s: float


class FieldGuard:
    """Accept or reject commanded fields.

    Args:
        frame: the frame that commands must be in.
        centre_m: middle of the workspace in it, shape (3,) [m].
        limits: strongest field and force, and the reach.
        max_age_s: oldest stamp to accept [s].
        max_skew_s: how far in the future a stamp may be [s].

    Attributes:
        counts: rejections since the start by kind, one of `KINDS`.
        accepted: commands accepted since the start.
    """

    def __init__(
        self,
        frame: str,
        centre_m: ArrayLike,
        limits: FieldLimits | None = None,
        max_age_s: float = 0.5,
        max_skew_s: float = 0.05,
    ) -> None:
        if not (math.isfinite(max_age_s) and max_age_s > 0):
            raise ValueError(f'max_age_s must be positive and finite, got {max_age_s}')
        self.frame, self.limits = frame, limits or FieldLimits()
        self._centre_m = np.array(centre_m, float)
        self._max_age_s, self._max_skew_s = max_age_s, max_skew_s
        self.counts: Counter[str] = Counter()
        self.accepted = 0
        self.reset()

    def reset(self) -> None:
        """Forget the last accepted command (device reset, clock set back); counts stay."""
        self._last_s: float | None = None

    def rejection(
        self, command: FieldCommand, now_s: float, *, enabled: bool = True
    ) -> str | None:
        """Return why a command must not be followed, or None if it is accepted.

        Args:
            command: what is wanted.
            now_s: present time on the clock of the stamps [s].
            enabled: False while the device is not energised.
        """
        finding = self._finding(command, now_s, enabled)
        if finding is not None:
            self.counts[finding[0]] += 1
            return finding[1]
        self._last_s = command.stamp_s
        self.accepted += 1
        return None

    def _finding(
        self, command: FieldCommand, now_s: float, enabled: bool
    ) -> tuple[str, str] | None:
        if not enabled:
            return 'disabled', 'device is not enabled'
        parts = {'field': command.field_t, 'point': command.point_m, 'force': command.force_n}
        for name, values in parts.items():
            if values is not None and not np.all(np.isfinite(values)):
                return 'not_finite', f'{name} is not finite: {np.asarray(values).tolist()}'
        if command.frame != self.frame:
            return 'names', f'field must be in frame {self.frame!r}, got {command.frame!r}'
        return (
            stamp_rejection(command.stamp_s, now_s, self._max_age_s, self._max_skew_s)
            or self._order(command.stamp_s)
            or self._limit(command)
        )

    def _order(self, stamp_s: float) -> tuple[str, str] | None:
        if self._last_s is not None and stamp_s < self._last_s - 1e-9:
            behind_s = self._last_s - stamp_s
            return 'stamp_order', f'stamp is {behind_s:.3f} s before the last accepted command'
        return None

    def _limit(self, command: FieldCommand) -> tuple[str, str] | None:
        limits = self.limits
        strength = float(np.linalg.norm(command.field_t))
        if strength > limits.field_max_t * (1 + 1e-6):
            return 'field_limit', f'field is {strength:.4g} T, limit {limits.field_max_t:g} T'
        force = 0.0 if command.force_n is None else float(np.linalg.norm(command.force_n))
        if force > limits.force_max_n * (1 + 1e-6):
            return 'force_limit', f'force is {force:.4g} N, limit {limits.force_max_n:g} N'
        away = float(np.linalg.norm(np.asarray(command.point_m, float) - self._centre_m))
        if away > limits.reach_m:
            return 'point_limit', (
                f'point is {away:.3f} m from the middle of the workspace, '
                f'limit {limits.reach_m:g} m'
            )
        return None
