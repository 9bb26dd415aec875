"""Closed meshes of tubes along a curve and of ellipsoids, with the true cross-sections.

Polygons are scaled to the area of the circle that they stand for, so that the path of X-rays
through them is right on average even where a wire is thinner than a pixel.
"""

from __future__ import annotations

from functools import lru_cache

import numba as nb
import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.bodies import TriangleMesh

Array = NDArray[np.float64]

SECTORS = 16


def polygon_scale(sectors: int = SECTORS) -> float:
    """Return the corner radius of a polygon with the area of the unit circle."""
    angle = 2 * np.pi / sectors
    return float(np.sqrt(angle / np.sin(angle)))


@nb.njit(cache=True)
def sweep_frames(points):
    """Return two unit vectors across the curve at each point, shape (N, 2, 3), without twist.

    The frame is carried from point to point by two reflections: Wang, Juettler, Zheng and Liu,
    ACM Trans. Graph. 27 (2008) 2.
    """
    count = points.shape[0]
    along = np.empty((count, 3))
    for i in range(count):
        ahead, behind = min(i + 1, count - 1), max(i - 1, 0)
        step = points[ahead] - points[behind]
        along[i] = step / np.sqrt(np.sum(step * step))
    frames = np.empty((count, 2, 3))
    axis = np.zeros(3)
    axis[np.argmin(np.abs(along[0]))] = 1.0
    side = axis - np.sum(axis * along[0]) * along[0]
    side /= np.sqrt(np.sum(side * side))
    for i in range(count):
        if i > 0:
            step = points[i] - points[i - 1]
            square = np.sum(step * step)
            side = side - 2 * np.sum(step * side) / square * step
            turned = along[i - 1] - 2 * np.sum(step * along[i - 1]) / square * step
            other = along[i] - turned
            square = np.sum(other * other)
            if square > 0.0:
                side = side - 2 * np.sum(other * side) / square * other
        frames[i, 0] = side
        frames[i, 1] = np.cross(along[i], side)
    return frames


@lru_cache(maxsize=64)
def _tube_faces(stations: int, hollow: bool) -> NDArray[np.int32]:
    """Return outward faces; corners are rings of the outer surface, then inner rings or ends."""
    ring = np.arange(SECTORS)
    after = (ring + 1) % SECTORS
    first = (np.arange(stations - 1) * SECTORS)[:, None]
    quads = np.stack(
        [first + ring, first + after, first + SECTORS + after, first + SECTORS + ring], axis=-1
    ).reshape(-1, 4)
    faces = [quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]
    size, last = stations * SECTORS, (stations - 1) * SECTORS
    if hollow:
        inner = quads[:, ::-1] + size
        front = np.stack([ring, ring + size, after + size, after], axis=-1)
        back = np.stack([ring, after, after + size, ring + size], axis=-1) + last
        for quad in (inner, front, back):
            faces += [quad[:, [0, 1, 2]], quad[:, [0, 2, 3]]]
    else:
        start, end = np.full(SECTORS, size), np.full(SECTORS, size + 1)
        faces += [np.stack([start, after, ring], axis=-1)]
        faces += [np.stack([end, ring + last, after + last], axis=-1)]
    table = np.concatenate(faces).astype(np.int32)
    table.flags.writeable = False
    return table


def swept_tube(
    points_m: ArrayLike, outer_radius_m: ArrayLike, inner_radius_m: ArrayLike | None = None
) -> TriangleMesh:
    """Return a round bar or tube along a curve.

    Args:
        points_m: centre line, shape (N, 3), at least 2 points [m].
        outer_radius_m: outer radius, one or one a point, shape (N,) [m].
        inner_radius_m: radius of the hole, likewise, below the outer one; None is a full bar [m].
    """
    points = np.ascontiguousarray(points_m, float)
    frames = sweep_frames(points)
    angles = np.arange(SECTORS) * 2 * np.pi / SECTORS
    circle = polygon_scale() * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    across = np.einsum('kc,ncd->nkd', circle, frames)

    def rings(radius_m: ArrayLike) -> Array:
        radius = np.broadcast_to(np.asarray(radius_m, float), len(points))
        return (points[:, None] + radius[:, None, None] * across).reshape(-1, 3)

    hollow = inner_radius_m is not None
    rest = rings(inner_radius_m) if inner_radius_m is not None else points[[0, -1]]
    vertices = np.vstack([rings(outer_radius_m), rest])
    return TriangleMesh(vertices, _tube_faces(len(points), hollow))


@lru_cache(maxsize=4)
def _unit_sphere(rings: int, sectors: int) -> tuple[Array, NDArray[np.int32]]:
    """Return corners and faces of a sphere of the volume of the unit sphere."""
    polar = np.arange(1, rings) * np.pi / rings
    angle = np.arange(sectors) * 2 * np.pi / sectors
    belt = np.stack([
        np.outer(np.sin(polar), np.cos(angle)), np.outer(np.sin(polar), np.sin(angle)),
        np.outer(np.cos(polar), np.ones(sectors)),
    ], axis=-1).reshape(-1, 3)  # fmt: skip
    vertices = np.vstack([belt, [[0, 0, 1], [0, 0, -1]]])
    ring = np.arange(sectors)
    after = (ring + 1) % sectors
    first = (np.arange(rings - 2) * sectors)[:, None]
    quads = np.stack(
        [first + ring, first + sectors + ring, first + sectors + after, first + after], axis=-1
    ).reshape(-1, 4)
    north, south = len(belt), len(belt) + 1
    last = (rings - 2) * sectors
    faces = np.concatenate([
        quads[:, [0, 1, 2]], quads[:, [0, 2, 3]],
        np.stack([np.full(sectors, north), ring, after], axis=-1),
        np.stack([np.full(sectors, south), last + after, last + ring], axis=-1),
    ]).astype(np.int32)  # fmt: skip
    volume = TriangleMesh(vertices, faces).volume_m3()
    return vertices * np.cbrt(4 * np.pi / 3 / volume), faces


def ellipsoid(half_axes_m: ArrayLike, rings: int = 12, sectors: int = 20) -> TriangleMesh:
    """Return an ellipsoid of half axes along x, y and z, shape (3,) [m]."""
    vertices, faces = _unit_sphere(rings, sectors)
    return TriangleMesh(vertices * np.asarray(half_axes_m, float), faces)
