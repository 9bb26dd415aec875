"""The depth of a wire's end from its length: seen shorter than it is, it looks out of the plane.

The stretch from marker to tip has a known length. Its picture, at the depth of the vessel, is
shorter by the slope towards or away from the detector. On which side is told by the route, the
better the narrower the vessel, and by the frame before. The slope returned is the mean over all,
weighed by how likely they are: where neither side is, the end lies between them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthex_ros.geometry import View
from synthex_ros.tracking.wire_depth import PlacedWire

Array = NDArray[np.float64]

_BLEND_M = 0.02
"""Behind the marker the line goes back to the depth of its vessel over this length."""
_ON_LINE_PX = 6.0
_SEEN_SHARE = 0.015
"""Deviation of the length that is seen: of the landmarks, and of the scale with the depth."""
_STEP_M, _MOST_SURPRISE = 6e-3, 4.0
"""Usual change of the rise between frames, and the most squared deviations that one counts."""
_SLOPES = np.linspace(-0.999, 0.999, 181)


class KnownEnd:
    """Tilts the end of a line so that it has the length that it is known to have.

    Args:
        length_m: from the marker's middle to the tip [m].
    """

    def __init__(self, length_m: float) -> None:
        if not 1e-3 <= length_m <= 0.5:
            raise ValueError(f'length_m must be 0.001..0.5 m, got {length_m:g}')
        self._length_m = length_m
        self._before_m: float | None = None

    def reset(self) -> None:
        """Forget the frame before."""
        self._before_m = None

    def tilted(self, view: View, placed: PlacedWire, marker_px: Array) -> Array:
        """Return the line with its end tilted about its middle, shape (N, 3) [m].

        It stays on its rays. A marker that is not on the line leaves it as it is.

        Args:
            view: geometry and pose of the exposure.
            placed: the wire in its vessel.
            marker_px: (u, v) of the marker, shape (2,) [px].
        """
        line = placed.line_world_m
        pixels, depth = view.project(line), view.to_source(line)[:, 2]
        away = np.linalg.norm(pixels - marker_px, axis=1)
        start = int(np.argmin(away))
        if away[start] > _ON_LINE_PX or start == len(line) - 1:
            return line
        middle = depth[start:].mean()
        flat = view.point_on_ray(pixels, np.full(len(pixels), middle))
        arc = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(flat, axis=0), axis=1))])
        arc -= arc[start]
        sigma_m = float(np.hypot(*placed.room_m[[start, -1]])) / np.sqrt(2)
        rise = self._rise_m(float(arc[-1]), float(depth[-1] - depth[start]), sigma_m)
        change = middle + rise * (arc / arc[-1] - 0.5) - depth
        behind = arc < 0
        change[behind] = change[start] * np.clip(1 + arc[behind] / _BLEND_M, 0, 1)
        return view.point_on_ray(pixels, depth + change)

    def _rise_m(self, seen_m: float, along_route_m: float, sigma_m: float) -> float:
        """Return by how much the tip is deeper than the marker, the mean [m].

        Args:
            seen_m: length at the depth of the end's middle [m].
            along_route_m: by how much the route is deeper there [m].
            sigma_m: deviation of that [m].
        """
        rise = self._length_m * _SLOPES
        seen = np.sqrt(self._length_m**2 - rise**2)
        cost = ((seen - seen_m) / (_SEEN_SHARE * self._length_m)) ** 2
        cost += ((rise - along_route_m) / sigma_m) ** 2
        if self._before_m is not None:
            surprise = ((rise - self._before_m) / _STEP_M) ** 2
            cost += np.minimum(surprise, _MOST_SURPRISE)
        weight = np.exp(-0.5 * (cost - cost.min()))
        self._before_m = float(weight @ rise / weight.sum())
        return self._before_m
