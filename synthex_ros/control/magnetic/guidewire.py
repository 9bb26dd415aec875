"""Control of a magnetic guidewire: the field bends the tip, insertion feeds it.

Three kinds of goals: a direction of the tip (`TipAngleGoal`), a path through vessels
(`LumenPath`), and points, timed paths and hand control, at which the tip is aimed and fed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.control.magnetic.allocation_slew import FieldSlew
from synthex_ros.control.magnetic.drift_filter import DriftFilter
from synthex_ros.control.magnetic.feed_settings import FeedSettings
from synthex_ros.control.magnetic.feeder import Feeder
from synthex_ros.control.magnetic.law import Seen, Wish
from synthex_ros.control.magnetic.lumen_path import LumenPath
from synthex_ros.control.magnetic.lumen_steering import FieldRange, LumenSteering
from synthex_ros.control.magnetic.swimmer import DriftNoise
from synthex_ros.control.magnetic.tip_angle import BendEstimator, FieldMemory, TipAngleGoal
from synthex_ros.control.magnetic.unseen_depth import worst_deviation
from synthex_ros.control.magnetic.wire_model import WireModel
from synthex_ros.control.magnetic.wire_sight import WireSight
from synthex_ros.control.reference import Goal, Reference, TargetGoal
from synthex_ros.geometry import check_pose
from synthex_ros.joints import JointLimits
from synthex_ros.vectors import angle_rad, clamp, cross, length

Array = NDArray[np.float64]

_STRAIGHT_RAD = 1e-6
_FAR_RAD = math.radians(120)
_SETTLE_NS = 60_000_000
_NO_TARGET = (
    math.nan,
    'target_in_vessel',
    'the wire is on a path through vessels, and a target alone would pull its tip to the wall; '
    'send a path that ends at the target, or reset the controller for open space',
)


@dataclass(frozen=True)
class GuidewireSettings:
    """How a guidewire is controlled.

    Attributes:
        field_t: strength of the field where the bend does not need more [T].
        field_max_t: greatest strength to command [T].
        lead_max_rad: the field leads the tip by at most this, below 90 degrees [rad].
        bend_max_rad: greatest bend to ask for [rad].
        turn_rad_s: fastest turn of the commanded field [rad/s].
        growth_t_s: fastest change of its strength [T/s].
        feed_gain_hz: of insertion on the distance along the wire [1/s].
        lag_s: time constant from command to field [s].
        force_free: ask for a field without pull on the magnet; needs five coils or more.
        feed: feeding along paths and towards points.
        noise: of the tip's motion model.
    """

    field_t: float = 0.018
    field_max_t: float = 0.028
    lead_max_rad: float = math.radians(65)
    bend_max_rad: float = math.radians(80)
    turn_rad_s: float = 2.0
    growth_t_s: float = 0.10
    feed_gain_hz: float = 1.0
    lag_s: float = 0.05
    force_free: bool = False
    feed: FeedSettings = FeedSettings()  # noqa: RUF009
    noise: DriftNoise = DriftNoise(4e-3, 1e-3, 0.0, 0.0, 1e-3, 0.0, 0.0)  # noqa: RUF009

    def __post_init__(self):
        if not 0 < self.field_t <= self.field_max_t <= 0.2:
            raise ValueError(
                f'0 < field_t <= field_max_t <= 0.2 T, got {self.field_t}, {self.field_max_t}'
            )
        if not 0.1 <= self.lead_max_rad <= math.radians(80):
            raise ValueError(f'lead_max_rad must be 0.1..1.396, got {self.lead_max_rad:g}')


class GuidewireLaw:
    """Control law of a magnetic guidewire; see `MagneticLaw`.

    Args:
        model: nominal numbers of the soft end.
        world_from_base: pose of the entry, which looks along +z, in `world`, shape (4, 4).
        limits: of the joints (insertion, roll).
        settings: gains and limits.

    Attributes:
        bends: what was learned of the bend.
        filter: delayed filter of the tip.
        feeder: feeding along a path.
        sight: directions of the wire as the image shows them.
        force_n: newest force on the wall [N], 0 where none is known; the controller sets it.
    """

    def __init__(
        self,
        model: WireModel,
        world_from_base: ArrayLike,
        limits: JointLimits,
        settings: GuidewireSettings | None = None,
    ) -> None:
        self.model, self.settings = model, settings or GuidewireSettings()
        self._base, self._limits = check_pose(world_from_base), limits
        self.bends = BendEstimator(model)
        self.filter = DriftFilter(self.settings.noise)
        self._field = FieldMemory(self.settings.lag_s)
        self._slew = FieldSlew(self.settings.turn_rad_s, self.settings.growth_t_s)
        self.feeder, self.sight = Feeder(self.settings.feed), WireSight()
        chosen = self.settings
        fields = FieldRange(
            chosen.field_t, chosen.field_max_t, chosen.lead_max_rad, chosen.bend_max_rad
        )
        self._steering = LumenSteering(model, fields)
        self.force_n = 0.0
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        for part in (self.bends, self._slew, self.feeder):
            part.reset()
        self.filter.clear()
        self._field.clear()
        self.sight.clear()
        self._steering.clear()
        self._frame, self._in_vessel = self._base[:3, :3], False
        self._was_on_path = False
        self._fed: tuple[int, float] | None = None
        self._velocity = np.zeros(3)
        self._doubt_m: Array | None = None
        self._bent: Array | None = None
        self._along = self._base[:3, 2]

    def observe(self, seen: Seen, joints: Array, now_ns: int) -> bool:
        """Learn from a frame; tell whether the tip was where it could be."""
        self._field.advance(now_ns)
        self.sight.see(seen.line_m)
        self._doubt_m = worst_deviation(seen.covariance_m2)
        self.filter.start_with(seen)
        self._advance(now_ns)
        fits = self.filter.measure(seen.stamp_ns, seen.position_m, seen.covariance_m2)
        if seen.back_m is not None and not self._in_vessel:
            fits = self._learn_bend(seen) and fits
        return fits

    def _learn_bend(self, seen: Seen) -> bool:
        """Use the chord from the landmark behind to the tip, as the image shows it."""
        turn = self._base[:3, :3]
        side = cross(seen.axis, turn[:, 2])
        size = length(side)
        if seen.back_m is None or size < 0.5:
            return True  # the wire looks along the rays: its bend is out of sight
        side_base = turn.T @ side / size
        chord = seen.position_m - seen.back_m
        seen_rad = math.atan2(float(chord @ side) / size, float(chord @ turn[:, 2]))
        bend = self.model.bend_of_chord(seen_rad)
        across = float(seen.covariance_m2.trace() - seen.axis @ seen.covariance_m2 @ seen.axis) / 2
        deviation = 2 * math.sqrt(2 * across) / self.model.back_m
        acted, before = (self._field.at(seen.stamp_ns - age) for age in (0, _SETTLE_NS))
        if np.any(before):
            deviation += 0.5 * angle_rad(acted, before)  # the wire is on its way
        field = turn.T @ acted
        return self.bends.observe(seen.stamp_ns, field, bend, side_base[:2], deviation)

    def reopen(self) -> None:
        """Doubt the estimates: the next frames are believed."""
        self.filter.doubt_position()
        self.bends.widen()

    def made(self, stamp_ns: int, field_t: Array) -> None:
        """Do nothing: a wire bends with the field that is wanted, and what is amiss is learned."""

    def tip_world_m(self) -> Array:
        """Return the present tip as estimated, shape (3,) [m]."""
        return self.filter.position_m

    def command(
        self,
        reference: Reference,
        goal: Goal | None,
        stamp_ns: int,
        joints: Array,
        now_ns: int,
        interval_s: float,
    ) -> Wish:
        """Return field and joints until the next command."""
        self._advance(now_ns)
        self._was_on_path |= isinstance(goal, LumenPath)
        if self._was_on_path and isinstance(goal, TargetGoal):
            return Wish(self._slew.field_t, None, np.array(joints, float), *_NO_TARGET)
        if self._in_vessel != isinstance(goal, LumenPath):
            self._in_vessel, self._bent = isinstance(goal, LumenPath), None
        tip = self.tip_world_m()
        if isinstance(goal, LumenPath):
            wanted, speed = self._along_path(goal, tip, joints, interval_s)
        elif isinstance(goal, TipAngleGoal):
            self._frame = self._base[:3, :3]
            wanted = self._field_towards(goal.direction, 1.0)
            speed = self._feed_to(reference.position_m, tip, self._base[:3, 2])
            off = angle_rad(self._slew.field_t, wanted) if np.any(self._slew.field_t) else np.pi
            speed *= clamp(1 - off / 0.3, 0, 1)
        else:
            wanted, speed = self._towards(reference, stamp_ns, tip, now_ns)
        field = self._slew.step(self._by_the_front(wanted), interval_s)
        after = np.array(joints, float)
        rate = float(self._limits.rate[0])
        after[0] += clamp(speed, -rate, rate) * interval_s
        error = length(reference.position_m - tip)
        pull = np.zeros(3) if self.settings.force_free else None
        return Wish(field, pull, self._limits.clamp(after), error)

    def sent(self, now_ns: int, wish: Wish) -> None:
        """Take note of what was commanded."""
        self._advance(now_ns)
        self._field.commanded(now_ns, wish.field_t)
        self._slew.reset(wish.field_t)
        if wish.joints is None:
            return
        if self._fed is not None and now_ns > self._fed[0]:
            passed_s = max((now_ns - self._fed[0]) * 1e-9, 1e-3)
            speed = (float(wish.joints[0]) - self._fed[1]) / passed_s
            self._velocity = clamp(speed, -0.05, 0.05) * self._along
        self._fed = (now_ns, float(wish.joints[0]))

    def _along_path(
        self, path: LumenPath, tip: Array, joints: Array, interval_s: float
    ) -> tuple[Array, float]:
        self._frame, wanted = self._steering.field(
            path, tip, self.sight, self.feeder.attempts, self.feeder.oversteer, interval_s,
            self._doubt_m,
        )  # fmt: skip
        self._along = path.path.tangent(path.arc_m or 0.0)
        off = angle_rad(self._slew.field_t, wanted) if np.any(self._slew.field_t) else np.pi
        speed = self.feeder.speed_m_s(
            path, float(joints[0]), off, self.force_n, self._steering.folded,
            self._steering.tip_off_rad,
        )  # fmt: skip
        return wanted, speed

    def _towards(
        self, reference: Reference, stamp_ns: int, tip: Array, now_ns: int
    ) -> tuple[Array, float]:
        """Aim the tip at a point and feed it: in open space, the wire straight behind."""
        self._frame = self._base[:3, :3]
        point = reference.ahead(max(0.0, (now_ns - stamp_ns) * 1e-9))
        back = tip - self.model.back_m * self._base[:3, 2]
        wanted = self._field_towards(point - back, 1.0)
        return wanted, self._feed_to(point, tip, self._base[:3, 2])

    def _feed_to(self, point: Array, tip: Array, along: Array) -> float:
        self._along = along
        ahead = float((point - tip) @ along)
        most = self.settings.feed.speed_m_s
        return clamp(self.settings.feed_gain_hz * ahead, -most, most)

    def _by_the_front(self, wanted: Array) -> Array:
        """Return a field to turn to first: from one side to the other not behind the wire."""
        now, front = self._slew.field_t, self._frame[:, 2]
        if not np.any(now) or angle_rad(now, wanted) < _FAR_RAD or angle_rad(now, front) < 0.2:
            return wanted
        return length(wanted) * front

    def _field_towards(self, direction: Array, oversteer: float) -> Array:
        """Return the field in `world` that turns the tip into a direction, shape (3,)."""
        local = self._frame.T @ direction
        across = math.hypot(local[0], local[1])
        angle = oversteer * math.atan2(across, local[2])
        angle = min(angle, self.settings.bend_max_rad)
        side = local[:2] / across if across > _STRAIGHT_RAD else np.zeros(2)
        settings = self.settings
        field = self.bends.field_for(
            angle * side, settings.field_t, settings.field_max_t, settings.lead_max_rad
        )
        return self._frame @ field

    def _advance(self, until_ns: int) -> None:
        self._field.advance(until_ns)
        if self.filter.started and self.filter.now_ns < until_ns:
            passed_s = (until_ns - self.filter.now_ns) * 1e-9
            bent = self._bent_m()
            moved = np.zeros(3) if self._bent is None else (bent - self._bent) / passed_s
            self._bent = bent
            self.filter.advance(until_ns, np.concatenate([self._velocity + moved, np.zeros(3)]))

    def _bent_m(self) -> Array:
        """Return where the bend puts the tip by the model, beside a constant, in `world` [m]."""
        if self._in_vessel:
            return np.zeros(3)
        turn = self._base[:3, :3]
        bend = self.bends.bend(turn.T @ self._field.newest())
        angle = float(np.linalg.norm(bend))
        side, ahead = self.model.tip_m(angle)
        across = bend / angle if angle > _STRAIGHT_RAD else np.zeros(2)
        return turn @ np.append(side * across, ahead)
