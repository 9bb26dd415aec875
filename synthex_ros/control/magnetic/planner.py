"""From entry to target along vessels: a smooth path that keeps away from the wall.

The planner sees arrays only: centreline points with the radius of the sphere that fits there, and,
where there is one, a function that gives the room to the wall at any point.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import solveh_banded

Array = NDArray[np.float64]

RoomOf = Callable[[Array], Array]
"""Gives the room to the wall [m], shape (N,), at points [m], shape (N, 3)."""

_ROUNDS = 60
_HELD = 1e6


class UnreachableError(ValueError):
    """A target cannot be reached by a device of this size; the message says where it ends."""


class Centrelines(Protocol):
    """What the planner asks a tree of vessels for; `anatomy.vessels.VesselTree` has it."""

    def path(self, entry: Any, target: Any) -> Any:
        """Return the way from entry to target with `points_m`, `radius_m` and `nodes`."""
        ...

    def structure_of(self, nodes: NDArray[np.int64]) -> list[str]:
        """Return the vessel that each node lies in."""
        ...


class Room(Protocol):
    """What the planner asks a lumen for."""

    def signed_distance_m(self, points_m: Array) -> tuple[Array, Array]:
        """Return the room to the wall [m], shape (N,), and the inward normal, shape (N, 3)."""
        ...


@dataclass(frozen=True)
class PlannerSettings:
    """What a path must keep to.

    Attributes:
        device_radius_m: radius of the device [m].
        margin_m: room left between device and wall [m].
        smoothing_m: corners in a vessel of this radius are rounded over about this length [m].
        step_m: distance between the path's points [m].
        waypoint_spacing_m: greatest distance between waypoints [m].
    """

    device_radius_m: float = 0.5e-3
    margin_m: float = 0.3e-3
    smoothing_m: float = 8e-3
    step_m: float = 1e-3
    waypoint_spacing_m: float = 50e-3

    def __post_init__(self):
        for name, low, high in (
            ('device_radius_m', 1e-5, 0.01), ('margin_m', 0.0, 0.01), ('smoothing_m', 0.0, 0.1),
            ('step_m', 1e-4, 0.01), ('waypoint_spacing_m', 1e-3, 1.0),
        ):  # fmt: skip
            value = getattr(self, name)
            if not low <= value <= high:
                hint = f'; looks like millimetres, pass {value / 1000:g}' if value > high else ''
                raise ValueError(f'{name} must be {low:g}..{high:g} m, got {value:g}{hint}')

    @property
    def room_m(self) -> float:
        """Room to the wall that the device's middle needs [m]."""
        return self.device_radius_m + self.margin_m


@dataclass(frozen=True, eq=False)
class Waypoint:
    """A place on a path where a user confirms the next stretch.

    Attributes:
        name: what is there, such as 'into common_carotid_artery_left'.
        arc_m: distance from the entry along the path [m].
        position_m: shape (3,) [m].
    """

    name: str
    arc_m: float
    position_m: Array


