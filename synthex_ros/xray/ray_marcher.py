"""Line integrals by marching: each ray samples the volume at a constant step.

The reference for faster projectors, and what serves the views that those cannot. HU are fetched
trilinearly once a sample from the int16 volume (midpoint rule) and the partial densities of all
materials looked up in a table. Outside the grid of voxel centres there is nothing, not even air.
A table with regions is marched material by material: their partial densities are then trilinear.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numba as nb
import numpy as np
from numpy.typing import NDArray

from synthex_ros.anatomy.materials import MaterialTable
from synthex_ros.anatomy.volume import Volume
from synthex_ros.geometry import View
from synthex_ros.xray.parallel import parallel
from synthex_ros.xray.projector import rays_in_grid
from synthex_ros.xray.voxel_densities import material_volume

MARGIN = 1e-3  # voxels
LANES = 16  # rays of a row that are marched side by side
GROUP = 4  # materials accumulated side by side in registers


class RayMarcher:
    """Multi-threaded trilinear ray marcher; the image does not depend on the thread count.

    Args:
        step_m: longest distance between samples on a ray [m]. 1 mm stays within 0.1 % of exact
            integration on 0.7 mm voxels.
    """

    def __init__(self, step_m: float = 1e-3) -> None:
        if not 1e-5 <= step_m <= 0.05:
            raise ValueError(f'step_m must be 1e-5..0.05 m, got {step_m:g}; 1 mm is 0.001')
        self.step_m = step_m

    def at_detail(self, detail_px: int) -> RayMarcher:
        """Return itself: every pixel has a ray of its own."""
        return self

    def area_density_g_cm2(
        self,
        volume: Volume,
        table: MaterialTable,
        view: View,
        world_from_patient: NDArray[np.float64],
    ) -> NDArray[np.float32]:
        """Return area densities [g/cm^2], shape (M, rows, columns), float32; see `Projector`."""
        if table.regions is not None:
            return np.concatenate(
                [
                    self.area_density_g_cm2(*single, view, world_from_patient)
                    for single in _single_materials(volume, table)
                ]
            )
        rays = rays_in_grid(volume, view, world_from_patient)
        rows, columns = view.geometry.shape_px
        count = len(table.names)
        out = np.empty((count, rows, columns), np.float32)
        for first in range(0, count, GROUP):
            part = table.density_g_cm3[:, first : first + GROUP]
            padded = np.zeros((len(part), 2 * GROUP), np.float32)
            padded[:, : part.shape[1]] = part
            padded[:-1, GROUP : GROUP + part.shape[1]] = np.diff(part, axis=0)
            sums = np.empty((rows, columns, GROUP), np.float32)
            with parallel():
                _march(
                    volume.hu,
                    np.asarray(volume.spacing_m),
                    padded,
                    np.float32(table.hu_min),
                    rays,
                    self.step_m,
                    sums,
                )
            out[first : first + GROUP] = np.moveaxis(sums, 2, 0)[: part.shape[1]]
        return out


def _single_materials(
    volume: Volume, table: MaterialTable
) -> Iterator[tuple[Volume, MaterialTable]]:
    """Yield, by material, a volume of its density and the table that reads it."""
    for material, name in enumerate(table.names):
        coded, unit = material_volume(volume, table, material)
        levels = np.arange(int(coded.max()) + 2, dtype=np.float32) * np.float32(unit)
        yield replace(volume, hu=coded), MaterialTable((name,), 0, levels[:, None])


@nb.njit(inline='always')
def fetch(flat, nx, ny, x, y, z):
    """Return HU at voxel indices (x, y, z) inside the grid (0 <= x < nx - 1, ...), trilinear."""
    # Unsigned indices spare the compiler the wrap-around of negative ones.
    i, j, k = np.int32(x), np.int32(y), np.int32(z)
    one, stride = np.uint64(1), np.uint64(nx)
    p = np.uint64(i) + stride * (np.uint64(j) + np.uint64(ny) * np.uint64(k))
    q = p + stride * np.uint64(ny)
    fx, fy, fz = x - np.float32(i), y - np.float32(j), z - np.float32(k)
    a0, a1 = np.float32(flat[p]), np.float32(flat[p + stride])
    b0, b1 = np.float32(flat[q]), np.float32(flat[q + stride])
    a0 += fx * (np.float32(flat[p + one]) - a0)
    a1 += fx * (np.float32(flat[p + stride + one]) - a1)
    b0 += fx * (np.float32(flat[q + one]) - b0)
    b1 += fx * (np.float32(flat[q + stride + one]) - b1)
    a0 += fy * (a1 - a0)
    b0 += fy * (b1 - b0)
    return a0 + fz * (b0 - a0)


@nb.njit(inline='always')
def clip_to_grid(source, direction, shape_zyx):
    """Return where a ray, source + t * direction, enters and leaves the voxel centres' box.

    The box is a thousandth of a voxel smaller, so that rounding never leads out of the array.
    """
    low, high = 0.0, 1.0
    for axis in range(3):
        bottom, top = MARGIN, shape_zyx[2 - axis] - 1.0 - MARGIN
        if abs(direction[axis]) < 1e-12:
            if source[axis] < bottom or source[axis] > top:
                high = -1.0
        else:
            a = (bottom - source[axis]) / direction[axis]
            b = (top - source[axis]) / direction[axis]
            low, high = max(low, min(a, b)), min(high, max(a, b))
    return low, high


@nb.njit(inline='always')
def _aim(pixel, rays, spacing, shape_zyx, direction):
    """Set the way to a pixel [voxels]; return where it enters and leaves (shares), and [m]."""
    source, corner, along_u, along_v = rays
    length_m = 0.0
    for axis in range(3):
        away = pixel[1] * along_u[axis] + pixel[0] * along_v[axis]
        direction[axis] = corner[axis] + away - source[axis]
        length_m += (direction[axis] * spacing[axis]) ** 2
    low, high = clip_to_grid(source, direction, shape_zyx)
    return low, max(low, high), math.sqrt(length_m)


@nb.njit(parallel=True, fastmath=True, cache=True)
def _march(hu, spacing, table, hu_min, rays, step_m, out):
    """Fill out (rows, columns, GROUP); neighbouring rays advance together and share voxels."""
    ny, nx = hu.shape[1], hu.shape[2]
    flat = hu.reshape(-1)
    zero, last = np.float32(0), np.float32(table.shape[0] - 1)
    for row in nb.prange(out.shape[0]):
        direction = np.empty((LANES, 3))
        reach = np.empty((LANES, 3))
        start, step = np.zeros((LANES, 3), np.float32), np.zeros((LANES, 3), np.float32)
        sums = np.empty((LANES, GROUP), np.float32)
        for first in range(0, out.shape[1], LANES):
            lanes = min(LANES, out.shape[1] - first)
            samples = 1
            for lane in range(lanes):
                low, high, length_m = _aim(
                    (row, first + lane), rays, spacing, hu.shape, direction[lane]
                )
                reach[lane, 0], reach[lane, 1], reach[lane, 2] = low, high, length_m
                samples = max(samples, int(math.ceil((high - low) * length_m / step_m)))
            for lane in range(lanes):
                span = (reach[lane, 1] - reach[lane, 0]) / samples
                for axis in range(3):
                    middle = rays[0][axis] + (reach[lane, 0] + 0.5 * span) * direction[lane, axis]
                    # A ray that misses is kept at the first voxel and weighs nothing.
                    start[lane, axis] = middle if span > 0 else 0.0
                    step[lane, axis] = span * direction[lane, axis]
            sums[:] = zero
            for sample in range(samples):
                t = np.float32(sample)
                for lane in range(lanes):
                    x = start[lane, 0] + t * step[lane, 0]
                    y = start[lane, 1] + t * step[lane, 1]
                    z = start[lane, 2] + t * step[lane, 2]
                    position = fetch(flat, nx, ny, x, y, z) - hu_min
                    position = min(max(position, zero), last)
                    whole = np.int32(position)
                    f = position - np.float32(whole)
                    entry = np.uint64(whole)
                    sums[lane, 0] += table[entry, 0] + f * table[entry, 4]
                    sums[lane, 1] += table[entry, 1] + f * table[entry, 5]
                    sums[lane, 2] += table[entry, 2] + f * table[entry, 6]
                    sums[lane, 3] += table[entry, 3] + f * table[entry, 7]
            for lane in range(lanes):
                step_cm = (reach[lane, 1] - reach[lane, 0]) / samples * reach[lane, 2] * 100.0
                for m in range(GROUP):
                    out[row, first + lane, m] = sums[lane, m] * np.float32(step_cm)
