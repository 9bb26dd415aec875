"""Segmented structures on the detector: how far each ray runs inside a structure.

A structure is projected like a material: its voxels have the density 1 g/cm^3, all others none, so
an area density of 100 g/cm^2 is a path of one metre. Between voxels the density is linear, so the
surface of a structure lies half-way between its outermost voxels and their neighbours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthex_ros.anatomy.materials import MaterialTable
from synthex_ros.anatomy.volume import Volume
from synthex_ros.geometry import View
from synthex_ros.xray.projector import Projector
from synthex_ros.xray.shear_warp import ShearWarpProjector

MIN_PATH_M = 1e-3
"""A pixel belongs to a structure when its ray runs at least this far inside."""

_FULL = 1000
_METRE_PER_G_CM2 = 0.01


@dataclass(frozen=True, eq=False)
class StructureImage:
    """A structure as the detector sees it.

    Attributes:
        name: name of the structure.
        path_m: length of each pixel's ray inside it [m], shape (rows, columns), float32.
        min_path_m: length from which a pixel belongs to the mask [m].
    """

    name: str
    path_m: NDArray[np.float32]
    min_path_m: float = MIN_PATH_M

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Pixels whose ray runs `min_path_m` or more inside, shape (rows, columns)."""
        return self.path_m >= self.min_path_m


class LabelProjector:
    """Projects the structures of one volume; what it has packed of them is kept.

    Args:
        volume: CT with labels.
        projector: computes line integrals; default `ShearWarpProjector()`.
        margin_m: room round a structure in which it may be moved [m].
    """

    def __init__(
        self, volume: Volume, projector: Projector | None = None, margin_m: float = 0.0
    ) -> None:
        self.volume, self._margin_m = volume, margin_m
        self._projector = projector or ShearWarpProjector()
        self._table = _linear_table()
        self._cut_out: dict[str, Volume] = {}
        self._centres: dict[str, NDArray[np.float64]] = {}

    def centre_patient_m(self, name: str) -> NDArray[np.float64]:
        """Return a structure's centre of volume in `patient_lps` [m], shape (3,).

        Raises:
            ValueError: the volume has no labels or no structure of that name.
        """
        if name not in self._centres:
            self._centres[name] = self.volume.structure_centre_patient_m(name)
        return self._centres[name]

    def project(
        self,
        name: str,
        view: View,
        world_from_patient: NDArray[np.float64],
        min_path_m: float = MIN_PATH_M,
        moved: Callable[[Volume], Volume] | None = None,
    ) -> StructureImage:
        """Return one structure in a view.

        Args:
            name: structure of the volume.
            view: geometry and pose of the exposure.
            world_from_patient: rigid pose of `patient_lps` in `world`, shape (4, 4) [m].
            min_path_m: length inside from which a pixel belongs to the mask [m].
            moved: deforms the box round the structure, within the margin; default it rests.

        Raises:
            ValueError: the volume has no labels or no structure of that name, or the length is
                not one.
        """
        if not 0 < min_path_m <= 1:
            hint = '; looks like millimetres' if min_path_m > 1 else ''
            raise ValueError(f'min_path_m must be in (0, 1] m, got {min_path_m:g}{hint}')
        if name not in self._cut_out:
            self._cut_out[name] = cut_out(self.volume, name, self._margin_m)
        box = self._cut_out[name]
        area = self._projector.area_density_g_cm2(
            moved(box) if moved else box, self._table, view, world_from_patient
        )
        return StructureImage(name, area[0] * np.float32(_METRE_PER_G_CM2), min_path_m)


def cut_out(volume: Volume, name: str, margin_m: float = 0.0) -> Volume:
    """Return the box round a structure, with 1000 inside it and 0 outside.

    Args:
        volume: CT with labels.
        name: the structure.
        margin_m: room on every side [m]; one voxel is always to spare.
    """
    mask = volume.structure_mask(name)
    box, first, spare = [], [], []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        held = np.flatnonzero(mask.any(axis=others))
        box.append(slice(held[0], held[-1] + 1))
        spare.append(1 + int(np.ceil(margin_m / volume.spacing_m[2 - axis])))
        first.append(held[0] - spare[-1])
    values = np.pad(mask[tuple(box)], [(n, n) for n in spare]).astype(np.int16) * np.int16(_FULL)
    pose = volume.patient_from_grid.copy()
    pose[:3, 3] = volume.index_to_patient_m(first[::-1])
    return Volume(values, volume.spacing_m, pose, name=name)


def _linear_table() -> MaterialTable:
    density = np.linspace(0, 1, _FULL + 1).astype(np.float32)
    return MaterialTable(('structure',), 0, density[:, None])
