"""Photons in a homogeneous box: interaction tables from xraylib, and the track of one photon.

Photo-absorption, Compton scatter (Klein-Nishina times the incoherent scattering function) and
Rayleigh scatter (form factors of independent atoms) at 5..150 keV. Absorption is taken as a
weight, with Russian roulette below 0.05. Left out: fluorescence of light elements, Doppler
broadening, polarisation, interference between molecules. Lengths are centimetres; the box lies
between z = 0 and its thickness, the beam runs along +z.
"""
# ruff: noqa: NPY002 - inside numba these are the generators of each thread

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numba as nb
import numpy as np
import xraylib
from numpy.typing import NDArray

from synthex_ros.xray.attenuation import mass_attenuation_cm2_g

ELECTRON_KEV = 510.99895
KEV_ANGSTROM = 12.39842
LOWEST_KEV, STEP_KEV, ENERGY_BINS = 5.0, 0.25, 584
TRANSFER_STEP, TRANSFER_BINS = 0.01, 1300  # sin(theta / 2) / wavelength [1/Angstrom]


@dataclass(frozen=True, eq=False)
class Medium:
    """Interaction tables of a material.

    Attributes:
        tables: attenuation [1/cm], Compton and Rayleigh share of it, by energy, shape (3, N).
        incoherent: incoherent scattering function a gram, up to a factor, by momentum transfer.
        coherent: integral of the squared form factor over squared momentum transfer.
    """

    tables: NDArray[np.float64]
    incoherent: NDArray[np.float64]
    coherent: NDArray[np.float64]

    @classmethod
    def of(cls, mass_fractions: dict[int, float], density_g_cm3: float) -> Medium:
        """Return the medium of a mixture, atomic number to mass fraction."""
        energies = energy_grid_kev()
        total, compton, rayleigh = (
            sum(w * np.array([call(z, e) for e in energies]) for z, w in mass_fractions.items())
            for call in (xraylib.CS_Total, xraylib.CS_Compt, xraylib.CS_Rayl)
        )
        transfer = np.maximum(np.arange(TRANSFER_BINS) * TRANSFER_STEP, 1e-3)
        atoms = {z: w / xraylib.AtomicWeight(z) for z, w in mass_fractions.items()}
        incoherent = sum(
            n * np.array([xraylib.SF_Compt(z, q) for q in transfer]) for z, n in atoms.items()
        )
        squared = sum(
            n * np.array([xraylib.FF_Rayl(z, q) ** 2 for q in transfer]) for z, n in atoms.items()
        )
        area = 0.5 * (squared[1:] + squared[:-1]) * np.diff(transfer**2)
        tables = np.stack([total * density_g_cm3, compton / total, rayleigh / total])
        return cls(tables, incoherent, np.concatenate([[0.0], np.cumsum(area)]))


@lru_cache(maxsize=1)
def water() -> Medium:
    """Return liquid water."""
    data = xraylib.GetCompoundDataNISTByName('Water, Liquid')
    return Medium.of(dict(zip(data['Elements'], data['massFractions'], strict=True)), 1.0)


def energy_grid_kev() -> NDArray[np.float64]:
    """Return the energies of the tables [keV]."""
    return LOWEST_KEV + STEP_KEV * np.arange(ENERGY_BINS)


def panel_depth(scintillator_g_cm2: float) -> NDArray[np.float64]:
    """Return the optical depth of a CsI layer on the energy grid, met head on."""
    return scintillator_g_cm2 * mass_attenuation_cm2_g('csi', energy_grid_kev())


@nb.njit(inline='always')
def table_value(table, energy):
    """Return a table's value at an energy."""
    position = min(max((energy - LOWEST_KEV) / STEP_KEV, 0.0), ENERGY_BINS - 1.001)
    low = int(position)
    return table[low] + (position - low) * (table[low + 1] - table[low])


