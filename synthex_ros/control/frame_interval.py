"""How long a command lasts: the usual time from frame to frame."""

from __future__ import annotations

from collections import deque
from statistics import median

_DEFAULT_S = 1 / 15
_SHORTEST_S, _LONGEST_S = 1e-3, 0.25


class FrameInterval:
    """The median interval of the last fifteen frames, or the newest if that is shorter."""

    def __init__(self) -> None:
        self._newest_ns: int | None = None
        self._intervals_s: deque[float] = deque(maxlen=15)

    def after(self, stamp_ns: int) -> float:
        """Return the time the command that answers a frame is expected to last [s].

        Args:
            stamp_ns: of the frame [ns]; one older than the newest adds no interval.
        """
        if self._newest_ns is not None and stamp_ns > self._newest_ns:
            self._intervals_s.append((stamp_ns - self._newest_ns) * 1e-9)
        self._newest_ns = stamp_ns
        if not self._intervals_s:
            return _DEFAULT_S
        shortest_s = min(median(self._intervals_s), self._intervals_s[-1])
        return min(max(shortest_s, _SHORTEST_S), _LONGEST_S)
