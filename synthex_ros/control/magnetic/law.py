"""What every magnetic control law takes from a frame and gives to the controller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from synthex_ros.control.features import TipMeasurement, metres_per_feature
from synthex_ros.control.reference import Goal, Reference
from synthex_ros.vectors import length

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Seen:
    """What one frame shows of the device, in `world`.

    Attributes:
        stamp_ns: exposure time [ns].
        position_m: the tip, or the centre of a device without tether, shape (3,) [m].
        covariance_m2: of its error, shape (3, 3) [m^2]; large along the ray.
        axis: unit vector along the optical axis, shape (3,).
        back_m: a point of the device behind the tip, such as the wire's marker, shape (3,) [m];
            None where the tracker gives none.
        line_m: end of the centre line, from the back to the tip, shape (K, 3) [m]; None where the
            tracker gives none.
    """

    stamp_ns: int
    position_m: Array
    covariance_m2: Array
    axis: Array
    back_m: Array | None = None
    line_m: Array | None = None


@dataclass(frozen=True, eq=False)
class Wish:
    """What a law wants.

    Attributes:
        field_t: field at the device, shape (3,) [T].
        force_n: magnetic force on it, shape (3,) [N]; None where only the field is commanded.
        joints: set-points of its joints, shape (J,); None for a device without joints.
        error_m: distance from reference to estimate [m].
        kind: short name of why the device must be held instead; '' if it may move.
        reason: the same in words.
    """

    field_t: Array
    force_n: Array | None = None
    joints: Array | None = None
    error_m: float = float('nan')
    kind: str = ''
    reason: str = ''


class MagneticLaw(Protocol):
    """A control law; the controller calls `observe`, then `command`, then `sent`.

    Attributes:
        force_n: newest force on the wall [N], 0 where none is known.
    """

    force_n: float

    def reset(self) -> None:
        """Forget everything."""
        ...

    def observe(self, seen: Seen, joints: Array, now_ns: int) -> bool:
        """Learn from a frame; tell whether it was where it could be.

        Args:
            seen: the frame.
            joints: measured joints at its exposure, shape (J,).
            now_ns: present time [ns].
        """
        ...

    def made(self, stamp_ns: int, field_t: Array) -> None:
        """Take the field that is really made at the device, where that is measured.

        Args:
            stamp_ns: when it was so [ns].
            field_t: the field in `world`, shape (3,) [T]; finite.
        """
        ...

    def reopen(self) -> None:
        """Doubt the estimate: several frames in a row were not where they could be."""
        ...

    def tip_world_m(self) -> Array:
        """Return the present tip as estimated, shape (3,) [m]."""
        ...

    def command(
        self,
        reference: Reference,
        goal: Goal | None,
        stamp_ns: int,
        joints: Array,
        now_ns: int,
        interval_s: float,
    ) -> Wish:
        """Return what to do until the next command.

        Args:
            reference: where the tip should have been at the exposure, and its velocity.
            goal: the goal that the reference comes from.
            stamp_ns: the exposure [ns].
            joints: joints as last commanded, or else measured, shape (J,).
            now_ns: present time [ns].
            interval_s: time until the next command [s].
        """
        ...

    def sent(self, now_ns: int, wish: Wish) -> None:
        """Take note of what was commanded at `now_ns` [ns]."""
        ...


def seen_from(
    measurement: TipMeasurement, back_m: Array | None = None, line_m: Array | None = None
) -> Seen:
    """Return what an accepted measurement shows, with its covariance in `world`."""
    view = measurement.view
    scale = metres_per_feature(view, measurement.features)
    deviations = np.array([*(scale[:2] * measurement.deviations[:2]), measurement.deviations[2]])
    point = measurement.tip_world_m
    ray = point - view.world_from_source[:3, 3]
    ray = ray / length(ray)
    turn = view.world_from_source[:3, :3].copy()
    # depth is along the optical axis; the error of a point on its ray is along that ray
    turn[:, 2] = ray / float(ray @ turn[:, 2])
    covariance = turn @ np.diag(deviations**2) @ turn.T
    axis = view.world_from_source[:3, 2]
    return Seen(measurement.stamp_ns, point, covariance, axis, back_m, line_m)
