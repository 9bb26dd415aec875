"""How well the projection of a route agrees with a wire in the image, and which point is where."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthex_ros.geometry import View
from synthex_ros.tracking.vessel_routes import VesselRoute

Array = NDArray[np.float64]
Index = NDArray[np.int64]

OUTSIDE = 1.15
"""A wire may seem so many radii off the middle of its vessel: maps and vessels are not exact."""

_STRIDE, _LONGEST = 2, 200
_MOST_STRIDES = 8
_OUT_SHARE = 0.15
_WORST = 16.0
_STEP_WEIGHT = 0.05


@dataclass(frozen=True, eq=False)
class SeenRoute:
    """A route as a view shows it.

    Attributes:
        route: in `world`.
        pixels: shape (N, 2) (u, v) [px].
        radius_px: of the vessel, shape (N,) [px].
        depth_m: along the optical axis, shape (N,) [m].
        steepness: sine of the angle between route and ray, shape (N,).
    """

    route: VesselRoute
    pixels: Array
    radius_px: Array
    depth_m: Array
    steepness: Array


def seen(route: VesselRoute, view: View) -> SeenRoute:
    """Return a route as a view shows it.

    Raises:
        ValueError: a part of it lies behind the source.
    """
    points = view.to_source(route.points_m)
    if not np.all(points[:, 2] > 1e-3):
        raise ValueError('a vessel lies behind the source; check carm/pose and the vessels')
    pixels = view.geometry.project(points)
    pitch = float(np.mean(view.geometry.pixel_pitch_m))
    scale = view.geometry.source_to_detector_m / (pitch * points[:, 2])
    rays = points / np.linalg.norm(points, axis=1)[:, None]
    along = route.directions() @ view.world_from_source[:3, :3]
    sine = np.sqrt(np.maximum(1 - np.sum(rays * along, axis=1) ** 2, 0.0))
    return SeenRoute(route, pixels, route.radius_m * scale, points[:, 2], sine)


def places(one: SeenRoute, pixel: Array) -> Index:
    """Return where on a route a pixel may lie: its nearest points in the image, shape (K,)."""
    away = np.linalg.norm(one.pixels - pixel, axis=1)
    padded = np.concatenate([[np.inf], away, [np.inf]])
    lowest = (away <= padded[:-2]) & (away < padded[2:])
    return np.flatnonzero(lowest & (away < OUTSIDE * one.radius_px + 2.0))


def misfit(one: SeenRoute, index: Index, pixels: Array) -> Array:
    """Return the squared deviations by which pixels, (K, 2), lie outside the vessel, shape (K,).

    Anywhere across a vessel is as likely, so inside there are none.
    """
    radius = one.radius_px[index]
    return _outside(np.linalg.norm(one.pixels[index] - pixels, axis=-1) / radius, radius)


def _outside(off: Array, radius_px: Array) -> Array:
    beyond = np.maximum(off - 1, 0) / (_OUT_SHARE + 1.0 / radius_px)
    return np.minimum(beyond**2, _WORST)


def matched(one: SeenRoute, tip: int, line_px: Array) -> Index:
    """Return the route point of each point of a line, shape (M,).

    The wire goes back along the route without turning: the cheapest such assignment is found
    point by point (dynamic programming).

    Args:
        one: the route.
        tip: its point at the tip.
        line_px: the wire from its tip backwards, shape (M, 2) (u, v) [px].
    """
    back = np.arange(tip, max(tip - _LONGEST, -1), -_STRIDE)
    pixels, radius = one.pixels[back], one.radius_px[back]
    off = np.linalg.norm(line_px[:, None] - pixels, axis=2) / radius
    arc = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(pixels, axis=0), axis=1))])
    steps = np.linalg.norm(np.diff(line_px, axis=0), axis=1)
    return back[_cheapest(_outside(off, radius) + off**2, arc, np.maximum(steps, 1.0))]


def _cheapest(cost: Array, arc: Array, steps: Array) -> Index:
    """Return the column of each row, never going back, of the least sum of costs.

    Args:
        cost: of each row in each column, shape (M, K).
        arc: how far each column is along the route in the image, shape (K,) [px].
        steps: how far rows are apart in the image, shape (M - 1,) [px].
    """
    columns = np.arange(cost.shape[1])
    before = columns - np.arange(_MOST_STRIDES + 1)[:, None]
    went = np.where(before >= 0, arc - arc[before], np.inf)
    origin = np.zeros(cost.shape, int)
    best = np.where(columns == 0, cost[0], np.inf)
    for row, step in enumerate(steps, start=1):
        options = best[before] + _STEP_WEIGHT * (went / step - 1) ** 2
        choice = np.argmin(options, axis=0)
        origin[row] = before[choice, columns]
        best = options[choice, columns] + cost[row]
    index = np.empty(len(cost), int)
    index[-1] = int(np.argmin(best))
    for row in range(len(cost) - 1, 0, -1):
        index[row - 1] = origin[row, index[row]]
    return index
