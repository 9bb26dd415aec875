"""Signal behind absorbers, summed over the full spectrum: the reference of the renderer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from synthex_ros.geometry import ProjectionGeometry
from synthex_ros.xray.attenuation import density_g_cm3, mass_attenuation_cm2_g
from synthex_ros.xray.beam import Beam
from synthex_ros.xray.spectrum import Spectrum


def signal(
    spectrum: Spectrum, beam: Beam, materials: Sequence[str], paths_cm: np.ndarray, moment: int = 1
) -> np.ndarray:
    """Return the sum of fluence * efficiency * energy^moment behind paths.

    Args:
        spectrum: full spectrum or a quadrature.
        beam: its detector holds.
        materials: names of the M materials, at their own densities.
        paths_cm: shape (..., M) [cm].
        moment: 1 for signal, 2 for variance.
    """
    energies = spectrum.energies_kev
    mu = np.stack([density_g_cm3(m) * mass_attenuation_cm2_g(m, energies) for m in materials])
    response = spectrum.fluence_cm2_mas * beam.detector.efficiency(energies) * energies**moment
    return np.exp(-np.asarray(paths_cm, float) @ mu) @ response


def pixel_signal_kev(
    beam: Beam, geometry: ProjectionGeometry, material: str, thickness_cm: float
) -> np.ndarray:
    """Return what pixels absorb behind a plate across the central ray [keV], (rows, columns)."""
    cosine = ray_cosine(geometry)
    pitch_v, pitch_u = geometry.pixel_pitch_m
    area_cm2 = pitch_v * pitch_u * 1e4 / geometry.source_to_detector_m**2
    paths = (thickness_cm / cosine)[..., None]
    behind = signal(beam.spectrum, beam, (material,), paths)
    return behind * beam.technique.charge_mas * area_cm2 * cosine**3


def ray_cosine(geometry: ProjectionGeometry) -> np.ndarray:
    """Return the cosine between ray and central ray, shape (rows, columns)."""
    rows, columns = geometry.shape_px
    pixels = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1)
    return geometry.back_project(pixels)[..., 2]
