"""A CT as partial densities of its materials, packed for projectors that stream the volume."""

from __future__ import annotations

import weakref
from dataclasses import dataclass

import numba as nb
import numpy as np
from numpy.typing import NDArray

from synthex_ros.anatomy.materials import MaterialTable
from synthex_ros.anatomy.volume import Volume
from synthex_ros.xray.parallel import parallel

LANES = (1, 4, 8)
"""Materials that are stored side by side; unused ones are zero."""

MAX_BYTES = 400 * 10**6
"""Memory for the layouts of one volume; one of them is kept in any case."""

_LEVELS, _INT16_MAX = 65535, 32767


@dataclass(frozen=True, eq=False)
class VoxelDensities:
    """Partial densities at the voxels, with one voxel of nothing around the grid.

    Attributes:
        names: material of each of the first M lanes.
        levels: uint16, shape (n2, n1, n0, L); [k, j, i, m] is the density of lane m at the grid
            index (i, j, k) - 1 of `axes`, in units of `unit_g_cm3[m]`.
        unit_g_cm3: density of one level, shape (L,), float32.
        axes: which of x, y, z (0, 1, 2) runs along the dimensions i, j, k.
    """

    names: tuple[str, ...]
    levels: NDArray[np.uint16]
    unit_g_cm3: NDArray[np.float32]
    axes: tuple[int, int, int]


class DensityStore:
    """Packs volumes when they are first seen and keeps what it packed while the volume lives.

    A volume takes 2 L bytes a voxel: 70, 280 or 560 MB for a chest CT of 35 million voxels
    and 1, 4 or 8 materials. Seen along x it takes as much again, unless that is more than
    `max_bytes`: then the other layout is dropped, and packed again (0.2 s) when it is needed.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._packed: weakref.WeakKeyDictionary[Volume, dict] = weakref.WeakKeyDictionary()

    def get(
        self, volume: Volume, table: MaterialTable, axes: tuple[int, int, int]
    ) -> VoxelDensities:
        """Return the densities of a volume with dimension i along axis `axes[0]`, and so on."""
        kept = self._packed.setdefault(volume, {})
        key = (id(table), axes)
        if key not in kept or kept[key][0] is not table:
            for other in [k for k in kept if kept[k][0] is not table]:
                del kept[other]  # one material model at a time
            size = sum(packed.levels.nbytes for _, packed in kept.values())
            if 2 * size > self._max_bytes:
                kept.clear()
            kept[key] = (table, pack(volume, table, axes))
        return kept[key][1]


def pack(volume: Volume, table: MaterialTable, axes: tuple[int, int, int]) -> VoxelDensities:
    """Return the densities of a volume; see `VoxelDensities`.

    Raises:
        ValueError: more than eight materials, or a table whose regions are another volume's.
    """
    count = len(table.names)
    if count > LANES[-1]:
        raise ValueError(f'at most {LANES[-1]} materials can be projected at once, got {count}')
    lanes = next(n for n in LANES if n >= count)
    by_region = _by_region(volume, table)
    unit = np.ones(lanes, np.float32)
    unit[:count] = np.maximum(by_region.max(axis=(0, 1)), 1e-6) / _LEVELS
    coded = np.zeros((*by_region.shape[:2], lanes), np.uint16)
    coded[..., :count] = np.round(np.clip(by_region / unit[:count], 0, _LEVELS))
    # Dimension k, j, i of the result runs along numpy axis 2 - axes[2], 2 - axes[1], 2 - axes[0].
    order = [2 - axis for axis in reversed(axes)]
    hu = volume.hu.transpose(order)
    levels = np.zeros((*(n + 2 for n in hu.shape), lanes), np.uint16)
    with parallel():
        if table.regions is None:
            _encode(hu, coded[0], table.hu_min, levels)
        else:
            region = table.regions.of_voxel.transpose(order)
            _encode_regions(hu, region, coded, table.hu_min, levels)
    return VoxelDensities(table.names, levels, unit, axes)


def material_volume(
    volume: Volume, table: MaterialTable, material: int
) -> tuple[NDArray[np.int16], float]:
    """Return one material's density as int16, shape (z, y, x), and the density of one [g/cm^3]."""
    by_region = _by_region(volume, table)[..., material]
    unit = max(float(by_region.max()), 1e-6) / _INT16_MAX
    coded = np.round(by_region / unit).astype(np.int16)
    out = np.empty(volume.hu.shape, np.int16)
    last = table.hu_max - table.hu_min
    for z, hu in enumerate(volume.hu):
        row = np.clip(hu.astype(np.int32) - table.hu_min, 0, last)
        region = 0 if table.regions is None else table.regions.of_voxel[z]
        out[z] = coded[region, row]
    return out, unit


def _by_region(volume: Volume, table: MaterialTable) -> NDArray[np.float32]:
    """Return partial densities by region and HU, shape (R, n_hu, M)."""
    if table.regions is None:
        return table.density_g_cm3[None]
    if table.regions.of_voxel.shape != volume.hu.shape:
        raise ValueError(
            f'the regions of the table {table.regions.of_voxel.shape} must lie on the grid of '
            f'volume {volume.name!r} {volume.hu.shape}; classify this volume for a table'
        )
    return table.regions.density_g_cm3


@nb.njit(parallel=True, cache=True)
def _encode(hu, coded, hu_min, levels):
    last = coded.shape[0] - 1
    for k in nb.prange(hu.shape[0]):
        for j in range(hu.shape[1]):
            for i in range(hu.shape[2]):
                row = min(max(hu[k, j, i] - hu_min, 0), last)
                for m in range(coded.shape[1]):
                    levels[k + 1, j + 1, i + 1, m] = coded[row, m]


@nb.njit(parallel=True, cache=True)
def _encode_regions(hu, region, coded, hu_min, levels):
    last = coded.shape[1] - 1
    for k in nb.prange(hu.shape[0]):
        for j in range(hu.shape[1]):
            for i in range(hu.shape[2]):
                row = min(max(hu[k, j, i] - hu_min, 0), last)
                for m in range(coded.shape[2]):
                    levels[k + 1, j + 1, i + 1, m] = coded[region[k, j, i], row, m]
