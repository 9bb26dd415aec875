"""Simulated time that waits for the answer to each frame."""

from __future__ import annotations


class LockstepGate:
    """Keep time still from the delivery of a frame until the command that answers it.

    The answer names its frame by the exposure stamp. Durations are on a steady clock.

    Args:
        timeout_s: how long to wait for an answer [s].
        first_timeout_s: how long to wait for the answer to the very first frame, while those who
            answer may still load and compile [s]; default as for all.

    Attributes:
        limit_s: how long the answer to the newest frame is waited for [s].
    """

    def __init__(self, timeout_s: float, first_timeout_s: float | None = None) -> None:
        self._timeout_s = timeout_s
        self.limit_s = max(timeout_s, first_timeout_s or 0.0)
        self._open_ns: int | None = None
        self._opened_s: float | None = None

    @property
    def open_ns(self) -> int | None:
        """Exposure stamp of the unanswered frame [ns], or None when time may advance."""
        return self._open_ns

    def open(self, stamp_ns: int, steady_s: float) -> None:
        """Wait from `steady_s` [s] on for the answer to the frame exposed at `stamp_ns` [ns]."""
        if self._opened_s is not None:
            self.limit_s = self._timeout_s
        self._open_ns, self._opened_s = stamp_ns, steady_s

    def answer(self, stamp_ns: int) -> bool:
        """Close the gate; return False for an answer to any frame but the open one."""
        if self._open_ns is None or stamp_ns != self._open_ns:
            return False
        self._open_ns = None
        return True

    def overdue(self, steady_s: float) -> bool:
        """Tell whether the answer is late at steady time `steady_s` [s]."""
        if self._open_ns is None or self._opened_s is None:
            return False
        return steady_s - self._opened_s > self.limit_s

    def release(self) -> int | None:
        """Give up waiting; return the unanswered stamp [ns]."""
        stamp_ns, self._open_ns = self._open_ns, None
        return stamp_ns
