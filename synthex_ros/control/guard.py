"""The command guard: what every set-point must pass before a device may follow it.

The order is the order of the questions: enabled? finite? names match? stamp fresh? within
position and rate limits? The first failure is returned as a sentence and counted by its kind, and
the caller holds the safe state. The same guard stands at the controller's exit and at the
device's entrance, so neither has to trust the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.joints import JointLimits, same_names

Array = NDArray[np.float64]

KINDS = (
    'disabled',
    'not_finite',
    'names',
    'stamp_zero',
    'stamp_future',
    'stamp_stale',
    'stamp_order',
    'position_limit',
    'rate_limit',
)


def stamp_rejection(
    stamp_s: float, now_s: float, max_age_s: float, max_skew_s: float
) -> tuple[str, str] | None:
    """Return (kind, reason) why a stamp is not fresh, or None.

    Args:
        stamp_s: stamp of the message, copied from the frame it answers [s].
        now_s: present time on the same clock [s].
        max_age_s: oldest stamp to accept [s].
        max_skew_s: how far ahead of `now_s` a stamp may be [s].
    """
    if not np.isfinite(stamp_s) or not np.isfinite(now_s):
        return 'not_finite', f'stamp {stamp_s} or time {now_s} is not finite'
    if stamp_s == 0.0:
        return 'stamp_zero', 'stamp is zero: sender did not copy the frame stamp'
    age_s = now_s - stamp_s
    if age_s < -max_skew_s:
        return 'stamp_future', f'stamp is {-age_s:.3f} s ahead: clocks differ (use_sim_time?)'
    if age_s > max_age_s:
        return 'stamp_stale', f'stamp is {age_s:.3f} s old, limit {max_age_s:.3f} s'
    return None


class CommandGuard:
    """Accept or reject joint set-points; remembers the last accepted one for the rate check.

    Args:
        limits: position and rate limits of the joints.
        max_age_s: oldest command stamp to accept [s].
        max_skew_s: how far in the future a stamp may be [s].
        rate_margin: factor on the rate limits, for rounding and jitter of the stamps.
        max_interval_s: longest time between commands that counts for the rate limit [s]; after a
            longer silence the set-point may not jump further than this allows.

    Attributes:
        counts: rejections since the start by kind, one of `KINDS`.
        accepted: commands accepted since the start.
        last_rejection: sentence of the newest rejection, '' if there was none.
    """

    def __init__(
        self,
        limits: JointLimits,
        max_age_s: float = 0.5,
        max_skew_s: float = 0.05,
        rate_margin: float = 1.1,
        max_interval_s: float = 0.25,
    ) -> None:
        for name, value in (
            ('max_age_s', max_age_s),
            ('rate_margin', rate_margin),
            ('max_interval_s', max_interval_s),
        ):
            if not (np.isfinite(value) and value > 0):
                raise ValueError(f'{name} must be positive and finite, got {value}')
        if not (np.isfinite(max_skew_s) and max_skew_s >= 0):
            raise ValueError(f'max_skew_s must be 0 or more, got {max_skew_s}')
        self.limits = limits
        self.counts: Counter[str] = Counter()
        self.accepted = 0
        self.last_rejection = ''
        self._max_age_s, self._max_skew_s = max_age_s, max_skew_s
        self._rate_margin, self._max_interval_s = rate_margin, max_interval_s
        self._last: tuple[float, Array] | None = None

    def reset(self) -> None:
        """Forget the last accepted command (device reset, clock set back); counts stay."""
        self._last = None

    def rejection(
        self,
        names: Sequence[str],
        positions: ArrayLike,
        stamp_s: float,
        now_s: float,
        *,
        enabled: bool = True,
        measured: ArrayLike | None = None,
    ) -> str | None:
        """Return why the command must not be followed, or None if it is accepted.

        Args:
            names: joint names of the command.
            positions: set-point, shape (n,) [m or rad].
            stamp_s: stamp of the command, that of the frame it answers [s].
            now_s: present time on the same clock [s].
            enabled: False while the device is not energised.
            measured: present joint positions, shape (n,) [m or rad]. A set-point between the last
                accepted one and the measured joints is never too fast: so a hold always passes.
        """
        finding = self._finding(names, positions, stamp_s, now_s, enabled, measured)
        if finding is not None:
            kind, self.last_rejection = finding
            self.counts[kind] += 1
            return self.last_rejection
        self._last = (stamp_s, np.array(positions, float))
        self.accepted += 1
        return None

    def _finding(self, names, positions, stamp_s, now_s, enabled, measured):
        if not enabled:
            return 'disabled', 'device is not enabled'
        values = np.asarray(positions, float)
        if not np.isfinite(values).all():
            return 'not_finite', f'positions are not finite: {values.tolist()}'
        wrong = same_names(names, self.limits.names)
        if wrong is None and values.shape != (len(self.limits.names),):
            wrong = f'{values.size} positions for {len(self.limits.names)} joints'
        if wrong is not None:
            return 'names', wrong
        return (
            stamp_rejection(stamp_s, now_s, self._max_age_s, self._max_skew_s)
            or self._order(stamp_s)
            or self._position(values)
            or self._rate(values, stamp_s, measured)
        )

    def _order(self, stamp_s):
        if self._last is not None and stamp_s < self._last[0] - 1e-9:
            behind_s = self._last[0] - stamp_s
            return 'stamp_order', f'stamp is {behind_s:.3f} s before the last accepted command'
        return None

    def _position(self, values):
        lower, upper = np.asarray(self.limits.lower), np.asarray(self.limits.upper)
        tolerance = 1e-9 * (upper - lower)
        outside = (values < lower - tolerance) | (values > upper + tolerance)
        if not outside.any():
            return None
        k = int(outside.argmax())
        return 'position_limit', (
            f'{self.limits.names[k]} must be {lower[k]:g}..{upper[k]:g}, got {values[k]:.6g}'
        )

    def _rate(self, values, stamp_s, measured):
        known = [] if self._last is None else [self._last[1]]
        if measured is not None and np.all(np.isfinite(measured)):
            known.append(np.asarray(measured, float))
        if not known:
            return None
        since_s = self._max_interval_s if self._last is None else stamp_s - self._last[0]
        interval_s = min(since_s, self._max_interval_s)
        step = np.asarray(self.limits.rate) * interval_s * self._rate_margin
        low, high = np.min(known, axis=0) - step - 1e-12, np.max(known, axis=0) + step + 1e-12
        outside = (values < low) | (values > high)
        if not outside.any():
            return None
        k = int(outside.argmax())
        excess = max(low[k] - values[k], values[k] - high[k]) + step[k]
        return 'rate_limit', (
            f'{self.limits.names[k]} moves {excess:.4g} in {interval_s:.3f} s, '
            f'limit {self.limits.rate[k]:g} per second'
        )
