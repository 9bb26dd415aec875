"""Frames come in parts: image, camera_info, pose, exposure, joints; joined by their stamp."""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_KEPT = 64


class FrameParts:
    """The newest parts of each kind by stamp.

    Args:
        kinds: what a frame consists of.
    """

    def __init__(self, kinds: tuple[str, ...]) -> None:
        self._parts: dict[str, OrderedDict[int, Any]] = {kind: OrderedDict() for kind in kinds}

    def put(self, kind: str, stamp_ns: int, part: Any) -> None:
        """Keep a part; the oldest is forgotten when there are too many."""
        kept = self._parts[kind]
        kept[stamp_ns] = part
        while len(kept) > _KEPT:
            kept.popitem(last=False)

    def missing(self, stamp_ns: int) -> list[str]:
        """Return the kinds that a frame lacks."""
        return [kind for kind, kept in self._parts.items() if stamp_ns not in kept]

    def take(self, stamp_ns: int) -> dict[str, Any]:
        """Return all parts of a frame by kind, and forget them and all older ones."""
        found = {kind: kept[stamp_ns] for kind, kept in self._parts.items()}
        for kept in self._parts.values():
            for stamp in [one for one in kept if one <= stamp_ns]:
                del kept[stamp]
        return found


class JointHistory:
    """Measured joints of the last seconds, read at any time between them.

    Args:
        length: how many are kept.
    """

    def __init__(self, length: int = 256) -> None:
        self._length = length
        self._stamps: list[int] = []
        self._joints: list[Array] = []

    def put(self, stamp_ns: int, joints: Array) -> None:
        """Keep a measurement in its place; one with the same stamp is replaced."""
        place = bisect_left(self._stamps, stamp_ns)
        if place < len(self._stamps) and self._stamps[place] == stamp_ns:
            self._joints[place] = joints
            return
        self._stamps.insert(place, stamp_ns)
        self._joints.insert(place, joints)
        if len(self._stamps) > self._length:
            del self._stamps[0], self._joints[0]

    def clear(self) -> None:
        """Forget all (time was set back)."""
        self._stamps.clear()
        self._joints.clear()

    def knows(self, stamp_ns: int, exactly: bool) -> bool:
        """Tell whether there is a measurement at a stamp, or (not exactly) one after it too."""
        place = bisect_left(self._stamps, stamp_ns)
        if place == len(self._stamps):
            return False
        return self._stamps[place] == stamp_ns or (not exactly and place > 0)

    def at(self, stamp_ns: int, gap_s: float) -> Array | None:
        """Return the joints at a stamp: measured, interpolated, or the nearest within `gap_s`."""
        place = bisect_left(self._stamps, stamp_ns)
        if self.knows(stamp_ns, exactly=True):
            return self._joints[place]
        near = [k for k in (place - 1, place) if 0 <= k < len(self._stamps)]
        near = [k for k in near if abs(self._stamps[k] - stamp_ns) <= gap_s * 1e9]
        if len(near) == 2:
            before, after = (self._stamps[k] for k in near)
            share = (stamp_ns - before) / (after - before)
            return (1 - share) * self._joints[near[0]] + share * self._joints[near[1]]
        return self._joints[near[0]] if near else None
