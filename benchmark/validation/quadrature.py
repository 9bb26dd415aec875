"""The few energies that images are computed with, against the full spectrum."""

from __future__ import annotations

import itertools

import numpy as np

from benchmark.validation.absorbers import signal
from benchmark.validation.plots import AMBER, COLOURS, legend, panels
from benchmark.validation.section import Check, Plot, Section, Table
from benchmark.validation.spectra import label
from synthex_ros.geometry import ProjectionGeometry, View
from synthex_ros.xray.anatomy_layer import expose_anatomy
from synthex_ros.xray.attenuation import density_g_cm3
from synthex_ros.xray.beam import Beam, Technique
from synthex_ros.xray.detector import Detector
from synthex_ros.xray.renderer import ENERGIES

MATERIALS = ('water', 'bone', 'stainless_steel')
FILTRATIONS_MM = (
    {'Al': 3.0},
    {'Al': 3.0, 'Cu': 0.1},
    {'Al': 3.0, 'Cu': 0.3},
    {'Al': 3.0, 'Cu': 0.9},
)
LIMIT_PERCENT = 0.3
VARIANCE_LIMIT_PERCENT = 1.0
NODE_COUNTS = (2, 3, 4, 5, 6, 7, 8, 10, 12)
DETECTORS = {'600 µm CsI': Detector(), '150 µm CsI': Detector(scintillator_m=150e-6)}


def path_grid(quick: bool) -> np.ndarray:
    """Return paths up to 40 cm water, 4 cm bone and 3 mm steel, shape (N, 3) [cm]."""
    counts = (41, 9, 7) if quick else (81, 17, 13)
    axes = (np.linspace(0, top, n) for top, n in zip((40, 4, 0.3), counts, strict=True))
    return np.array(list(itertools.product(*axes)))


def rendered(beam: Beam, paths_cm: np.ndarray) -> np.ndarray:
    """Return signal and variance over that of the open field by the image kernels, (2, N)."""
    view = View(
        ProjectionGeometry(1.0, (1e-6, 1e-6), (0.0, 0.0), (1, len(paths_cm) + 1)), np.eye(4)
    )
    area = (paths_cm * [density_g_cm3(m) for m in MATERIALS]).T
    area = np.pad(area, ((0, 0), (1, 0))).astype(np.float32)[:, None]
    layer = expose_anatomy(area, MATERIALS, view, np.eye(4), beam)
    images = np.stack([layer.signal_kev[0], layer.variance_kev2[0]]).astype(float)
    images *= (1 + (np.arange(images.shape[1]) * 1e-6) ** 2) ** 1.5
    return images[:, 1:] / beam.pixel_weights(view.geometry).sum(axis=1, keepdims=True)


def deviations(beam: Beam, paths_cm: np.ndarray) -> np.ndarray:
    """Return the deviation of signal and variance from the full spectrum [%], (2, N).

    Relative to the full spectrum's open field: the gain of the detector is set by the quadrature's
    open field, so its deviation does not reach the image.
    """
    truth = [signal(beam.spectrum, beam, MATERIALS, paths_cm, moment) for moment in (1, 2)]
    opened = [signal(beam.spectrum, beam, MATERIALS, np.zeros(3), moment) for moment in (1, 2)]
    return 100 * (rendered(beam, paths_cm) / (np.array(truth).T / opened).T - 1)


def section(quick: bool) -> Section:
    """Scan voltages, filtrations, detectors and paths."""
    paths = path_grid(quick)
    voltages = range(40, 151, 20 if quick else 10)
    worst, found = {}, []
    for (name, detector), filtration in itertools.product(DETECTORS.items(), FILTRATIONS_MM):
        for voltage in voltages:
            technique = Technique(voltage, filtration_mm=tuple(filtration.items()))
            change = deviations(Beam(technique, detector), paths)
            key = name, label(filtration), voltage
            worst[key] = np.abs(change).max(axis=1)
            found.append((worst[key][0], key, paths[np.argmax(np.abs(change[0]))]))
    default = Technique(80)
    by_nodes = {
        count: np.abs(deviations(Beam(default, Detector(), count), paths)).max(axis=1)
        for count in NODE_COUNTS
    }
    found.sort(key=lambda item: -item[0])
    rows = [
        (
            f'{key[2]} kV, {key[1]}, {key[0]}',
            f'{path[0]:g} cm',
            f'{path[1]:g} cm',
            f'{10 * path[2]:g} mm',
            f'{value:.3f} %',
        )
        for value, key, path in found[:6]
    ]
    signals = np.array(list(worst.values()))
    return Section(
        f'{ENERGIES} energies instead of the full spectrum',
        f'{len(paths)} paths through water (0 to 40 cm), cortical bone (0 to 4 cm) and stainless '
        f'steel (0 to 3 mm), each alone and together; 40 to 150 kV, {len(FILTRATIONS_MM)} '
        'filtrations, two scintillators: '
        f'{len(worst)} beams. The {ENERGIES} fitted energies through the single-precision '
        'kernel of the renderer, against the sum over the 1 keV spectrum in double '
        "precision; both over their own open field, as the detector's gain is. The fit itself "
        'knows water, bone and nitinol, not steel.',
        [
            Check('signal, worst path of all beams', float(signals[:, 0].max()), LIMIT_PERCENT),
            Check(
                'quantum variance, worst path of all beams',
                float(signals[:, 1].max()),
                VARIANCE_LIMIT_PERCENT,
            ),
        ],
        [Table(('worst beams', 'water', 'bone', 'steel', 'deviation'), rows)],
        [_plot(worst, by_nodes, list(voltages))],
    )


def _plot(worst: dict, by_nodes: dict, voltages: list[int]) -> Plot:
    figure, axes = panels(2)
    for colour, filtration in zip(COLOURS, map(label, FILTRATIONS_MM), strict=False):
        for style, name in zip(('-', ':'), DETECTORS, strict=True):
            values = [worst[name, filtration, kv][0] for kv in voltages]
            text = filtration if style == '-' else None
            axes[0].semilogy(voltages, values, style, color=colour, lw=1.3, label=text)
    axes[0].set(
        title='lines 600 µm CsI, dotted 150 µm',
        xlabel='tube voltage [kV]',
        ylabel='worst deviation of the signal [%]',
        ylim=(1e-5, 3),
    )
    legend(axes[0], loc='lower left', ncols=2)
    for n, (text, colour) in enumerate((('signal', COLOURS[0]), ('variance', COLOURS[3]))):
        values = [change[n] for change in by_nodes.values()]
        axes[1].semilogy(list(by_nodes), values, 'o-', ms=3.5, lw=1.2, color=colour, label=text)
    axes[1].set(
        title='80 kV, 3 mm Al + 0.1 mm Cu',
        xlabel='number of energies',
        ylabel='worst deviation [%]',
    )
    legend(axes[1])
    for axis in axes:
        axis.axhline(LIMIT_PERCENT, color=AMBER, ls='--', lw=1)
    return Plot('quadrature', figure, 'Worst deviation from the full spectrum; dashed: limit')
