"""One picture a stage of a radiograph, and all of them on one sheet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from synthex_ros.geometry import joints_of_clinical, view_name
from synthex_ros.rendering.dicom_writer import patient_orientation
from synthex_ros.rendering.display import display_picture, window
from synthex_ros.rendering.frame import RenderedFrame

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 150
DEVICE_COLOUR = '#ff9f1c'
STRUCTURE_COLOURS = ('#2ec4b6', '#e0529c', '#6ea8fe', '#b8de29', '#c77dff', '#ffd166')
LANDMARK_COLOUR = '#fff3b0'
OPPOSITE = dict(zip('LRAPHF', 'RLPAFH', strict=True))
COLUMNS = (4, 3, 5)
PANEL_INCH = 3.3
TICK_GAP = 0.09
NOISE_PERCENTILE = 99.0
WHITE_PERCENTILE = 99.5
EMPTY_G_CM2 = 0.3
"""A material that stays below this is not shown: it hardly absorbs."""


@dataclass(frozen=True, eq=False)
class Panel:
    """One stage.

    Attributes:
        name: of its file.
        title: what it shows.
        unit: of its colour bar; empty for pictures without one.
        image: values, shape (rows, columns), or a picture (rows, columns, 3); mirrored already.
        limits: values at the ends of the colour map.
        colours: name of a colour map.
        gamma: exponent of the colour scale; 0.5 shows lung and spine in one picture.
    """

    name: str
    title: str
    unit: str
    image: NDArray
    limits: tuple[float, float]
    colours: str = 'gray'
    gamma: float = 1.0


def explain(frame: RenderedFrame, other_counts: NDArray[np.uint16], folder: Path) -> list[Path]:
    """Write a PNG of every stage and `explain.png`, the sheet of them all.

    Args:
        frame: what to explain.
        other_counts: the same frame with another noise; the difference of the two, over the
            square root of 2, is the noise of one.
        folder: where to; it exists.

    Returns:
        The files, the sheet last.
    """
    stages = panels(frame, other_counts)
    files = []
    for number, panel in enumerate(stages, start=1):
        path = folder / f'explain_{number:02d}_{panel.name}.png'
        _save_panel(panel, frame, path)
        files.append(path)
    _save_sheet(stages, frame, folder / 'explain.png')
    return [*files, folder / 'explain.png']


def panels(frame: RenderedFrame, other_counts: NDArray[np.uint16]) -> list[Panel]:
    """Return the stages in the order in which an image comes about."""
    stages = frame.stages()
    made = [
        _area_panel(name, area)
        for name, area in zip(stages.materials, stages.anatomy.area_density_g_cm2, strict=True)
        if float(area.max()) > EMPTY_G_CM2
    ]
    white = _top(stages.expected_counts, frame)
    made.append(_counts_panel('primary', 'Primary X-rays', stages.primary_counts, white))
    if stages.scatter_counts.any():
        top = float(stages.scatter_counts.max())
        made.append(_counts_panel('scatter', 'Scattered X-rays', stages.scatter_counts, top))
    made.append(_noise_panel(frame.counts, other_counts))
    made.append(_counts_panel('counts', 'Detector counts', frame.counts, white))
    limits = window(frame.counts, frame.open_field)
    grey = display_picture(frame.counts, frame.open_field, limits)
    made.append(Panel('display', 'Display (logarithm, window)', '', grey, (0, 255)))
    if frame.mask.any() or frame.structures:
        made.append(Panel('labels', 'Labels', '', _overlay(frame, grey), (0, 255)))
    return made


def _area_panel(name: str, area: NDArray[np.float32]) -> Panel:
    title = name.replace('_', ' ')
    top = float(np.percentile(area, 99.9)) or float(area.max())
    unit = 'g/cm²'
    return Panel(f'area_{name}', f'Area density: {title}', unit, area[:, ::-1], (0, top), 'magma')


def _counts_panel(name: str, title: str, counts: NDArray, top: float) -> Panel:
    image = counts[:, ::-1].astype(np.float32)
    return Panel(name, title, 'counts', image, (0, max(top, 1)), gamma=0.5)


def _noise_panel(counts: NDArray[np.uint16], other: NDArray[np.uint16]) -> Panel:
    noise = (counts.astype(np.float32) - other) / np.float32(np.sqrt(2))
    span = max(float(np.percentile(np.abs(noise), NOISE_PERCENTILE)), 1.0)
    return Panel('noise', 'Noise of one exposure', 'counts', noise[:, ::-1], (-span, span), 'gray')


def _top(counts: NDArray[np.float32], frame: RenderedFrame) -> float:
    """Return the white level of the pictures in counts."""
    return float(np.percentile(counts[frame.open_field], WHITE_PERCENTILE))


def _overlay(frame: RenderedFrame, grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the display picture as RGB with the masks laid over it."""
    picture = np.repeat(grey[..., None], 3, axis=2).astype(np.float32)
    layers = [
        (image.mask, colour, 0.35)
        for image, colour in zip(frame.structures.values(), _colours(frame), strict=True)
    ]
    for mask, colour, alpha in [*layers, (frame.mask > 0, DEVICE_COLOUR, 0.75)]:
        inside = mask[:, ::-1]
        picture[inside] = (1 - alpha) * picture[inside] + alpha * _rgb(colour)
    return np.round(picture).astype(np.uint8)


