"""Tungsten tube spectra: tube voltage and filtration to photons, air kerma, and few-node sums."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import files

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import nnls

from synthex_ros.xray.attenuation import (
    density_g_cm3,
    mass_attenuation_cm2_g,
    mass_energy_absorption_cm2_g,
)

JOULE_PER_KEV = 1.602176634e-16
NNLS_ITERATIONS = 20_000
RANK_TOLERANCE = 1e-7
MOVES = (-3, -2, -1, 1, 2, 3)
MOVE_GAIN = 1e-3

# Absorbers (water cm, bone cm, nitinol mm) that a rebinned spectrum is fitted behind.
_FIT_ABSORBERS = [
    (water, bone, metal)
    for water in (0.0, 2.0, 5.0, 10.0, 15.0, 20.0, 25.0, 32.0)
    for bone in (0.0, 1.0, 4.0)
    for metal in (0.0, 0.5, 1.5, 4.0)
]


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Photons of a beam by energy, 1 m from the focal spot.

    Attributes:
        energies_kev: bin centres or quadrature nodes [keV], shape (K,), ascending.
        fluence_cm2_mas: photons per node, cm^2 and mAs at 1 m, shape (K,).
    """

    energies_kev: NDArray[np.float64]
    fluence_cm2_mas: NDArray[np.float64]

    def __post_init__(self):
        shapes = np.shape(self.energies_kev), np.shape(self.fluence_cm2_mas)
        if shapes[0] != shapes[1] or len(shapes[0]) != 1 or not shapes[0][0]:
            raise ValueError(f'energies and fluence must both have shape (K,), got {shapes}')
        if not np.all(self.fluence_cm2_mas >= 0) or not np.any(self.fluence_cm2_mas > 0):
            raise ValueError('fluence_cm2_mas must be non-negative and not all zero')

    @property
    def mean_energy_kev(self) -> float:
        """Photon-weighted mean energy [keV]."""
        return float(np.average(self.energies_kev, weights=self.fluence_cm2_mas))

    def filtered(self, filtration_mm: Mapping[str, float]) -> Spectrum:
        """Return the beam behind further filters, material to thickness [mm]."""
        depth = np.zeros_like(self.energies_kev)
        for material, thickness_mm in filtration_mm.items():
            if not 0 <= thickness_mm <= 1000:
                raise ValueError(
                    f'filter {material!r} must be 0..1000 mm thick, got {thickness_mm:g}'
                )
            area_density = density_g_cm3(material) * thickness_mm / 10
            depth += area_density * mass_attenuation_cm2_g(material, self.energies_kev)
        return Spectrum(self.energies_kev, self.fluence_cm2_mas * np.exp(-depth))

    def air_kerma_gy(self, charge_mas: float, distance_m: float) -> float:
        """Return air kerma free in air [Gy] of `charge_mas` at a distance from the focal spot.

        Collision kerma, sum of fluence * energy * mu_en/rho of dry air, by the inverse square.
        """
        return float(self.air_kerma_by_energy_gy(charge_mas, distance_m).sum())

    def air_kerma_by_energy_gy(self, charge_mas: float, distance_m: float) -> NDArray[np.float64]:
        """Return the parts of `air_kerma_gy` by energy [Gy], shape (K,)."""
        if not distance_m > 0:
            raise ValueError(f'distance_m must be positive, got {distance_m:g}')
        return self._kerma_gy_mas * (charge_mas / distance_m**2)

    @cached_property
    def _kerma_gy_mas(self) -> NDArray[np.float64]:
        """Air kerma by energy of 1 mAs at 1 m [Gy], shape (K,)."""
        absorption = mass_energy_absorption_cm2_g('air', self.energies_kev)
        return self.fluence_cm2_mas * self.energies_kev * absorption * (JOULE_PER_KEV * 1e3)

    def half_value_layer_mm(self, material: str = 'Al') -> float:
        """Return the filter thickness that halves the air kerma [mm]."""
        target = self.air_kerma_gy(1.0, 1.0) / 2
        low, high = 0.0, 100.0
        for _ in range(60):
            middle = (low + high) / 2
            kerma = self.filtered({material: middle}).air_kerma_gy(1.0, 1.0)
            low, high = (middle, high) if kerma > target else (low, middle)
        return (low + high) / 2

    def rebinned(self, nodes: int, response: ArrayLike | None = None) -> Spectrum:
        """Return `nodes` energies with weights that stand for the whole spectrum in images.

        The weights are non-negative and fitted (NNLS; the node missed least is dropped, one by
        one, then nodes move to nearby energies as long as that helps) to reproduce the sums of
        response * E and response * E^2 behind 0..32 cm of water, 0..4 cm of bone and 0..4 mm of
        nitinol, all to the same relative accuracy. A single node is the mean energy of what is
        absorbed, and keeps the open field's absorbed energy.

        Args:
            nodes: how many energies to keep; 8 are within 0.3 % behind 40 cm of water, 4 cm of
                bone and 3 mm of steel, mostly within 0.05 %.
            response: detector efficiency at `energies_kev`, shape (K,); default 1.

        Raises:
            ValueError: no node asked for, or a response of another shape.
        """
        if nodes < 1:
            raise ValueError(f'nodes must be at least 1, got {nodes}')
        efficiency = np.ones_like(self.energies_kev) if response is None else np.asarray(response)
        if efficiency.shape != self.energies_kev.shape:
            raise ValueError(
                f'response must have shape {self.energies_kev.shape}, got {efficiency.shape}'
            )
        if nodes == 1:
            return self._effective(efficiency)
        system = self._fit_system(efficiency)
        system[:, self.fluence_cm2_mas == 0] = 0
        kept, weights = _sparse_fit(system, nodes)
        fluence = weights * self.fluence_cm2_mas.sum()
        return Spectrum(self.energies_kev[kept], fluence)

    def _effective(self, efficiency: NDArray[np.float64]) -> Spectrum:
        absorbed_kev = self.fluence_cm2_mas * efficiency * self.energies_kev
        energy = np.average(self.energies_kev, weights=absorbed_kev)
        seen = energy * np.interp(energy, self.energies_kev, efficiency)
        return Spectrum(np.array([energy]), np.array([absorbed_kev.sum() / seen]))

    def _fit_system(self, efficiency: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return signal of unit fluence at each energy over the full signal, (rows, K)."""
        energies = self.energies_kev
        names = ('water', 'bone', 'nitinol')
        mu = np.stack([mass_attenuation_cm2_g(m, energies) * density_g_cm3(m) for m in names])
        thickness_cm = np.array(_FIT_ABSORBERS) * (1.0, 1.0, 0.1)
        transmission = np.exp(-thickness_cm @ mu)
        moments = np.concatenate([transmission * efficiency * energies**k for k in (1, 2)])
        total = moments @ self.fluence_cm2_mas
        return moments / total[:, None] * self.fluence_cm2_mas.sum()


def _sparse_fit(
    system: NDArray[np.float64], nodes: int
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return at most `nodes` columns and their weights >= 0 whose sum is nearest to all ones."""
    # Beams behind absorbers differ in few ways: most of the rows repeat each other.
    modes, strength, _ = np.linalg.svd(system, full_matrices=False)
    modes = modes[:, strength > RANK_TOLERANCE * strength[0]]
    system, target = modes.T @ system, modes.T @ np.ones(len(system))
    length = np.linalg.norm(system, axis=0)
    usable = np.flatnonzero(length > 0)

    def fit(columns: NDArray[np.intp]) -> tuple[NDArray[np.float64], float]:
        scaled = system[:, columns] / length[columns]
        return nnls(scaled, target, maxiter=NNLS_ITERATIONS)

    weights, _ = fit(usable)
    kept, weights = usable[weights > 0], weights[weights > 0]
    while len(kept) > nodes:
        fewer = [np.delete(kept, k) for k in range(len(kept))]
        kept = min(fewer, key=lambda columns: fit(columns)[1])
        weights, _ = fit(kept)
        kept, weights = kept[weights > 0], weights[weights > 0]
    kept = _moved(kept, set(usable.tolist()), lambda columns: fit(columns)[1])
    weights, _ = fit(kept)
    kept, weights = kept[weights > 0], weights[weights > 0]
    return kept, weights / length[kept]


def _moved(
    kept: NDArray[np.intp], usable: set[int], missed: Callable[[NDArray[np.intp]], float]
) -> NDArray[np.intp]:
    """Return columns after single moves to nearby ones, the best each time, while it gains."""
    least = missed(kept)
    while True:
        taken = set(kept.tolist())
        free = [
            (place, int(column) + step)
            for place, column in enumerate(kept)
            for step in MOVES
            if int(column) + step in usable - taken
        ]
        trials = [np.sort(np.append(np.delete(kept, place), column)) for place, column in free]
        results = [missed(trial) for trial in trials]
        if not results or min(results) > (1 - MOVE_GAIN) * least:
            return kept
        least = min(results)
        kept = trials[results.index(least)]


def tungsten_spectrum(
    tube_voltage_kv: float, filtration_mm: Mapping[str, float] | None = None
) -> Spectrum:
    """Return the beam of a tungsten tube (12 degree anode) behind filters.

    Args:
        tube_voltage_kv: 40..150 kV, interpolated between 1 kV steps.
        filtration_mm: all filtration, inherent and added, element or compound to thickness [mm];
            default 3 mm Al. The table itself is unfiltered.

    Raises:
        ValueError: the voltage is outside the table or a filter is unknown.
    """
    voltages, energies, fluence = _table()
    if not voltages[0] <= tube_voltage_kv <= voltages[-1]:
        hint = '; looks like volts' if tube_voltage_kv > 1000 else ''
        raise ValueError(
            f'tube_voltage_kv must be {voltages[0]:g}..{voltages[-1]:g} kV, '
            f'got {tube_voltage_kv:g}{hint}'
        )
    low = min(int(tube_voltage_kv - voltages[0]), len(voltages) - 2)
    share = tube_voltage_kv - voltages[low]
    beam = Spectrum(energies, (1 - share) * fluence[low] + share * fluence[low + 1])
    return beam.filtered({'Al': 3.0} if filtration_mm is None else filtration_mm)


@lru_cache(maxsize=1)
def _table() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    path = files('synthex_ros.xray') / 'data' / 'tungsten.npz'
    with path.open('rb') as stream, np.load(stream) as table:
        return (
            table['voltages_kv'].astype(float),
            table['energies_kev'].astype(float),
            table['fluence_cm2_mas'].astype(float),
        )
