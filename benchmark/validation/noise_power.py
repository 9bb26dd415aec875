"""Noise power spectrum of an even exposure, against the model; detective quantum efficiency."""

from __future__ import annotations

import numpy as np

from benchmark.validation import panel_filter
from benchmark.validation.plots import COLOURS, MUTED, legend, panels
from benchmark.validation.section import Check, Plot, Section, Table
from synthex_ros.geometry import CArm
from synthex_ros.xray.attenuation import mass_attenuation_cm2_g
from synthex_ros.xray.beam import Beam, Technique
from synthex_ros.xray.detector import Detector

ROI_PX, MARGIN_PX = 128, 8
FRAME_PX = 4 * ROI_PX + 2 * MARGIN_PX
WATER_CM = 15.0
LIMIT_PERCENT = 2.0
DQE_LIMIT_PERCENT = 2.0
BINS = 16
PITCHES_PX = {'0.194 mm': 1536, '0.582 mm (3 x 3)': 512}


def spectrum(pixels: int, frames: int) -> dict:
    """Return measured and modelled noise power of a panel of `pixels` a side [mm^2], 2-D."""
    geometry = CArm().geometry().resized((pixels, pixels))
    detector, pitch_m = Detector(), geometry.pixel_pitch_m[0]
    beam = Beam(Technique(80.0, 2.0), detector)
    depth = beam.mass_attenuation_cm2_g(('water',))[0] * WATER_CM
    mean, square = beam.pixel_weights(geometry).astype(float) @ np.exp(-depth)
    shape, gain, rng = (FRAME_PX, FRAME_PX), 30_000 / mean, np.random.default_rng([7, pixels])
    signal, variance = (np.full(shape, value, np.float32) for value in (mean, square))
    power, window = np.zeros((ROI_PX, ROI_PX)), _window()
    for _ in range(frames):
        frame = detector.expose(signal, variance, gain, geometry.pixel_pitch_m, rng)
        inner = frame[MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX] / 30_000 - 1
        tiles = (
            inner.reshape(4, ROI_PX, 4, ROI_PX).transpose(0, 2, 1, 3).reshape(-1, ROI_PX, ROI_PX)
        )
        power += np.mean(np.abs(np.fft.fft2(tiles * window)) ** 2, axis=0)
    cycles = np.fft.fftfreq(ROI_PX)
    across = panel_filter.sampled_filter(cycles, detector.blur_m / pitch_m)
    transfer = np.outer(across, across)
    quantum = square / mean**2 / detector.swank_factor
    read_out = (detector.electronic_noise_counts**2 + 1 / 12) / 30_000**2
    scale = (1e3 * pitch_m) ** 2
    energies, photons = _behind_water(beam)
    per_pixel = photons * beam.technique.charge_mas * (pitch_m * 1e2) ** 2
    per_pixel /= geometry.source_to_detector_m**2
    response = detector.efficiency(energies)
    ideal = (photons @ (response * energies)) ** 2 / (
        photons @ (response * energies**2) * photons.sum()
    )
    return {
        'measured': scale * power / frames / np.sum(window**2),
        'model': scale * (quantum * transfer**2 + read_out),
        'transfer': transfer,
        'cycles': np.hypot(*np.meshgrid(cycles, cycles)),
        'pitch_m': pitch_m,
        'quanta': float(per_pixel.sum()),
        'dqe_model': float(ideal * detector.swank_factor),
    }


def _window() -> np.ndarray:
    """Return a Hann window; without one, low frequencies leak into the weak high ones."""
    across = np.sin(np.pi * (np.arange(ROI_PX) + 0.5) / ROI_PX) ** 2
    return np.outer(across, across)


def _behind_water(beam: Beam) -> tuple[np.ndarray, np.ndarray]:
    """Return energies [keV] and fluence behind the water, of the full spectrum."""
    energies = beam.spectrum.energies_kev
    passed = np.exp(-WATER_CM * mass_attenuation_cm2_g('water', energies))
    return energies, beam.spectrum.fluence_cm2_mas * passed


