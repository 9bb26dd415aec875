"""Energy-integrating flat panel: CsI absorption, blur, quantum and electronic noise, 16 bit.

Randomness is counter-based: a frame draws one key from its generator and every pixel hashes its
own index with it, so a seed gives the same bytes on any number of threads or tiles.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numba as nb
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import erf, ndtri

from synthex_ros.xray.attenuation import mass_attenuation_cm2_g

FULL_SCALE = 65535
POISSON_BELOW_QUANTA = 20.0


@dataclass(frozen=True)
class Detector:
    """A columnar CsI panel.

    Attributes:
        scintillator_m: thickness of the CsI layer [m].
        scintillator_density_g_cm3: density of columnar CsI, packed to about 80 % [g/cm^3].
        swank_factor: share of the noise-free signal statistics left by the spread of light per
            absorbed quantum (Swank, J. Appl. Phys. 44 (1973) 4199); divides quantum variance.
        blur_m: standard deviation of the light spread in the scintillator [m]; 0.14 mm is an MTF
            of 0.5 at 1.3 line pairs per mm.
        electronic_noise_counts: standard deviation of the read-out noise [counts].
        open_field_fraction: share of full scale that the unattenuated beam reaches at the
            piercing point. This sets the gain, once per technique and geometry.
    """

    scintillator_m: float = 600e-6
    scintillator_density_g_cm3: float = 3.6
    swank_factor: float = 0.9
    blur_m: float = 0.14e-3
    electronic_noise_counts: float = 6.0
    open_field_fraction: float = 0.8

    def __post_init__(self):
        ranges = {
            'scintillator_m': (1e-5, 5e-3),
            'scintillator_density_g_cm3': (0.5, 10.0),
            'swank_factor': (0.1, 1.0),
            'blur_m': (0.0, 5e-3),
            'electronic_noise_counts': (0.0, 5000.0),
            'open_field_fraction': (0.01, 20.0),
        }
        for name, (low, high) in ranges.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f'{name} must be {low:g}..{high:g}, got {getattr(self, name):g}')

    def efficiency(self, energies_kev: ArrayLike) -> NDArray[np.float64]:
        """Return the share of photons absorbed at energies [keV], shape (K,).

        An absorbed photon is taken to leave all its energy: K-fluorescence that escapes and
        Compton scatter inside the layer are left out.
        """
        area_density = self.scintillator_density_g_cm3 * self.scintillator_m * 100
        return 1 - np.exp(-area_density * mass_attenuation_cm2_g('csi', energies_kev))

    def expose(
        self,
        signal_kev: NDArray[np.float32],
        variance_kev2: NDArray[np.float32],
        gain_counts_kev: float,
        pixel_pitch_m: tuple[float, float],
        rng: np.random.Generator,
    ) -> NDArray[np.uint16]:
        """Return a frame of an expected absorbed energy.

        Quantum noise is compound Poisson, sum of N * efficiency * E^2: Gaussian where a pixel
        absorbs 20 effective quanta or more, Poisson below. It passes through the light spread
        with the signal; electronic noise does not.

        Args:
            signal_kev: expected absorbed energy a pixel [keV], shape (rows, columns).
            variance_kev2: its quantum variance without light statistics [keV^2], same shape.
            gain_counts_kev: counts per absorbed keV.
            pixel_pitch_m: detector pitch as (row, column) [m].
            rng: source of this frame's noise key.

        Returns:
            Counts, shape (rows, columns), uint16; saturated pixels are 65535.
        """
        key = np.uint64(rng.integers(0, 2**63))
        absorbed = np.empty_like(signal_kev)
        normals = _normal_table()
        _add_quantum_noise(
            signal_kev, variance_kev2, np.float32(1 / self.swank_factor), normals, key, absorbed
        )
        if self.blur_m > 0:
            down, across = (_blur_taps(self.blur_m / pitch) for pitch in pixel_pitch_m)
            border = cv2.BORDER_REPLICATE
            cv2.sepFilter2D(absorbed, cv2.CV_32F, across, down, absorbed, borderType=border)
        counts = np.empty(signal_kev.shape, np.uint16)
        _read_out(
            absorbed,
            np.float32(gain_counts_kev),
            np.float32(self.electronic_noise_counts),
            normals,
            key,
            counts,
        )
        return counts


@lru_cache(maxsize=8)
def _blur_taps(sigma_px: float) -> NDArray[np.float32]:
    """Gaussian integrated over pixels, sum 1; its width is kept even below a pixel."""
    radius = max(1, int(np.ceil(4 * sigma_px)))
    edges = (np.arange(-radius, radius + 2) - 0.5) / (np.sqrt(2) * sigma_px)
    taps = np.diff(erf(edges))
    return (taps / taps.sum()).astype(np.float32)


@lru_cache(maxsize=1)
def _normal_table() -> NDArray[np.float32]:
    """Return 65,536 equally likely values of the unit normal distribution."""
    values = ndtri((np.arange(65536) + 0.5) / 65536)
    return (values / values.std()).astype(np.float32)


@nb.njit(inline='always')
def _hash(key, index):
    """Return 64 random bits of a counter (SplitMix64; Steele, Lea and Flood, OOPSLA 2014)."""
    z = key + (nb.uint64(index) + nb.uint64(1)) * nb.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> nb.uint64(30))) * nb.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> nb.uint64(27))) * nb.uint64(0x94D049BB133111EB)
    return z ^ (z >> nb.uint64(31))


@nb.njit(inline='always')
def _poisson(mean, bits):
    """Return a Poisson number by inversion of 32 random bits, for means up to about 20."""
    uniform = (nb.float64(bits) + 0.5) / 4294967296.0
    count, term = 0.0, np.exp(-mean)
    total = term
    while uniform > total and count < 200.0:
        count += 1.0
        term *= mean / count
        total += term
    return count


@nb.njit(cache=True)
def _add_quantum_noise(signal, variance, light, normals, key, out):
    columns = signal.shape[1]
    for row in range(signal.shape[0]):
        for column in range(columns):
            bits = _hash(key, row * columns + column)
            mean, spread = signal[row, column], variance[row, column] * light
            if not mean > 0:
                out[row, column] = 0
            elif mean * mean < spread * nb.float32(POISSON_BELOW_QUANTA):
                quanta = nb.float64(mean) * mean / spread
                out[row, column] = _poisson(quanta, bits >> nb.uint64(32)) * (spread / mean)
            else:
                out[row, column] = mean + np.sqrt(spread) * normals[bits & nb.uint64(65535)]


@nb.njit(cache=True)
def _read_out(absorbed, gain, noise, normals, key, out):
    columns = absorbed.shape[1]
    for row in range(absorbed.shape[0]):
        for column in range(columns):
            bits = _hash(key, row * columns + column) >> nb.uint64(16)
            value = gain * absorbed[row, column] + noise * normals[bits & nb.uint64(65535)]
            value = min(max(value + nb.float32(0.5), nb.float32(0)), nb.float32(FULL_SCALE))
            out[row, column] = nb.uint16(value)
