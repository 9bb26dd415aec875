"""A CT volume in patient axes: HU values, grid, pose and segmented structures."""

from __future__ import annotations

import difflib
import fnmatch
import hashlib
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from synthex_ros.anatomy.structures import TOTALSEGMENTATOR_IDS
from synthex_ros.geometry import check_pose, transform_points

PADDING_HU = -1024
"""Values below are outside the reconstruction circle and are set to this value."""


@dataclass(frozen=True, eq=False)
class Volume:
    """A CT in `patient_lps` (x to the left, y to posterior, z to superior), metres and HU.

    The grid point of index (x, y, z) stands at index * spacing_m in the grid frame.

    Attributes:
        hu: CT numbers [HU], shape (z, y, x), int16, C-contiguous, at least `PADDING_HU`.
        spacing_m: voxel spacing as (x, y, z) [m].
        patient_from_grid: rigid pose of the grid frame in `patient_lps`, shape (4, 4) [m].
        labels: structure id of each voxel, shape (z, y, x), uint8, or None; 0 is unlabelled.
        structures: ids of the structures that occur in `labels`, by TotalSegmentator name.
        name: what the volume is called in messages and reports.
    """

    hu: NDArray[np.int16]
    spacing_m: tuple[float, float, float]
    patient_from_grid: NDArray[np.float64]
    labels: NDArray[np.uint8] | None = None
    structures: dict[str, int] = field(default_factory=dict)
    name: str = 'volume'

    def __post_init__(self):
        if self.hu.ndim != 3 or self.hu.dtype != np.int16 or min(self.hu.shape, default=0) < 2:
            raise ValueError(
                'hu must be int16 with shape (z, y, x) and at least 2 voxels a side, '
                f'got {self.hu.dtype} {self.hu.shape}'
            )
        if len(self.spacing_m) != 3 or not all(5e-5 <= step <= 0.02 for step in self.spacing_m):
            raise ValueError(
                f'spacing_m must be 5e-5..0.02 m in x, y, z, got {self.spacing_m}; '
                'a spacing of 0.7 mm is 0.0007'
            )
        if self.labels is not None and (
            self.labels.shape != self.hu.shape or self.labels.dtype != np.uint8
        ):
            raise ValueError(
                f'labels must be uint8 on the grid of hu {self.hu.shape}, '
                f'got {self.labels.dtype} {self.labels.shape}'
            )
        if self.structures and self.labels is None:
            raise ValueError('structures name label ids, but labels is None; pass both or neither')
        pose = check_pose(self.patient_from_grid, 'patient_from_grid')
        hu = np.ascontiguousarray(self.hu)
        object.__setattr__(self, 'patient_from_grid', pose)
        object.__setattr__(self, 'spacing_m', tuple(float(step) for step in self.spacing_m))
        object.__setattr__(self, 'hu', np.maximum(hu, PADDING_HU) if _padded(hu) else hu)

    @property
    def size_m(self) -> NDArray[np.float64]:
        """Edge lengths from the first to the last voxel's faces as (x, y, z) [m], shape (3,)."""
        return np.array(self.hu.shape[::-1]) * self.spacing_m

    @property
    def centre_patient_m(self) -> NDArray[np.float64]:
        """Centre of the grid in `patient_lps` [m], shape (3,)."""
        return self.index_to_patient_m((np.array(self.hu.shape[::-1]) - 1) / 2)

    def index_to_patient_m(self, index_xyz) -> NDArray[np.float64]:
        """Map voxel indices as (x, y, z), shape (..., 3), to `patient_lps` [m]."""
        grid_m = np.asarray(index_xyz, float) * self.spacing_m
        return transform_points(self.patient_from_grid, grid_m)

    def structures_like(self, pattern: str) -> list[str]:
        """Return the structures that a name or shell pattern, such as 'rib_*', stands for.

        Raises:
            ValueError: no structure of such a name occurs in this volume.
        """
        self._labels()
        names = fnmatch.filter(self.structures, pattern)
        if not names:
            raise self._unknown(pattern)
        return names

    def structure_mask(self, name: str) -> NDArray[np.bool_]:
        """Return the voxels of a structure, shape (z, y, x).

        Raises:
            ValueError: no structure of that name occurs in this volume.
        """
        return self._labels() == self._structure_id(name)

    def structure_centre_patient_m(self, name: str) -> NDArray[np.float64]:
        """Return a structure's centre of volume in `patient_lps` [m], shape (3,).

        Raises:
            ValueError: no structure of that name occurs in this volume.
        """
        mask = self.structure_mask(name)
        centre_zyx = []
        for axis in range(3):
            others = tuple(other for other in range(3) if other != axis)
            counts = np.count_nonzero(mask, axis=others)
            centre_zyx.append(np.average(np.arange(counts.size), weights=counts))
        return self.index_to_patient_m(centre_zyx[::-1])

    def sha256(self) -> str:
        """Return the hash of everything that can change an image (not of the name)."""
        digest = hashlib.sha256()
        digest.update(repr((self.hu.shape, self.spacing_m)).encode())
        digest.update(np.ascontiguousarray(self.patient_from_grid, '<f8').tobytes())
        digest.update(np.ascontiguousarray(self.hu, '<i2').data)
        if self.labels is not None:
            digest.update(np.ascontiguousarray(self.labels).data)
            digest.update(repr(sorted(self.structures.items())).encode())
        return digest.hexdigest()

    def _labels(self) -> NDArray[np.uint8]:
        if self.labels is None:
            raise ValueError(
                f'volume {self.name!r} has no segmentation; read it with a label file '
                "(labels=...) or use the sample 'chest' or 'phantom'"
            )
        return self.labels

    def _structure_id(self, name: str) -> int:
        self._labels()
        if name not in self.structures:
            raise self._unknown(name)
        return self.structures[name]

    def _unknown(self, name: str) -> ValueError:
        close = difflib.get_close_matches(name, self.structures, n=4, cutoff=0.5)
        known = 'is a TotalSegmentator name but' if name in TOTALSEGMENTATOR_IDS else 'is unknown:'
        hint = f'; did you mean {", ".join(close)}?' if close else ''
        return ValueError(
            f'structure {name!r} {known} not among the {len(self.structures)} structures '
            f'of volume {self.name!r}{hint} (see Volume.structures)'
        )


def _padded(hu: NDArray[np.int16]) -> bool:
    return bool(hu.min() < PADDING_HU)
