"""Variance against mean, from a fraction of a quantum a pixel to near saturation."""

from __future__ import annotations

import numpy as np

from benchmark.validation.plots import BLUE, MUTED, PINK, legend, panels
from benchmark.validation.section import Check, Plot, Section, Table
from synthex_ros.xray.detector import Detector
from synthex_ros.xray.panel import PanelMaps

QUANTA = (0.2, 0.5, 1, 2, 5, 10, 15, 19, 21, 25, 40, 100, 300, 1e3, 3e3, 1e4, 1e5)
COUNTS_A_QUANTUM = {True: 100.0, False: 0.4}
"""Gain below and above `BRIGHT_QUANTA`: many quanta would saturate at the gain of few."""

BRIGHT_QUANTA, OFFSET_COUNTS = 300, 300.0
QUANTUM_KEV = 50.0
VARIANCE_LIMIT_PERCENT, MEAN_LIMIT_PERCENT, EMPTY_LIMIT = 2.0, 1.0, 0.005


def exposure(quanta: float, pixels: int) -> dict:
    """Return mean and variance of many pixels of one expected number of quanta [counts]."""
    detector, shape = Detector(blur_m=0.0), (pixels, pixels)
    a_quantum = COUNTS_A_QUANTUM[quanta < BRIGHT_QUANTA]
    gain = a_quantum / QUANTUM_KEV
    # The Swank factor makes fewer, larger quanta: `quanta` counts what is left.
    variance = quanta * QUANTUM_KEV**2 * detector.swank_factor
    images = (np.full(shape, value, np.float32) for value in (quanta * QUANTUM_KEV, variance))
    maps = PanelMaps(np.ones(shape, np.float32), np.full(shape, OFFSET_COUNTS, np.float32))
    rng = np.random.default_rng([3, round(10 * quanta)])
    frame = detector.expose(*images, gain, (2e-4, 2e-4), rng, maps=maps).astype(float)
    read_out = detector.electronic_noise_counts**2 + 1 / 12
    return {
        'quanta': quanta,
        'mean': frame.mean() - OFFSET_COUNTS,
        'variance': frame.var(),
        'model_mean': quanta * a_quantum,
        'model_variance': quanta * a_quantum**2 + read_out,
        'read_out': read_out,
        'empty': float(np.mean(frame < OFFSET_COUNTS + a_quantum / 2)),
    }


def section(quick: bool) -> Section:
    """Measure the photon transfer."""
    points = [exposure(quanta, 512 if quick else 1536) for quanta in QUANTA]
    variance, mean = (
        [100 * (p[key] / p[f'model_{key}'] - 1) for p in points] for key in ('variance', 'mean')
    )
    few = [p for p in points if p['quanta'] <= 5]
    empty = max(abs(p['empty'] - np.exp(-p['quanta'])) for p in few)
    checks = [
        Check('variance, worst exposure', float(np.abs(variance).max()), VARIANCE_LIMIT_PERCENT),
        Check('mean, worst exposure', float(np.abs(mean).max()), MEAN_LIMIT_PERCENT),
        Check('share of pixels without a quantum, up to 5', empty, EMPTY_LIMIT, ''),
    ]
    rows = [
        (
            f'{p["quanta"]:g}', f'{p["mean"]:.1f}', f'{p["model_mean"]:.1f}',
            f'{p["variance"]:.4g}', f'{p["model_variance"]:.4g}', f'{change:+.2f} %',
            f'{p["empty"]:.4f} ({np.exp(-p["quanta"]):.4f})' if p['quanta'] <= 5 else '',
        )
        for p, change in zip(points, variance, strict=True)
    ]  # fmt: skip
    headings = (
        'quanta a pixel',
        'mean',
        'model',
        'variance',
        'model',
        'deviation',
        'empty (model)',
    )
    return Section(
        'Photon transfer',
        'Mean and variance over the pixels of even exposures without light spread. Model: '
        'Poisson quanta of equal size (the Swank factor counted in), read-out noise of 6 counts, '
        'and 1/12 for rounding. Below 20 quanta the detector draws Poisson numbers, above normal '
        'ones; the points at 19 and 21 stand on both sides. The gain is 100 counts a quantum up '
        f'to {BRIGHT_QUANTA} quanta and 0.4 from there on; an even offset keeps dark pixels '
        'off zero.',
        checks,
        [Table(headings, rows)],
        [_plot(points, variance)],
    )


def _plot(points: list[dict], change: list[float]) -> Plot:
    figure, axes = panels(2)
    for colour, bright in ((BLUE, False), (PINK, True)):
        part = [p for p in points if (p['quanta'] >= BRIGHT_QUANTA) == bright]
        mean = [p['model_mean'] for p in part]
        text = f'{COUNTS_A_QUANTUM[not bright]:g} counts a quantum'
        axes[0].loglog(mean, [p['model_variance'] for p in part], color=colour, lw=1.3, label=text)
        axes[0].loglog(mean, [p['variance'] for p in part], 'o', color=colour, ms=4, mfc='none')
    axes[0].set(
        title='lines model, rings measured', xlabel='mean [counts]', ylabel='variance [counts²]'
    )
    legend(axes[0])
    axes[1].semilogx([p['quanta'] for p in points], change, 'o-', color=BLUE, ms=3.5, lw=1.2)
    axes[1].axvline(20, color=MUTED, ls=':', lw=1)
    axes[1].text(22, 1.7, 'Poisson | normal', fontsize=8, color=MUTED, ha='left')
    axes[1].set(xlabel='quanta a pixel', ylabel='variance over model - 1 [%]', ylim=(-2.1, 2.1))
    return Plot('photon_transfer', figure, 'Variance by mean, and its deviation from the model')
