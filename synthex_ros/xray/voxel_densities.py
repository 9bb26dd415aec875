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

_LEVELS = 65535


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

    A volume takes 2 L bytes a voxel: 70 MB, 280 MB or 560 MB for a chest CT of 35 million voxels
    and 1, 4 or 8 materials; twice that once it has been seen along x as well.
    """

    def __init__(self) -> None:
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
            kept[key] = (table, pack(volume, table, axes))
        return kept[key][1]


def pack(volume: Volume, table: MaterialTable, axes: tuple[int, int, int]) -> VoxelDensities:
    """Return the densities of a volume; see `VoxelDensities`.

    Raises:
        ValueError: more than eight materials.
    """
    count = len(table.names)
    if count > LANES[-1]:
        raise ValueError(f'at most {LANES[-1]} materials can be projected at once, got {count}')
    lanes = next(n for n in LANES if n >= count)
    unit = np.ones(lanes, np.float32)
    unit[:count] = np.maximum(table.density_g_cm3.max(axis=0), 1e-6) / _LEVELS
    coded = np.zeros((len(table.density_g_cm3), lanes), np.uint16)
    coded[:, :count] = np.round(np.clip(table.density_g_cm3 / unit[:count], 0, _LEVELS))
    # Dimension k, j, i of the result runs along numpy axis 2 - axes[2], 2 - axes[1], 2 - axes[0].
    hu = volume.hu.transpose([2 - axis for axis in reversed(axes)])
    levels = np.zeros((*(n + 2 for n in hu.shape), lanes), np.uint16)
    with parallel():
        _encode(hu, coded, table.hu_min, levels)
    return VoxelDensities(table.names, levels, unit, axes)


@nb.njit(parallel=True, cache=True)
def _encode(hu, coded, hu_min, levels):
    last = coded.shape[0] - 1
    for k in nb.prange(hu.shape[0]):
        for j in range(hu.shape[1]):
            for i in range(hu.shape[2]):
                row = min(max(hu[k, j, i] - hu_min, 0), last)
                for m in range(coded.shape[1]):
                    levels[k + 1, j + 1, i + 1, m] = coded[row, m]
