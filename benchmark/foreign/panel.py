"""Beam, screen and read-out of a foreign system: expected signal, noise, counts."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmark.foreign.patient import TISSUES
from benchmark.foreign.tube import mass_attenuation_cm2_g, tube_spectrum
from synthex_ros.learning.visibility import Shadow

Image = NDArray[np.float32]

DEVICE_FORMULA, DEVICE_G_CM3 = 'NiTi', 6.45
SCREENS = {'Gadolinium Oxysulfide': (0.07, 0.14), 'Cesium Iodide': (0.10, 0.18)}
"""xraylib's compounds, and the range of their loading [g/cm^2]."""

_SCATTER_SHRINK = 8
_CM_OF_M = 100.0
_ROUNDING = 1 / 12
_LEAST_SCATTERED = 1e-6


@dataclass(frozen=True)
class System:
    """Tube, screen and read-out of a view.

    Attributes:
        tube_voltage_kv: peak voltage.
        anode_angle_deg: angle of the anode.
        aluminium_mm: filter.
        copper_mm: filter.
        screen: compound of the screen.
        loading_g_cm2: of the screen.
        scatter_to_primary: scattered over primary signal, median in the measuring field.
        scatter_mm: deviation of the scatter's spread on the detector.
        core_mm: deviation of the light's Gaussian spread.
        tail_mm: decay length of its exponential tail.
        tail_share: part of the light in the tail.
        measured_share: diameter of the measuring field, a disc in the middle, as a part of the
            image's side.
        quanta: absorbed a pixel, median in the measuring field.
        bits: of the read-out.
        bare_share: part of full scale that the bare beam reaches; above 1 it burns out.
        offset_counts: of the dark image.
        noise_counts: deviation of the read-out noise.
        shading: greatest deviation of the uneven field that no calibration took away.
        shading_rad: direction in which it grows.
    """

    tube_voltage_kv: float
    anode_angle_deg: float
    aluminium_mm: float
    copper_mm: float
    screen: str
    loading_g_cm2: float
    scatter_to_primary: float
    scatter_mm: float
    core_mm: float
    tail_mm: float
    tail_share: float
    measured_share: float
    quanta: float
    bits: int
    bare_share: float
    offset_counts: float
    noise_counts: float
    shading: float
    shading_rad: float


def draw_system(rng: np.random.Generator) -> System:
    """Draw a system; its ranges are those of no training."""
    screen = sorted(SCREENS)[int(rng.integers(len(SCREENS)))]
    bits = int(rng.choice([12, 14]))
    scale = 2**bits / 4096
    return System(
        tube_voltage_kv=float(rng.uniform(65, 125)),
        anode_angle_deg=float(rng.uniform(10, 20)),
        aluminium_mm=float(rng.uniform(3.0, 6.0)),
        copper_mm=float(rng.choice([0.0, 0.1, 0.4])),
        screen=screen,
        loading_g_cm2=float(rng.uniform(*SCREENS[screen])),
        scatter_to_primary=float(rng.uniform(0.2, 2.0)),
        scatter_mm=float(rng.uniform(25, 60)),
        core_mm=float(rng.uniform(0.15, 0.40)),
        tail_mm=float(rng.uniform(0.4, 1.2)),
        tail_share=float(rng.uniform(0.1, 0.4)),
        measured_share=float(rng.uniform(0.3, 0.6)),
        quanta=float(np.exp(rng.uniform(np.log(60), np.log(1000)))),
        bits=bits,
        bare_share=float(np.exp(rng.uniform(np.log(0.2), np.log(3.0)))),
        offset_counts=float(rng.uniform(0, 100)) * scale,
        noise_counts=float(rng.uniform(0.5, 4.0)) * scale,
        shading=float(rng.uniform(0.0, 0.15)),
        shading_rad=float(rng.uniform(-np.pi, np.pi)),
    )


@dataclass(frozen=True, eq=False)
class Exposure:
    """What a pixel absorbs on average, where it would absorb one quantum of the bare beam.

    Attributes:
        quanta: shape (rows, columns).
        energy_kev: shape (rows, columns) [keV].
    """

    quanta: Image
    energy_kev: Image


