"""Which field turns the soft end of a wire in a vessel to where its path goes.

In a wide vessel the soft end is aimed from the body behind it, not from the tip: a bend that the
field changes moves the tip aside, and an aim that followed it would swing with the delay of the
images. The bend sought is the one whose straight continuation meets the aim.

In a branch and at its mouth walls bend the body, and the model of a free bend says little. There
the field is turned by what the tip that is seen lacks of the direction to its aim, until it looks
there. So it is at the end of a path: in a wide vessel the tip is bent off the wall to the middle,
in any vessel one that has arrived beside the end is turned to it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthex_ros.control.magnetic.lumen_path import LumenPath
from synthex_ros.control.magnetic.mouths import Mouth
from synthex_ros.control.magnetic.tip_angle import BendEstimator
from synthex_ros.control.magnetic.unseen_depth import taken_aside
from synthex_ros.control.magnetic.wire_model import WireModel, bend_to_meet
from synthex_ros.control.magnetic.wire_sight import BODY_M, WireSight
from synthex_ros.vectors import clamp, cross, length

Array = NDArray[np.float64]

_LEAD_SEEN_RAD = math.radians(85)
_ABEAM_RAD, _BEYOND_RAD = math.radians(70), math.radians(15)
_DAMPING_S, _CORRECTION = 0.5, 0.7
_TURN_HZ, _STRONG = 1.0, 0.9
_AT_END_M, _ALONG = 4e-3, math.cos(math.radians(75))
_AXES = np.eye(3)


@dataclass(frozen=True)
class FieldRange:
    """Which fields may be asked for.

    Attributes:
        field_t: strength where the bend does not need more [T].
        field_max_t: greatest strength [T].
        lead_max_rad: the field leads the bend by at most this [rad].
        bend_max_rad: greatest bend to ask for [rad].
    """

    field_t: float
    field_max_t: float
    lead_max_rad: float
    bend_max_rad: float


class LumenSteering:
    """Steers the soft end along a path, by the directions that the image shows.

    Args:
        model: nominal numbers of the soft end.
        fields: which fields may be asked for.
    """

    def __init__(self, model: WireModel, fields: FieldRange) -> None:
        self._fields, self._whole = fields, BendEstimator(model)
        self._front = BendEstimator(model.front(BODY_M[0]))
        self._smooth: Array | None = None
        self.tip_off_rad, self.folded = 0.0, False

    def clear(self) -> None:
        """Forget the past."""
        self._smooth = None

    def field(
        self,
        path: LumenPath,
        tip_m: Array,
        sight: WireSight,
        attempts: int,
        oversteer: float,
        interval_s: float,
        doubt_m: Array | None = None,
    ) -> tuple[Array, Array]:
        """Return the frame whose z axis is the wire's direction, (3, 3), and the field, (3,) [T].

        Args:
            path: the path with the tip's present place.
            tip_m: the tip, shape (3,) [m].
            sight: directions of the wire; where they are not known, those of the path are taken.
            attempts: how often the tip has missed or caught.
            oversteer: factor on the bend.
            interval_s: time since the last call [s].
            doubt_m: a deviation of the tip where it is known worst, as along the rays of one view,
                shape (3,) [m]; a tip that was caught is aimed as if it were there, then opposite.
        """
        aim = path.aim_m(attempts)
        self.tip_off_rad, self.folded = 0.0, _folded(path, sight)
        at_end = path.at_wide_end or path.arrived
        if sight.tip is not None and at_end and not self.folded:
            way = path.to_end_m(tip_m) + _AT_END_M * sight.tip
            return frame_along(sight.tip), self._towards(way, sight.tip, interval_s)
        if sight.tip is not None and path.in_branch and not (path.missed or self.folded):
            way = path.seen_aim_m(tip_m) - tip_m - taken_aside(doubt_m, attempts)
            return frame_along(sight.tip), self._towards(way, sight.tip, interval_s)
        if sight.behind is None or sight.body_m is None:
            frame = frame_along(path.behind())
            local = frame.T @ (aim - tip_m)
            angle = math.atan2(math.hypot(local[0], local[1]), local[2])
            return frame, self._field(self._whole, frame, local, oversteer * angle)
        # the body swings with the field: a bend counted from it, seen late, would swing too
        frame = frame_along(sight.behind if self.folded else path.behind())
        local = frame.T @ (aim - sight.body_m)
        if self.folded:
            angle = 0.0
        elif path.mouth is not None and (path.at_mouth or path.missed):
            angle = min(path.mouth.turn_rad + _BEYOND_RAD, _ABEAM_RAD)
            local = frame.T @ self._into(path.mouth, aim, frame[:, 2], sight, angle)
        else:
            beside = math.hypot(local[0], local[1])
            most = self._fields.bend_max_rad
            angle = oversteer * bend_to_meet(self._front.model, local[2], beside, most)
        field = self._field(self._front, frame, local, angle)
        if path.mouth is not None and path.at_mouth and sight.tip is not None:
            field = _corrected(field, _direction(frame, local, angle), sight.tip)
        field = self._damped(field, interval_s)
        return frame, _before_the_tip(field, sight.tip)

    def _towards(self, way: Array, tip: Array, interval_s: float) -> Array:
        """Turn the field by what the tip that is seen lacks of the direction to its aim."""
        wanted = way / max(length(way), 1e-9)
        self.tip_off_rad = math.acos(clamp(float(wanted @ tip), -1, 1))
        before = tip if self._smooth is None else self._smooth / length(self._smooth)
        turned = before + _TURN_HZ * interval_s * (wanted - tip)
        unit = _before_the_tip(turned / max(length(turned), 1e-9), tip)
        lead = length(cross(unit, tip))
        high = self._fields.field_max_t
        low = max(self._fields.field_t, _STRONG * high)
        self._smooth = unit * (low + lead * (high - low))
        return self._smooth

    def _damped(self, field: Array, interval_s: float) -> Array:
        """Follow a field slowly: the body that the bend is counted from swings with it, late."""
        if self._smooth is None:
            self._smooth = field
        share = 1 - math.exp(-interval_s / _DAMPING_S)
        mean = (1 - share) * self._smooth + share * field
        norm, size = length(mean), length(field)
        self._smooth = field if norm < 0.2 * size else mean * (size / norm)
        return self._smooth

    def _into(
        self, mouth: Mouth, aim: Array, along: Array, sight: WireSight, angle_rad: float
    ) -> Array:
        """Return the side, unit, (3,), to bend to at a mouth: that of the branch.

        It is turned so far that the tip comes to lie before the mouth, not beside it.
        """
        branch = mouth.branch - (mouth.branch @ along) * along
        branch = branch / max(length(branch), 1e-9)
        beside = cross(along, branch)
        reach, ahead = self._front.model.tip_m(angle_rad)
        unbent = sight.body_m + ahead * sight.behind  # type: ignore[operator]
        share = clamp(float((aim - unbent) @ beside / reach), -0.8, 0.8)
        return math.sqrt(1 - share**2) * branch + share * beside

    def _field(
        self, bends: BendEstimator, frame: Array, towards: Array, angle_rad: float
    ) -> Array:
        across = math.hypot(towards[0], towards[1])
        side = towards[:2] / across if across > 1e-9 else np.zeros(2)
        fields = self._fields
        angle = min(angle_rad, fields.bend_max_rad)
        return frame @ bends.field_for(
            angle * side, fields.field_t, fields.field_max_t, fields.lead_max_rad
        )


def _folded(path: LumenPath, sight: WireSight) -> bool:
    """Tell whether a tip has turned back on its body, and not because its branch does."""
    if not sight.folded or sight.tip is None:
        return False
    return not (path.in_branch and sight.tip @ path.ahead() > _ALONG)


def _direction(frame: Array, towards: Array, angle_rad: float) -> Array:
    """Return the direction, unit, (3,), bent by an angle from the frame's z axis to a side."""
    across = math.hypot(towards[0], towards[1])
    side = towards[:2] / across if across > 1e-9 else np.zeros(2)
    return frame @ np.append(math.sin(angle_rad) * side, math.cos(angle_rad))