def _colours(frame: RenderedFrame) -> list[str]:
    return [STRUCTURE_COLOURS[k % len(STRUCTURE_COLOURS)] for k, _ in enumerate(frame.structures)]


def _rgb(colour: str) -> NDArray[np.float32]:
    return np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)], np.float32)


def _save_panel(panel: Panel, frame: RenderedFrame, path: Path) -> None:
    figure = _figure((6.4, 5.6))
    _draw(figure, figure.add_subplot(), panel, frame)
    figure.savefig(path, dpi=DPI)


def _save_sheet(stages: list[Panel], frame: RenderedFrame, path: Path) -> None:
    columns = min(COLUMNS, key=lambda count: -len(stages) % count)
    rows = -(-len(stages) // columns)
    figure = _figure((columns * PANEL_INCH * 1.12, rows * PANEL_INCH + 0.9))
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, panel in zip(axes, stages, strict=False):
        _draw(figure, axis, panel, frame)
    for axis in axes[len(stages) :]:
        axis.set_axis_off()
    figure.suptitle(_headline(frame), fontsize=12)
    figure.savefig(path, dpi=DPI)


def _figure(size_inch: tuple[float, float]) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=size_inch, layout='constrained', facecolor='white')


def _draw(figure: Figure, axis: Axes, panel: Panel, frame: RenderedFrame) -> None:
    from matplotlib.colors import PowerNorm

    low, high = panel.limits
    scale = PowerNorm(panel.gamma, low, high)
    shown = axis.imshow(panel.image, panel.colours, norm=scale, interpolation='antialiased')
    axis.set_title(panel.title, fontsize=10)
    axis.set_xticks([])
    axis.set_yticks([])
    if panel.unit:
        bar = figure.colorbar(shown, ax=axis, fraction=0.046, pad=0.02)
        bar.set_label(panel.unit, fontsize=8)
        if panel.gamma != 1:
            bar.set_ticks(_ticks(high, panel.gamma))
            bar.minorticks_off()
        bar.ax.tick_params(labelsize=7)
    if panel.name == 'labels':
        _draw_labels(axis, frame)
    if panel.name == 'display':
        rows, columns = panel.image.shape[:2]
        right = patient_orientation(frame)[0][0]
        left = OPPOSITE[right]
        for text, u, align in ((left, 0.03, 'left'), (right, 0.97, 'right')):
            axis.text(u * columns, 0.03 * rows, text, color='white', ha=align, va='top')


def _ticks(top: float, gamma: float) -> list[float]:
    """Return 0 and round numbers up to `top` that stand apart on a scale of exponent `gamma`."""
    ticks = [0.0]
    for power in range(int(np.floor(np.log10(top))) + 1):
        for digit in (1, 2, 5):
            value = digit * 10.0**power
            if value <= top and (value / top) ** gamma - (ticks[-1] / top) ** gamma > TICK_GAP:
                ticks.append(value)
    return ticks


def _draw_labels(axis: Axes, frame: RenderedFrame) -> None:
    """Mark the visible landmarks and name what the colours mean."""
    from matplotlib.patches import Patch

    columns = frame.counts.shape[1]
    for mark in frame.landmarks:
        if mark.visible:
            u, v = columns - 1 - mark.pixel_px[0], mark.pixel_px[1]
            axis.plot(u, v, 'o', ms=6, mfc='none', mec=LANDMARK_COLOUR, mew=1.2)
    named = dict(zip(frame.structures, _colours(frame), strict=True))
    if frame.mask.any():
        named['device'] = DEVICE_COLOUR
    if named:
        keys = [Patch(color=colour, label=name) for name, colour in named.items()]
        axis.legend(handles=keys, fontsize=6, loc='lower right', framealpha=0.8)


def _headline(frame: RenderedFrame) -> str:
    technique = frame.radiograph.technique
    angles = joints_of_clinical(np.radians(frame.primary_deg), np.radians(frame.secondary_deg))
    rows, columns = frame.counts.shape
    return (
        f'{Path(frame.settings.anatomy).name}, {view_name(*angles)}, '
        f'{technique.tube_voltage_kv:g} kV, {technique.charge_mas:.3g} mAs, {rows} x {columns} px,'
        f' {1e6 * frame.radiograph.air_kerma_gy:.3g} µGy at the reference point\n'
        'synthetic, not for clinical use; as seen from the detector'
    )