@dataclass(frozen=True, eq=False)
class PlannedPath:
    """A path by arc length, in the frame of the vessels.

    Attributes:
        points_m: evenly spaced, from entry to target, shape (N, 3) [m].
        arc_m: distance from the entry along the path, shape (N,) [m].
        room_m: from each point to the wall, shape (N,) [m].
        radius_m: of the vessel at each point, as the sphere that fits on its centreline, (N,) [m].
        structures: vessel that each point lies in, N names.
        waypoints: in order; the last is the target.
    """

    points_m: Array
    arc_m: Array
    room_m: Array
    radius_m: Array
    structures: tuple[str, ...]
    waypoints: tuple[Waypoint, ...]

    @property
    def length_m(self) -> float:
        """Length [m]."""
        return self._arcs[-1]

    @property
    def smallest_bend_radius_m(self) -> float:
        """Smallest radius of curvature [m]; infinite for a straight path."""
        first = np.gradient(self.points_m, self.arc_m, axis=0)
        second = np.gradient(first, self.arc_m, axis=0)
        curvature = np.linalg.norm(np.cross(first, second), axis=1)[2:-2]
        largest = float(curvature.max(initial=0.0))
        return 1 / largest if largest > 1e-9 else np.inf

    def at(self, arc_m: ArrayLike) -> Array:
        """Return points at distances from the entry [m], shape (..., 3); the ends are held."""
        if isinstance(arc_m, float):
            return self._one_at(arc_m)
        row = np.interp(np.asarray(arc_m, float), self.arc_m, self._rows)
        before = np.minimum(row.astype(int), len(self._rows) - 2)
        share = np.asarray(row - before)[..., None]
        return self.points_m[before] + share * self._steps_m[before]

    def _one_at(self, arc_m: float) -> Array:
        """Return the point at one distance [m], shape (3,): the law asks for many, one by one."""
        arcs = self._arcs
        before = min(max(bisect_right(arcs, arc_m) - 1, 0), len(arcs) - 2)
        share = (arc_m - arcs[before]) / (arcs[before + 1] - arcs[before])
        return self.points_m[before] + min(max(share, 0.0), 1.0) * self._steps_m[before]

    def tangent(self, arc_m: ArrayLike) -> Array:
        """Return unit directions towards the target, shape (..., 3), at distances [m]."""
        half = self._arcs[1] - self._arcs[0]
        if isinstance(arc_m, float):
            arc, end = min(max(arc_m, 0.0), self.length_m), self.length_m
            way = self._one_at(min(arc + half, end)) - self._one_at(max(arc - half, 0.0))
            return way / math.sqrt(way @ way)
        arcs = np.clip(np.asarray(arc_m, float), 0, self.length_m)
        after, before = np.minimum(arcs + half, self.length_m), np.maximum(arcs - half, 0)
        ways = self.at(after) - self.at(before)
        return ways / np.linalg.norm(ways, axis=-1, keepdims=True)

    def nearest(self, point_m: ArrayLike) -> tuple[float, float]:
        """Return the distance from the entry of the nearest path point, and how far off [m]."""
        offset = np.asarray(point_m, float) - self.points_m[:-1]
        along = np.einsum('ni,ni->n', offset, self._steps_m) / self._squares_m2
        along = np.minimum(np.maximum(along, 0), 1)
        aside = offset - along[:, None] * self._steps_m
        away_m2 = np.einsum('ni,ni->n', aside, aside)
        best = int(np.argmin(away_m2))
        arc = self.arc_m[best] + along[best] * (self.arc_m[best + 1] - self.arc_m[best])
        return float(arc), math.sqrt(float(away_m2[best]))

    @cached_property
    def _arcs(self) -> list[float]:
        return [float(arc) for arc in self.arc_m]

    @cached_property
    def _rows(self) -> Array:
        return np.arange(len(self.arc_m), dtype=float)

    @cached_property
    def _steps_m(self) -> Array:
        return np.diff(self.points_m, axis=0)

    @cached_property
    def _squares_m2(self) -> Array:
        return np.einsum('ni,ni->n', self._steps_m, self._steps_m)

    def to_dict(self) -> dict[str, Any]:
        """Return the path as plain numbers in SI units, ready for JSON."""
        return {
            'length_m': round(self.length_m, 6),
            'smallest_room_m': round(float(self.room_m.min()), 6),
            'smallest_bend_radius_m': round(min(self.smallest_bend_radius_m, 1e3), 6),
            'waypoints': [
                {
                    'name': waypoint.name,
                    'arc_m': round(waypoint.arc_m, 6),
                    'position_m': waypoint.position_m.round(6).tolist(),
                }
                for waypoint in self.waypoints
            ],
            'points_m': self.points_m.round(6).tolist(),
            'arc_m': self.arc_m.round(6).tolist(),
            'room_m': self.room_m.round(6).tolist(),
            'structures': list(self.structures),
        }


def plan_path(
    vessels: Centrelines,
    entry: str | ArrayLike,
    target: str | ArrayLike,
    *,
    lumen: Room | None = None,
    settings: PlannerSettings | None = None,
) -> PlannedPath:
    """Return a smooth path through vessels that keeps its room to the wall.

    Args:
        vessels: a tree of centrelines.
        entry: place by name, or a point inside a vessel [m], shape (3,).
        target: the same; a point off the centreline is the path's last point.
        lumen: room to the wall; default the spheres that fit on the centreline.
        settings: size of the device and shape of the path.

    Raises:
        ValueError: a place is not known or lies outside the vessels.
        UnreachableError: a vessel on the way is too narrow.
    """
    settings = settings or PlannerSettings()
    way = vessels.path(entry, target)
    names = vessels.structure_of(way.nodes)
    end = None if isinstance(target, str) else np.asarray(target, float)
    room_of = None if lumen is None else _room_of(lumen)
    return plan_along(way.points_m, way.radius_m, names, settings, room_of=room_of, end_m=end)


def plan_along(
    points_m: Array,
    radius_m: Array,
    structures: Sequence[str],
    settings: PlannerSettings,
    *,
    room_of: RoomOf | None = None,
    end_m: Array | None = None,
) -> PlannedPath:
    """Return a smooth path along one centreline; see `plan_path`.

    Args:
        points_m: centreline from entry to target, shape (N, 3) [m].
        radius_m: of the sphere that fits at each point, shape (N,) [m].
        structures: name of the vessel at each point, N names.
        settings: size of the device and shape of the path.
        room_of: room to the wall at any point; default that inside the nearest sphere.
        end_m: last point, shape (3,) [m]; default the centreline's.

    Raises:
        UnreachableError: a vessel on the way, or the last point, has too little room.
    """
    line, arc = _even(np.asarray(points_m, float), settings.step_m)
    before = _arc(np.asarray(points_m, float))
    radius = np.interp(arc, before, radius_m)
    names = [structures[k] for k in np.searchsorted(before, arc, side='right').clip(1) - 1]
    room = room_of or _inside_spheres(line, radius)
    _check_width(line, arc, np.minimum(room(line), radius), names, settings)
    wanted = line.copy()
    if end_m is not None:
        _check_end(end_m, float(room(end_m[None])[0]), settings)
        wanted[-1] = end_m
    smooth = _smoothed(wanted, np.maximum(radius, settings.room_m), room, settings)
    smooth, arc_smooth = _even(smooth, settings.step_m)
    of_line = np.linspace(0, len(line) - 1, len(smooth)).round().astype(int)
    kept = tuple(names[k] for k in of_line)
    stops = _waypoints(smooth, arc_smooth, kept, settings)
    return PlannedPath(smooth, arc_smooth, room(smooth), radius[of_line], kept, stops)


