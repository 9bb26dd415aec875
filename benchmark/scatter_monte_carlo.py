"""Monte Carlo of beams on a slab: the reference that scatter kernels are fitted to and judged by.

Three sources and tallies around `photon_transport`: rings around a pencil beam, the centre of a
square cone beam, and energy left in regions of a box. Lengths are centimetres.
"""
# ruff: noqa: NPY002 - inside numba these are the generators of each thread

from __future__ import annotations

import numba as nb
import numpy as np
from numpy.typing import NDArray
from photon_transport import Medium, energy_grid_kev, table_value, track

CHUNKS = 64


def pencil_beam(
    medium: Medium,
    energy_kev: float,
    thickness_cm: float,
    air_gaps_cm: NDArray[np.float64],
    radii_cm: NDArray[np.float64],
    depth: NDArray[np.float64],
    histories: int,
    seed: int = 1,
) -> NDArray[np.float64]:
    """Return what scatter leaves in rings of the panel behind a pencil beam, per photon.

    Returns:
        Absorbed energy [keV], its square sum [keV^2] and photons absorbed, by air gap and ring,
        shape (3, G, B) for B + 1 radii.
    """
    scored = _pencil(
        medium.tables,
        medium.incoherent,
        medium.coherent,
        energy_kev,
        thickness_cm,
        air_gaps_cm,
        radii_cm**2,
        depth,
        histories // CHUNKS,
        seed,
    )
    return scored.sum(axis=0) / (histories // CHUNKS * CHUNKS)


def scatter_to_primary(
    medium: Medium,
    spectrum: tuple[NDArray[np.float64], NDArray[np.float64]],
    source_to_detector_cm: float,
    thickness_cm: float,
    air_gap_cm: float,
    field_cm: float,
    window_cm: float,
    depth: NDArray[np.float64],
    histories: int,
    seed: int = 1,
) -> tuple[float, float]:
    """Return scatter over primary signal at the centre of a square field, and its standard error.

    Args:
        medium: the slab's material.
        spectrum: energies [keV] and photons of the cone beam.
        source_to_detector_cm: focal spot to panel.
        thickness_cm: of the slab.
        air_gap_cm: slab's exit to panel.
        field_cm: side of the field on the panel.
        window_cm: side of the central square in which scatter is scored.
        depth: optical depth of the panel, `panel_depth`.
        histories: photons to follow.
        seed: of the random numbers.
    """
    energies, photons = spectrum
    cumulative = np.cumsum(photons) / np.sum(photons)
    scored = _cone(
        medium.tables,
        medium.incoherent,
        medium.coherent,
        energies,
        cumulative,
        np.array([source_to_detector_cm, thickness_cm, air_gap_cm, field_cm / 2, window_cm / 2]),
        depth,
        histories // CHUNKS,
        seed,
    )
    grid = energy_grid_kev()
    efficiency = 1 - np.exp(-np.interp(energies, grid, depth))
    passed = np.exp(-thickness_cm * np.interp(energies, grid, medium.tables[0]))
    primary = np.sum(photons * energies * efficiency * passed) / photons.sum() / field_cm**2
    ratios = scored / (histories // CHUNKS) / window_cm**2 / primary
    return float(ratios.mean()), float(ratios.std() / np.sqrt(CHUNKS))


def deposited_kev(
    medium: Medium,
    energy_kev: float,
    box_cm: tuple[float, float],
    source_to_box_cm: float,
    field: tuple[float, float],
    regions_cm: NDArray[np.float64],
    histories: int,
    seed: int = 1,
) -> NDArray[np.float64]:
    """Return the energy left in a box and in regions of it, per photon of a square cone beam.

    Args:
        medium: the box's material.
        energy_kev: of the photons.
        box_cm: side and thickness of the box.
        source_to_box_cm: focal spot to the entrance face.
        field: distance from the focal spot [cm], and side of the beam there [cm].
        regions_cm: lower and upper corners (x, y, z), shape (N, 2, 3).
        histories: photons to follow.
        seed: of the random numbers.

    Returns:
        Energy [keV], shape (N + 1,): the whole box first.
    """
    scored = _box(
        medium.tables,
        medium.incoherent,
        medium.coherent,
        energy_kev,
        np.array([box_cm[0] / 2, box_cm[1], source_to_box_cm, field[0], field[1] / 2]),
        regions_cm,
        histories // CHUNKS,
        seed,
    ).sum(axis=0)
    return scored[:-1] / scored[-1]


@nb.njit(parallel=True, cache=True)
def _pencil(
    tables, incoherent, coherent, energy, thickness, gaps, squares, depth, histories, seed
):
    scored = np.zeros((CHUNKS, 3, len(gaps), len(squares) - 1))
    for chunk in nb.prange(CHUNKS):
        np.random.seed(seed * CHUNKS + chunk)
        place, direction = np.empty(3), np.empty(3)
        nowhere, tally = np.empty((0, 2, 3)), np.zeros(1)
        size = np.array([np.inf, thickness])
        for _ in range(histories):
            place[:], direction[0], direction[1], direction[2] = 0.0, 0.0, 0.0, 1.0
            left, weight, scatterings = track(
                tables,
                incoherent,
                coherent,
                size,
                place,
                direction,
                energy,
                1.0,
                nowhere,
                tally,
            )
            if weight == 0 or scatterings == 0 or direction[2] <= 1e-3:
                continue
            absorbed = weight * (1 - np.exp(-table_value(depth, left) / direction[2]))
            for g in range(len(gaps)):
                x = place[0] + gaps[g] * direction[0] / direction[2]
                y = place[1] + gaps[g] * direction[1] / direction[2]
                ring = np.searchsorted(squares, x * x + y * y, side='right') - 1
                if ring < len(squares) - 1:
                    scored[chunk, 0, g, ring] += absorbed * left
                    scored[chunk, 1, g, ring] += absorbed * left * left
                    scored[chunk, 2, g, ring] += absorbed
    return scored


@nb.njit(parallel=True, cache=True)
def _cone(tables, incoherent, coherent, energies, cumulative, lengths, depth, histories, seed):
    distance, thickness, gap, half_field, half_window = lengths
    scored = np.zeros(CHUNKS)
    for chunk in nb.prange(CHUNKS):
        np.random.seed(seed * CHUNKS + chunk)
        place, direction = np.empty(3), np.empty(3)
        nowhere, tally = np.empty((0, 2, 3)), np.zeros(1)
        size = np.array([np.inf, thickness])
        for _ in range(histories):
            cosine = _aim(place, direction, half_field, distance, distance - gap - thickness)
            energy = energies[np.searchsorted(cumulative, np.random.random())]
            left, weight, scatterings = track(
                tables,
                incoherent,
                coherent,
                size,
                place,
                direction,
                energy,
                cosine**3,
                nowhere,
                tally,
            )
            if weight == 0 or scatterings == 0 or direction[2] <= 1e-3:
                continue
            x = place[0] + gap * direction[0] / direction[2]
            y = place[1] + gap * direction[1] / direction[2]
            if abs(x) < half_window and abs(y) < half_window:
                absorbed = weight * (1 - np.exp(-table_value(depth, left) / direction[2]))
                scored[chunk] += absorbed * left
    return scored


@nb.njit(parallel=True, cache=True)
def _box(tables, incoherent, coherent, energy, lengths, regions, histories, seed):
    half_side, thickness, before, distance, half_field = lengths
    scored = np.zeros((CHUNKS, len(regions) + 2))
    for chunk in nb.prange(CHUNKS):
        np.random.seed(seed * CHUNKS + chunk)
        place, direction = np.empty(3), np.empty(3)
        size = np.array([half_side, thickness])
        for _ in range(histories):
            weight = _aim(place, direction, half_field, distance, before) ** 3
            scored[chunk, -1] += weight
            track(
                tables,
                incoherent,
                coherent,
                size,
                place,
                direction,
                energy,
                weight,
                regions,
                scored[chunk, :-1],
            )
    return scored


@nb.njit(inline='always')
def _aim(place, direction, half_field, distance, before):
    """Start a photon of a cone beam at the slab's entrance; return the cosine to the axis."""
    x = half_field * (2 * np.random.random() - 1)
    y = half_field * (2 * np.random.random() - 1)
    cosine = distance / np.sqrt(distance**2 + x * x + y * y)
    direction[0], direction[1], direction[2] = x / distance * cosine, y / distance * cosine, cosine
    place[0], place[1], place[2] = x * before / distance, y * before / distance, 0.0
    return cosine
