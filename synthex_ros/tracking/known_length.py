"""The depth of a wire's end from its length: seen shorter than it is, it looks out of the plane.

The stretch from marker to tip has a known length. Its picture, at the depth of the vessel, is
shorter by the slope towards or away from the detector; on which side tells the route, or the
frame before.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthex_ros.geometry import View

Array = NDArray[np.float64]

_BLEND_M = 0.02
"""Behind the marker the line goes back to the depth of its vessel over this length."""
_ON_LINE_PX = 6.0


class KnownEnd:
    """Tilts the end of a line so that it has the length that it is known to have.

    Args:
        length_m: from the marker's middle to the tip [m].
    """

    def __init__(self, length_m: float) -> None:
        if not 1e-3 <= length_m <= 0.5:
            raise ValueError(f'length_m must be 0.001..0.5 m, got {length_m:g}')
        self._length_m = length_m
        self._rise_m: float | None = None

    def reset(self) -> None:
        """Forget the frame before."""
        self._rise_m = None

    def tilted(self, view: View, line_world_m: Array, marker_px: Array) -> Array:
        """Return the line with its end tilted about its middle, shape (N, 3) [m].

        It stays on its rays. A marker that is not on the line leaves it as it is.

        Args:
            view: geometry and pose of the exposure.
            line_world_m: from the back to the tip, shape (N, 3) [m].
            marker_px: (u, v) of the marker, shape (2,) [px].
        """
        pixels, depth = view.project(line_world_m), view.to_source(line_world_m)[:, 2]
        away = np.linalg.norm(pixels - marker_px, axis=1)
        start = int(np.argmin(away))
        if away[start] > _ON_LINE_PX or start == len(line_world_m) - 1:
            return line_world_m
        flat = view.point_on_ray(pixels, np.full(len(pixels), depth[start:].mean()))
        arc = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(flat, axis=0), axis=1))])
        arc -= arc[start]
        seen_m = float(arc[-1])
        rise = self._signed_rise(seen_m, float(depth[-1] - depth[start]))
        change = depth[start:].mean() + rise * (arc / seen_m - 0.5) - depth
        behind = arc < 0
        change[behind] = change[start] * np.clip(1 + arc[behind] / _BLEND_M, 0, 1)
        return view.point_on_ray(pixels, depth + change)

    def _signed_rise(self, seen_m: float, along_route_m: float) -> float:
        """Return by how much the tip is deeper than the marker [m]."""
        size = float(np.sqrt(max(self._length_m**2 - seen_m**2, 0.0)))
        expected = along_route_m if self._rise_m is None else (along_route_m + self._rise_m) / 2
        self._rise_m = size if expected >= 0 else -size
        return self._rise_m
