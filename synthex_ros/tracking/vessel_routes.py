"""The ways that a wire can have taken: from its entry to every end of a tree of vessels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.geometry import check_pose

Array = NDArray[np.float64]

STEP_M = 1e-3


@dataclass(frozen=True, eq=False)
class VesselRoute:
    """A way along the middle of vessels, in even steps of `STEP_M`.

    Attributes:
        points_m: from the entry to an end, in `world`, shape (N, 3) [m].
        radius_m: of the vessel, shape (N,) [m].
        arc_m: distance from the entry along the route, shape (N,) [m].
    """

    points_m: Array
    radius_m: Array
    arc_m: Array

    def directions(self) -> Array:
        """Return the unit direction of the route at each point, shape (N, 3)."""
        steps = np.gradient(self.points_m, axis=0)
        return steps / np.maximum(np.linalg.norm(steps, axis=1), 1e-12)[:, None]


def routes_from(
    world_from_entry: ArrayLike, points_m: ArrayLike, radius_m: ArrayLike, parent: ArrayLike
) -> tuple[VesselRoute, ...]:
    """Return the routes from an entry along a tree, those that begin the way it looks.

    Args:
        world_from_entry: pose of the entry, which looks along +z, shape (4, 4) [m].
        points_m: centre lines in `world`, shape (N, 3) [m].
        radius_m: of the vessels there, shape (N,) [m].
        parent: node before each node, -1 at the root, shape (N,).

    Raises:
        ValueError: shapes that do not agree, or an entry outside all vessels.
    """
    pose = check_pose(world_from_entry, 'world_from_entry')
    points, radius = np.asarray(points_m, float), np.asarray(radius_m, float)
    before = np.asarray(parent, int)
    count = len(points)
    if points.shape != (count, 3) or radius.shape != (count,) or before.shape != (count,):
        raise ValueError(
            'vessels need points (N, 3), radii (N,) and parents (N,), got '
            f'{points.shape}, {radius.shape} and {before.shape}'
        )
    start = _entered(pose[:3, 3], points, radius)
    ways = [np.array(way) for way in _ways(start, before)]
    routes = [_route(pose, points[way], radius[way]) for way in ways]
    kept = [route for route in routes if route is not None]
    if not kept:
        raise ValueError(
            f'no vessel goes on from the entry {pose[:3, 3].round(4).tolist()} m the way it '
            f'looks, {pose[:3, 2].round(2).tolist()}; turn device_base_pose to look inwards'
        )
    return tuple(kept)


def _entered(entry_m: Array, points: Array, radius: Array) -> int:
    away = np.linalg.norm(points - entry_m, axis=1)
    nearest = int(np.argmin(away))
    if away[nearest] > 2 * radius[nearest] + 0.01:
        raise ValueError(
            f'the entry {entry_m.round(4).tolist()} m is {1e3 * away[nearest]:.0f} mm from the '
            f'nearest centre line, at {points[nearest].round(4).tolist()} m; check '
            'device_base_pose and where the vessels lie in world'
        )
    return nearest


def _ways(start: int, parent: NDArray[np.int64]) -> list[list[int]]:
    """Return the nodes from one to every end of the tree, whichever way it hangs."""
    neighbours: list[list[int]] = [[] for _ in parent]
    for node, above in enumerate(parent):
        if above >= 0:
            neighbours[node].append(int(above))
            neighbours[above].append(node)
    done, open_ways = [], [[start]]
    while open_ways:
        way = open_ways.pop()
        onward = [node for node in neighbours[way[-1]] if way[-2:-1] != [node]]
        if not onward:
            done.append(way)
        open_ways += [[*way, node] for node in onward]
    return done


def _route(pose: Array, points: Array, radius: Array) -> VesselRoute | None:
    """Return a route from the entry itself, None for one that begins behind it."""
    ahead = (points - pose[:3, 3]) @ pose[:3, 2] > 0
    far = np.linalg.norm(points - pose[:3, 3], axis=1) > radius
    if not np.any(far) or not ahead[int(np.argmax(far))]:
        return None
    first = int(np.argmax(ahead))
    line = np.vstack([pose[:3, 3], points[first:]])
    width = np.concatenate([radius[first : first + 1], radius[first:]])
    arc = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    if arc[-1] < 2 * STEP_M:
        return None
    even = np.arange(0, arc[-1], STEP_M)
    route = np.stack([np.interp(even, arc, line[:, axis]) for axis in range(3)], axis=1)
    return VesselRoute(route, np.interp(even, arc, width), even)