def _smoothed(line: Array, radius: Array, room: RoomOf, settings: PlannerSettings) -> Array:
    """Return the line with least bending that stays near the middle and keeps its room.

    Minimises the integral of smoothing^4 |x''|^2 + weight |x - centre|^2 with a weight of
    (smoothing / radius)^2, so corners are rounded over sqrt(smoothing * radius); where the wall
    comes too near, the weight is raised.
    """
    count = len(line)
    if count < 5 or settings.smoothing_m == 0:
        return line
    stiffness = (settings.smoothing_m / settings.step_m) ** 4
    weight = (settings.smoothing_m / radius) ** 2
    weight[[0, -1]] = _HELD * stiffness
    bands = stiffness * _bending_bands(count)
    path = line
    for _ in range(_ROUNDS):
        system = bands.copy()
        system[2] += weight
        path = solveh_banded(system, weight[:, None] * line)
        near = room(path) < np.minimum(settings.room_m, room(line))
        near[[0, -1]] = False
        if not near.any():
            return path
        around = np.convolve(near, np.ones(7), mode='same') > 0
        weight[around] *= 2.0
    return line


def _bending_bands(count: int) -> Array:
    """Return the upper bands of D^T D, D the second difference, shape (3, count)."""
    second = np.zeros((3, count))
    diagonal, beside, apart = second[2], second[1], second[0]
    for k, (a, b, c) in ((k, (1.0, -2.0, 1.0)) for k in range(count - 2)):
        diagonal[k] += a * a
        diagonal[k + 1] += b * b
        diagonal[k + 2] += c * c
        beside[k + 1] += a * b
        beside[k + 2] += b * c
        apart[k + 2] += a * c
    return second


def _waypoints(
    points: Array, arc: Array, structures: Sequence[str], settings: PlannerSettings
) -> tuple[Waypoint, ...]:
    """Return where vessels change, points in between that are not too far apart, and the end."""
    changes = [k for k in range(1, len(structures)) if structures[k] != structures[k - 1]]
    fixed = [(k, f'into {structures[k]}') for k in changes if arc[-1] - arc[k] > 2e-3]
    fixed.append((len(points) - 1, f'target in {structures[-1]}'))
    result, last = [], 0.0
    for index, name in fixed:
        parts = int(np.ceil((arc[index] - last) / settings.waypoint_spacing_m))
        for part in range(1, parts):
            between = int(np.argmin(np.abs(arc - (last + part * (arc[index] - last) / parts))))
            where = f'along {structures[between]}'
            result.append(Waypoint(where, float(arc[between]), points[between]))
        result.append(Waypoint(name, float(arc[index]), points[index]))
        last = float(arc[index])
    return tuple(result)


def _check_width(
    line: Array, arc: Array, room: Array, names: Sequence[str], settings: PlannerSettings
) -> None:
    narrow = np.flatnonzero(room < settings.room_m)
    if len(narrow):
        run = narrow[: int(np.argmax(np.diff(narrow, append=narrow[-1] + 2) > 1)) + 1]
        first = int(run[np.argmin(room[run])])
        raise UnreachableError(
            f'{names[first]} leaves {1e3 * room[first]:.2f} mm to the wall at '
            f'{line[first].round(4).tolist()} m, {1e3 * arc[first]:.0f} mm from the entry; '
            f'device_radius_m + margin_m need {1e3 * settings.room_m:.2f} mm; use a thinner '
            'device or a smaller margin, or choose a target before that place'
        )


def _check_end(end: Array, room_m: float, settings: PlannerSettings) -> None:
    if room_m < settings.room_m:
        raise UnreachableError(
            f'the target {end.round(4).tolist()} m is {1e3 * room_m:.2f} mm from the wall; '
            f'device_radius_m + margin_m need {1e3 * settings.room_m:.2f} mm; choose a target '
            'nearer to the middle of the vessel'
        )


def _room_of(lumen: Room) -> RoomOf:
    def room(points: Array) -> Array:
        return lumen.signed_distance_m(points)[0]

    return room


def _inside_spheres(centres: Array, radius: Array) -> RoomOf:
    """Return the largest room that any sphere of a centreline leaves around a point."""

    def room(points: Array) -> Array:
        away = np.linalg.norm(points[:, None] - centres[None], axis=2)
        return (radius - away).max(axis=1)

    return room


def _arc(points: Array) -> Array:
    return np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])


def _even(points: Array, step_m: float) -> tuple[Array, Array]:
    arc = _arc(points)
    wanted = np.linspace(0, arc[-1], max(int(np.ceil(arc[-1] / step_m)) + 1, 3))
    line = np.stack([np.interp(wanted, arc, points[:, a]) for a in range(3)], axis=1)
    return line, _arc(line)