def section(quick: bool) -> Section:
    """Measure at the native and the binned pitch."""
    results = {name: spectrum(pixels, 30 if quick else 150) for name, pixels in PITCHES_PX.items()}
    checks, rows = [], []
    for name, found in results.items():
        radius, measured, model = rings(found)
        worst = 100 * float(np.abs(measured / model - 1).max())
        checks.append(Check(f'noise power at a pitch of {name}, worst ring', worst, LIMIT_PERCENT))
        for n in (0, BINS // 2, BINS - 1):
            frequency = radius[n] / found['pitch_m'] / 1e3
            texts = (
                f'{measured[n]:.4g}',
                f'{model[n]:.4g}',
                f'{100 * (measured[n] / model[n] - 1):+.2f} %',
            )
            rows.append((f'{name}, {frequency:.2f} /mm', *texts))
    found = results['0.194 mm']
    low = (found['cycles'] > 0) & (found['cycles'] < 0.1)
    flat = np.mean((found['measured'] / found['transfer'] ** 2)[low])
    efficiency = (1e3 * found['pitch_m']) ** 2 / (flat * found['quanta'])
    change = 100 * abs(efficiency / found['dqe_model'] - 1)
    checks.append(
        Check('detective quantum efficiency at low frequency', change, DQE_LIMIT_PERCENT)
    )
    return Section(
        'Noise power',
        f'Even exposures behind {WATER_CM:g} cm of water (80 kV, 2 mAs), tiles of {ROI_PX} x '
        f'{ROI_PX} pixels under a Hann window, squared Fourier transform over the squared signal, '
        'averaged over rings. Model: compound Poisson quanta of the beam with the Swank factor, '
        'through the same filter as the signal, plus white read-out and rounding noise. The '
        'efficiency is squared signal to noise over the number of quanta that arrive, counted '
        'with the full spectrum; model: CsI absorption times the spread of energies times the '
        'Swank factor.',
        checks,
        [Table(('normalised noise power [mm²]', 'measured', 'model', 'deviation'), rows)],
        [_plot(results)],
        f'Detective quantum efficiency at low frequency: {efficiency:.3f}, model '
        f'{found["dqe_model"]:.3f}. K-fluorescence and the quanta that Compton scatter inside the '
        'CsI are not modelled, so this is an upper end of what real panels reach.',
    )


def rings(found: dict) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return frequency [cycles/px], measured and modelled power averaged over rings."""
    edges = np.linspace(0, 0.5, BINS + 1)
    ring = np.digitize(found['cycles'].ravel(), edges) - 1
    ring[0] = BINS  # the mean level
    keep = ring < BINS
    counts = np.bincount(ring[keep], minlength=BINS)
    values = (
        np.bincount(ring[keep], image.ravel()[keep], BINS) / counts
        for image in (found['cycles'], found['measured'], found['model'])
    )
    return tuple(values)


def _plot(results: dict) -> Plot:
    figure, axes = panels(2, 9.6)
    for colour, (name, found) in zip(COLOURS, results.items(), strict=False):
        radius, measured, model = rings(found)
        frequency = radius / found['pitch_m'] / 1e3
        axes[0].semilogy(frequency, model, color=colour, lw=1.3, label=f'model, {name}')
        axes[0].semilogy(
            frequency, measured, 'o', color=colour, ms=4, mfc='none', label='measured'
        )
        change = 100 * (measured / model - 1)
        axes[1].plot(frequency, change, 'o-', color=colour, ms=3.5, lw=1.2, label=name)
    axes[0].set(xlabel='spatial frequency [1/mm]', ylabel='normalised noise power [mm²]')
    axes[1].set(xlabel='spatial frequency [1/mm]', ylabel='measured over model - 1 [%]')
    axes[1].axhline(0, color=MUTED, lw=0.8)
    for axis in axes:
        legend(axis)
    return Plot('noise_power', figure, 'Noise power and its deviation from the model')
