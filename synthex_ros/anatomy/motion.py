"""Breathing and heartbeat as a smooth deformation of a chest CT.

The field is analytic and pulls back: what now lies at y came from `pull_back(y)`. Both parts are
zero outside the chest's moving parts and steep nowhere, so the map is one-to-one and smooth; the
sliding of the lung along the ribs, which is neither, is left out: ribs and breastbone go with the
lung beside them, by about a third of the diaphragm's way.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.anatomy.motion_kernels import pull_points, warp_alone, warp_volume
from synthex_ros.anatomy.volume import Volume

Array = NDArray[np.float64]

SPINE_RADIUS_M = 0.030
"""Breathing leaves this much round the spine's axis at rest ..."""
SPINE_REACH_M = 0.080
"""... and moves everything beyond this, in front of the spine, alike."""

NODE_DISTANCE_M = 3e-3
"""Along rows, displacements are computed at this distance and are linear between; the error stays
below 0.05 mm."""

_MAX_SLOPE = 0.6
_HEART_PEAK = 16 / (25 * np.sqrt(5))  # greatest r (1 - r^2)^2
_HEART_REACH = 1.6  # radius of what the heart moves, in heart radii
_INVERSION_STEPS, _INVERSION_M = 60, 1e-7


@dataclass(frozen=True)
class ChestMotion:
    """How far breathing and heartbeat move a chest, and where its parts are.

    Displacement of breathing is the amplitude times Lujan's share of inspiration; along z it
    grows smoothly from the lung's apex to its base, and stays the same below.

    Attributes:
        apex_z_m: height of the lung's apex in `patient_lps` [m]; nothing moves from here up.
        base_z_m: height of the diaphragm [m]; the full amplitude from here down.
        spine_m: (x, y) of the spine's axis in `patient_lps` [m].
        depth_m: from the spine's axis to the breastbone [m].
        heart_centre_m: centre of the heart in `patient_lps` [m], or None for no heartbeat.
        heart_radius_m: radius of a ball of the heart's size [m].
        diaphragm_m: caudal displacement of the diaphragm at full inspiration [m].
        breastbone_m: anterior displacement of the breastbone at full inspiration [m].
        heart_m: greatest inward displacement of a heartbeat [m].
        exponent: n of Lujan's curve; larger rests longer at the end of expiration.
    """

    apex_z_m: float
    base_z_m: float
    spine_m: tuple[float, float]
    depth_m: float = 0.15
    heart_centre_m: tuple[float, float, float] | None = None
    heart_radius_m: float = 0.05
    diaphragm_m: float = 0.015
    breastbone_m: float = 0.004
    heart_m: float = 0.003
    exponent: int = 2

    def __post_init__(self):
        ranges = {
            'depth_m': (0.03, 0.5),
            'heart_radius_m': (0.005, 0.15),
            'diaphragm_m': (0.0, 0.05),
            'breastbone_m': (0.0, 0.03),
            'heart_m': (0.0, 0.02),
            'exponent': (1, 10),
        }
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not low <= value <= high:
                hint = '; 15 mm is 0.015' if name.endswith('_m') else ''
                raise ValueError(f'{name} must be {low:g}..{high:g}, got {value:g}{hint}')
        if not self.apex_z_m - self.base_z_m > 0.02:
            raise ValueError(
                'apex_z_m must lie at least 0.02 m above base_z_m (z points to the head), got '
                f'{self.apex_z_m:g} and {self.base_z_m:g}'
            )
        # A smoothstep is 1.5 times as steep as a straight line; the heart's bump 1.
        height = self.apex_z_m - self.base_z_m
        slopes = {
            'diaphragm_m': 1.5 * self.diaphragm_m / height,
            'breastbone_m': 1.5 * self.breastbone_m / self.depth_m,
            'heart_m': self.heart_m / (_HEART_PEAK * _HEART_REACH * self.heart_radius_m),
        }
        for name, slope in slopes.items():
            if slope > _MAX_SLOPE:
                raise ValueError(
                    f'{name} = {getattr(self, name):g} m would fold tissue: at most '
                    f'{getattr(self, name) * _MAX_SLOPE / slope:.3g} m here'
                )
        shear = 1.5 * self.diaphragm_m / (SPINE_REACH_M - SPINE_RADIUS_M)
        shear *= 1.5 * self.breastbone_m / height
        if (1 - slopes['diaphragm_m']) * (1 - slopes['breastbone_m']) - shear < 0.1:
            raise ValueError(
                f'diaphragm_m = {self.diaphragm_m:g} and breastbone_m = {self.breastbone_m:g} '
                'together would fold tissue; make one of them smaller'
            )

    @classmethod
    def of(cls, volume: Volume, **changes) -> ChestMotion:
        """Return the motion of a chest CT, its parts found by their structures.

        Without a segmentation the apex is put at 95 % and the base at 30 % of the grid's height,
        the spine at 70 % of its depth, and there is no heartbeat.

        Args:
            volume: chest CT in `patient_lps`.
            changes: fields to set otherwise.
        """
        return replace(_landmarks(volume), **changes)

    def inspiration(self, phase: float) -> float:
        """Return the share of full inspiration, 0..1, at a phase of the breath, 0..1.

        1 - cos^2n(pi phase) of Lujan et al., Medical Physics 26 (1999) 715, equation 1, with the
        phase counted from the end of expiration: sin^2n(pi phase).
        """
        return float(abs(np.sin(np.pi * (phase % 1.0))) ** (2 * self.exponent))

    def contraction(self, cardiac_phase: float) -> float:
        """Return the share of full contraction, 0..1, at a phase of the heartbeat, 0..1."""
        return float(np.sin(np.pi * (cardiac_phase % 1.0)) ** 2)

    def pull_back(self, points_m: ArrayLike, phase: float, cardiac_phase: float = 0.0) -> Array:
        """Return where tissue at points in `patient_lps` [m], shape (..., 3), came from.

        Args:
            points_m: positions now.
            phase: of the breath, 0..1; 0 is the CT's own state, the end of expiration.
            cardiac_phase: of the heartbeat, 0..1; 0 is the CT's own state.
        """
        return self.pull_back_at(
            points_m, self.inspiration(phase), self.contraction(cardiac_phase)
        )

    def pull_back_at(self, points_m: ArrayLike, inspiration: float, contraction: float) -> Array:
        """Return the same as `pull_back` for shares of full inspiration and contraction, 0..1."""
        points = np.asarray(points_m, float)
        flat = points.reshape(-1, 3)
        breath, heart = self._parameters(inspiration, contraction)
        out = np.empty_like(flat)
        pull_points(flat, breath, heart, out)
        return out.reshape(points.shape)

    def moved(self, points_m: ArrayLike, phase: float, cardiac_phase: float = 0.0) -> Array:
        """Return where tissue at points of the CT [m], shape (..., 3), lies now.

        The inverse of `pull_back`, by fixed-point iteration to 0.1 um.
        """
        points = np.asarray(points_m, float)
        now = points.copy()
        for _ in range(_INVERSION_STEPS):
            miss = points - self.pull_back(now, phase, cardiac_phase)
            now += miss
            if np.abs(miss).max(initial=0) < _INVERSION_M:
                break
        return now

    def deformed(self, volume: Volume, phase: float, cardiac_phase: float = 0.0) -> Volume:
        """Return the CT at a phase: HU trilinear, labels of the nearest voxel, edges continued.

        Takes a second for 35 million voxels; keep what was made of it.
        """
        inspiration, contraction = self.inspiration(phase), self.contraction(cardiac_phase)
        if not (inspiration > 0 or contraction > 0):
            return volume
        return self.slab(volume, inspiration, contraction)

    def slab(
        self,
        volume: Volume,
        inspiration: float,
        contraction: float,
        slices: tuple[int, int] | None = None,
        *,
        alone: bool = False,
    ) -> Volume:
        """Return slices of the CT at shares of full inspiration and contraction.

        Args:
            volume: CT at rest, whole.
            inspiration: share of full inspiration, 0..1.
            contraction: share of the heart's full contraction, 0..1.
            slices: first one and the one after the last; default all.
            alone: work on the calling thread only, so that other threads may run kernels.
        """
        first, last = slices or (0, len(volume.hu))
        if not 0 <= first <= last - 2 <= len(volume.hu) - 2:
            raise ValueError(
                f'slices must be two or more of 0..{len(volume.hu)}, got {first}..{last}'
            )
        labels = np.zeros((1, 1, 1), np.uint8) if volume.labels is None else volume.labels
        hu = np.empty((last - first, *volume.hu.shape[1:]), np.int16)
        ids = np.empty_like(labels if volume.labels is None else labels[first:last])
        arguments = (
            first,
            volume.hu,
            labels,
            np.asarray(volume.spacing_m),
            volume.patient_from_grid,
            *self._parameters(inspiration, contraction),
            max(1, int(NODE_DISTANCE_M / volume.spacing_m[0])),
            hu,
            ids,
        )
        (warp_alone if alone else warp_volume)(*arguments)
        pose = volume.patient_from_grid.copy()
        pose[:3, 3] = volume.index_to_patient_m([0, 0, first])
        labels_now = None if volume.labels is None else ids
        return replace(volume, hu=hu, labels=labels_now, patient_from_grid=pose)

    def _parameters(self, share: float, squeeze: float) -> tuple[Array, Array]:
        breath = np.array(
            [
                share * self.diaphragm_m,
                share * self.breastbone_m,
                self.apex_z_m,
                self.base_z_m,
                *self.spine_m,
                self.depth_m,
                SPINE_RADIUS_M,
                SPINE_REACH_M,
            ]
        )
        reach = _HEART_REACH * self.heart_radius_m
        strength = 0.0 if self.heart_centre_m is None else squeeze * self.heart_m
        centre = self.heart_centre_m or (0.0, 0.0, 0.0)
        return breath, np.array([strength / (_HEART_PEAK * reach), *centre, reach])


