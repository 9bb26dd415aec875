"""From CT numbers to partial densities of air, lung, soft tissue and bone."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

MATERIALS = ('air', 'lung', 'soft_tissue', 'bone')
"""Materials of the table, in the order of its columns."""

_STEP_HU = 1e-3  # a ramp this short is a step


@dataclass(frozen=True, eq=False)
class Regions:
    """Voxels of one volume whose partial densities do not follow the main table.

    Attributes:
        names: what each region is; the first is the rest of the volume.
        of_voxel: region of each voxel, shape (z, y, x), uint8; 0 follows the main table.
        density_g_cm3: partial densities [g/cm^3], shape (R, n_hu, M), float32; the first is the
            main table.
    """

    names: tuple[str, ...]
    of_voxel: NDArray[np.uint8]
    density_g_cm3: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class MaterialTable:
    """Partial density of each material for every integer HU.

    Attributes:
        names: material of each column.
        hu_min: HU of the first row; row k stands for hu_min + k.
        density_g_cm3: density times mass fraction [g/cm^3], shape (n_hu, M), float32.
        regions: voxels that follow tables of their own, or None; such a table fits one volume.
    """

    names: tuple[str, ...]
    hu_min: int
    density_g_cm3: NDArray[np.float32]
    regions: Regions | None = None

    @property
    def hu_max(self) -> int:
        """HU of the last row; larger HU take that row."""
        return self.hu_min + len(self.density_g_cm3) - 1

    def at(self, hu: ArrayLike) -> NDArray[np.float32]:
        """Return partial densities [g/cm^3], shape (..., M), of HU, any shape.

        HU between rows are interpolated; HU outside the table take its first or last row.
        Regions are not asked.
        """
        position = np.clip(np.asarray(hu, float), self.hu_min, self.hu_max) - self.hu_min
        low = np.minimum(position.astype(int), len(self.density_g_cm3) - 2)
        weight = (position - low)[..., None]
        rows = self.density_g_cm3
        return ((1 - weight) * rows[low] + weight * rows[low + 1]).astype(np.float32)


@dataclass(frozen=True)
class MaterialModel:
    """How CT numbers become density and material; change a threshold to change the look.

    Density is bilinear in HU. Below water it joins air and water, the definition of the HU scale
    for tissues of water's composition; above water its slope is that of the fit above 100 HU of
    Schneider, Bortfeld and Schlegel, Phys. Med. Biol. 45 (2000) 459: 1.017 + 0.592e-3 HU g/cm^3.

    Mass fractions move from one material to the next on smooth ramps (cubic smoothstep), so that
    a soft edge in the CT stays soft in the image. Contrast-filled vessels of 150 HU and more are
    taken for part bone, which attenuates about as their iodine does.

    Attributes:
        air_density_g_cm3: density at -1000 HU and below; dry air at 20 degC, NIST [g/cm^3].
        water_density_g_cm3: density at 0 HU [g/cm^3].
        bone_slope_g_cm3: density gained a HU above 0 [g/cm^3].
        lung_ramp_hu: where air turns to lung tissue, (start, end) [HU].
        soft_tissue_ramp_hu: where lung turns to soft tissue, (start, end) [HU].
        bone_ramp_hu: where soft tissue turns to bone, (start, end) [HU].
        hu_max: last HU of the table; dense metal in a CT is taken for bone of this HU.
    """

    air_density_g_cm3: float = 0.0012
    water_density_g_cm3: float = 1.0
    bone_slope_g_cm3: float = 0.592e-3
    lung_ramp_hu: tuple[float, float] = (-990.0, -900.0)
    soft_tissue_ramp_hu: tuple[float, float] = (-500.0, -200.0)
    bone_ramp_hu: tuple[float, float] = (150.0, 450.0)
    hu_max: int = 3071

    hu_min = -1024

    def __post_init__(self):
        if not 0 < self.air_density_g_cm3 < self.water_density_g_cm3:
            raise ValueError(
                'densities must obey 0 < air_density_g_cm3 < water_density_g_cm3, got '
                f'{self.air_density_g_cm3:g} and {self.water_density_g_cm3:g} g/cm^3'
            )
        if not 0 <= self.bone_slope_g_cm3 <= 0.01:
            raise ValueError(
                f'bone_slope_g_cm3 must be 0..0.01 g/cm^3 a HU, got {self.bone_slope_g_cm3:g}'
            )
        if self.hu_max < 3071:
            raise ValueError(f'hu_max must be at least 3071 (12-bit CT), got {self.hu_max}')
        self._check_ramps()

    def _check_ramps(self) -> None:
        names = [item.name for item in fields(self) if item.name.endswith('_ramp_hu')]
        ends = [float(hu) for name in names for hu in getattr(self, name)]
        if not all(low <= high for low, high in zip(ends, ends[1:], strict=False)):
            raise ValueError(
                f'ramps must not overlap and must run upwards ({" < ".join(names)}), got {ends} HU'
            )

    def density_g_cm3(self, hu: ArrayLike) -> NDArray[np.float64]:
        """Return the total density [g/cm^3] of HU, any shape."""
        hu = np.asarray(hu, float)
        air, water = self.air_density_g_cm3, self.water_density_g_cm3
        below = air + (water - air) * (1 + np.clip(hu, -1000, 0) / 1000)
        return below + self.bone_slope_g_cm3 * np.maximum(hu, 0)

    def mass_fractions(self, hu: ArrayLike) -> NDArray[np.float64]:
        """Return mass fractions, shape (..., 4) in the order of `MATERIALS`, of HU, any shape."""
        lung = smoothstep(hu, *self.lung_ramp_hu)
        soft = smoothstep(hu, *self.soft_tissue_ramp_hu)
        bone = smoothstep(hu, *self.bone_ramp_hu)
        return np.stack([1 - lung, lung - soft, soft - bone, bone], axis=-1)

    def table(self) -> MaterialTable:
        """Return the partial densities of every integer HU from -1024 to `hu_max`."""
        hu = np.arange(self.hu_min, self.hu_max + 1)
        partial = self.density_g_cm3(hu)[:, None] * self.mass_fractions(hu)
        return MaterialTable(MATERIALS, self.hu_min, partial.astype(np.float32))


def smoothstep(hu: ArrayLike, start: float, end: float) -> NDArray[np.float64]:
    """Return 0 at `start` [HU] and below, 1 at `end` and above, smooth between."""
    hu = np.asarray(hu, float)
    if end - start < _STEP_HU:
        return (hu >= start).astype(float)
    t = np.clip((hu - start) / (end - start), 0, 1)
    return t * t * (3 - 2 * t)