class Beam:
    """Spectrum and screen of a system, ready to weigh path lengths.

    Args:
        system: of the view.

    Attributes:
        bare_kev: mean energy of an absorbed quantum of the bare beam [keV].
    """

    def __init__(self, system: System) -> None:
        energies, photons = tube_spectrum(
            system.tube_voltage_kv,
            system.anode_angle_deg,
            {'Al': system.aluminium_mm, 'Cu': system.copper_mm},
        )
        absorbed = -np.expm1(
            -mass_attenuation_cm2_g(system.screen, energies) * system.loading_g_cm2
        )
        shares = photons * absorbed / (photons @ absorbed)
        self._weights = np.stack([shares, shares * energies], axis=1)
        self.bare_kev = float(shares @ energies)
        self._tissues = np.stack([mass_attenuation_cm2_g(name, energies) for name in TISSUES])
        self._device = mass_attenuation_cm2_g(DEVICE_FORMULA, energies) * DEVICE_G_CM3 * _CM_OF_M

    def exposure(self, area_density_g_cm2: Image, device_m: Image | None = None) -> Exposure:
        """Return what the screen absorbs behind patient and device, by Beer and Lambert.

        Args:
            area_density_g_cm2: of each tissue, shape (rows, columns, T).
            device_m: path through the device [m] on a grid `k` times finer, shape (k rows,
                k columns); transmission, not path, is averaged over a pixel.
        """
        rows, columns, _ = area_density_g_cm2.shape
        flat = area_density_g_cm2.reshape(rows * columns, -1)
        passed = np.exp(-(flat @ self._tissues.astype(np.float32)))
        if device_m is not None:
            self._through_device(passed, device_m, (rows, columns))
        quanta, energy = (passed @ self._weights.astype(np.float32)).T.reshape(2, rows, columns)
        return Exposure(quanta, energy)

    def _through_device(self, passed: Image, device_m: Image, shape: tuple[int, int]) -> None:
        """Multiply spectra, shape (pixels, E), by the transmission of the device, in place."""
        fine = device_m.shape[0] // shape[0]
        blocks = device_m.reshape(shape[0], fine, shape[1], fine).swapaxes(1, 2)
        blocks = blocks.reshape(-1, fine * fine)
        behind = np.flatnonzero(blocks.any(axis=1))
        paths = blocks[behind].astype(np.float32)
        passed[behind] *= np.exp(-paths[..., None] * self._device.astype(np.float32)).mean(axis=1)


@dataclass(frozen=True)
class Settings:
    """What a system settles to behind a patient.

    Attributes:
        scatter: factor of the scattered quanta.
        dose: quanta that a pixel would absorb of the bare beam.
        gain: counts per keV of light.
    """

    scatter: float
    dose: float
    gain: float


def settle(primary: Exposure, bare_kev: float, system: System, pixel_pitch_mm: float) -> Settings:
    """Return what a system settles to: its measuring field gets the quanta that it asks for.

    A field that is bare scatters nothing.

    Args:
        primary: behind the patient, without device.
        bare_kev: mean energy of an absorbed quantum of the bare beam [keV].
        system: of the view.
        pixel_pitch_mm: of the detector.
    """
    field = _measuring_field(primary.quanta.shape, system)
    scattered = float(np.median(_scattered(primary, system, pixel_pitch_mm)[0][field]))
    share = system.scatter_to_primary * float(np.median(primary.quanta[field]))
    scatter = share / scattered if scattered > _LEAST_SCATTERED else 0.0
    total = with_scatter(primary, scatter, system, pixel_pitch_mm)
    dose = system.quanta / float(np.median(total.quanta[field]))
    return Settings(scatter, dose, system.bare_share * (2**system.bits - 1) / (bare_kev * dose))


def _measuring_field(shape: tuple[int, ...], system: System) -> NDArray[np.bool_]:
    rows, columns = (np.linspace(-1, 1, size) for size in shape)
    return np.hypot(rows[:, None], columns) <= system.measured_share


def with_scatter(
    primary: Exposure, factor: float, system: System, pixel_pitch_mm: float
) -> Exposure:
    """Return the exposure with scatter: a broad spread of `-p ln p`, `p` the primary quanta.

    What reaches the detector and how often it met something on its way make the source of scatter
    (Ohnesorge, Flohr and Klingenbeck-Regn, Eur. Radiol. 9 (1999) 563): none comes from the bare
    beam beside the patient.

    Args:
        primary: without scatter.
        factor: of the spread.
        system: of the view.
        pixel_pitch_mm: of the detector.
    """
    quanta, energy_kev = _scattered(primary, system, pixel_pitch_mm)
    share = np.float32(factor)
    return Exposure(primary.quanta + share * quanta, primary.energy_kev + share * energy_kev)


def _scattered(primary: Exposure, system: System, pixel_pitch_mm: float) -> tuple[Image, Image]:
    """Return scattered quanta and their energy [keV] for a factor of 1."""
    passed = np.maximum(primary.quanta, np.finfo(np.float32).tiny)
    interactions = np.maximum(-np.log(passed), 0)
    return (
        _broad(passed * interactions, system, pixel_pitch_mm),
        _broad(primary.energy_kev * interactions, system, pixel_pitch_mm),
    )


