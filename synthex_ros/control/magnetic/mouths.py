"""Mouths: where a path leaves a vessel for a narrower one that branches off it.

A wire that is fed past a mouth goes on in the wider vessel, and by the nearest point of the path
it may still seem to get on. So the way into a branch counts only for a tip that is in it, and a
tip that is past the mouth is drawn back along the vessel, turned towards the mouth all the while,
as is done by hand with bent catheters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthex_ros.control.magnetic.planner import PlannedPath
from synthex_ros.vectors import length

Array = NDArray[np.float64]

NARROWER = 0.7
"""A branch has at most this part of the radius of the vessel before its mouth."""
NARROW_M = 4e-3
"""In a vessel of a smaller radius walls bend the soft end as in a branch [m]."""
_BEFORE_M, _AFTER_M = 0.030, 0.012
_SLACK_M = 1e-3
_ENTERED_M, _DEEP_M = 3e-3, 6e-3
_PAST_M, _UPSTREAM, _CLOSE = 4e-3, 1.1, 1.3
_NEAR_M = 0.05
_STRAY_M, _BACK_M, _STRAY_WIDE = 6e-3, 8e-3, 2.5
_TURNED = np.cos(np.radians(20))


@dataclass(frozen=True, eq=False)
class Mouth:
    """The place where a path turns into a narrower vessel.

    Attributes:
        arc_m: distance from the entry along the path [m].
        centre_m: its middle, shape (3,) [m].
        vessel: direction of the wider vessel before it, unit, shape (3,).
        wide_m: radius of the wider vessel before it [m].
        branch: direction of the branch a little inside it, unit, shape (3,).
        room_m: radius of the branch a little inside it [m].
    """

    arc_m: float
    centre_m: Array
    vessel: Array
    wide_m: float
    branch: Array
    room_m: float

    @property
    def turn_rad(self) -> float:
        """Angle between the vessel and its branch [rad]."""
        return float(np.arccos(np.clip(self.vessel @ self.branch, -1, 1)))

    def past_m(self, tip_m: Array) -> float:
        """Return how far a tip is beyond the mouth along the wider vessel [m]."""
        return float((tip_m - self.centre_m) @ self.vessel)


def find_mouths(path: PlannedPath) -> tuple[Mouth, ...]:
    """Return the mouths of a path, in order.

    A mouth is where the radius of the vessel has fallen to that of the branch, stays below
    `NARROWER` times the largest one of the 30 mm before, and the path turns.
    """
    arc, room = path.arc_m, path.radius_m
    step = float(arc[1] - arc[0])
    before, after = (max(2, round(length / step)) for length in (_BEFORE_M, _AFTER_M))
    mouths: list[Mouth] = []
    for k in range(1, len(arc) - 2):
        inside = float(np.median(room[k : k + after]))
        wide = float(room[max(0, k - before) : k].max())
        fell = room[k] <= 1.25 * inside < room[k - 1] * 1.02
        if inside > NARROWER * wide or not fell:
            continue
        if mouths and arc[k] - mouths[-1].arc_m < _BEFORE_M / 2:
            continue
        # the vessel's own direction is that of the path before it begins to turn
        vessel = path.tangent(max(0.0, float(arc[k]) - 1.5 * wide))
        branch = path.tangent(float(arc[k]) + _DEEP_M)
        if arc[-1] - arc[k] < _DEEP_M or vessel @ branch > _TURNED:
            continue
        mouths.append(Mouth(float(arc[k]), path.points_m[k], vessel, wide, branch, inside))
    return tuple(mouths)


class MouthWatch:
    """Tells where a tip is before, in or past the next mouth of a path.

    Args:
        path: the planned path.

    Attributes:
        close: whether the tip is so near before the next mouth, or past it, that it must be turned
            to it.
        missed: whether the tip is past the next mouth, or was and is not back before it yet; or
            it is in another vessel than the path, or was and is not back on it yet.
    """

    def __init__(self, path: PlannedPath) -> None:
        self._path, self._mouths = path, find_mouths(path)
        self.close = self.missed = False
        self._strayed_at_m: float | None = None

    @property
    def mouths(self) -> tuple[Mouth, ...]:
        """All mouths, in order."""
        return self._mouths

    def branched(self, arc_m: float) -> bool:
        """Tell whether a place on the path lies in a branch, or in a vessel as narrow as one."""
        if self._mouths and arc_m >= self._mouths[0].arc_m:
            return True
        return float(np.interp(arc_m, self._path.arc_m, self._path.radius_m)) < NARROW_M

    def ahead(self, arc_m: float) -> Mouth | None:
        """Return the next mouth for a tip at a place on the path, if it is near."""
        for mouth in self._mouths:
            if arc_m <= mouth.arc_m + _DEEP_M:
                return mouth if mouth.arc_m - arc_m < _NEAR_M else None
        return None

    def placed(self, before_m: float, arc_m: float, tip_m: Array) -> float:
        """Return the place on the path, not beyond a mouth that the tip is not in [m].

        Args:
            before_m: place before this frame [m].
            arc_m: place of the nearest point [m].
            tip_m: the tip, shape (3,) [m].
        """
        mouth = self.ahead(before_m)
        if mouth is None:
            self.close, self.missed = False, self._strayed(arc_m, tip_m)
            return arc_m
        near = mouth.arc_m - arc_m < _STRAY_WIDE * mouth.wide_m
        if (self._strayed_at_m is not None or not near) and self._strayed(arc_m, tip_m):
            self.close, self.missed = False, True
            return arc_m
        past = mouth.past_m(tip_m)
        inside = self.inside(arc_m, tip_m)
        if arc_m > mouth.arc_m + _ENTERED_M and inside:
            self.close = self.missed = False
            return arc_m
        self.close = past > -_CLOSE * mouth.wide_m
        self.missed = past > _PAST_M or (self.missed and past > -_UPSTREAM * mouth.wide_m)
        return min(arc_m, mouth.arc_m)

    def _strayed(self, arc_m: float, tip_m: Array) -> bool:
        """Tell whether the tip is in another vessel, until it is back before that place."""
        inside = self.inside(arc_m, tip_m)
        if self._strayed_at_m is not None:
            if inside and arc_m < self._strayed_at_m - _BACK_M:
                self._strayed_at_m = None
        elif not inside and self._off_m(arc_m, tip_m) > _STRAY_M + self._reach_m(arc_m):
            self._strayed_at_m = arc_m
        return self._strayed_at_m is not None

    def _off_m(self, arc_m: float, tip_m: Array) -> float:
        return length(tip_m - self._path.at(arc_m))

    def _reach_m(self, arc_m: float) -> float:
        """Return how far from the path the vessel's far wall is, for a path that is near one."""
        path = self._path
        room, radius = (np.interp(arc_m, path.arc_m, a) for a in (path.room_m, path.radius_m))
        return max(float(2 * radius - room), float(radius))

    def inside(self, arc_m: float, tip_m: Array) -> bool:
        """Tell whether a tip is in the vessel of the path at a place; True if none is known."""
        return not self._off_m(arc_m, tip_m) > self._reach_m(arc_m) + _SLACK_M
