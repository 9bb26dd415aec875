"""Automatic exposure control: the charge that gives the detector its set air kerma."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from synthex_ros.xray.attenuation import mass_attenuation_cm2_g
from synthex_ros.xray.beam import Technique
from synthex_ros.xray.collimator import Collimator

MEASURED_PX = 32


@dataclass(frozen=True)
class ExposureControl:
    """Sets the charge of a pulse by what reaches the detector behind the patient.

    Attributes:
        detector_kerma_gy: median air kerma a pulse in the measuring field, primary beam at the
            detector entrance [Gy]. A frame of fluoroscopy has some 10 nGy, of cine some 100 nGy.
            The median, as systems do that read the image, is not led astray by the bare beam
            beside the patient.
        field_share: side of the central measuring field as a part of the open field's.
        charge_limits_mas: least and greatest charge of the generator [mA s].
        collimator: blades that leave a part of the image open; the measuring field lies in the
            middle of that part. None is the whole image.
    """

    detector_kerma_gy: float = 30e-9
    field_share: float = 0.5
    charge_limits_mas: tuple[float, float] = (0.001, 5.0)
    collimator: Collimator | None = None

    def __post_init__(self):
        low, high = self.charge_limits_mas
        if not 1e-10 <= self.detector_kerma_gy <= 1e-3:
            raise ValueError(
                f'detector_kerma_gy must be 1e-10..1e-3 Gy, got {self.detector_kerma_gy:g}; '
                '30 nGy is 30e-9'
            )
        if not 0 < self.field_share <= 1:
            raise ValueError(f'field_share must be in (0, 1], got {self.field_share:g}')
        if not 0 < low <= high:
            raise ValueError(f'charge_limits_mas must be 0 < low <= high, got ({low:g}, {high:g})')

    def regulated(
        self,
        technique: Technique,
        area_density_g_cm2: NDArray[np.float32],
        materials: tuple[str, ...],
        source_to_detector_m: float,
    ) -> Technique:
        """Return the technique with the charge for a view.

        Args:
            technique: voltage, filtration and pulse length; its charge is not used.
            area_density_g_cm2: of the patient in this view, shape (M, rows, columns).
            materials: names of the M materials.
            source_to_detector_m: distance focal spot to detector [m].
        """
        kerma = technique.spectrum().air_kerma_by_energy_gy(1.0, source_to_detector_m)
        passed = self._transmission(technique, area_density_g_cm2, materials)
        charge = self.detector_kerma_gy / float(np.median(kerma @ passed))
        return replace(technique, charge_mas=float(np.clip(charge, *self.charge_limits_mas)))

    def _transmission(
        self, technique: Technique, area: NDArray[np.float32], materials: tuple[str, ...]
    ) -> NDArray[np.float64]:
        """Return the transmission by energy of pixels in the measuring field, shape (K, P)."""
        blades = self.collimator or Collimator()
        edges = ((blades.top, blades.bottom), (blades.left, blades.right))
        field = [
            self._measured(size, low, high)
            for size, (low, high) in zip(area.shape[1:], edges, strict=True)
        ]
        pixels = area[:, field[0], field[1]].reshape(len(materials), -1).astype(float)
        energies = technique.spectrum().energies_kev
        mu = np.stack([mass_attenuation_cm2_g(name, energies) for name in materials])
        return np.exp(-mu.T @ pixels)

    def _measured(self, size: int, low: float, high: float) -> slice:
        """Return the pixels measured along a side that is open from `low` to `high`, 0..1."""
        middle, half = (low + high) / 2, self.field_share * (high - low) / 2
        first = min(int(size * (middle - half)), size - 1)
        stop = max(int(np.ceil(size * (middle + half))), first + 1)
        return slice(first, stop, max(1, (stop - first) // MEASURED_PX))