def _broad(image: Image, system: System, pixel_pitch_mm: float) -> Image:
    rows, columns = image.shape
    size = columns // _SCATTER_SHRINK, rows // _SCATTER_SHRINK
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    sigma = system.scatter_mm / pixel_pitch_mm / _SCATTER_SHRINK
    small = cv2.GaussianBlur(small, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    return np.asarray(cv2.resize(small, (columns, rows), interpolation=cv2.INTER_LINEAR))


def read_out(
    exposure: Exposure,
    system: System,
    settings: Settings,
    pixel_pitch_mm: float,
    rng: np.random.Generator,
) -> NDArray[np.uint16]:
    """Return counts of one exposure: quantum noise, light spread, shading, gain and read-out.

    Args:
        exposure: expected, scatter included.
        system: of the view.
        settings: behind this patient.
        pixel_pitch_mm: of the detector.
        rng: source of the noise.
    """
    caught = rng.poisson(exposure.quanta * settings.dose).astype(np.float32)
    light = caught * (exposure.energy_kev / exposure.quanta)
    counts = _counts(light, system, settings, pixel_pitch_mm)
    counts += system.noise_counts * rng.standard_normal(light.shape, dtype=np.float32)
    return np.clip(np.rint(counts), 0, 2**system.bits - 1).astype(np.uint16)


def expected_counts(
    exposure: Exposure, system: System, settings: Settings, pixel_pitch_mm: float
) -> Image:
    """Return what an exposure would be read out as without any noise, not rounded."""
    light = exposure.energy_kev * np.float32(settings.dose)
    counts = _counts(light, system, settings, pixel_pitch_mm)
    return np.clip(counts, 0, 2**system.bits - 1)


def _counts(light: Image, system: System, settings: Settings, pixel_pitch_mm: float) -> Image:
    light = spread(light, system, pixel_pitch_mm)
    light *= _shading(light.shape, system)
    return system.offset_counts + settings.gain * light


def shadow_between(
    exposure: Exposure, other: Exposure, system: System, settings: Settings
) -> Shadow:
    """Return how one exposure differs from another in the noise of the first, pixel by pixel.

    The spread of light takes nothing from it (`synthex_ros.learning.visibility`), what is above
    full scale shows nothing, and what an export takes away afterwards is not counted.

    Args:
        exposure: as it is read out, scatter included, shape (rows, columns); the shadow's arrays
            are its pixels in a row, shape (rows * columns,).
        other: what it could be mistaken for, same shape.
        system: of the view.
        settings: behind this patient.
    """
    here, there = (_light_kev(image, system, settings) for image in (exposure, other))
    quantum = settings.dose * exposure.energy_kev.astype(float) ** 2 / exposure.quanta
    readout = (system.noise_counts**2 + _ROUNDING) / settings.gain**2
    return Shadow((there - here).ravel(), quantum.ravel(), readout)


def burnt_out(exposure: Exposure, system: System, settings: Settings) -> NDArray[np.bool_]:
    """Tell which pixels are at full scale, shape (rows, columns)."""
    return _light_kev(exposure, system, settings) >= _full_kev(system, settings)


def _light_kev(exposure: Exposure, system: System, settings: Settings) -> NDArray[np.float64]:
    light = exposure.energy_kev.astype(float) * settings.dose
    return np.minimum(light, _full_kev(system, settings))


def _full_kev(system: System, settings: Settings) -> float:
    return (2**system.bits - 1 - system.offset_counts) / settings.gain


def spread(light: Image, system: System, pixel_pitch_mm: float) -> Image:
    """Return light after its spread: a Gaussian core and an exponential tail in radius."""
    core = cv2.GaussianBlur(light, (0, 0), system.core_mm / pixel_pitch_mm)
    reach = int(np.ceil(5 * system.tail_mm / pixel_pitch_mm))
    along = np.arange(-reach, reach + 1) * pixel_pitch_mm
    tail = np.exp(-np.hypot(along[:, None], along) / system.tail_mm)
    far = cv2.filter2D(light, -1, (tail / tail.sum()).astype(np.float32))
    share = np.float32(system.tail_share)
    return np.asarray((1 - share) * core + share * far, np.float32)


def _shading(shape: tuple[int, ...], system: System) -> Image:
    rows, columns = (np.linspace(-1, 1, n, dtype=np.float32) for n in shape)
    u, v = np.cos(system.shading_rad), np.sin(system.shading_rad)
    slope = np.add.outer(np.float32(v) * rows, np.float32(u) * columns)
    return 1 + np.float32(system.shading) * slope.astype(np.float32)
