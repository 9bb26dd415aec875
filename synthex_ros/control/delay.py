"""What the joints did and will have done: the base of delay compensation.

An image shows the past. The joints at its exposure come from the measured history; the joints at
present follow from the commands sent since, played forward at the joints' speed limits.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import deque
from statistics import median

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.joints import JointLimits

Array = NDArray[np.float64]


class JointHistory:
    """Measured joints and own commands by time stamp.

    Args:
        limits: speed limits that the joints move with between commands.
        span_s: how much of the past to keep [s].
    """

    def __init__(self, limits: JointLimits, span_s: float = 2.0) -> None:
        self._limits, self._span_ns = limits, round(span_s * 1e9)
        self._stamps: list[int] = []
        self._joints: dict[int, Array] = {}
        self._commands: deque[tuple[int, Array]] = deque(maxlen=256)

    def clear(self) -> None:
        """Forget everything (the clock was set back)."""
        self._stamps.clear()
        self._joints.clear()
        self._commands.clear()

    def measured(self, stamp_ns: int, joints: ArrayLike) -> None:
        """Add measured joints, shape (n,) [m or rad], at `stamp_ns` [ns]."""
        if stamp_ns not in self._joints:
            insort(self._stamps, stamp_ns)
        self._joints[stamp_ns] = np.array(joints, float)
        oldest = self._stamps[-1] - self._span_ns
        while self._stamps[0] < oldest:
            del self._joints[self._stamps.pop(0)]

    def commanded(self, effect_ns: int, joints: ArrayLike) -> None:
        """Add a command, shape (n,), that takes effect at `effect_ns` [ns]."""
        self._commands.append((effect_ns, np.array(joints, float)))

    def forget_commands(self) -> None:
        """Forget the commands: the device has not followed them."""
        self._commands.clear()

    def newest(self) -> tuple[int, Array] | None:
        """Return (stamp [ns], joints) of the newest measurement, or None."""
        return (self._stamps[-1], self._joints[self._stamps[-1]]) if self._stamps else None

    def covers(self, stamp_ns: int) -> bool:
        """Tell whether `at(stamp_ns)` needs no extrapolation."""
        return bool(self._stamps) and self._stamps[0] <= stamp_ns <= self._stamps[-1]

    def between(self, after_ns: int, until_ns: int) -> list[Array]:
        """Return the joints measured in (after_ns, until_ns] in order."""
        first = bisect_right(self._stamps, after_ns)
        last = bisect_right(self._stamps, until_ns)
        return [self._joints[stamp] for stamp in self._stamps[first:last]]

    def at(self, stamp_ns: int) -> Array:
        """Return the joints at `stamp_ns`, interpolated; before and after: the nearest.

        Raises:
            LookupError: nothing was measured yet.
        """
        if not self._stamps:
            raise LookupError('no joints were measured yet')
        k = bisect_left(self._stamps, stamp_ns)
        if k == 0 or k == len(self._stamps):
            return self._joints[self._stamps[min(k, len(self._stamps) - 1)]].copy()
        left, right = self._stamps[k - 1], self._stamps[k]
        share = (stamp_ns - left) / (right - left)
        return (1 - share) * self._joints[left] + share * self._joints[right]

    def predict(self, stamp_ns: int, until_ns: int) -> list[Array]:
        """Return the way from the joints at `stamp_ns` to where they will be at `until_ns`.

        Starts at the joints measured at `stamp_ns` and follows each command from the time it
        takes effect at the joints' speed limits; one entry for each command and the end. Later
        measurements are not used, so that the result does not depend on which messages happened
        to arrive first.

        Raises:
            LookupError: nothing was measured yet.
        """
        joints, now_ns = self.at(stamp_ns), stamp_ns
        aim: Array | None = None
        rate, way = np.asarray(self._limits.rate), [joints]
        for effect_ns, command in [*self._commands, (until_ns, joints)]:
            end_ns = min(effect_ns, until_ns)
            if aim is not None and end_ns > now_ns:
                step = rate * (end_ns - now_ns) * 1e-9
                joints = joints + np.clip(aim - joints, -step, step)
                way.append(joints)
            now_ns, aim = max(now_ns, end_ns), command
            if effect_ns >= until_ns:
                break
        return way


class LoopDelay:
    """Time from exposure to command: a median of what was seen, or a fixed value.

    Args:
        fixed_s: delay to use [s]; None measures it.
        window: number of frames the median is over.
    """

    def __init__(self, fixed_s: float | None = None, window: int = 31) -> None:
        self._fixed_s = fixed_s
        self._seen_s: deque[float] = deque(maxlen=window)

    def saw(self, exposure_ns: int, now_ns: int) -> None:
        """Add one frame's age when its command leaves, rounded to 1 ms."""
        self._seen_s.append(round(max(0, now_ns - exposure_ns) * 1e-9, 3))

    def value_s(self) -> float:
        """Return the delay [s]; 0 before the first frame."""
        if self._fixed_s is not None:
            return self._fixed_s
        return float(median(self._seen_s)) if self._seen_s else 0.0
