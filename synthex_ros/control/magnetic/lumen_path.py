"""A path through vessels: where on it the tip of a wire is, and where it is aimed.

The tip is aimed at a point ahead on the path (pure pursuit; Coulter, CMU-RI-TR-92-01), at a mouth
a little further over at every attempt.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthex_ros.control.magnetic.feed_settings import FeedSettings
from synthex_ros.control.magnetic.line_of_sight import LineOfSight
from synthex_ros.control.magnetic.mouths import Mouth, MouthWatch
from synthex_ros.control.magnetic.planner import PlannedPath, Room
from synthex_ros.vectors import clamp, length

Array = NDArray[np.float64]

MODES = ('automatic', 'confirm')

_BACK_M, _END_M, _ON_M, _JUMP_M = 0.015, 0.012, 3e-3, 0.02
_ASIDE_M = (0.0, -3e-3, 3e-3, -6e-3, 6e-3)
"""Where attempts at a mouth aim beside it, along the wider vessel [m]."""


class LumenPath:
    """A goal: follow a planned path to its end, or from waypoint to waypoint.

    Args:
        path: the planned path, in `world`.
        settings: lookahead and speeds.
        mode: 'automatic' runs to the end; 'confirm' waits at every waypoint for `confirm`.
        lumen: where the vessels are open, if known: in a branch the tip is then aimed at what it
            sees of the path.

    Attributes:
        arc_m: how far along the path the tip is [m].
    """

    mode = 'path'

    def __init__(
        self,
        path: PlannedPath,
        settings: FeedSettings | None = None,
        mode: str = 'automatic',
        lumen: Room | None = None,
    ) -> None:
        if mode not in MODES:
            raise ValueError(f'mode must be one of {MODES}, got {mode!r}')
        self.path, self.settings = path, settings or FeedSettings()
        stops = [point.arc_m for point in path.waypoints] if mode == 'confirm' else []
        self._stops = sorted({*stops, path.length_m})
        self.arc_m: float | None = None
        self._watch, self._inside = MouthWatch(path), True
        self._to_end_m = np.full(3, np.inf)
        self._sight = None if lumen is None else LineOfSight(lumen)

    @property
    def mouth(self) -> Mouth | None:
        """The next mouth, if it is near."""
        return self._watch.ahead(self.arc_m or 0.0)

    @property
    def at_mouth(self) -> bool:
        """Whether the tip is at a mouth that it is to enter: it is turned there and fed slowly."""
        return self._watch.close

    @property
    def in_branch(self) -> bool:
        """Whether the tip is in a branch, at its mouth, or in a vessel as narrow as a branch."""
        return self.at_mouth or self._watch.branched(self.arc_m or 0.0)

    @property
    def missed(self) -> bool:
        """Whether the tip went past the branch that it was to enter, and is not back yet."""
        return self._watch.missed

    @property
    def stop_arc_m(self) -> float:
        """Where the tip stops next, from the entry [m]."""
        return self._stops[0]

    @property
    def remaining_m(self) -> float:
        """Way to the next stop [m]."""
        return self.stop_arc_m - (self.arc_m or 0.0)

    @property
    def waiting(self) -> bool:
        """Whether the tip is at a waypoint and waits for `confirm`."""
        return len(self._stops) > 1 and self.remaining_m <= self.settings.reach_m

    @property
    def arrived(self) -> bool:
        """Whether the tip is at the end, and in its vessel."""
        near = self.remaining_m <= self.settings.reach_m
        if self.wide_end:
            near = near and length(self._to_end_m) <= self.settings.near_m
        return len(self._stops) == 1 and near and self._inside

    @property
    def wide_end(self) -> bool:
        """Whether a tip at the wall is far from the end: it must then be bent to the middle."""
        return float(self.path.radius_m[-1]) > self.settings.lookahead_m / 2

    @property
    def at_wide_end(self) -> bool:
        """Whether the end is near and lies in a wide vessel: the tip is aimed at it there."""
        return self.wide_end and len(self._stops) == 1 and self.remaining_m < 0.03

    def to_end_m(self, tip_m: Array) -> Array:
        """Return the way from a tip to the end of the path, shape (3,) [m]."""
        return self.path.points_m[-1] - tip_m

    @property
    def short_m(self) -> float:
        """Way that is left along the vessel, negative beyond the end of a wide one [m]."""
        if not self.wide_end or len(self._stops) > 1 or self.remaining_m > _END_M:
            return self.remaining_m
        return float(self._to_end_m @ self.path.tangent(self.path.length_m))

    def confirm(self) -> bool:
        """Let the tip go on from the waypoint where it waits; tell whether it did wait."""
        if not self.waiting:
            return False
        self._stops.pop(0)
        return True

    def at(self, stamp_ns: int, tip_m: Array) -> tuple[Array, Array, float]:
        """Return the point aimed at, and the path's direction times the feeding speed."""
        arc = self.locate(tip_m)
        goal = min(arc + self.lookahead_m(arc), self.path.length_m)
        return self.path.at(goal), self.settings.speed_m_s * self.path.tangent(arc), np.inf

    def lookahead_m(self, arc_m: float) -> float:
        """Return how far ahead of a place on the path the tip is aimed [m]."""
        room = float(np.interp(arc_m, self.path.arc_m, self.path.radius_m))
        return max(self.settings.lookahead_m, self.settings.lookahead_rooms * room)

    def widest_m(self, arc_m: float) -> float:
        """Return the largest radius of the vessel in the last 100 mm, 0 if not known [m]."""
        behind = (self.path.arc_m <= arc_m + 1e-9) & (self.path.arc_m >= arc_m - 0.1)
        radii = self.path.radius_m[behind]
        return float(np.max(radii, initial=0.0, where=np.isfinite(radii)))

    def locate(self, tip_m: Array) -> float:
        """Return how far along the path a tip is [m]; it does not jump to another stretch."""
        arcs, points = self.path.arc_m, self.path.points_m
        first, last = 0, len(arcs)
        if self.arc_m is not None:
            first, last = np.searchsorted(arcs, (self.arc_m - _JUMP_M, self.arc_m + _JUMP_M))
        off = points[first:last] - tip_m
        best = int(first + np.einsum('ij,ij->i', off, off).argmin())
        along = float((tip_m - points[best]) @ self.path.tangent(float(arcs[best])))
        step = float(arcs[1] - arcs[0])
        found = clamp(float(arcs[best]) + clamp(along, -step, step), 0.0, float(arcs[-1]))
        before = found if self.arc_m is None else self.arc_m
        self.arc_m = self._watch.placed(before, found, tip_m)
        self._inside = self._watch.inside(self.arc_m, tip_m)
        self._to_end_m = self.path.points_m[-1] - tip_m
        return self.arc_m

    def behind(self) -> Array:
        """Return the direction of the path behind the tip, unit, shape (3,)."""
        return self.path.tangent(max(0.0, (self.arc_m or 0.0) - self.settings.behind_m))

    def ahead(self) -> Array:
        """Return the direction of the path at the tip, unit, shape (3,)."""
        return self.path.tangent(self.arc_m or 0.0)

    def aim_m(self, attempts: int = 0) -> Array:
        """Return the point that the tip is aimed at, shape (3,) [m].

        Args:
            attempts: how often the tip has missed the mouth before it; the aim is moved a little.
        """
        arc = self.arc_m or 0.0
        end, ahead = self.path.length_m, arc + self.lookahead_m(arc)
        mouth, aside = self._watch.ahead(arc), 0.0
        if mouth is not None:
            ahead = min(ahead, max(mouth.arc_m, arc) + self.settings.into_mouth_m)
            aside = _ASIDE_M[attempts % len(_ASIDE_M)]
        beyond = 0.0 if self.wide_end else max(0.0, ahead - end)
        aim = self.path.at(min(ahead, end)) + beyond * self.path.tangent(end)
        if mouth is not None and arc < mouth.arc_m:
            aim = aim + aside * mouth.vessel
        return aim

    def seen_aim_m(self, tip_m: Array) -> Array:
        """Return the furthest point of the path that the tip sees, shape (3,) [m].

        It is one lookahead ahead at most, and a little further on in the direction of the path,
        which goes on straight beyond its end.
        """
        arc, end = self.arc_m or 0.0, self.path.length_m
        room = float(np.interp(arc, self.path.arc_m, self.path.radius_m))
        ahead = max(self.settings.lookahead_m, room)
        arcs = np.arange(arc + ahead, max(arc - _BACK_M, 0.0), -1e-3)
        points = self.path.at(np.minimum(arcs, end))
        best = 0
        if self._sight is not None:
            best = self._sight.best(self._sight.inside(tip_m), points)
        on_m = max(_ON_M, arcs[best] - end)
        return points[best] + on_m * self.path.tangent(min(arcs[best], end))