def _corrected(field: Array, wanted: Array, tip: Array) -> Array:
    """Return a field turned further by what the tip that is seen lacks: walls hold it aside."""
    size = length(field)
    turned = field / max(size, 1e-12) + _CORRECTION * (wanted - tip)
    norm = length(turned)
    return field if norm < 0.2 else turned * (size / norm)


def _before_the_tip(wanted: Array, tip: Array | None) -> Array:
    """Return a field turned towards the tip as far as needed to lead it by 85 degrees.

    The torque is greatest at 90 degrees; a field further behind a tip that the wall holds folds
    it back when it comes free.
    """
    size = length(wanted)
    if tip is None or size == 0 or wanted @ tip >= size * math.cos(_LEAD_SEEN_RAD):
        return wanted
    across = wanted - (wanted @ tip) * tip
    norm = length(across)
    if norm < 1e-3 * size:
        return size * tip
    return size * (math.cos(_LEAD_SEEN_RAD) * tip + math.sin(_LEAD_SEEN_RAD) * across / norm)


def frame_along(direction: Array) -> Array:
    """Return a rotation matrix, shape (3, 3), whose z axis is a unit vector."""
    side = _AXES[int(np.argmin(np.abs(direction)))]
    side = side - (side @ direction) * direction
    side = side / length(side)
    return np.array([side, cross(direction, side), direction]).T
