"""Parts of one frame that arrive as separate messages, joined by their common stamp."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class StampPairs:
    """Collect named parts by stamp until a frame is complete.

    Args:
        parts: names of the parts a complete frame has.
        capacity: number of stamps to keep; the oldest go first.
    """

    def __init__(self, parts: Iterable[str], capacity: int = 64) -> None:
        self._parts = tuple(parts)
        self._capacity = capacity
        self._frames: dict[int, dict[str, Any]] = {}
        self._done_ns = -1

    def put(self, part: str, stamp_ns: int, value: Any) -> bool:
        """Add a part; False where the frame at `stamp_ns` [ns] is already done with.

        Raises:
            KeyError: a part that frames do not have.
        """
        if part not in self._parts:
            raise KeyError(f'part must be one of {self._parts}, got {part!r}')
        if stamp_ns <= self._done_ns:
            return False
        self._frames.setdefault(stamp_ns, {})[part] = value
        while len(self._frames) > self._capacity:
            del self._frames[min(self._frames)]
        return True

    def get(self, stamp_ns: int) -> dict[str, Any]:
        """Return the parts that have come for the frame at `stamp_ns` [ns]."""
        return dict(self._frames.get(stamp_ns, {}))

    def missing(self, stamp_ns: int) -> list[str]:
        """Return the parts that have not come for the frame at `stamp_ns` [ns]."""
        have = self._frames.get(stamp_ns, {})
        return [part for part in self._parts if part not in have]

    def stamps_with(self, part: str) -> list[int]:
        """Return the stamps [ns] of the open frames that have `part`, oldest first."""
        return sorted(stamp for stamp, parts in self._frames.items() if part in parts)

    def done(self, stamp_ns: int) -> None:
        """Close the frame at `stamp_ns` [ns] and every older one."""
        self._done_ns = max(self._done_ns, stamp_ns)
        self._frames = {stamp: v for stamp, v in self._frames.items() if stamp > self._done_ns}

    def clear(self) -> None:
        """Forget everything (the clock was set back)."""
        self._frames.clear()
        self._done_ns = -1
