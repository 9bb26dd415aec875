"""Energy-integrating flat panel: CsI absorption, blur, quantum and electronic noise, 16 bit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import erf

from synthex_ros.xray.attenuation import mass_attenuation_cm2_g
from synthex_ros.xray.detector_kernels import expose_frame, normal_table
from synthex_ros.xray.lag import LagMemory
from synthex_ros.xray.panel import PanelMaps
from synthex_ros.xray.parallel import parallel


@dataclass(frozen=True, eq=False)
class CoveredPixels:
    """Signal and variance of some pixels of an image, such as those behind devices, by rows.

    Attributes:
        starts: the span of row r has the places starts[r] to starts[r + 1], shape (rows + 1,),
            int64.
        first: first column of each span, shape (rows,), int32.
        values: signal [keV] and variance [keV^2], shape (2, n), float32.
    """

    starts: NDArray[np.int64]
    first: NDArray[np.int32]
    values: NDArray[np.float32]

    def pixels(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return rows and columns of the places, shape (n,) each."""
        rows = np.repeat(np.arange(len(self.first)), np.diff(self.starts))
        return rows, np.arange(self.starts[-1]) - (self.starts[:-1] - self.first)[rows]


@dataclass(frozen=True, eq=False)
class ScatteredSignal:
    """What scattered quanta add to an image, on a coarse grid of equal cells.

    Attributes:
        signal_kev: expected absorbed energy a full-size pixel [keV], shape (h, w), float32, at
            least 2 x 2.
        quantum_kev: variance over signal: mean squared over mean energy of an absorbed quantum.
    """

    signal_kev: NDArray[np.float32]
    quantum_kev: float


_NO_PIXELS = CoveredPixels(
    np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros((2, 0), np.float32)
)
_NOTHING = np.zeros((0, 0), np.float32)
_NO_MEMORY = np.zeros((0, 0, 0), np.float32)
_NO_TERMS = np.zeros(0, np.float32)


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
        quantum_noise: False exposes every pixel to its mean.
        bits: of the digitiser; full scale is 2^bits - 1 counts.
        open_field_fraction: share of full scale that the unattenuated beam reaches at the
            piercing point. This sets the gain, once per technique and geometry.
    """

    scintillator_m: float = 600e-6
    scintillator_density_g_cm3: float = 3.6
    swank_factor: float = 0.9
    blur_m: float = 0.14e-3
    electronic_noise_counts: float = 6.0
    quantum_noise: bool = True
    bits: int = 16
    open_field_fraction: float = 0.8

    def __post_init__(self):
        ranges = {
            'scintillator_m': (1e-5, 5e-3),
            'scintillator_density_g_cm3': (0.5, 10.0),
            'swank_factor': (0.1, 1.0),
            'blur_m': (0.0, 5e-3),
            'electronic_noise_counts': (0.0, 5000.0),
            'bits': (8, 16),
            'open_field_fraction': (0.01, 20.0),
        }
        for name, (low, high) in ranges.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f'{name} must be {low:g}..{high:g}, got {getattr(self, name):g}')

    @property
    def full_scale(self) -> int:
        """Counts of a saturated pixel."""
        return (1 << self.bits) - 1

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
        *,
        covered: CoveredPixels | None = None,
        scatter: ScatteredSignal | None = None,
        memory: LagMemory | None = None,
        interval_s: float = 1 / 15,
        maps: PanelMaps | None = None,
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
            covered: pixels where other values hold.
            scatter: what scattered quanta add.
            memory: what earlier frames left behind; brought up to date.
            interval_s: time since the frame before [s]; only lag asks.
            maps: gain and offset of the pixels; default an even panel.

        Returns:
            Counts, shape (rows, columns), uint16; saturated pixels are `full_scale`.
        """
        pixels = covered or _NO_PIXELS
        down, across = (blur_taps(self.blur_m / pitch) for pitch in pixel_pitch_m)
        counts = np.empty(signal_kev.shape, np.uint16)
        with parallel():
            expose_frame(
                signal_kev,
                variance_kev2,
                pixels.starts,
                pixels.first,
                pixels.values,
                *_scatter_arguments(scatter),
                *self._noise_arguments(rng),
                down,
                across,
                *_lag_arguments(memory, interval_s),
                np.float32(gain_counts_kev),
                np.float32(self.electronic_noise_counts),
                *_map_arguments(maps),
                np.float32(self.full_scale),
                counts,
            )
        return counts

    def _noise_arguments(
        self, rng: np.random.Generator
    ) -> tuple[np.float32, np.uint64, NDArray[np.float32]]:
        """Return light statistics, key of the frame and table of normal numbers."""
        light = np.float32(1 / self.swank_factor if self.quantum_noise else 0)
        return light, np.uint64(rng.integers(0, 2**63)), normal_table()


def _scatter_arguments(
    scatter: ScatteredSignal | None,
) -> tuple[NDArray[np.float32], np.float32]:
    if scatter is None:
        return _NOTHING, np.float32(0)
    return scatter.signal_kev, np.float32(scatter.quantum_kev)


def _lag_arguments(
    memory: LagMemory | None, interval_s: float
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    if memory is None:
        return _NO_MEMORY, _NO_TERMS, _NO_TERMS
    return memory.states, memory.shares, memory.decays(interval_s)


def _map_arguments(
    maps: PanelMaps | None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return (_NOTHING, _NOTHING) if maps is None else (maps.gain, maps.offset_counts)


@lru_cache(maxsize=8)
def blur_taps(sigma_px: float) -> NDArray[np.float32]:
    """Gaussian integrated over pixels, sum 1; its width is kept even below a pixel."""
    if sigma_px == 0:
        return np.ones(1, np.float32)
    radius = max(1, int(np.ceil(4 * sigma_px)))
    edges = (np.arange(-radius, radius + 2) - 0.5) / (np.sqrt(2) * sigma_px)
    taps = np.diff(erf(edges))
    return (taps / taps.sum()).astype(np.float32)
