"""Rules that say what parts of a CT are made of beyond their HU: contrast, metal, overrides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

CONTRAST_STRUCTURES = (
    'heart', 'heart_*', 'atrial_appendage_left', 'aorta', 'pulmonary_vein', 'pulmonary_artery',
    'brachiocephalic_*', 'subclavian_artery_*', 'common_carotid_artery_*', 'superior_vena_cava',
    'inferior_vena_cava', 'portal_vein_and_splenic_vein', 'iliac_artery_*', 'iliac_vena_*',
)  # fmt: skip
"""TotalSegmentator names (shell patterns) of what carries blood."""


@dataclass(frozen=True)
class Contrast:
    """Blood with iodine: what CT numbers above blood's mean inside labelled vessels and heart.

    The iodine concentration is (HU - blood_hu) / hu_per_mg_ml, about 26 HU a mg/mL at 120 kVp
    (Bae, Radiology 256 (2010) 32); the agent replaces its own volume of blood.

    Attributes:
        structures: shell patterns of structure names.
        blood_hu: CT number of blood without iodine [HU].
        hu_per_mg_ml: CT numbers gained per mg of iodine in a mL [HU mL/mg]. Attenuation tables
            give 44, 34, 28 and 24 at 80, 100, 120 and 140 kVp behind 20 cm of water.
        ramp_hu: noise below `start` is not taken for iodine; full from `end` on [HU].
        agent: material of the contrast agent.
        agent_mg_ml: iodine in the agent [mg/mL].
    """

    structures: tuple[str, ...] = CONTRAST_STRUCTURES
    blood_hu: float = 45.0
    hu_per_mg_ml: float = 26.0
    ramp_hu: tuple[float, float] = (80.0, 130.0)
    agent: str = 'iodine_contrast'
    agent_mg_ml: float = 350.0

    def __post_init__(self):
        object.__setattr__(self, 'structures', tuple(self.structures))
        if not 5 <= self.hu_per_mg_ml <= 100 or not 10 <= self.agent_mg_ml <= 1000:
            raise ValueError(
                'hu_per_mg_ml must be 5..100 and agent_mg_ml 10..1000, got '
                f'{self.hu_per_mg_ml:g} and {self.agent_mg_ml:g}'
            )
        if not self.blood_hu <= self.ramp_hu[0] <= self.ramp_hu[1]:
            raise ValueError(
                f'ramp_hu must run upwards from blood_hu = {self.blood_hu:g}, got {self.ramp_hu}'
            )

    def iodine_mg_ml(self, hu: ArrayLike) -> NDArray[np.float64]:
        """Return the iodine concentration [mg/mL] of HU, any shape, at most the agent's own."""
        above = np.maximum(np.asarray(hu, float) - self.blood_hu, 0)
        return np.minimum(above / self.hu_per_mg_ml, self.agent_mg_ml)


@dataclass(frozen=True)
class Metal:
    """Implants: voxels so dense that the CT's scale ends, in connected pieces.

    CT numbers of metal are cut off at 3071 HU, so its density cannot be read from them; such a
    piece gets the metal's own. Contrast agent in an unlabelled vein can be as bright.

    Attributes:
        material: what implants are made of.
        density_g_cm3: its density [g/cm^3], or None for the material's own.
        threshold_hu: metal from here on [HU].
        min_volume_m3: smaller pieces are left as they are [m^3]; 1e-8 is 10 mm^3.
    """

    material: str = 'Ti'
    density_g_cm3: float | None = None
    threshold_hu: float = 2500.0
    min_volume_m3: float = 1e-8

    def __post_init__(self):
        if not 1000 <= self.threshold_hu <= 32767:
            raise ValueError(
                f'threshold_hu of metal must be 1000..32767 HU, got {self.threshold_hu:g}'
            )
        if not 0 <= self.min_volume_m3 <= 1e-3:
            raise ValueError(
                f'min_volume_m3 must be 0..1e-3 m^3, got {self.min_volume_m3:g}; 10 mm^3 is 1e-8'
            )


@dataclass(frozen=True)
class Override:
    """What a structure is made of, whatever its HU say.

    Attributes:
        material: added material, or None to keep the mixture that the HU give.
        mass_fraction: share of `material` in the voxel's mass, 0..1; the rest is as by HU.
        density_g_cm3: total density [g/cm^3], or None: that of the ideal mixture, so a whole
            share of a material has the material's own density.
        keep_density: take the total density from the HU instead.
        hu_offset: added to the HU before they are looked up [HU].
        density_scale: factor on the resulting densities.
    """

    material: str | None = None
    mass_fraction: float = 1.0
    density_g_cm3: float | None = None
    keep_density: bool = False
    hu_offset: float = 0.0
    density_scale: float = 1.0

    def __post_init__(self):
        if not 0 <= self.mass_fraction <= 1:
            raise ValueError(
                f'mass_fraction must be 0..1, got {self.mass_fraction:g}; 3 % is 0.03'
            )
        if self.density_g_cm3 is not None and not 0 < self.density_g_cm3 <= 25:
            raise ValueError(
                f'density_g_cm3 must be above 0 and at most 25, got {self.density_g_cm3:g}'
            )
        if self.density_g_cm3 is not None and self.keep_density:
            raise ValueError('an override has either density_g_cm3 or keep_density, not both')
        if not 0 <= self.density_scale <= 25 or not abs(self.hu_offset) <= 5000:
            raise ValueError(
                'density_scale must be 0..25 and hu_offset -5000..5000 HU, got '
                f'{self.density_scale:g} and {self.hu_offset:g}'
            )
