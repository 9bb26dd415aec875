"""Which points of a path a tip can see: those that no wall hides.

A tip that looks at a hidden point runs into the wall before it, or past the edge of a mouth into
the vessel beside it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthex_ros.control.magnetic.planner import Room

Array = NDArray[np.float64]

_SHARES = np.linspace(0.15, 1.0, 16)
"""Where a line is looked at, as parts of its length: the tip itself may seem to be in the wall."""

_MARGINS_M = (0.5e-3, -0.5e-3)
_KEPT_M = 0.8e-3


class LineOfSight:
    """Sees points inside a vessel.

    Args:
        lumen: where the vessels are open.
    """

    def __init__(self, lumen: Room) -> None:
        self._lumen = lumen

    def inside(self, point_m: Array) -> Array:
        """Return a place, shape (3,) [m], moved away from the wall where it is in it or near."""
        room, inward = self._lumen.signed_distance_m(point_m[None])
        return point_m + max(0.0, _KEPT_M - float(room[0])) * inward[0]

    def best(self, from_m: Array, points_m: Array) -> int:
        """Return the index of the first point, of (N, 3) [m], that is seen from a place, (3,) [m].

        The line to it keeps a margin to the wall, or is in the wall no deeper than the place is
        uncertain; where there is none, the first point is taken.
        """
        lines = from_m + _SHARES[:, None] * (points_m - from_m)[:, None]
        rooms = self._lumen.signed_distance_m(lines.reshape(-1, 3))[0]
        least = rooms.reshape(len(points_m), -1).min(axis=1)
        for margin_m in _MARGINS_M:
            if np.any(least > margin_m):
                return int(np.argmax(least > margin_m))
        return 0
