"""Feeding of a wire along a path: it waits for steering, draws back and tries again.

A wire that is fed first moves from the inner to the outer walls of the bends behind it, and its
tip does not get on meanwhile. In a branch, feeding more than that without the tip getting on lays
the wire in a loop in the wider vessel, which draws the tip out again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthex_ros.control.magnetic.feed_settings import FeedSettings
from synthex_ros.control.magnetic.lumen_path import LumenPath
from synthex_ros.vectors import clamp

_GOT_ON_M, _PAST_M = 2e-3, 8e-3
"""Way ahead by which a tip has got on, and is past the place where it was caught [m]."""
_FOLLOWS_M, _CAME_FREE_M = 2e-3, 3e-3
"""Way back by which a tip follows the wire, and way ahead by which it came free instead [m]."""
_SLOWING_M = 8e-3
"""Feeding slows where less way than this is left [m]."""


@dataclass(frozen=True)
class _Place:
    """Where wire and tip are.

    Attributes:
        path: the path with the tip's present place.
        arc_m: how far along it the tip is [m].
        insertion_m: present insertion [m].
        way_m: way of the tip along the path since the first command [m].
        extra_m: how much more than that has been fed since [m].
    """

    path: LumenPath
    arc_m: float
    insertion_m: float
    way_m: float
    extra_m: float


class Feeder:
    """Feeding along a `LumenPath`: slows, draws back, tries again.

    Attributes:
        attempts: how often the tip was caught at the present place.
    """

    def __init__(self, settings: FeedSettings) -> None:
        self._settings = settings
        self.reset()

    def reset(self) -> None:
        """Forget the past."""
        self.attempts = 0
        self._best_m, self._caught_at_m = -np.inf, np.inf
        self._fed_at_best_m = 0.0
        self._stuck = 0
        self._missed = self._looped = False
        self._back_to_m: float | None = None
        self._from_arc_m = 0.0
        self._start_m: tuple[float, float] | None = None

    @property
    def oversteer(self) -> float:
        """Factor on the bend: a little more or less after failed attempts.

        Much more would press the tip on the wall, and the wire would go into a loop behind it.
        """
        return (1.0, 1.25, 0.8)[self.attempts % 3]

    def speed_m_s(
        self,
        path: LumenPath,
        insertion_m: float,
        field_off_rad: float,
        force_n: float,
        folded: bool = False,
        tip_off_rad: float = 0.0,
    ) -> float:
        """Return the feeding speed, negative to draw back [m/s].

        Args:
            path: the path with the tip's present place.
            insertion_m: present insertion [m].
            field_off_rad: angle between the field and where it shall be [rad].
            force_n: newest force on the wall [N].
            folded: whether the tip has turned back on the wire.
            tip_off_rad: angle between the tip that is seen and its aim; 0 where it does not
                matter [rad].
        """
        back_m_s = -self._settings.speed_m_s
        place = self._placed(path, insertion_m)
        looped = self._in_loop(place)
        if path.missed or folded or looped:
            self._leave()
            return back_m_s
        self._come_back(place)
        if self._drawing_back(place):
            return back_m_s
        if path.arrived or path.waiting:
            return 0.0
        caught = self._is_caught(place, field_off_rad, tip_off_rad)
        if caught or force_n >= self._settings.warn_force_n:
            self._draw_back(place)
            return back_m_s
        return self._forward_m_s(place, field_off_rad, force_n, tip_off_rad)

    def _placed(self, path: LumenPath, insertion_m: float) -> _Place:
        """Return where wire and tip are, and take note of how far the tip got."""
        arc = path.arc_m or 0.0
        if arc > self._best_m + _GOT_ON_M:
            self._best_m, self._fed_at_best_m = arc, insertion_m
        if arc > self._caught_at_m + _PAST_M:
            self.attempts, self._caught_at_m = 0, np.inf
        if self._start_m is None:
            self._start_m = (insertion_m, arc)
        fed_m, way_m = insertion_m - self._start_m[0], arc - self._start_m[1]
        return _Place(path, arc, insertion_m, way_m, fed_m - way_m)

    def _in_loop(self, place: _Place) -> bool:
        """Tell whether so much was fed that the wire lies in a loop, or is not yet out of it."""
        loop_m = self._settings.loop_m + self._settings.loop_share * max(place.way_m, 0.0)
        if place.extra_m > loop_m:
            self._looped = True
        elif place.extra_m < loop_m / 2:
            self._looped = False
        return self._looped

    def _leave(self) -> None:
        """Begin, or go on, to draw back from where the tip shall not be: a failed attempt."""
        self.attempts += not self._missed
        self._missed, self._back_to_m = True, None
        self._caught_at_m = self._best_m

    def _come_back(self, place: _Place) -> None:
        """End drawing back from there, if it was under way."""
        if self._missed:
            self._missed = False
            self._be_patient(place)

    def _draw_back(self, place: _Place) -> None:
        """Begin to draw back a tip that is caught."""
        self._stuck = 0
        self.attempts, self._caught_at_m = self.attempts + 1, self._best_m
        self._back_to_m = place.insertion_m - self._settings.draw_back_m
        self._from_arc_m = place.arc_m

    def _drawing_back(self, place: _Place) -> bool:
        """Tell whether a tip that was caught is still to be drawn back."""
        if self._back_to_m is None:
            return False
        came_free = place.path.in_branch and place.arc_m > self._from_arc_m + _CAME_FREE_M
        back_to_m = max(0.0, self._back_to_m - self._slack_m(place))
        if not came_free and place.insertion_m > back_to_m:
            return True
        self._back_to_m = None
        self._be_patient(place)
        return False

    def _slack_m(self, place: _Place) -> float:
        """Return how much further than its tip a wire is drawn back [m].

        A wire that lies in a loop is drawn straight before its tip follows.
        """
        settings = self._settings
        follows = place.arc_m < self._from_arc_m - _FOLLOWS_M
        slack_m = 0.0 if follows else settings.slack_m
        if place.path.in_branch:
            slack_m = min(slack_m, settings.retry_slack_m * (self.attempts - 1))
        return slack_m

    def _be_patient(self, place: _Place) -> None:
        """Let what was drawn back be fed again before the tip counts as caught."""
        self._fed_at_best_m = place.insertion_m + self._settings.draw_back_m

    def _is_caught(self, place: _Place, field_off_rad: float, tip_off_rad: float) -> bool:
        """Tell whether the tip was fed, or waited to be turned, too long without getting on."""
        settings = self._settings
        waits = field_off_rad >= settings.field_off_rad or self._looking(tip_off_rad) == 0
        self._stuck = self._stuck + 1 if waits else 0
        widest_m, rooms = place.path.widest_m(place.arc_m), settings.lookahead_rooms
        if place.path.in_branch:
            rooms = 1.0
            if place.extra_m < self._at_outer_walls_m(place):
                fed_m = place.insertion_m - settings.caught_m
                self._fed_at_best_m = max(self._fed_at_best_m, fed_m)
        patience_m = max(settings.caught_m, rooms * widest_m)
        fed_in_vain = place.insertion_m - self._fed_at_best_m > patience_m
        return fed_in_vain or self._stuck > settings.stuck_commands

    def _at_outer_walls_m(self, place: _Place) -> float:
        """Return how much longer than the path a wire at the outer walls of its bends is [m]."""
        return self._settings.slack_share * place.way_m

    def _forward_m_s(
        self, place: _Place, field_off_rad: float, force_n: float, tip_off_rad: float
    ) -> float:
        """Return the speed of a tip that may get on [m/s]; negative beyond a wide end."""
        settings = self._settings
        turned = clamp(1 - field_off_rad / settings.field_off_rad, 0, 1)
        pressed = clamp(2 * (1 - force_n / settings.warn_force_n), 0.15, 1)
        looking = self._looking(tip_off_rad)
        return settings.speed_m_s * turned * looking * min(pressed, self._slowing(place))

    def _looking(self, tip_off_rad: float) -> float:
        """Return the part of the speed that a tip off its aim by an angle [rad] allows."""
        return clamp(1.3 - tip_off_rad / self._settings.tip_off_rad, 0, 1)

    def _slowing(self, place: _Place) -> float:
        """Return the part of the speed that the end, a mouth or a branch allows."""
        settings, short_m = self._settings, place.path.short_m
        slowing = clamp(short_m / _SLOWING_M, 0.15 if short_m > 0 else -0.3, 1)
        if not place.path.in_branch:
            return slowing
        slow = place.path.at_mouth or place.extra_m > self._at_outer_walls_m(place)
        return min(slowing, settings.mouth_share if slow else settings.branch_share)
