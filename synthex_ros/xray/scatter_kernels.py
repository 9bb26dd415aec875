"""Scatter of a beam in water by thickness and air gap: weights of Gaussians over the primary.

The table comes from a Monte Carlo of pencil beams of single energies in water slabs and is made
by `benchmark/make_scatter_kernels.py`. Writing the scatter that a pencil causes as the primary it
leaves times a function of thickness is the form of Ohnesorge et al. (Eur. Radiol. 9 (1999) 563)
and of the adaptive kernels of Sun and Star-Lack (Phys. Med. Biol. 55 (2010) 6695).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from synthex_ros.xray.attenuation import mass_attenuation_cm2_g
from synthex_ros.xray.beam import Beam, Technique
from synthex_ros.xray.detector import Detector

THICKNESS_STEP_CM = 0.25
GREATEST_AIR_GAP_M = 0.80

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class BeamKernels:
    """Scatter of a beam behind water at one air gap.

    Attributes:
        weights: scattered over primary signal (0) and variance (1) that each Gaussian carries,
            by water thickness in steps of `THICKNESS_STEP_CM` from 0, shape (2, N, K), float32;
            beyond 50 cm the last row holds.
        sigma_cm: standard deviations of the K Gaussians on the detector [cm].
    """

    weights: NDArray[np.float32]
    sigma_cm: tuple[float, ...]


def beam_kernels(beam: Beam, air_gap_m: float) -> BeamKernels:
    """Return the kernels of a beam's spectrum on its detector.

    Args:
        beam: spectrum and detector; the charge plays no part.
        air_gap_m: exit of the object to the detector [m], rounded to 5 mm; beyond 0.8 m, where
            little scatter arrives, the kernels of 0.8 m hold.

    Raises:
        ValueError: the air gap is negative or not finite.
    """
    if not 0 <= air_gap_m < np.inf:
        raise ValueError(
            f'air_gap_m must be 0 or more, got {air_gap_m:g}; '
            'does the object reach through the detector?'
        )
    technique = replace(beam.technique, charge_mas=1.0, pulse_length_s=0.01)
    gap_cm = 0.5 * round(200 * min(air_gap_m, GREATEST_AIR_GAP_M))
    return _beam_kernels(technique, beam.detector, gap_cm)


@lru_cache(maxsize=128)
def _beam_kernels(technique: Technique, detector: Detector, air_gap_cm: float) -> BeamKernels:
    table = _table()
    low = int(np.searchsorted(table.air_gaps_cm, air_gap_cm, side='right')) - 1
    low = min(low, len(table.air_gaps_cm) - 2)
    span = table.air_gaps_cm[low + 1] - table.air_gaps_cm[low]
    share = (air_gap_cm - table.air_gaps_cm[low]) / span
    weights = (1 - share) * table.weights[:, :, low] + share * table.weights[:, :, low + 1]
    weights = weights * table.panel_change(detector)[..., None]

    spectrum = technique.spectrum()
    energies = spectrum.energies_kev
    depth = mass_attenuation_cm2_g('water', energies) * table.thickness_cm[:, None]
    absorbed = spectrum.fluence_cm2_mas * detector.efficiency(energies) * np.exp(-depth)
    mixed = []
    for moment in (1, 2):
        primary = absorbed * energies**moment
        shares = primary / primary.sum(axis=1, keepdims=True) @ table.blend(energies)
        mixed.append(np.einsum('ne,enk->nk', shares, weights[moment - 1]))
    return BeamKernels(np.stack(mixed).astype(np.float32), tuple(table.sigma_cm.tolist()))


@dataclass(frozen=True, eq=False)
class _Table:
    """The stored kernels, refined in thickness.

    Attributes:
        energies_kev: photon energies [keV], shape (E,).
        thickness_cm: water thickness [cm], shape (N,), from 0 by `THICKNESS_STEP_CM`.
        air_gaps_cm: air gaps [cm], shape (G,).
        sigma_cm: standard deviations of the Gaussians [cm], shape (K,).
        weights: over the primary, signal and variance, shape (2, E, G, N, K).
        scattered_kev: mean energy of absorbed scatter [keV], shape (E, N).
        scintillator_g_cm2: CsI of the panel that the kernels were made for.
    """

    energies_kev: Array
    thickness_cm: Array
    air_gaps_cm: Array
    sigma_cm: Array
    weights: Array
    scattered_kev: Array
    scintillator_g_cm2: float

    def blend(self, energies_kev: Array) -> Array:
        """Return the weights of the table's energies at others, shape (len, E)."""
        unit = np.eye(len(self.energies_kev))
        return np.stack([np.interp(energies_kev, self.energies_kev, row) for row in unit], axis=1)

    def panel_change(self, detector: Detector) -> Array:
        """Return what another panel makes of the ratios, shape (E, N).

        Its efficiency for scatter over that for the primary, relative to the table's panel.
        """
        scattered = self.scattered_kev
        primary = self.energies_kev[:, None]

        def of_table(energies: Array) -> Array:
            attenuation = mass_attenuation_cm2_g('csi', energies.ravel())
            return 1 - np.exp(-self.scintillator_g_cm2 * attenuation.reshape(energies.shape))

        def of_detector(energies: Array) -> Array:
            return detector.efficiency(energies.ravel()).reshape(energies.shape)

        change = of_detector(scattered) / of_table(scattered)
        return change * of_table(primary) / of_detector(primary)


@lru_cache(maxsize=1)
def _table() -> _Table:
    path = files('synthex_ros.xray') / 'data' / 'scatter_kernels.npz'
    with path.open('rb') as stream, np.load(stream) as stored:
        data = {name: stored[name].astype(float) for name in stored.files}
    nodes = np.concatenate([[0.0], data['thickness_cm']])
    fine = np.arange(0, nodes[-1] + THICKNESS_STEP_CM / 2, THICKNESS_STEP_CM)
    coarse = np.stack([data['signal_weights'], data['variance_weights']])
    coarse = np.moveaxis(coarse, 2, 3)
    coarse = np.concatenate([np.zeros_like(coarse[..., :1, :]), coarse], axis=-2)
    scattered = np.concatenate([data['energies_kev'][:, None], data['scattered_kev']], axis=1)
    return _Table(
        data['energies_kev'],
        fine,
        data['air_gaps_cm'],
        data['sigma_cm'],
        PchipInterpolator(nodes, coarse, axis=3)(fine),
        PchipInterpolator(nodes, scattered, axis=1)(fine),
        float(data['scintillator_g_cm2']),
    )
