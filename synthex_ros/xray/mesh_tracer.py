"""Exact path length of rays through closed triangle meshes, by signed-depth rasterisation.

Along a ray the path inside a closed surface is the sum of the exit distances less the sum of the
entry distances, in any order. So each triangle is drawn once: it adds its distance where it faces
away from the source and subtracts it where it faces the source. Edge tests are done on the
lexicographically ordered end points, so two triangles at one edge compute the same number, and a
point exactly on an edge counts as one infinitesimal step aside of it: every ray meets a closed
surface an even number of times and there are no streaks at shared edges.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numba as nb
import numpy as np
from numpy.typing import NDArray

from synthex_ros.geometry import ProjectionGeometry

MIN_DEPTH_M = 1e-3
SPAN_MARGIN_PX = 0.01
LEVEL_EDGE_PX = 1e-6
BANDS, BAND_ROWS = 4, 8
"""The image is drawn in so many bands at a time, none lower than so many rows."""
SMALL_PX = 32
"""A face whose box has no more pixels is tested at all of them."""


@dataclass(frozen=True, eq=False)
class PathLayer:
    """Path lengths inside a mesh, for the pixels around its image only.

    Attributes:
        box: first row, end row, first column, end column [px]; empty if no image is on it.
        path_m: length inside [m], shape (end row - first row, end column - first column), float64.
        entry_m: distance from the source to the first surface [m]; +inf where the ray misses.
        exit_m: distance from the source to the last surface [m]; -inf where the ray misses.
        marked_m: length inside the faces that were marked [m]; `path_m` if none or all were.
        depth_m: of the middle between nearest and farthest corner, from the source [m].
    """

    box: tuple[int, int, int, int]
    path_m: NDArray[np.float64]
    entry_m: NDArray[np.float64]
    exit_m: NDArray[np.float64]
    marked_m: NDArray[np.float64]
    depth_m: float

    @property
    def slices(self) -> tuple[slice, slice]:
        """The box as a (row, column) index into the full image."""
        top, bottom, left, right = self.box
        return slice(top, bottom), slice(left, right)

    def full(self, shape_px: tuple[int, int]) -> NDArray[np.float64]:
        """Return the path length [m] of the whole image, shape (rows, columns)."""
        image = np.zeros(shape_px)
        image[self.slices] = self.path_m
        return image


def trace(
    vertices_source_m: NDArray[np.float64],
    faces: NDArray[np.int32],
    geometry: ProjectionGeometry,
    supersampling: int = 1,
    marked_from: int = 0,
) -> PathLayer:
    """Return the path length inside closed meshes for every pixel they cover.

    Args:
        vertices_source_m: corners in the source optical frame [m], shape (V, 3).
        faces: corner indices, counter-clockwise from outside, shape (F, 3). Several bodies may
            share the arrays; where they overlap their paths add up.
        geometry: detector to draw on.
        supersampling: rays per pixel side; 1 is the exact path at the pixel centre, n averages
            n x n rays spread over the pixel (first entry and last exit are of any of them).
        marked_from: first of the faces whose path is also kept alone; they are a closed mesh.

    Raises:
        ValueError: a corner lies at or behind the focal spot, or an argument has a wrong shape.
    """
    if supersampling < 1:
        raise ValueError(f'supersampling must be at least 1, got {supersampling}')
    vertices = np.ascontiguousarray(vertices_source_m, np.float64)
    if vertices.ndim != 2 or vertices.shape[1] != 3 or faces.ndim != 2 or faces.shape[1] != 3:
        raise ValueError(
            f'vertices must be (V, 3) and faces (F, 3), got {vertices.shape} and {faces.shape}'
        )
    if not len(faces):
        return _empty_layer()
    fine = geometry
    if supersampling > 1:
        rows, columns = geometry.shape_px
        fine = geometry.resized((rows * supersampling, columns * supersampling))
    pixels, depths_m, bounds = _projected(vertices, fine)
    box = _pixel_box(bounds, fine.shape_px, supersampling)
    if box[0] >= box[1] or box[2] >= box[3]:
        return _empty_layer()
    fine_box = tuple(edge * supersampling for edge in box)
    sums, marked, entry, exit_ = _drawn(vertices, pixels, faces, marked_from, fine, fine_box)
    if supersampling > 1:
        sums, marked = (_tiles(image, supersampling).mean((1, 3)) for image in (sums, marked))
        entry = _tiles(entry, supersampling).min((1, 3))
        exit_ = _tiles(exit_, supersampling).max((1, 3))
    return PathLayer(box, sums, entry, exit_, marked, sum(depths_m) / 2)


def _projected(
    vertices: NDArray[np.float64], geometry: ProjectionGeometry
) -> tuple[NDArray[np.float64], tuple[float, float], tuple[float, float, float, float]]:
    """Return pixels (V, 2), least and greatest depth [m], and (top, bottom, left, right) [px].

    Raises:
        ValueError: a corner lies at or behind the focal spot.
    """
    pitch_v, pitch_u = geometry.pixel_pitch_m
    distance = geometry.source_to_detector_m
    pixels = np.empty((len(vertices), 2))
    nearest, farthest, bounds = _project(
        vertices, (distance / pitch_u, distance / pitch_v), geometry.piercing_px, pixels
    )
    if not nearest > MIN_DEPTH_M:
        raise ValueError(
            f'mesh reaches depth {nearest:.4g} m, at or behind the focal spot; '
            'check its pose and that world_from_source looks at it'
        )
    return pixels, (nearest, farthest), bounds


def _drawn(
    vertices: NDArray[np.float64],
    pixels: NDArray[np.float64],
    faces: NDArray[np.int32],
    marked_from: int,
    geometry: ProjectionGeometry,
    box: tuple[int, ...],
) -> tuple[NDArray[np.float64], ...]:
    """Return path, marked path, first entry and last exit in a box [m]; moves `pixels` to it."""
    top, bottom, left, right = box
    sums = np.zeros((bottom - top, right - left))
    marked = np.zeros_like(sums) if marked_from else sums
    entry, exit_ = np.full_like(sums, np.inf), np.full_like(sums, -np.inf)
    pixels -= (left, top)
    _draw(
        vertices,
        pixels,
        np.ascontiguousarray(faces, np.int32),
        marked_from,
        (geometry.piercing_px[0] - left, geometry.piercing_px[1] - top),
        (geometry.pixel_pitch_m[1] / geometry.source_to_detector_m),
        (geometry.pixel_pitch_m[0] / geometry.source_to_detector_m),
        sums,
        marked,
        entry,
        exit_,
    )
    return sums, marked, entry, exit_


def _empty_layer() -> PathLayer:
    nothing = np.zeros((0, 0))
    return PathLayer((0, 0, 0, 0), nothing, nothing, nothing, nothing, 0.0)


def _pixel_box(
    bounds: tuple[float, float, float, float], shape_px: tuple[int, int], size: int
) -> tuple[int, int, int, int]:
    """Return the box round (top, bottom, left, right) of an image in whole tiles of `size` px."""
    edges = []
    for low, high, limit in ((*bounds[:2], shape_px[0]), (*bounds[2:], shape_px[1])):
        first, last = min(max(low, 0.0), limit), min(max(high + 1, 0.0), limit)
        edges += [int(first) // size, math.ceil(math.ceil(last) / size)]
    return edges[0], edges[1], edges[2], edges[3]


def _tiles(image: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    rows, columns = image.shape
    return image.reshape(rows // size, size, columns // size, size)


@nb.njit(cache=True)
def _project(vertices, focal, piercing, pixels):
    """Fill pixels (V, 2); return least and greatest depth and (top, bottom, left, right)."""
    nearest, farthest = np.inf, -np.inf
    top, bottom, left, right = np.inf, -np.inf, np.inf, -np.inf
    for i in range(vertices.shape[0]):
        depth = vertices[i, 2]
        if not depth > nearest:
            nearest = depth
        farthest = max(farthest, depth)
        u = focal[0] * vertices[i, 0] / depth + piercing[0]
        v = focal[1] * vertices[i, 1] / depth + piercing[1]
        pixels[i, 0], pixels[i, 1] = u, v
        left, right = min(left, u), max(right, u)
        top, bottom = min(top, v), max(bottom, v)
    return nearest, farthest, (top, bottom, left, right)


@nb.njit(inline='always')
def _edge(ax, ay, bx, by):
    """Return an edge as start and vector from its lexicographically first end, and if turned."""
    if ax < bx or (ax == bx and ay < by):
        return ax, ay, bx - ax, by - ay, False
    return bx, by, ax - bx, ay - by, True


@nb.njit(inline='always')
def _left_of(edge, x, y):
    """Tell on which side of a -> b a point lies; exactly opposite for b -> a, never neither."""
    return (edge[2] * (y - edge[1]) - edge[3] * (x - edge[0]) >= 0.0) != edge[4]


@nb.njit(inline='always')
def _widen(low, high, au, av, bu, bv, row):
    """Widen a span of columns by where the edge a-b meets a row; the exact test comes later."""
    if row < min(av, bv) or row > max(av, bv):
        return low, high
    if abs(bv - av) < LEVEL_EDGE_PX:
        return min(low, au, bu), max(high, au, bu)
    u = au + (row - av) / (bv - av) * (bu - au)
    return min(low, u), max(high, u)


@nb.njit(parallel=True, cache=True)
def _draw(
    vertices, pixels, faces, marked_from, piercing, step_u, step_v, sums, marked, entry, exit_
):  # fmt: skip
    rows, columns = sums.shape
    heights = pixels[:, 1].copy()
    height = max(BAND_ROWS, (rows + BANDS - 1) // BANDS)
    for band in nb.prange((rows + height - 1) // height):
        first, last = band * height, min((band + 1) * height, rows)
        for face in range(faces.shape[0]):
            av, bv, cv = heights[faces[face, 0]], heights[faces[face, 1]], heights[faces[face, 2]]
            if max(av, bv, cv) < first or min(av, bv, cv) > last - 1:
                continue
            _draw_face(
                vertices, pixels, faces[face], marked_from > 0 and face >= marked_from, piercing,
                step_u, step_v, first, last, sums, marked, entry, exit_,
            )  # fmt: skip
        for row in range(first, last):
            y = (row - piercing[1]) * step_v
            for column in range(columns):
                if entry[row, column] < np.inf:
                    x = (column - piercing[0]) * step_u
                    norm = np.sqrt(1.0 + x * x + y * y)
                    sums[row, column] = max(sums[row, column], 0.0) * norm
                    if marked_from > 0:
                        marked[row, column] = max(marked[row, column], 0.0) * norm
                    entry[row, column] *= norm
                    exit_[row, column] *= norm


@nb.njit(inline='always')
def _draw_face(
    vertices, pixels, face, mark, piercing, step_u, step_v, first, last, sums, marked, entry, exit_
):  # fmt: skip
    """Add a triangle's depth to the pixels that it covers from row `first` to `last`."""
    columns = sums.shape[1]
    i, j, k = face[0], face[1], face[2]
    au, av, bu, bv, cu, cv = (
        pixels[i, 0], pixels[i, 1], pixels[j, 0], pixels[j, 1], pixels[k, 0], pixels[k, 1],
    )  # fmt: skip
    top = max(first, int(np.ceil(min(av, bv, cv))))
    bottom = min(last, int(np.floor(max(av, bv, cv))) + 1)
    if top >= bottom or min(au, bu, cu) > columns - 1 or max(au, bu, cu) < 0:
        return
    ax, ay, az = vertices[i, 0], vertices[i, 1], vertices[i, 2]
    px, py, pz = vertices[j, 0] - ax, vertices[j, 1] - ay, vertices[j, 2] - az
    qx, qy, qz = vertices[k, 0] - ax, vertices[k, 1] - ay, vertices[k, 2] - az
    nx, ny, nz = py * qz - pz * qy, pz * qx - px * qz, px * qy - py * qx
    offset = nx * ax + ny * ay + nz * az
    nearest = min(az, vertices[j, 2], vertices[k, 2])
    farthest = max(az, vertices[j, 2], vertices[k, 2])
    leftmost = max(0, int(np.ceil(min(au, bu, cu))))
    rightmost = min(columns - 1, int(np.floor(max(au, bu, cu))))
    small = (bottom - top) * (rightmost - leftmost + 1) <= SMALL_PX
    ab, bc, ca = _edge(au, av, bu, bv), _edge(bu, bv, cu, cv), _edge(cu, cv, au, av)
    for row in range(top, bottom):
        y = (row - piercing[1]) * step_v
        left, right = leftmost, rightmost
        if not small:
            low, high = np.inf, -np.inf
            low, high = _widen(low, high, au, av, bu, bv, row)
            low, high = _widen(low, high, bu, bv, cu, cv, row)
            low, high = _widen(low, high, cu, cv, au, av, row)
            left = int(max(0.0, np.ceil(low - SPAN_MARGIN_PX)))
            right = int(min(columns - 1.0, np.floor(high + SPAN_MARGIN_PX)))
        for column in range(left, right + 1):
            inside = _left_of(ab, column, row)
            if inside != _left_of(bc, column, row) or inside != _left_of(ca, column, row):
                continue
            x = (column - piercing[0]) * step_u
            # A face seen edge-on has no plane to divide by; its depth stays within its corners.
            facing = nx * x + ny * y + nz
            depth = nearest if facing == 0.0 else offset / facing
            depth = min(max(depth, nearest), farthest)
            # Rows run down: left_of on the image means clockwise, seen from the source.
            signed = depth if inside else -depth
            sums[row, column] += signed
            if mark:
                marked[row, column] += signed
            entry[row, column] = min(entry[row, column], depth)
            exit_[row, column] = max(exit_[row, column], depth)
