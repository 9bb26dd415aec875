"""Whether a mesh runs through itself: then its signed depths count the overlap twice."""

from __future__ import annotations

import numba as nb
import numpy as np
from numpy.typing import NDArray


def crossing_triangles(
    vertices: NDArray[np.float64], faces: NDArray[np.int32]
) -> tuple[int, int] | None:
    """Return the indices of two triangles that cross, or None.

    Two triangles cross when an edge of one passes through the inside of the other. Triangles that
    share a corner are not tested, nor are those that only touch or lie in one plane.

    Args:
        vertices: corners, shape (V, 3).
        faces: corner indices, shape (F, 3).
    """
    corners = np.ascontiguousarray(vertices, np.float64)[faces]
    low, high = corners.min(axis=1), corners.max(axis=1)
    axis = int(np.argmax(high.max(axis=0) - low.min(axis=0)))
    order = np.argsort(low[:, axis], kind='stable')
    pair = _sweep(corners, np.ascontiguousarray(faces, np.int32), low, high, order, axis)
    return None if pair[0] < 0 else (int(pair[0]), int(pair[1]))


@nb.njit(cache=True)
def _sweep(corners, faces, low, high, order, axis):
    for place in range(len(order)):
        i = order[place]
        for later in range(place + 1, len(order)):
            j = order[later]
            if low[j, axis] > high[i, axis]:
                break
            if _apart(low, high, i, j) or _neighbours(faces, i, j):
                continue
            if _pierces(corners[i], corners[j]) or _pierces(corners[j], corners[i]):
                return i, j
    return -1, -1


@nb.njit(inline='always')
def _apart(low, high, i, j):
    apart = False
    for axis in range(3):
        apart |= low[i, axis] > high[j, axis] or low[j, axis] > high[i, axis]
    return apart


@nb.njit(inline='always')
def _neighbours(faces, i, j):
    for a in range(3):
        for b in range(3):
            if faces[i, a] == faces[j, b]:
                return True
    return False


@nb.njit
def _pierces(edges, triangle):
    """Tell if an edge of `edges` passes through `triangle` (signs of tetrahedron volumes)."""
    a, b, c = triangle[0], triangle[1], triangle[2]
    for k in range(3):
        p, q = edges[k], edges[(k + 1) % 3]
        if _volume(a, b, c, p) * _volume(a, b, c, q) >= 0:
            continue
        first, second, third = _volume(p, q, a, b), _volume(p, q, b, c), _volume(p, q, c, a)
        if (first > 0 and second > 0 and third > 0) or (first < 0 and second < 0 and third < 0):
            return True
    return False


@nb.njit
def _volume(a, b, c, d):
    ux, uy, uz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    vx, vy, vz = c[0] - a[0], c[1] - a[1], c[2] - a[2]
    wx, wy, wz = d[0] - a[0], d[1] - a[1], d[2] - a[2]
    return (uy * vz - uz * vy) * wx + (uz * vx - ux * vz) * wy + (ux * vy - uy * vx) * wz
