"""Depth of a wire from the vessels that it lies in.

The wire went in at a known entry, by a known length, along one of few routes. Each place on each
route that lies on the tip's ray is a candidate; it is weighed by how the rest of the wire in the
image follows that route, by the length, and by the depth of the frames before. The tip is put on
its ray where that passes the middle of the vessel. A wire lies at the wall, on whichever side: its
depth is as uncertain as that of a point of a circle, the radius over the root of two, and more
where another candidate is nearly as good.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from synthex_ros.geometry import View
from synthex_ros.tracking.depth import place_at_depth
from synthex_ros.tracking.route_match import SeenRoute, matched, misfit, places, seen
from synthex_ros.tracking.vessel_routes import VesselRoute
from synthex_ros.tracking.wire_depth import PlacedWire, along_ray

Array = NDArray[np.float64]

_STATION_PX = 6.0
_SMOOTH_STATIONS = 1.5
_LEAST_SINE = 0.3
_SAME_M = 2e-3


@dataclass(frozen=True)
class RouteSettings:
    """How candidates are weighed.

    Attributes:
        length_sigma_m: of the difference of wire and route [m].
        length_share: the same, as a part of the length: wires cut corners and lie at outer walls.
        line_weight: number of independent points that a line of wire counts as.
        depth_step_m: usual change of the tip's depth between frames [m].
        memory: part of the weight of the frames before that is kept.
        worst: sum of squared deviations beyond which no candidate is believed.
    """

    length_sigma_m: float = 0.01
    length_share: float = 0.04
    line_weight: float = 5.0
    depth_step_m: float = 0.006
    memory: float = 0.7
    worst: float = 30.0


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A place of the tip.

    Attributes:
        shown: the route.
        index: its point of each point of the line, from the tip backwards, shape (M,).
        depth_m: of the tip along the optical axis [m].
        sigma_m: standard deviation of that [m].
        misfit: squared deviations of tip, line and length.
        cost: minus twice the log likelihood.
    """

    shown: SeenRoute
    index: NDArray[np.int64]
    depth_m: float
    sigma_m: float
    misfit: float
    cost: float


class RouteDepth:
    """Puts a wire into the vessels.

    Args:
        routes: the ways that it can have taken.
        settings: how they are weighed.
    """

    def __init__(
        self, routes: Sequence[VesselRoute], settings: RouteSettings | None = None
    ) -> None:
        self._routes, self._settings = tuple(routes), settings or RouteSettings()
        self._before: list[tuple[float, float]] = []

    def reset(self) -> None:
        """Forget the frames before."""
        self._before = []

    def place(
        self, view: View, line_px: Array, inserted_m: float, sigma_px: float
    ) -> PlacedWire | str:
        """Return the wire in space, or why it cannot be told; see `WireDepth.place`."""
        back_px = line_px[::-1]
        arc = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(back_px, axis=0), axis=1))])
        stations = np.append(np.arange(0, arc[-1], _STATION_PX), arc[-1])
        coarse = np.stack([np.interp(stations, arc, back_px[:, a]) for a in range(2)], axis=1)
        found = self._candidates(view, coarse, inserted_m)
        if not found:
            return 'off_vessels'
        if min(one.misfit for one in found) > self._settings.worst:
            return 'no_route'
        totals = np.array([one.cost + self._surprise(one.depth_m) for one in found])
        self._before = [
            (one.depth_m, float(total - totals.min()))
            for one, total in zip(found, totals, strict=True)
        ]
        best = found[int(np.argmin(totals))]
        sigma = _spread(best, found, totals)
        depth = _depths(best, view, coarse, stations, arc)
        line = view.point_on_ray(back_px, depth)
        _, covariance = place_at_depth(view, back_px[0], line[0], sigma_px, sigma)
        shared = along_ray(view, back_px[0], sigma)
        room = np.interp(arc, stations, _room(best.shown, best.index))
        return PlacedWire(line[::-1], covariance, shared, room[::-1])

    def _candidates(self, view: View, line_px: Array, inserted_m: float) -> list[_Candidate]:
        found: list[_Candidate] = []
        taken: set[tuple[int, ...]] = set()
        for route in self._routes:
            shown = seen(route, view)
            for tip in places(shown, line_px[0]):
                place = tuple(np.round(route.points_m[tip] / _SAME_M).astype(int).tolist())
                if place not in taken:  # routes share their beginnings
                    taken.add(place)
                    found.append(self._weighed(shown, int(tip), view, line_px, inserted_m))
        return found

    def _weighed(
        self, shown: SeenRoute, tip: int, view: View, line_px: Array, inserted_m: float
    ) -> _Candidate:
        rules, route = self._settings, shown.route
        index = matched(shown, tip, line_px)
        outside = misfit(shown, index, line_px)
        usual = rules.length_sigma_m + rules.length_share * inserted_m
        off = ((inserted_m - route.arc_m[tip]) / usual) ** 2
        sum_of_squares = float(outside[0] + rules.line_weight * outside.mean() + off)
        # the wider a vessel, the less likely is any one place across it
        widths = 2 * np.log(route.radius_m[index])
        cost = sum_of_squares + float(widths[0] + rules.line_weight * widths.mean())
        depth = _on_ray(shown, index[:1], view, line_px[:1])[0]
        sigma = _room(shown, index[:1])[0] / np.sqrt(2)
        return _Candidate(shown, index, float(depth), float(sigma), sum_of_squares, cost)

    def _surprise(self, depth_m: float) -> float:
        """Return what the frames before say against a depth, as a cost."""
        rules = self._settings
        if not self._before:
            return 0.0
        steps = [
            rules.memory * cost + min(((depth_m - before) / rules.depth_step_m) ** 2, 9.0)
            for before, cost in self._before
        ]
        return min(steps)


def _room(shown: SeenRoute, index: NDArray[np.int64]) -> Array:
    """Return how far the wall is from the middle of the vessel along the ray, shape (M,) [m]."""
    return shown.route.radius_m[index] / np.maximum(shown.steepness[index], _LEAST_SINE)


def _spread(best: _Candidate, found: Sequence[_Candidate], totals: Array) -> float:
    """Return the deviation of the depth about that of the best candidate [m]."""
    weights = np.exp(-0.5 * (totals - totals.min()))
    variance = [one.sigma_m**2 + (one.depth_m - best.depth_m) ** 2 for one in found]
    return float(np.sqrt(weights @ np.array(variance) / weights.sum()))


def _on_ray(shown: SeenRoute, index: NDArray[np.int64], view: View, pixels: Array) -> Array:
    """Return the depth along the optical axis [m] at which rays pass route points, shape (M,)."""
    rays = view.geometry.back_project(pixels)
    points = view.to_source(shown.route.points_m[index])
    return np.sum(points * rays, axis=1) * rays[:, 2]


def _depths(one: _Candidate, view: View, coarse: Array, stations: Array, arc: Array) -> Array:
    """Return the depth [m] of every point of the line from those of the stations, smoothed."""
    depth = _on_ray(one.shown, one.index, view, coarse)
    smooth = gaussian_filter1d(depth, _SMOOTH_STATIONS, mode='nearest')
    return np.interp(arc, stations, smooth)
