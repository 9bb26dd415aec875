"""Scatter over primary: the renderer's kernels beside a stored Monte Carlo run."""

from __future__ import annotations

import json
from pathlib import Path

from benchmark.scatter_slabs import AIR_GAPS_CM, FIELD_CM, kernel_ratio
from benchmark.validation.plots import COLOURS, legend, panels
from benchmark.validation.section import Check, Plot, Section, Table
from synthex_ros.xray.beam import Beam, Technique
from synthex_ros.xray.detector import Detector

REFERENCE = Path(__file__).parents[1] / 'reference' / 'scatter_monte_carlo.json'
LIMIT_PERCENT, BODY_LIMIT_PERCENT = 15.0, 5.0


def section(quick: bool) -> Section:
    """Compare the kernels of today with the stored run."""
    stored = json.loads(REFERENCE.read_text(encoding='utf-8'))
    beam = Beam(Technique(stored['tube_voltage_kv']), Detector())
    rows = [
        row
        | {
            'ours': kernel_ratio(
                beam, *(row[f'{k}_cm'] for k in ('thickness', 'air_gap', 'field'))
            )
        }
        for row in stored['ratios']
    ]
    worst = max(abs(100 * (row['ours'] / row['monte_carlo'] - 1)) for row in rows)
    noise = max(100 * row['standard_error'] / row['monte_carlo'] for row in rows)
    whole = stored['body'][0]
    energy = 100 * abs(whole['ours_ev'] / whole['published_ev'] - 1)
    cells = []
    for gap in AIR_GAPS_CM:
        for thickness in sorted({row['thickness_cm'] for row in rows}):
            chosen = [
                row for row in rows if (row['air_gap_cm'], row['thickness_cm']) == (gap, thickness)
            ]
            cells.append((f'{thickness} cm water, gap {gap} cm', *(_cell(row) for row in chosen)))
    regions = [
        (row['where'], f'{row["ours_ev"]:.2f}', f'{row["published_ev"]:.2f}',
         f'{100 * (row["ours_ev"] / row["published_ev"] - 1):+.1f} %')
        for row in stored['body']
    ]  # fmt: skip
    return Section(
        'Scatter',
        f'Scattered over primary signal at the centre of square fields behind water, '
        f'{stored["tube_voltage_kv"]:g} kV, no grid, 102 cm from the focal spot to the detector. '
        'The kernels as they are now, against a Monte Carlo of a cone beam '
        f'(`benchmark/scatter.py`, {stored["histories"]:.2g} histories a slab, stored in '
        f'`benchmark/reference/`); its own standard error is up to {noise:.1f} %, at the thickest '
        'slabs. The Monte Carlo itself is checked against energies left in a body as published by '
        'AAPM task group 195 (case 2, 56.4 keV).',
        [
            Check(f'scatter over primary, worst of {len(rows)}', worst, LIMIT_PERCENT),
            Check('Monte Carlo, energy left in the whole body', energy, BODY_LIMIT_PERCENT),
        ],
        [
            Table(
                ('kernels / Monte Carlo', *(f'field {side} cm' for side in FIELD_CM)),
                cells,
            ),
            Table(
                ('Monte Carlo, energy left in', 'ours eV/photon', 'published', 'deviation'),
                regions,
            ),
        ],
        [_plot(rows)],
    )


def _cell(row: dict) -> str:
    change = 100 * (row['ours'] / row['monte_carlo'] - 1)
    return f'{row["ours"]:.3f} / {row["monte_carlo"]:.3f} ({change:+.1f} %)'


def _plot(rows: list[dict]) -> Plot:
    figure, axes = panels(len(AIR_GAPS_CM))
    for axis, gap in zip(axes, AIR_GAPS_CM, strict=True):
        for colour, side in zip(COLOURS, FIELD_CM, strict=False):
            chosen = [row for row in rows if (row['air_gap_cm'], row['field_cm']) == (gap, side)]
            thickness = [row['thickness_cm'] for row in chosen]
            ours, truth, error = (
                [row[key] for row in chosen] for key in ('ours', 'monte_carlo', 'standard_error')
            )
            axis.plot(thickness, ours, color=colour, lw=1.3, label=f'field {side} cm')
            axis.errorbar(
                thickness, truth, error, fmt='o', ms=4, mfc='none', color=colour, capsize=2, lw=1
            )
        axis.set(title=f'air gap {gap} cm', xlabel='water [cm]', ylim=(0, None))
        axis.set_xticks(thickness)
    axes[0].set_ylabel('scatter over primary')
    legend(axes[0], title='lines kernels, rings Monte Carlo', loc='upper left')
    return Plot('scatter', figure, 'Scatter over primary by thickness of water')
