"""A tungsten tube by Kramers' law, without the project's table of spectra.

Bremsstrahlung of a thick target after Kramers (Phil. Mag. 46 (1923) 836), each energy born at half
the depth where electrons have slowed to it (Thomson-Whiddington) and attenuated on its way out as
in Birch and Marshall (Phys. Med. Biol. 24 (1979) 505); K lines grow with the overvoltage to the
power of 1.63 (Green and Cosslett, J. Phys. D 1 (1968) 425).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import xraylib
from numpy.typing import NDArray

Array = NDArray[np.float64]

TUNGSTEN = 74
WHIDDINGTON_KEV2_CM2_G = 5e5
K_SHARE_AT_100_KV = 0.10
"""Photons of the K lines over those of bremsstrahlung, before filters."""
FILTER_DENSITY_G_CM3 = {'Al': 2.699, 'Cu': 8.96}
MM_OF_CM = 10.0
_LOWEST_KEV = 12.0
_LINES = (xraylib.KA1_LINE, xraylib.KA2_LINE, xraylib.KB1_LINE, xraylib.KB2_LINE)


@lru_cache(maxsize=256)
def _coefficients(compound: str, energies_kev: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(xraylib.CS_Total_CP(compound, energy) for energy in energies_kev)


def mass_attenuation_cm2_g(compound: str, energies_kev: Array) -> Array:
    """Return xraylib's total coefficients [cm^2/g] of a formula or NIST compound, shape (E,)."""
    return np.array(_coefficients(compound, tuple(energies_kev.tolist())))


def tube_spectrum(
    tube_voltage_kv: float, anode_angle_deg: float, filtration_mm: Mapping[str, float]
) -> tuple[Array, Array]:
    """Return energies [keV] in steps of 1, shape (E,), and shares of the photons, sum 1.

    Args:
        tube_voltage_kv: peak voltage.
        anode_angle_deg: between anode and central ray.
        filtration_mm: thickness by element.
    """
    energies = np.arange(_LOWEST_KEV, tube_voltage_kv, 1.0) + 0.5
    left = np.maximum(tube_voltage_kv - energies, 0.0)
    photons = left / energies
    depth_g_cm2 = 0.5 * (tube_voltage_kv**2 - energies**2) / WHIDDINGTON_KEV2_CM2_G
    way_out = np.maximum(depth_g_cm2, 0.0) / np.tan(np.radians(anode_angle_deg))
    photons *= np.exp(-mass_attenuation_cm2_g('W', energies) * way_out)
    photons += _k_lines(energies, tube_voltage_kv) * photons.sum()
    for element, thickness in filtration_mm.items():
        area_density = FILTER_DENSITY_G_CM3[element] * thickness / MM_OF_CM
        photons *= np.exp(-mass_attenuation_cm2_g(element, energies) * area_density)
    return energies, photons / photons.sum()


def _k_lines(energies_kev: Array, tube_voltage_kv: float) -> Array:
    """Return photons of the K lines a photon of bremsstrahlung, by energy bin."""
    lines = np.zeros_like(energies_kev)
    edge = xraylib.EdgeEnergy(TUNGSTEN, xraylib.K_SHELL)
    if tube_voltage_kv <= edge:
        return lines
    share = K_SHARE_AT_100_KV * ((tube_voltage_kv / edge - 1) / (100 / edge - 1)) ** 1.63
    rates = np.array([xraylib.RadRate(TUNGSTEN, line) for line in _LINES])
    places = [xraylib.LineEnergy(TUNGSTEN, line) for line in _LINES]
    for rate, place in zip(rates / rates.sum(), places, strict=True):
        lines[np.argmin(np.abs(energies_kev - place))] += share * rate
    return lines
