"""Other ways from HU to partial densities: six tissues, or one water-like material."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.anatomy.materials import MaterialTable, smoothstep

HU_MIN, HU_MAX = -1024, 3071

DETAILED_MATERIALS = ('air', 'lung', 'adipose', 'soft_tissue', 'marrow', 'bone')
"""Materials of `DetailedModel`, in the order of its columns."""

# Schneider, Bortfeld and Schlegel, Phys. Med. Biol. 45 (2000) 459: their density fits, with
# the step at 100 HU joined.
_SCHNEIDER_KNOTS = (
    (-1000.0, 0.0012),
    (-98.0, 0.930),
    (14.0, 1.030),
    (23.0, 1.030),
    (100.0, 1.0762),
    (3071.0, 2.835),
)


@dataclass(frozen=True)
class DetailedModel:
    """Air, lung, fat, soft tissue, and bone as a mixture of marrow and cortical bone.

    Adipose tissue is -190..-30 HU (Mitsiopoulos et al., J. Appl. Physiol. 85 (1998) 115): ramps
    are centred on these limits, and -120..-60 HU is adipose tissue alone. From 100 HU on tissue
    is taken for bone, whose volume share of cortical bone grows linearly with HU between marrow
    and cortical bone (the mixture of Schneider et al. 2000): what its mass fractions follow from.
    Half-full voxels between air or lung and soft tissue pass through fat on their way, which is
    no loss: fat attenuates between the two.

    Attributes:
        density_knots: (HU, density [g/cm^3]) pairs, joined by straight lines.
        lung_ramp_hu: where air turns to lung tissue, (start, end) [HU].
        adipose_ramp_hu: where lung turns to adipose tissue, (start, end) [HU].
        soft_tissue_ramp_hu: where adipose turns to soft tissue, (start, end) [HU].
        bone_ramp_hu: where soft tissue turns to marrow with bone, (start, end) [HU].
        marrow: HU and density [g/cm^3] of marrow without bone.
        cortical: HU and density [g/cm^3] of bone without marrow.
    """

    density_knots: tuple[tuple[float, float], ...] = _SCHNEIDER_KNOTS
    lung_ramp_hu: tuple[float, float] = (-990.0, -900.0)
    adipose_ramp_hu: tuple[float, float] = (-260.0, -120.0)
    soft_tissue_ramp_hu: tuple[float, float] = (-60.0, 0.0)
    bone_ramp_hu: tuple[float, float] = (100.0, 150.0)
    marrow: tuple[float, float] = (-22.0, 1.0)
    cortical: tuple[float, float] = (1524.0, 1.92)

    def __post_init__(self):
        knots = np.array(self.density_knots, float)
        if knots.ndim != 2 or knots.shape[1:] != (2,) or len(knots) < 2:
            raise ValueError(
                f'density_knots must be (HU, g/cm^3) pairs, got {self.density_knots!r}'
            )
        if np.any(np.diff(knots[:, 0]) <= 0) or np.any(np.diff(knots[:, 1]) < 0):
            raise ValueError(f'density_knots must rise in HU and not fall in density, got {knots}')
        if not (knots[0, 1] > 0 and knots[-1, 1] <= 25):
            raise ValueError(
                f'densities of density_knots must be above 0 and at most 25 g/cm^3, got {knots}'
            )
        _check_ramps(self)
        if not (self.marrow[0] < self.cortical[0] and 0 < self.marrow[1] <= self.cortical[1]):
            raise ValueError(
                'marrow must lie below cortical bone in HU and density, got '
                f'{self.marrow} and {self.cortical}'
            )

    def density_g_cm3(self, hu: ArrayLike) -> NDArray[np.float64]:
        """Return the total density [g/cm^3] of HU, any shape."""
        knots = np.array(self.density_knots, float)
        return np.interp(np.asarray(hu, float), knots[:, 0], knots[:, 1])

    def mass_fractions(self, hu: ArrayLike) -> NDArray[np.float64]:
        """Return mass fractions, shape (..., 6) as `DETAILED_MATERIALS`, of HU, any shape."""
        hu = np.asarray(hu, float)
        lung = smoothstep(hu, *self.lung_ramp_hu)
        adipose = smoothstep(hu, *self.adipose_ramp_hu)
        soft = smoothstep(hu, *self.soft_tissue_ramp_hu)
        bony = smoothstep(hu, *self.bone_ramp_hu)
        volume = np.clip((hu - self.marrow[0]) / (self.cortical[0] - self.marrow[0]), 0, 1)
        cortical, marrow = volume * self.cortical[1], (1 - volume) * self.marrow[1]
        cortical_share = cortical / (cortical + marrow)
        return np.stack(
            [
                1 - lung,
                lung - adipose,
                adipose - soft,
                soft - bony,
                bony * (1 - cortical_share),
                bony * cortical_share,
            ],
            axis=-1,
        )

    def table(self) -> MaterialTable:
        """Return the partial densities of every integer HU."""
        hu = np.arange(HU_MIN, HU_MAX + 1)
        partial = self.density_g_cm3(hu)[:, None] * self.mass_fractions(hu)
        return MaterialTable(DETAILED_MATERIALS, HU_MIN, partial.astype(np.float32))


@dataclass(frozen=True)
class LinearModel:
    """One material whose density is linear in HU: water at 0 HU, nothing at -1000 HU.

    Attributes:
        material: what everything is made of.
        air_below_hu: what is below is nothing at all; -1000 keeps all that is not air.
    """

    material: str = 'water'
    air_below_hu: float = -1000.0

    def __post_init__(self):
        if not -1024 <= self.air_below_hu <= 1000:
            raise ValueError(
                f'air_below_hu must be -1024..1000 HU, got {self.air_below_hu:g}; '
                'air is -1000, soft tissue 0'
            )

    def table(self) -> MaterialTable:
        """Return the density of every integer HU."""
        hu = np.arange(HU_MIN, HU_MAX + 1)
        density = np.where(hu < self.air_below_hu, 0, np.maximum(1 + hu / 1000, 0))
        return MaterialTable((self.material,), HU_MIN, density.astype(np.float32)[:, None])


def _check_ramps(model: DetailedModel) -> None:
    names = [item.name for item in fields(model) if item.name.endswith('_ramp_hu')]
    ends = [float(hu) for name in names for hu in getattr(model, name)]
    if not all(low <= high for low, high in zip(ends, ends[1:], strict=False)):
        raise ValueError(
            f'ramps must not overlap and must run upwards ({" < ".join(names)}), got {ends} HU'
        )
