"""A tube technique, and the beam it makes on a detector: weights and coefficients by energy."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from synthex_ros.geometry import ProjectionGeometry
from synthex_ros.xray.attenuation import density_g_cm3, mass_attenuation_cm2_g
from synthex_ros.xray.detector import Detector
from synthex_ros.xray.spectrum import Spectrum, tungsten_spectrum


@dataclass(frozen=True)
class Technique:
    """Tube settings of one pulse.

    Attributes:
        tube_voltage_kv: peak tube voltage, 40..150 kV.
        charge_mas: tube current times pulse length [mA s].
        pulse_length_s: length of the pulse [s]; reported, and too short to blur the device.
        filtration_mm: all filtration, (material, thickness [mm]) pairs or a mapping.
    """

    tube_voltage_kv: float = 80.0
    charge_mas: float = 0.1
    pulse_length_s: float = 0.010
    filtration_mm: tuple[tuple[str, float], ...] = (('Al', 3.0), ('Cu', 0.1))

    def __post_init__(self):
        pairs = dict(self.filtration_mm)
        object.__setattr__(self, 'filtration_mm', tuple(sorted(pairs.items())))
        for name, low, high in (('charge_mas', 1e-5, 1e3), ('pulse_length_s', 1e-4, 10.0)):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f'{name} must be {low:g}..{high:g}, got {getattr(self, name):g}')

    def spectrum(self) -> Spectrum:
        """Return the filtered spectrum of the tube."""
        return tungsten_spectrum(self.tube_voltage_kv, dict(self.filtration_mm))


@dataclass(frozen=True, eq=False)
class Beam:
    """A technique's spectrum on a detector, cut down to few energies.

    Attributes:
        technique: the tube settings.
        detector: the detector.
        nodes: how many energies stand for the spectrum.
        spectrum: the full spectrum.
        quadrature: its few-node stand-in.
    """

    technique: Technique
    detector: Detector
    nodes: int = 8
    spectrum: Spectrum = field(init=False)
    quadrature: Spectrum = field(init=False)
    _known: dict[Hashable, NDArray[np.float32]] = field(init=False, default_factory=dict)

    def __post_init__(self):
        technique = self.technique
        spectra = _spectra(
            technique.tube_voltage_kv, technique.filtration_mm, self.detector, self.nodes
        )
        object.__setattr__(self, 'spectrum', spectra[0])
        object.__setattr__(self, 'quadrature', spectra[1])

    def pixel_weights(self, geometry: ProjectionGeometry) -> NDArray[np.float32]:
        """Return absorbed energy [keV] and its square sum [keV^2] by node, shape (2, K).

        They hold for an unattenuated pixel at the piercing point; further out they fall with the
        cube of the cosine between ray and detector normal (inverse square and obliquity).
        """
        return self._kept(geometry, lambda: self._pixel_weights(geometry))

    def _pixel_weights(self, geometry: ProjectionGeometry) -> NDArray[np.float32]:
        pitch_v, pitch_u = geometry.pixel_pitch_m
        energies = self.quadrature.energies_kev
        photons = (
            self.quadrature.fluence_cm2_mas
            * self.technique.charge_mas
            * (pitch_v * pitch_u * 1e4 / geometry.source_to_detector_m**2)
        )
        absorbed = photons * self.detector.efficiency(energies)
        return np.stack([absorbed * energies, absorbed * energies**2]).astype(np.float32)

    def gain_counts_kev(self, geometry: ProjectionGeometry) -> float:
        """Return the counts per absorbed keV that put the open field where the detector wants."""
        open_field_kev = float(self.pixel_weights(geometry)[0].sum(dtype=float))
        return self.detector.open_field_fraction * self.detector.full_scale / open_field_kev

    def mass_attenuation_cm2_g(self, materials: tuple[str, ...]) -> NDArray[np.float32]:
        """Return mass attenuation [cm^2/g] of materials at the nodes, shape (M, K)."""
        energies = self.quadrature.energies_kev

        def look_up() -> NDArray[np.float32]:
            rows = [mass_attenuation_cm2_g(material, energies) for material in materials]
            return np.stack(rows).astype(np.float32)

        return self._kept(materials, look_up)

    def attenuation_m(self, material: str) -> NDArray[np.float32]:
        """Return the linear attenuation [1/m] of a solid at the nodes, shape (K,)."""

        def look_up() -> NDArray[np.float32]:
            mass = mass_attenuation_cm2_g(material, self.quadrature.energies_kev)
            return (100 * density_g_cm3(material) * mass).astype(np.float32)

        return self._kept(material, look_up)

    def _kept(self, key: Hashable, make: Callable[[], NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return a table that is made once; it is not to be written to."""
        if key not in self._known:
            table = make()
            table.flags.writeable = False
            self._known[key] = table
        return self._known[key]


@lru_cache(maxsize=256)
def _spectra(
    tube_voltage_kv: float,
    filtration_mm: tuple[tuple[str, float], ...],
    detector: Detector,
    nodes: int,
) -> tuple[Spectrum, Spectrum]:
    """Return spectrum and quadrature, which do not depend on the charge."""
    spectrum = tungsten_spectrum(tube_voltage_kv, dict(filtration_mm))
    return spectrum, spectrum.rebinned(nodes, detector.efficiency(spectrum.energies_kev))
