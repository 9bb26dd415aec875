"""How a wire is fed along a path through vessels, and how far ahead it is aimed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class FeedSettings:
    """How a wire is fed along a path.

    Attributes:
        speed_m_s: highest feeding speed [m/s].
        lookahead_m: how far ahead of the tip the path is aimed at, at least [m].
        lookahead_rooms: the same in multiples of the room to the wall: in a wide vessel the wire
            lies at the wall, and a near aim would turn it across.
        into_mouth_m: before a branch, how far into it the tip is aimed at most [m].
        behind_m: how far behind the tip the wire's direction is that of the path [m].
        field_off_rad: feeding stops while the field is this far from where it shall be [rad].
        tip_off_rad: in a branch, feeding slows with the angle between the tip and its aim, and
            stops 30 % beyond this [rad].
        warn_force_n: wall force at which the wire is drawn back a little [N].
        stop_force_n: wall force at which everything is held [N].
        mouth_share: part of the speed at a mouth.
        reach_m: distance from the end at which it is reached [m].
        near_m: distance from the end at which it is reached in a wide vessel, where the wire lies
            at the wall [m].
        stuck_commands: commands in a row with the field too far off to feed, after which the tip
            is taken as caught.
        caught_m: fed without getting on by which the tip is taken as caught, or the same multiple
            of the room behind if that is more: the wire first moves to the other wall there [m].
        draw_back_m: how far it is then drawn back [m].
        slack_m: how much further where its tip does not follow [m].
        loop_m: fed more than the way along the path by which the wire must lie in a loop: it is
            drawn back until it is half of that [m].
        loop_share: what is added to that, as a part of the way: at the wall of a bend the wire is
            longer than the path.
        slack_share: as a part of the way, by how much the wire is longer than the path when it
            lies at the outer walls; less than that is fed before the tip of a wire in a branch
            moves.
        branch_share: part of the speed while that is fed.
        retry_slack_m: in a branch, how much further it is drawn back at each attempt after the
            first, in place of slack_m: the tip shall stay in the branch [m].
    """

    speed_m_s: float = 0.012
    lookahead_m: float = 0.010
    lookahead_rooms: float = 2.0
    into_mouth_m: float = 0.006
    behind_m: float = 0.024
    field_off_rad: float = 0.7
    tip_off_rad: float = 1.05
    warn_force_n: float = 0.3
    stop_force_n: float = 0.7
    mouth_share: float = 0.4
    reach_m: float = 1.5e-3
    near_m: float = 3e-3
    stuck_commands: int = 30
    caught_m: float = 8e-3
    draw_back_m: float = 0.012
    slack_m: float = 0.06
    loop_m: float = 0.03
    loop_share: float = 0.15
    slack_share: float = 0.08
    branch_share: float = 0.75
    retry_slack_m: float = 0.015

    def __post_init__(self):
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise ValueError(f'{name} must be positive and finite, got {value!r}')
        if self.warn_force_n >= self.stop_force_n:
            raise ValueError(
                f'warn_force_n must be below stop_force_n, got {self.warn_force_n} and '
                f'{self.stop_force_n}'
            )
