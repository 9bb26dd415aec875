"""What became of a CT: amounts of each material, and slices coloured by material."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from synthex_ros.anatomy.materials import MaterialTable
from synthex_ros.anatomy.volume import Volume

Colour = tuple[int, int, int]

COLOURS: dict[str, Colour] = {
    'air': (10, 12, 20),
    'lung': (62, 108, 170),
    'adipose': (236, 200, 92),
    'soft_tissue': (196, 98, 92),
    'water': (120, 160, 220),
    'marrow': (232, 150, 190),
    'bone': (240, 236, 222),
    'iodine_contrast': (64, 224, 160),
}
"""Colours of the usual materials; others take those of `OTHER_COLOURS`."""
OTHER_COLOURS: tuple[Colour, ...] = (
    (255, 64, 255), (255, 140, 0), (0, 224, 255), (170, 255, 0), (150, 120, 255), (255, 255, 255),
)  # fmt: skip

TRACE_SHARE = 0.01
"""Mass fraction from which a voxel counts as one with contrast agent or another added material."""

PANEL_PX = 420
_MARGIN_PX, _LEGEND_PX = 12, 110


@dataclass(frozen=True)
class MaterialAmount:
    """How much of a material a CT holds.

    Attributes:
        name: the material.
        voxels: voxels that are shown as it: of which it is the largest part by mass, or, for a
            material that only a rule brings in (contrast agent), at least `TRACE_SHARE`.
        volume_m3: their volume [m^3].
        mean_hu: mean CT number of these voxels [HU]; NaN without voxels.
        mean_density_g_cm3: mean total density of these voxels [g/cm^3]; NaN without voxels.
        mass_kg: mass of the material in all voxels [kg].
    """

    name: str
    voxels: int
    volume_m3: float
    mean_hu: float
    mean_density_g_cm3: float
    mass_kg: float


def material_amounts(volume: Volume, table: MaterialTable) -> list[MaterialAmount]:
    """Return the amount of each material of a table that was made for the volume."""
    densities = _by_region(table).astype(float)
    counts = _histogram(volume, table)
    dominant = _shown(densities)
    total = densities.sum(axis=-1)
    hu = np.broadcast_to(np.arange(table.hu_min, table.hu_max + 1), counts.shape)
    voxel_m3 = float(np.prod(volume.spacing_m))
    amounts = []
    for m, name in enumerate(table.names):
        here = np.where(dominant == m, counts, 0)
        voxels = int(here.sum())
        some = max(voxels, 1)
        amounts.append(
            MaterialAmount(
                name,
                voxels,
                voxels * voxel_m3,
                float((here * hu).sum() / some) if voxels else float('nan'),
                float((here * total).sum() / some) if voxels else float('nan'),
                float((counts * densities[..., m]).sum() * voxel_m3 * 1e3),
            )
        )
    return amounts


def material_picture(volume: Volume, table: MaterialTable) -> Image.Image:
    """Return the axial, coronal and sagittal middle slices, coloured by their largest material.

    Radiological orientation: the patient's right is on the left, anterior or superior on top.
    Brightness within a colour follows density.
    """
    middle = [n // 2 for n in volume.hu.shape]
    sx, sy, sz = volume.spacing_m
    cuts = (
        ('axial', (middle[0], slice(None), slice(None)), (sy, sx), False),
        ('coronal', (slice(None), middle[1], slice(None)), (sz, sx), True),
        ('sagittal', (slice(None), slice(None), middle[2]), (sz, sy), True),
    )
    panels = []
    for title, place, steps, upright in cuts:
        colours = _coloured(volume, table, place)
        # Array axes run to the left, posterior, superior: seen from the feet and from the front.
        panels.append((title, _scaled(colours[::-1] if upright else colours, steps)))
    height = max(panel.shape[0] for _, panel in panels)
    width = sum(panel.shape[1] + _MARGIN_PX for _, panel in panels) + _MARGIN_PX
    width = max(width, 2 * PANEL_PX)
    page = Image.new('RGB', (width, height + _LEGEND_PX), (24, 26, 32))
    pen, left = ImageDraw.Draw(page), _MARGIN_PX
    for title, panel in panels:
        page.paste(Image.fromarray(panel), (left, 30))
        pen.text((left, 8), title, fill=(220, 220, 220), font=_font(15))
        left += panel.shape[1] + _MARGIN_PX
    _draw_legend(pen, table, height + 46, width)
    return page


def save_picture(volume: Volume, table: MaterialTable, path: Path) -> None:
    """Write `material_picture` as PNG.

    Raises:
        ValueError: the file name does not end in .png.
    """
    if path.suffix.lower() != '.png':
        raise ValueError(f'the picture must be a .png file, got {path}')
    path.parent.mkdir(parents=True, exist_ok=True)
    material_picture(volume, table).save(path)


def colours_of(names: tuple[str, ...]) -> list[Colour]:
    """Return one colour a material."""
    others = iter(OTHER_COLOURS * 2)
    return [COLOURS[name] if name in COLOURS else next(others) for name in names]


def _by_region(table: MaterialTable) -> NDArray[np.float32]:
    return table.density_g_cm3[None] if table.regions is None else table.regions.density_g_cm3


def _shown(densities: NDArray) -> NDArray[np.intp]:
    """Return the material that voxels are counted and coloured as, shape (R, n_hu)."""
    shown = densities.argmax(axis=-1)
    total = np.maximum(densities.sum(axis=-1), 1e-9)
    for m in np.flatnonzero(~densities[0].any(axis=0)):
        shown[densities[..., m] >= TRACE_SHARE * total] = m
    return shown


def _histogram(volume: Volume, table: MaterialTable) -> NDArray[np.int64]:
    """Return the number of voxels by region and HU, shape (R, n_hu)."""
    shape = _by_region(table).shape[:2]
    counts = np.zeros(shape[0] * shape[1], np.int64)
    for z, hu in enumerate(volume.hu):
        row = np.clip(hu.astype(np.int64) - table.hu_min, 0, shape[1] - 1)
        if table.regions is not None:
            row += shape[1] * table.regions.of_voxel[z].astype(np.int64)
        counts += np.bincount(row.ravel(), minlength=counts.size)
    return counts.reshape(shape)


def _coloured(volume: Volume, table: MaterialTable, place: tuple) -> NDArray[np.uint8]:
    """Return one slice as RGB, shape (rows, columns, 3)."""
    densities = _by_region(table)
    row = np.clip(volume.hu[place].astype(int) - table.hu_min, 0, densities.shape[1] - 1)
    region = 0 if table.regions is None else table.regions.of_voxel[place]
    partial = densities[region, row]
    largest, total = _shown(densities)[region, row], partial.sum(axis=-1)
    colour = np.array(colours_of(table.names), float)[largest]
    light = np.clip(
        0.55 + 0.45 * total / np.maximum(_usual_density(densities)[largest], 1e-6), 0, 1
    )
    return (colour * light[..., None]).astype(np.uint8)


def _usual_density(densities: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return a density at which a material's colour is full [g/cm^3], shape (M,)."""
    return np.clip(densities.max(axis=(0, 1)).astype(float), 1e-3, 1.9)


def _scaled(colours: NDArray[np.uint8], steps: tuple[float, float]) -> NDArray[np.uint8]:
    extent = np.array(colours.shape[:2]) * steps
    rows, columns = np.maximum(np.rint(extent / extent.max() * PANEL_PX), 1).astype(int)
    size = (int(columns), int(rows))
    grown = cv2.resize(np.ascontiguousarray(colours), size, interpolation=cv2.INTER_NEAREST)
    return grown.astype(np.uint8)


def _draw_legend(pen: ImageDraw.ImageDraw, table: MaterialTable, top: int, width: int) -> None:
    left = _MARGIN_PX
    for name, colour in zip(table.names, colours_of(table.names), strict=True):
        needed = 36 + int(pen.textlength(name, font=_font(15)))
        if left + needed > width:
            left, top = _MARGIN_PX, top + 30
        pen.rectangle((left, top, left + 20, top + 18), fill=colour, outline=(200, 200, 200))
        pen.text((left + 27, top + 1), name, fill=(220, 220, 220), font=_font(15))
        left += needed + 14


def _font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size_px)