def deformed(volume: Volume, phase: float, motion: ChestMotion | None = None) -> Volume:
    """Return a chest CT at a phase of the breath, 0..1; the default motion is found from it."""
    return (motion or ChestMotion.of(volume)).deformed(volume, phase)


def _landmarks(volume: Volume) -> ChestMotion:
    present = volume.structures
    lungs = [name for name in present if name.startswith('lung_')]
    spine = [name for name in present if name.startswith('vertebrae_T')]
    centre, size = volume.centre_patient_m, volume.size_m
    if not lungs or not spine:
        bottom, front = centre[2] - size[2] / 2, centre[1] - size[1] / 2
        axis = (float(centre[0]), float(front + 0.7 * size[1]))
        return ChestMotion(bottom + 0.95 * size[2], bottom + 0.30 * size[2], axis)
    heights = _heights_m(volume, lungs)
    middle = np.mean([volume.structure_centre_patient_m(name) for name in spine], axis=0)
    depth = 0.15
    if 'sternum' in present:
        depth = float(middle[1] - volume.structure_centre_patient_m('sternum')[1])
    axis = (float(middle[0]), float(middle[1]))
    found = ChestMotion(heights[1], heights[0], axis, max(depth, 0.05))
    if 'heart' not in present:
        return found
    voxels = np.count_nonzero(volume.labels == present['heart'])
    radius = float(np.cbrt(3 / (4 * np.pi) * voxels * np.prod(volume.spacing_m)))
    heart = volume.structure_centre_patient_m('heart')
    return replace(found, heart_centre_m=tuple(heart.tolist()), heart_radius_m=radius)


def _heights_m(volume: Volume, structures: list[str]) -> tuple[float, float]:
    """Return the lowest and the highest z [m] of structures in `patient_lps`."""
    of_id = np.zeros(256, bool)
    of_id[[volume.structures[name] for name in structures]] = True
    slices = np.flatnonzero([of_id[layer].any() for layer in volume.labels])  # type: ignore[union-attr]
    middle = (np.array(volume.hu.shape[::-1]) - 1) / 2
    ends = [volume.index_to_patient_m([*middle[:2], k])[2] for k in (slices[0], slices[-1])]
    return float(min(ends)), float(max(ends))
