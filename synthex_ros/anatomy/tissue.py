"""What a CT's voxels are made of: a curve over HU, and structures that are made of other stuff."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from synthex_ros.anatomy.material_curves import DetailedModel, LinearModel
from synthex_ros.anatomy.materials import MaterialModel, MaterialTable, Regions, smoothstep
from synthex_ros.anatomy.metal import metal_mask
from synthex_ros.anatomy.tissue_rules import Contrast, Metal, Override
from synthex_ros.anatomy.volume import Volume

DensityOf = Callable[[str], float]
"""Gives the density [g/cm^3] of a material by name."""

MAX_MATERIALS = 8
"""Materials that can be projected at once."""

_Columns = dict[str, NDArray[np.float64]]  # partial density by HU, shape (n_hu,), by material


class TissueCurve(Protocol):
    """Material from HU alone."""

    def table(self) -> MaterialTable:
        """Return partial densities by HU, without regions."""
        ...


@dataclass(frozen=True)
class TissueModel:
    """How a CT becomes partial densities of at most eight materials.

    Where rules meet in a voxel, an override wins over contrast and contrast over metal; of
    several overrides the last one named.

    Attributes:
        curve: material from HU alone.
        contrast: blood with iodine in labelled structures, or None.
        metal: implants, or None.
        overrides: what structures are made of, by name or shell pattern ('rib_*').
    """

    curve: TissueCurve = field(default_factory=MaterialModel)
    contrast: Contrast | None = None
    metal: Metal | None = None
    overrides: Mapping[str, Override] = field(default_factory=dict)

    def classify(self, volume: Volume, density_of: DensityOf) -> MaterialTable:
        """Return partial densities by HU, and the voxels that follow tables of their own.

        Args:
            volume: CT with or without segmented structures.
            density_of: gives the density [g/cm^3] of a material by name.

        Raises:
            ValueError: an overridden structure does not occur, or there are too many materials.
        """
        base = self.curve.table()
        tables: list[tuple[str, _Columns]] = [('other', _columns(base))]
        region_of_id = np.zeros(256, np.uint8)
        if self.contrast is not None and volume.labels is not None:
            ids = [i for p in self.contrast.structures for i in _matching(volume, p)]
            if ids:
                region_of_id[ids] = len(tables)
                tables.append(('contrast', _contrast_columns(base, self.contrast, density_of)))
        for pattern, rule in self.overrides.items():
            ids = _matching(volume, pattern)
            if not ids:
                volume.structure_mask(pattern)  # says which names there are
            region_of_id[ids] = len(tables)
            tables.append((pattern, _override_columns(base, rule, density_of)))
        of_voxel = None if len(tables) == 1 else region_of_id[volume.labels]
        if self.metal is not None:
            mask = metal_mask(volume, self.metal.threshold_hu, self.metal.min_volume_m3)
            if mask is not None:
                of_voxel = np.zeros(mask.shape, np.uint8) if of_voxel is None else of_voxel
                of_voxel[mask & (of_voxel == 0)] = len(tables)
                tables.append(('metal', _metal_columns(base, self.metal, density_of)))
        return base if of_voxel is None else _joined(base, tables, of_voxel)


PRESETS: dict[str, TissueModel] = {
    'standard': TissueModel(),
    'detailed': TissueModel(DetailedModel(), Contrast()),
    'heuristic': TissueModel(LinearModel(air_below_hu=-800.0)),
    'naive': TissueModel(LinearModel()),
}
"""Tissue models by name: four tissues; six with contrast agent; water with or without a threshold
that keeps air and lung apart from the rest."""


def tissue_model(model: str | TissueCurve | TissueModel) -> TissueModel:
    """Return the tissue model of a preset's name, of a curve over HU, or the one given.

    Raises:
        ValueError: there is no such preset.
    """
    if isinstance(model, TissueModel):
        return model
    if not isinstance(model, str):
        return TissueModel(model)
    if model not in PRESETS:
        raise ValueError(f'tissue model must be one of {", ".join(PRESETS)}, got {model!r}')
    return PRESETS[model]


def _matching(volume: Volume, pattern: str) -> list[int]:
    return [volume.structures[n] for n in fnmatch.filter(volume.structures, pattern)]


def _columns(table: MaterialTable) -> _Columns:
    return {n: table.density_g_cm3[:, m].astype(float) for m, n in enumerate(table.names)}


def _hu(base: MaterialTable) -> NDArray[np.int64]:
    return np.arange(base.hu_min, base.hu_max + 1)


def _contrast_columns(base: MaterialTable, rule: Contrast, density_of: DensityOf) -> _Columns:
    """Blood and agent share the voxel's volume; below the ramp the HU decide as elsewhere."""
    hu = _hu(base)
    agent = rule.iodine_mg_ml(hu) / rule.agent_mg_ml
    share = smoothstep(hu, *rule.ramp_hu)
    blood = dict(zip(base.names, base.at(rule.blood_hu).astype(float), strict=True))
    mixed = {
        name: (1 - share) * column + share * (1 - agent) * blood[name]
        for name, column in _columns(base).items()
    }
    added = share * agent * density_of(rule.agent)
    mixed[rule.agent] = mixed.get(rule.agent, 0) + added
    return mixed


def _metal_columns(base: MaterialTable, rule: Metal, density_of: DensityOf) -> _Columns:
    density = density_of(rule.material) if rule.density_g_cm3 is None else rule.density_g_cm3
    return {rule.material: np.full(len(base.density_g_cm3), float(density))}


def _override_columns(base: MaterialTable, rule: Override, density_of: DensityOf) -> _Columns:
    by_hu = base.at(_hu(base) + rule.hu_offset).astype(float)
    own = by_hu.sum(axis=1)
    fraction = 0.0 if rule.material is None else rule.mass_fraction
    total = own
    if rule.density_g_cm3 is not None:
        total = np.full_like(own, rule.density_g_cm3)
    elif rule.material is not None and not rule.keep_density:
        room = (1 - fraction) / np.maximum(own, 1e-9) if fraction < 1 else np.zeros_like(own)
        total = 1 / (fraction / density_of(rule.material) + room) if fraction > 0 else own
    total = total * rule.density_scale
    shares = by_hu / np.maximum(own, 1e-9)[:, None]
    mixed = {n: (1 - fraction) * total * shares[:, m] for m, n in enumerate(base.names)}
    if rule.material is not None:
        mixed[rule.material] = mixed.get(rule.material, 0) + fraction * total
    return mixed


def _joined(
    base: MaterialTable, tables: list[tuple[str, _Columns]], of_voxel: NDArray[np.uint8]
) -> MaterialTable:
    """Return the table whose columns are the materials of all regions' tables."""
    names = list(base.names)
    for _, columns in tables:
        names += [name for name in columns if name not in names]
    if len(names) > MAX_MATERIALS:
        raise ValueError(
            f'at most {MAX_MATERIALS} materials can be projected at once, got {len(names)}: '
            f'{", ".join(names)}; override with materials that are there already, or leave out '
            'contrast or metal'
        )
    if len(tables) > 256:
        raise ValueError(f'at most 255 rules can be told apart, got {len(tables) - 1}')
    density = np.zeros((len(tables), len(base.density_g_cm3), len(names)), np.float32)
    for region, (_, columns) in enumerate(tables):
        for name, column in columns.items():
            density[region, :, names.index(name)] = column
    regions = Regions(tuple(name for name, _ in tables), of_voxel, density)
    return MaterialTable(tuple(names), base.hu_min, density[0], regions)
