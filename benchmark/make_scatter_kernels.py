"""Make synthex_ros/xray/data/scatter_kernels.npz: scatter of pencil beams in water slabs.

    python benchmark/make_scatter_kernels.py [--histories 1e6]

For each photon energy, slab thickness and air gap the Monte Carlo of `scatter_monte_carlo` gives
the energy that scatter leaves in rings of a CsI panel around a pencil beam. Non-negative weights
of circular Gaussians of fixed widths are fitted (NNLS) to the energy inside a radius, 1..40 cm,
to the same relative accuracy everywhere, and stored over the primary signal of that energy: the
sum of the weights is the scatter-to-primary ratio of an endless field. A million histories each
take about ten minutes on two cores.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
import photon_transport
import scatter_monte_carlo as monte_carlo
from numpy.typing import NDArray
from rich.progress import track
from scipy.optimize import nnls

from synthex_ros.xray.detector import Detector

OUT = Path(__file__).parents[1] / 'synthex_ros' / 'xray' / 'data'
ENERGIES_KEV = np.array([20, 25, 30, 33, 34, 36.5, 40, 45, 50, 60, 70, 85, 100, 125, 150.0])
THICKNESS_CM = np.array([1, 2, 4, 6, 8, 10, 13, 16, 20, 25, 30, 36, 43, 50.0])
AIR_GAPS_CM = np.array([0, 2, 4, 7, 10, 14, 18, 23, 29, 36, 45, 60, 80.0])
SIGMA_CM = np.array([0.5, 1, 2, 4, 8, 16, 32.0])
RADII_CM = np.concatenate([[0.0], np.geomspace(0.1, 150, 60)])
FITTED_CM = (1.0, 40.0)
RIDGE = 1e-2  # keeps neighbouring Gaussians from taking turns
LEAST_SCORED = 300  # rings with less scatter than this many photons' worth are not fitted


def kernel(energy_kev: float, thickness_cm: float, depth: NDArray, histories: int):
    """Return the weights over the primary, (2, G, K), and the mean energy absorbed [keV]."""
    water = photon_transport.water()
    scored = monte_carlo.pencil_beam(
        water, energy_kev, thickness_cm, AIR_GAPS_CM, RADII_CM, depth, histories
    )
    grid = photon_transport.energy_grid_kev()
    efficiency = 1 - np.exp(-np.interp(energy_kev, grid, depth))
    primary = efficiency * np.exp(-thickness_cm * np.interp(energy_kev, grid, water.tables[0]))
    if scored[2, 0].sum() * histories < LEAST_SCORED:
        return None
    inside = np.cumsum(scored[:2], axis=2)
    radii = RADII_CM[1:]
    fitted = (radii >= FITTED_CM[0]) & (radii <= FITTED_CM[1])
    shape = 1 - np.exp(-(radii[fitted, None] ** 2) / (2 * SIGMA_CM**2))
    weights = np.zeros((2, len(AIR_GAPS_CM), len(SIGMA_CM)))
    ridge = RIDGE * np.eye(len(SIGMA_CM))
    for moment in range(2):
        unit = primary * energy_kev ** (moment + 1)
        for gap in range(len(AIR_GAPS_CM)):
            target = inside[moment, gap, fitted]
            usable = target > 0
            scale = target[-1]
            system = np.vstack([shape[usable] * scale / target[usable, None], ridge])
            aim = np.concatenate([np.ones(usable.sum()), np.zeros(len(SIGMA_CM))])
            weights[moment, gap] = nnls(system, aim, maxiter=1000)[0] * scale / unit
    return weights, scored[0, 0].sum() / scored[2, 0].sum()


def main() -> None:
    """Write the table and its manifest."""
    parser = argparse.ArgumentParser(description='Scatter kernels of water slabs.')
    parser.add_argument('--histories', type=float, default=1e6)
    histories = int(parser.parse_args().histories)
    detector = Detector()
    panel = detector.scintillator_density_g_cm3 * detector.scintillator_m * 100
    depth = photon_transport.panel_depth(panel)
    shape = (len(ENERGIES_KEV), len(THICKNESS_CM))
    weights = np.zeros((*shape, 2, len(AIR_GAPS_CM), len(SIGMA_CM)))
    energies = np.zeros(shape)
    for t in track(range(shape[1]), 'thickness'):
        for e in reversed(range(shape[0])):
            result = kernel(ENERGIES_KEV[e], THICKNESS_CM[t], depth, histories)
            if result is not None:
                weights[e, t], energies[e, t] = result
            else:  # next to nothing of this energy passes: its ratio hardly counts
                weights[e, t] = weights[e + 1, t]
                energies[e, t] = energies[e + 1, t] * ENERGIES_KEV[e] / ENERGIES_KEV[e + 1]
    path = OUT / 'scatter_kernels.npz'
    np.savez_compressed(
        path,
        energies_kev=ENERGIES_KEV.astype(np.float32),
        thickness_cm=THICKNESS_CM.astype(np.float32),
        air_gaps_cm=AIR_GAPS_CM.astype(np.float32),
        sigma_cm=SIGMA_CM.astype(np.float32),
        signal_weights=weights[:, :, 0].astype(np.float32),
        variance_weights=weights[:, :, 1].astype(np.float32),
        scattered_kev=energies.astype(np.float32),
        scintillator_g_cm2=np.float32(panel),
    )
    manifest = {
        'file': path.name,
        'sha256': hashlib.sha256(path.read_bytes()).hexdigest(),
        'made_by': 'benchmark/make_scatter_kernels.py',
        'source': 'benchmark/scatter_monte_carlo.py, cross-sections of xraylib (BSD-3)',
        'histories_per_kernel': histories,
        'medium': 'liquid water slab without lateral limits, pencil beam at a right angle',
        'panel': f'CsI {panel:.3f} g/cm^2, oblique incidence included',
        'signal_weights': 'scattered over primary absorbed energy, by (energy, thickness, gap, '
        'Gaussian)',
        'variance_weights': 'the same for the square sum of absorbed energies',
    }
    text = json.dumps(manifest, indent=2) + '\n'
    path.with_suffix('.json').write_text(text, encoding='utf-8')
    print(f'{path}: {weights.shape}, {path.stat().st_size} bytes')


if __name__ == '__main__':
    main()
