"""Automatic exposure control: the charge that gives the detector its set air kerma."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from synthex_ros.xray.anatomy_layer import AnatomyLayer
from synthex_ros.xray.attenuation import mass_attenuation_cm2_g
from synthex_ros.xray.beam import Technique

MEASURED_PX = 64


@dataclass(frozen=True)
class ExposureControl:
    """Sets the charge of a pulse by what reaches the detector behind the patient.

    Attributes:
        detector_kerma_gy: median air kerma a pulse in the measuring field, primary beam at the
            detector entrance [Gy]. A frame of fluoroscopy has some 10 nGy, of cine some 100 nGy.
            The median, as systems do that read the image, is not led astray by the bare beam
            beside the patient.
        field_share: side of the central measuring field as a part of the image's.
        charge_limits_mas: least and greatest charge of the generator [mA s].
    """

    detector_kerma_gy: float = 30e-9
    field_share: float = 0.5
    charge_limits_mas: tuple[float, float] = (0.001, 5.0)

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
        self, technique: Technique, layer: AnatomyLayer, materials: tuple[str, ...]
    ) -> Technique:
        """Return the technique with the charge for a view.

        Args:
            technique: voltage, filtration and pulse length; its charge is not used.
            layer: anatomy of the view, of any technique.
            materials: names of the layer's M area densities.
        """
        wanted = self.detector_kerma_gy / self.kerma_gy_mas(technique, layer, materials)
        charge = float(np.clip(wanted, *self.charge_limits_mas))
        return replace(technique, charge_mas=charge)

    def kerma_gy_mas(
        self, technique: Technique, layer: AnatomyLayer, materials: tuple[str, ...]
    ) -> float:
        """Return the median detector air kerma of a charge of 1 mAs in the measuring field."""
        rows, columns = layer.view.geometry.shape_px
        field = tuple(
            slice(
                int(size * (1 - self.field_share) / 2),
                int(np.ceil(size * (1 + self.field_share) / 2)),
            )
            for size in (rows, columns)
        )
        area = layer.area_density_g_cm2[:, field[0], field[1]]
        thin = [max(1, size // MEASURED_PX) for size in area.shape[1:]]
        area = area[:, :: thin[0], :: thin[1]].reshape(len(materials), -1).astype(float)
        spectrum = technique.spectrum()
        energies = spectrum.energies_kev
        mu = np.stack([mass_attenuation_cm2_g(name, energies) for name in materials])
        kerma = spectrum.air_kerma_by_energy_gy(1.0, layer.view.geometry.source_to_detector_m)
        return float(np.median(kerma @ np.exp(-mu.T @ area)))
