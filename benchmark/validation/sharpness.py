"""Modulation transfer by a slanted edge, against the model of the panel."""

from __future__ import annotations

import numpy as np
import trimesh

from benchmark.validation import panel_filter
from benchmark.validation.plots import COLOURS, MUTED, legend, panels
from benchmark.validation.section import Check, Plot, Section, Table
from benchmark.validation.step_wedges import empty_scene
from synthex_ros.bodies import Body, TriangleMesh
from synthex_ros.geometry import ProjectionGeometry, View, make_pose, rotation
from synthex_ros.xray.detector import Detector
from synthex_ros.xray.renderer import Renderer

DISTANCE_M, MIDDLE_M = 1.02, 0.7
PIXELS, SLANT, REACH_PX = 256, 20, 12
"""The edge moves by a pixel every `SLANT` rows."""

OFF_CENTRE_PX = 0.013
PITCHES_M = {'0.194 mm': 194e-6, '0.388 mm (2 x 2)': 388e-6, '0.582 mm (3 x 3)': 582e-6}
RAYS = (1, 4)
FOIL_M = 20e-6
LIMIT = 0.01


def edge_image(pitch_m: float, rays: int) -> np.ndarray:
    """Return noise-free counts of a steel foil with a slanted edge, (rows, columns)."""
    middle = (PIXELS - 1) / 2
    geometry = ProjectionGeometry(
        DISTANCE_M, (pitch_m, pitch_m), (middle, middle), (PIXELS, PIXELS)
    )
    side = 0.4
    foil = trimesh.creation.box((side, side, FOIL_M))
    turn = rotation('z', np.arctan(1 / SLANT))
    # The left side of the foil runs through the middle of the image, a little beside a pixel.
    shift = turn @ [side / 2, 0, 0] + [
        OFF_CENTRE_PX * pitch_m * MIDDLE_M / DISTANCE_M,
        0,
        MIDDLE_M,
    ]
    mesh = TriangleMesh(np.array(foil.vertices), np.ascontiguousarray(foil.faces, np.int32))
    detector = Detector(quantum_noise=False, electronic_noise_counts=0.0)
    renderer = Renderer(empty_scene(), detector=detector, anatomy_px=64, supersampling=rays)
    body = Body(mesh, 'stainless_steel', make_pose(turn, shift))
    view = View(geometry, np.eye(4))
    return renderer.render(view, [body], np.random.default_rng(0)).counts.astype(float)


def edge_spread(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return distance to the edge along rows [px] and mean signal, in steps of 1 / SLANT px."""
    middle = (PIXELS - 1) / 2
    rows, columns = np.mgrid[0:PIXELS, 0:PIXELS]
    edge = middle + OFF_CENTRE_PX - (rows - middle) / SLANT
    place = np.floor((columns - edge) * SLANT).astype(int)
    reach = REACH_PX * SLANT
    inside = (place >= -reach) & (place < reach) & (np.abs(rows - middle) < PIXELS // 2 - 8)
    index = place[inside] + REACH_PX * SLANT
    spread = np.bincount(index, counts[inside]) / np.bincount(index)
    return (np.arange(len(spread)) + 0.5) / SLANT - REACH_PX, spread


def mtf(counts: np.ndarray, cycles_px: np.ndarray) -> np.ndarray:
    """Return the modulation transfer of an edge image at frequencies [cycles/px]."""
    place, spread = edge_spread(counts)
    line = np.diff(spread)
    centre = (place[1:] + place[:-1]) / 2
    transfer = np.abs(np.exp(-2j * np.pi * np.outer(cycles_px, centre)) @ line) / abs(line.sum())
    return transfer / np.sinc(cycles_px / SLANT)


def section(quick: bool) -> Section:
    """Measure at the native and at binned pitches, with one ray a pixel and with more."""
    cycles = np.linspace(0.0, 0.5, 26)
    sigma_m, curves, checks, rows = Detector().blur_m, {}, [], []
    for name, pitch in PITCHES_M.items():
        sigma, deviation = sigma_m / pitch, 0.0
        ideal = panel_filter.ideal_mtf(cycles, sigma)
        for rays in RAYS:
            measured = mtf(edge_image(pitch, rays), cycles)
            model = panel_filter.sampled_filter(cycles, sigma) * panel_filter.aperture(
                cycles, rays
            )
            curves[name, rays] = measured, model, ideal
            deviation = float(np.max([deviation, np.abs(measured - model).max()]))
        checks.append(
            Check(f'MTF at a pitch of {name}, up to the Nyquist frequency', deviation, LIMIT, '')
        )
        for share in (0.25, 0.5):
            at = np.argmin(np.abs(cycles - share))
            values = [curves[name, rays][0][at] for rays in RAYS]
            rows.append(
                (
                    f'{name}, {share / pitch / 1e3:.2f} /mm',
                    *(f'{v:.3f}' for v in (*values, ideal[at])),
                )
            )
    headings = (
        'MTF at half the Nyquist frequency and at it',
        *(f'{n} x {n} rays' for n in RAYS),
        'continuous panel',
    )
    return Section(
        'Modulation transfer',
        f'A steel foil of {FOIL_M * 1e6:g} µm whose edge is slanted by 1 in {SLANT}, rendered '
        'without noise; edge spread sampled 20 times a pixel, differentiated, transformed (the '
        f'slanted-edge method of IEC 62220-1). Model: a Gaussian of {sigma_m * 1e3:g} mm over '
        'square pixels, applied as a filter sampled at pixel centres, times the aperture of the '
        'rays averaged per pixel.',
        checks,
        [Table(headings, rows)],
        [_plot(cycles, curves)],
        'A continuous panel (dotted) sees less than one ray a pixel near the Nyquist frequency: '
        'there a sampled picture carries aliased detail. What is smoother than two pixels, as all '
        'anatomy of a CT is, comes out alike; averaging rays (`supersampling`) brings thin '
        'devices near the continuous panel at binned pitches and is a little softer at the '
        'native one.',
    )


def _plot(cycles: np.ndarray, curves: dict) -> Plot:
    figure, axes = panels(len(PITCHES_M), 12.5)
    for axis, (name, pitch) in zip(axes, PITCHES_M.items(), strict=True):
        frequency = cycles / pitch / 1e3
        for colour, rays in zip(COLOURS, RAYS, strict=False):
            measured, model, ideal = curves[name, rays]
            axis.plot(frequency, model, color=colour, lw=1.3, label=f'model, {rays} x {rays} rays')
            axis.plot(frequency, measured, 'o', color=colour, ms=3.5, mfc='none', label='measured')
        axis.plot(frequency, ideal, ':', color=MUTED, lw=1.3, label='continuous panel')
        axis.set(
            title=f'pitch {name}',
            xlabel='spatial frequency [1/mm]',
            ylim=(0, 1.05),
            xlim=(0, None),
        )
    axes[0].set_ylabel('modulation transfer')
    legend(axes[0], loc='upper right')
    return Plot('mtf', figure, 'Modulation transfer by slanted edges and by the model')
