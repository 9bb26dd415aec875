"""Lag: what is left after the beam stops, against the exponentials."""

from __future__ import annotations

import numpy as np

from benchmark.validation.plots import COLOURS, MUTED, legend, panels
from benchmark.validation.section import Check, Plot, Section, Table
from synthex_ros.xray.detector import Detector
from synthex_ros.xray.lag import Lag, LagMemory
from synthex_ros.xray.panel import PanelMaps

RATES_HZ = (7.5, 15.0, 30.0)
SHAPE, BRIGHT_COUNTS, OFFSET_COUNTS = (128, 128), 50_000.0, 100.0
LIMIT_COUNTS = 0.5
BEAM_ON_S, BEAM_OFF_S = 12.0, 4.0


def decay(lag: Lag, rate_hz: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return time since the last exposure [s], mean counts, and what the model leaves [counts]."""
    detector, memory = Detector(quantum_noise=False), LagMemory(lag, SHAPE)
    maps = PanelMaps(np.ones(SHAPE, np.float32), np.full(SHAPE, OFFSET_COUNTS, np.float32))
    rng, blank = np.random.default_rng(5), np.zeros(SHAPE, np.float32)
    bright = np.full(SHAPE, BRIGHT_COUNTS, np.float32)

    def mean(signal: np.ndarray) -> float:
        frame = detector.expose(
            signal, blank, 1.0, (2e-4, 2e-4), rng, memory=memory, interval_s=1 / rate_hz, maps=maps
        )
        return float(frame.mean(dtype=float)) - OFFSET_COUNTS

    for _ in range(round(BEAM_ON_S * rate_hz)):
        mean(bright)
    times = np.arange(1, round(BEAM_OFF_S * rate_hz) + 1) / rate_hz
    left = np.array([mean(blank) for _ in times])
    # A state that was fed for BEAM_ON_S instead of for ever.
    fed = [(share * (1 - np.exp(-BEAM_ON_S / time_s)), time_s) for share, time_s in lag.terms]
    model = BRIGHT_COUNTS * sum(share * np.exp(-times / time_s) for share, time_s in fed)
    return times, left, model


def section(quick: bool) -> Section:
    """Measure at several frame rates."""
    lag = Lag()
    curves = {rate: decay(lag, rate) for rate in RATES_HZ}
    rows = []
    for rate, (times, left, model) in curves.items():
        for at in (times[0], 1.0):
            n = int(np.argmin(np.abs(times - at)))
            rows.append(
                (f'{rate:g} frames/s, {times[n]:.3f} s', f'{left[n]:.1f}', f'{model[n]:.1f}',
                 f'{100 * left[n] / BRIGHT_COUNTS:.3f} %')
            )  # fmt: skip
    terms = ' + '.join(f'{share:g} exp(-t / {time_s:g} s)' for share, time_s in lag.terms)
    worst = max(float(np.abs(left - model).max()) for _, left, model in curves.values())
    return Section(
        'Lag',
        f'{BEAM_ON_S:g} s of even exposure of {BRIGHT_COUNTS:g} counts, then dark frames: mean of '
        f'{SHAPE[0]} x {SHAPE[1]} pixels with read-out noise. Model: {terms}, at the time since '
        'the last exposure, whatever the frame rate.',
        [Check('mean of any dark frame', worst, LIMIT_COUNTS, 'counts')],
        [Table(('after the exposure', 'measured counts', 'model', 'of the signal'), rows)],
        [_plot(curves)],
    )


def _plot(curves: dict) -> Plot:
    figure, axes = panels(2)
    for colour, (rate, (times, left, model)) in zip(COLOURS, curves.items(), strict=False):
        text = f'{rate:g} frames/s'
        axes[0].semilogy(
            times, 100 * left / BRIGHT_COUNTS, 'o', color=colour, ms=3, mfc='none', label=text
        )
        axes[1].plot(times, left - model, '.-', color=colour, lw=0.8, ms=3, label=text)
    times, _, model = curves[RATES_HZ[-1]]
    axes[0].semilogy(times, 100 * model / BRIGHT_COUNTS, color=MUTED, lw=1, label='model')
    axes[0].set(xlabel='time since the last exposure [s]', ylabel='left of the signal [%]')
    axes[1].set(xlabel='time since the last exposure [s]', ylabel='measured - model [counts]')
    axes[1].set_ylim(-0.3, 0.3)
    legend(axes[0])
    legend(axes[1], loc='upper center', ncols=3)
    return Plot('lag', figure, 'Decay of lag, and its deviation from the model')
