"""Feeding of a wire along a path: it waits for steering, draws back and tries again.

A wire that is fed first moves from the inner to the outer walls of the bends behind it, and its
tip does not get on meanwhile. In a branch, feeding more than that without the tip getting on lays
the wire in a loop in the wider vessel, which draws the tip out again.
"""

from __future__ import annotations

import numpy as np

from synthex_ros.control.magnetic.feed_settings import FeedSettings
from synthex_ros.control.magnetic.lumen_path import LumenPath


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
        s, arc = self._settings, path.arc_m or 0.0
        if arc > self._best_m + 2e-3:
            self._best_m, self._fed_at_best_m = arc, insertion_m
        if arc > self._caught_at_m + 8e-3:
            self.attempts, self._caught_at_m = 0, np.inf
        if self._start_m is None:
            self._start_m = (insertion_m, arc)
        fed_m, way_m = insertion_m - self._start_m[0], arc - self._start_m[1]
        loop_m = s.loop_m + s.loop_share * max(way_m, 0.0)
        if fed_m - way_m > loop_m:
            self._looped = True
        elif fed_m - way_m < loop_m / 2:
            self._looped = False
        if path.missed or folded or self._looped:
            self.attempts += not self._missed
            self._missed, self._back_to_m = True, None
            self._caught_at_m = self._best_m
            return -s.speed_m_s
        if self._missed:
            self._missed, self._fed_at_best_m = False, insertion_m + s.draw_back_m
        if self._back_to_m is not None:
            # a wire that lies in a loop is drawn straight before its tip follows
            follows = arc < self._from_arc_m - 2e-3
            slack_m = 0.0 if follows else s.slack_m
            if path.in_branch:
                slack_m = min(slack_m, s.retry_slack_m * (self.attempts - 1))
            came_free = path.in_branch and arc > self._from_arc_m + 3e-3
            if not came_free and insertion_m > max(0.0, self._back_to_m - slack_m):
                return -s.speed_m_s
            self._back_to_m, self._fed_at_best_m = None, insertion_m + s.draw_back_m
        if path.arrived or path.waiting:
            return 0.0
        self._stuck = self._stuck + 1 if field_off_rad >= s.field_off_rad else 0
        patience_m = max(s.caught_m, s.lookahead_rooms * path.widest_m(arc))
        if path.in_branch:
            # the wire first moves from the inner to the outer wall of the bends behind
            patience_m = max(s.caught_m, path.widest_m(arc))
            if fed_m - way_m < s.slack_share * way_m:
                self._fed_at_best_m = max(self._fed_at_best_m, insertion_m - s.caught_m)
        caught = insertion_m - self._fed_at_best_m > patience_m
        if caught or self._stuck > s.stuck_commands or force_n >= s.warn_force_n:
            self._stuck = 0
            self.attempts, self._caught_at_m = self.attempts + 1, self._best_m
            self._back_to_m, self._from_arc_m = insertion_m - s.draw_back_m, arc
            return -s.speed_m_s
        turned = float(np.clip(1 - field_off_rad / s.field_off_rad, 0, 1))
        pressed = float(np.clip(2 * (1 - force_n / s.warn_force_n), 0.15, 1))
        slowing = float(np.clip(path.short_m / 8e-3, 0.15 if path.short_m > 0 else -0.3, 1))
        if path.in_branch:
            slow = path.at_mouth or fed_m - way_m > s.slack_share * way_m
            slowing = min(slowing, s.mouth_share if slow else s.branch_share)
        looking = float(np.clip((s.tip_off_rad - tip_off_rad) / s.tip_off_rad + 0.3, 0, 1))
        return s.speed_m_s * turned * looking * min(pressed, slowing)