@nb.njit(cache=True)
def _compton_cosine(energy, incoherent):
    """Return a cosine of Compton scatter, by rejection from the uniform distribution."""
    wave_number = energy / KEV_ANGSTROM
    highest = incoherent[min(int(wave_number / TRANSFER_STEP) + 1, TRANSFER_BINS - 1)]
    while True:
        cosine = 2 * np.random.random() - 1
        ratio = 1 / (1 + energy / ELECTRON_KEV * (1 - cosine))
        klein_nishina = 0.5 * ratio * ratio * (ratio + 1 / ratio - 1 + cosine * cosine)
        position = wave_number * np.sqrt(0.5 * (1 - cosine)) / TRANSFER_STEP
        low = min(int(position), TRANSFER_BINS - 2)
        bound = incoherent[low] + (position - low) * (incoherent[low + 1] - incoherent[low])
        if np.random.random() * highest < klein_nishina * bound:
            return cosine


@nb.njit(cache=True)
def _rayleigh_cosine(energy, coherent):
    """Return a cosine of Rayleigh scatter: squared form factor, then Thomson by rejection."""
    wave_number = energy / KEV_ANGSTROM
    position = min(wave_number / TRANSFER_STEP, TRANSFER_BINS - 1.001)
    low = int(position)
    whole = coherent[low] + (position - low) * (coherent[low + 1] - coherent[low])
    while True:
        aim = np.random.random() * whole
        low = min(np.searchsorted(coherent, aim, side='right') - 1, TRANSFER_BINS - 2)
        share = (aim - coherent[low]) / (coherent[low + 1] - coherent[low])
        squared = (low * low + share * (2 * low + 1)) * TRANSFER_STEP**2
        cosine = max(1 - 2 * squared / wave_number**2, -1.0)
        if np.random.random() < 0.5 * (1 + cosine * cosine):
            return cosine


@nb.njit(inline='always')
def _turn(direction, cosine):
    """Turn a unit vector by a polar angle and a random azimuth."""
    u, v, w = direction[0], direction[1], direction[2]
    sine, azimuth = np.sqrt(max(1 - cosine * cosine, 0.0)), 2 * np.pi * np.random.random()
    a, b = sine * np.cos(azimuth), sine * np.sin(azimuth)
    level = np.sqrt(max(1 - w * w, 0.0))
    if level < 1e-6:
        direction[0], direction[1], direction[2] = a, b, cosine * np.sign(w)
        return
    direction[0] = u * cosine + (a * u * w - b * v) / level
    direction[1] = v * cosine + (a * v * w + b * u) / level
    direction[2] = w * cosine - a * level


@nb.njit(inline='always')
def _leave(tally, regions, place, energy):
    """Add energy left at a place to the box and to the regions around it."""
    tally[0] += energy
    for n in range(regions.shape[0]):
        low, high = regions[n, 0], regions[n, 1]
        inside = True
        for axis in range(3):
            inside &= low[axis] <= place[axis] < high[axis]
        if inside:
            tally[n + 1] += energy


@nb.njit(cache=True)
def track(tables, incoherent, coherent, size, place, direction, energy, weight, regions, tally):
    """Follow a photon; return its energy, its weight (0: absorbed) and its scatterings.

    size: half side and thickness of the box; place and direction are left where it leaves.
    """
    scatterings = 0
    while True:
        path = -np.log(1 - np.random.random()) / table_value(tables[0], energy)
        way = (size[1] - place[2]) / direction[2] if direction[2] > 0 else np.inf
        if direction[2] < 0:
            way = -place[2] / direction[2]
        for axis in range(2):
            if direction[axis] != 0:
                side = np.copysign(size[0], direction[axis])
                way = min(way, (side - place[axis]) / direction[axis])
        step = min(path, way)
        for axis in range(3):
            place[axis] += step * direction[axis]
        if path >= way:
            return energy, weight, scatterings
        compton, rayleigh = table_value(tables[1], energy), table_value(tables[2], energy)
        _leave(tally, regions, place, weight * (1 - compton - rayleigh) * energy)
        weight *= compton + rayleigh
        if weight < 0.05:
            if np.random.random() < 0.75:
                return energy, 0.0, scatterings
            weight *= 4
        if np.random.random() * (compton + rayleigh) < compton:
            cosine = _compton_cosine(energy, incoherent)
            kept = energy / (1 + energy / ELECTRON_KEV * (1 - cosine))
            _leave(tally, regions, place, weight * (energy - kept))
            energy = kept
        else:
            cosine = _rayleigh_cosine(energy, coherent)
        if energy < LOWEST_KEV:
            _leave(tally, regions, place, weight * energy)
            return energy, 0.0, scatterings
        _turn(direction, cosine)
        scatterings += 1
