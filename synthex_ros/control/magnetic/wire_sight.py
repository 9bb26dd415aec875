"""What an image says of a wire: where its body looks, where its tip, whether it has folded."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from synthex_ros.vectors import clamp, length

Array = NDArray[np.float64]

BODY_M = (0.026, 0.044)
"""The body's direction is that of the stretch between these distances from the tip [m]."""
TIP_M = 0.008
"""The tip's direction is that of this length at the end [m]."""
FOLDED_RAD, STRAIGHT_RAD = math.radians(120), math.radians(70)
_NEW = 0.4


def points_behind(line_m: Array, distances_m: Sequence[float]) -> list[Array | None]:
    """Return points so far behind the end of a line, shape (3,) each; None beyond its other end.

    Args:
        line_m: points from the back to the tip, shape (K, 3) [m].
        distances_m: along the line [m].
    """
    back = line_m[::-1]
    arc = _arcs_m(back)
    columns = tuple(back.T)
    return [
        np.array([np.interp(distance, arc, column) for column in columns])
        if distance <= arc[-1]
        else None
        for distance in distances_m
    ]


def line_end(line_m: Array, length_m: float) -> Array:
    """Return the points of a line in the last `length_m` [m], shape (K, 3)."""
    back = np.asarray(line_m, float)[::-1]
    if len(back) == 0:
        return back
    return back[_arcs_m(back) <= length_m][::-1]


def _arcs_m(points_m: Array) -> Array:
    """Return the distance of each point from the first along the line, shape (K,) [m]."""
    return np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points_m, axis=0), axis=1))])


class WireSight:
    """Directions of a wire, smoothed over frames.

    Attributes:
        behind: direction of the body behind the soft end, unit, shape (3,); None where the line
            is too short.
        tip: direction of the tip, unit, shape (3,); None likewise.
        body_m: where the soft end begins, shape (3,) [m]; None likewise.
        folded: whether the tip has turned back on the body; so it stays until it is straight.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.behind: Array | None = None
        self.tip: Array | None = None
        self.body_m: Array | None = None
        self.folded = False

    def see(self, line_m: Array | None) -> None:
        """Take the line of a frame, from the back to the tip, shape (K, 3) [m], or None."""
        if line_m is None or len(line_m) < 2 or not np.all(np.isfinite(line_m)):
            self.clear()
            return
        near, far, end = points_behind(line_m, (*BODY_M, TIP_M))
        self.tip = None if end is None else _mixed(self.tip, line_m[-1] - end)
        if near is None or far is None:
            self.behind, self.body_m, self.folded = None, None, False
            return
        self.behind, self.body_m = _mixed(self.behind, near - far), near
        if self.tip is not None:
            turned = math.acos(clamp(float(self.tip @ self.behind), -1, 1))
            self.folded = turned > (STRAIGHT_RAD if self.folded else FOLDED_RAD)


def _mixed(before: Array | None, now: Array) -> Array:
    unit = now / max(length(now), 1e-12)
    if before is None:
        return unit
    mean = (1 - _NEW) * before + _NEW * unit
    size = length(mean)
    return unit if size < 1e-3 else mean / size
