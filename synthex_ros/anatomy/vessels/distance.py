"""Smooth signed distances of voxel masks: what slices of 2.5 mm leave, without their steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

Field = NDArray[np.float32]


@dataclass(frozen=True)
class LumenGrid:
    """The isotropic, axis-parallel grid that fields of one tree share.

    Attributes:
        corner_m: position of the first grid point in the frame of the CT's grid, (x, y, z) [m].
        step_m: spacing on all axes [m].
        shape: grid points as (z, y, x).
    """

    corner_m: tuple[float, float, float]
    step_m: float
    shape: tuple[int, int, int]

    @classmethod
    def around(cls, low_m, high_m, step_m: float) -> LumenGrid:
        """Return the grid from `low_m` to at least `high_m`, both (x, y, z) [m]."""
        low, high = np.asarray(low_m, float), np.asarray(high_m, float)
        count = np.ceil((high - low) / step_m).astype(int) + 1
        x, y, z = (float(value) for value in low)
        return cls((x, y, z), step_m, (int(count[2]), int(count[1]), int(count[0])))


def smooth_field(
    mask: NDArray[np.bool_], spacing_m, corner_m, grid: LumenGrid, smoothing_m: float
) -> tuple[tuple[slice, slice, slice], Field]:
    """Return the part of `grid` about a mask, and a smooth field there, positive inside.

    The anisotropic distance to the mask's surface is interpolated between the slices (shape-based
    interpolation: Raya and Udupa, IEEE Trans. Med. Imaging 9 (1990) 32), smoothed by a Gaussian,
    and its level shifted so that the volume of the voxels is kept.

    Args:
        mask: voxels as (z, y, x), with a border of nothing where the vessel ends.
        spacing_m: voxel spacing as (x, y, z) [m].
        corner_m: position of the mask's first voxel in the grid's frame, (x, y, z) [m].
        grid: where the field is wanted.
        smoothing_m: standard deviation of the Gaussian [m].
    """
    sampling = tuple(float(step) for step in spacing_m)[::-1]
    inside = ndimage.distance_transform_edt(mask, sampling)
    signed = (inside - ndimage.distance_transform_edt(~mask, sampling)).astype(np.float32)
    start = np.subtract(corner_m, grid.corner_m)[::-1] / grid.step_m
    stop = start + (np.array(mask.shape) - 1) * sampling / grid.step_m
    low = np.maximum(np.ceil(start - 1e-6), 0).astype(int)
    high = np.minimum(np.floor(stop + 1e-6) + 1, grid.shape).astype(int)
    scale = grid.step_m / np.array(sampling)
    where = {'offset': (low - start) * scale, 'output_shape': tuple(high - low), 'mode': 'nearest'}
    field = ndimage.affine_transform(signed, scale, order=1, **where)
    filled = ndimage.affine_transform(mask.astype(np.float32), scale, order=1, **where)
    ndimage.gaussian_filter(field, smoothing_m / grid.step_m, output=field, mode='nearest')
    z, y, x = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return (z, y, x), field - _level(field, float(filled.sum(dtype=float)), grid.step_m)


def _level(field: Field, volume_voxels: float, step_m: float) -> np.float32:
    """Return the level that encloses a volume [voxels], those at the surface counted in part."""
    reach = 3 * step_m
    surely = float(np.count_nonzero(field >= reach))
    near = field[np.abs(field) < reach].astype(float) / step_m
    low, high = -reach / step_m + 0.5, reach / step_m - 0.5
    for _ in range(30):
        middle = (low + high) / 2
        if surely + np.clip(near - middle + 0.5, 0, 1).sum() > volume_voxels:
            low = middle
        else:
            high = middle
    return np.float32(low * step_m)


def to_distance(field: Field, step_m: float, outside_m: float = 6e-3) -> Field:
    """Return the signed distance [m] to the surface where a field is zero, on the same grid.

    Within `outside_m` and everywhere inside it is the distance to the nearest of the points at
    which grid edges cross the surface, with the surface's curvature between them; farther out it
    is that of the voxels.

    Args:
        field: positive inside, smooth at the surface, shape (nz, ny, nx).
        step_m: grid spacing [m].
        outside_m: depth of the layer outside where distances are exact [m].
    """
    inside = field > 0
    if not inside.any() or inside.all():
        raise ValueError('a field must be positive in a part of its grid, to have a surface')
    feet, normals = surface_points(field, step_m)
    depth = ndimage.distance_transform_edt(~inside, step_m).astype(np.float32)
    distance = step_m / 2 - depth
    near = np.flatnonzero(depth.ravel() < outside_m)
    points = step_m * np.stack(np.unravel_index(near, field.shape), axis=1)
    length, index = cKDTree(feet).query(points, workers=1)
    across = np.abs(np.einsum('ni,ni->n', points - feet[index], normals[index]))
    # Beside a surface point the plane through it is nearer to the truth than the point itself.
    weight = np.clip(length / (2 * step_m) - 0.5, 0, 1)
    room = weight * length + (1 - weight) * across
    distance.ravel()[near] = np.where(inside.ravel()[near], room, -room)
    return distance


def surface_points(field: Field, step_m: float) -> tuple[NDArray, NDArray]:
    """Return where grid edges cross the level zero [m], shape (N, 3) as z, y, x, and normals."""
    gradient: list[NDArray] = list(np.gradient(field))
    feet, normals = [], []
    for axis in range(3):
        first = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
        second = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        crossing = np.argwhere((field[first] > 0) != (field[second] > 0))
        here, there = crossing.copy(), crossing.copy()
        there[:, axis] += 1
        a, b = field[tuple(here.T)], field[tuple(there.T)]
        share = (a / (a - b))[:, None]
        feet.append((crossing + share * np.eye(3)[axis]) * step_m)
        normal = np.stack(
            [(1 - share[:, 0]) * g[tuple(here.T)] + share[:, 0] * g[tuple(there.T)]
             for g in gradient], axis=1,
        )  # fmt: skip
        normals.append(normal / np.maximum(np.linalg.norm(normal, axis=1), 1e-12)[:, None])
    return np.concatenate(feet), np.concatenate(normals)
