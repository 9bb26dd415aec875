"""Tube spectra beside SpekPy: mean energy, half-value layer, air kerma."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from benchmark.validation.plots import AMBER, COLOURS, MUTED, legend, panels
from benchmark.validation.section import Check, Plot, Section, Table
from synthex_ros.xray.spectrum import tungsten_spectrum

REFERENCE = Path(__file__).parents[1] / 'reference' / 'spekpy_beams.json'
LIMIT_PERCENT = 1.0
KERMA_LIMIT_PERCENT = 1.5
QUANTITIES = ('mean_energy_kev', 'half_value_layer_mm', 'air_kerma_ugy')
SHOWN_KV = (40, 60, 80, 100, 120, 150)


def label(filtration_mm: dict[str, float]) -> str:
    """Return a filtration in words."""
    return ' + '.join(f'{mm:g} mm {name}' for name, mm in filtration_mm.items())


def compared(row: dict) -> dict[str, tuple[float, float]]:
    """Return each quantity of a beam, ours and SpekPy's."""
    beam = tungsten_spectrum(row['tube_voltage_kv'], row['filtration_mm'])
    ours = (
        beam.mean_energy_kev,
        beam.half_value_layer_mm('Al'),
        1e6 * beam.air_kerma_gy(1.0, 1.0),
    )
    return {name: (value, row[name]) for name, value in zip(QUANTITIES, ours, strict=True)}


def section(quick: bool) -> Section:
    """Compare all beams of the reference table."""
    stored = json.loads(REFERENCE.read_text(encoding='utf-8'))
    rows = stored['beams']
    pairs = [compared(row) for row in rows]
    change = {
        name: np.array([100 * (p[name][0] / p[name][1] - 1) for p in pairs]) for name in QUANTITIES
    }
    worst = {name: float(np.abs(values).max()) for name, values in change.items()}
    checks = [
        Check('mean energy', worst['mean_energy_kev'], LIMIT_PERCENT),
        Check('half-value layer', worst['half_value_layer_mm'], LIMIT_PERCENT),
        Check('air kerma', worst['air_kerma_ugy'], KERMA_LIMIT_PERCENT),
    ]
    return Section(
        'Tube spectra',
        f'Mean photon energy, first half-value layer in aluminium and air kerma of '
        f'{len(rows)} beams (tungsten, 12 degree anode, 40 to 150 kV, four filtrations) against '
        f"{stored['source']}, as `benchmark/spekpy_beams.py` wrote them. Our table is SpekPy's "
        'unfiltered spectrum in 1 keV bins; filters, attenuation (xraylib) and kerma are our own, '
        'so what differs is binning and attenuation data.',
        checks,
        [_table(rows, pairs)],
        [_plot(rows, change)],
    )


def _table(rows: list[dict], pairs: list[dict]) -> Table:
    headings = ('beam', 'mean keV', 'SpekPy', 'HVL mm Al', 'SpekPy', 'kerma µGy/mAs at 1 m')
    cells = []
    for row, pair in zip(rows, pairs, strict=True):
        if row['tube_voltage_kv'] in SHOWN_KV and row['filtration_mm'].get('Cu', 0) in (0, 0.1):
            name = f'{row["tube_voltage_kv"]} kV, {label(row["filtration_mm"])}'
            energy, layer, kerma = (pair[name] for name in QUANTITIES)
            texts = [f'{value:.2f}' for value in (*energy, *layer, *kerma)]
            cells.append((name, *texts))
    return Table((*headings, 'SpekPy'), cells)


def _plot(rows: list[dict], change: dict[str, np.ndarray]) -> Plot:
    figure, axes = panels(3, 12.5)
    filters = list(dict.fromkeys(label(row['filtration_mm']) for row in rows))
    titles = ('mean energy', 'half-value layer', 'air kerma')
    limits = (LIMIT_PERCENT, LIMIT_PERCENT, KERMA_LIMIT_PERCENT)
    for axis, name, title, limit in zip(axes, QUANTITIES, titles, limits, strict=True):
        for colour, text in zip(COLOURS, filters, strict=False):
            chosen = [n for n, row in enumerate(rows) if label(row['filtration_mm']) == text]
            voltages = [rows[n]['tube_voltage_kv'] for n in chosen]
            axis.plot(voltages, change[name][chosen], 'o-', ms=3, lw=1.2, color=colour, label=text)
        for sign in (-1, 1):
            axis.axhline(sign * limit, color=AMBER, ls='--', lw=1)
        axis.axhline(0, color=MUTED, lw=0.8)
        axis.set(title=title, xlabel='tube voltage [kV]', ylim=(-1.8, 1.8))
    axes[0].set_ylabel('ours over SpekPy - 1 [%]')
    legend(axes[0], loc='lower right', ncols=2)
    return Plot('spectra', figure, 'Deviation from SpekPy by tube voltage; dashed: limits')
