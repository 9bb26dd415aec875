"""Dose quantities of a pulse, from its spectrum: kerma-area product, kerma at points.

Names and definitions as in ICRU report 74 and IAEA TRS 457. Air between tube and patient is left
out (1.5 % of an 80 kV beam in half a metre); so is backscatter, which would add 20 to 50 %.
"""

from __future__ import annotations

import numpy as np

from synthex_ros.geometry import ProjectionGeometry
from synthex_ros.xray.spectrum import Spectrum

REFERENCE_POINT_BEFORE_ISOCENTER_M = 0.15


def field_area_m2(
    geometry: ProjectionGeometry,
    box_px: tuple[float, float, float, float] | None = None,
    distance_m: float | None = None,
) -> float:
    """Return the area of the collimated field [m^2] in a plane parallel to the detector.

    Args:
        geometry: of the full-resolution image.
        box_px: field as (top, bottom, left, right) pixel edges; default the whole detector.
        distance_m: of the plane from the focal spot [m]; default the detector's.

    Raises:
        ValueError: the box is turned inside out or the distance is not positive.
    """
    top, bottom, left, right = box_px or (0, geometry.shape_px[0], 0, geometry.shape_px[1])
    if not (top <= bottom and left <= right):
        raise ValueError(f'box_px must be (top, bottom, left, right) in order, got {box_px}')
    distance = geometry.source_to_detector_m if distance_m is None else distance_m
    if not distance > 0:
        raise ValueError(f'distance_m must be positive, got {distance:g}')
    pitch_v, pitch_u = geometry.pixel_pitch_m
    scale = distance / geometry.source_to_detector_m
    return (bottom - top) * pitch_v * (right - left) * pitch_u * scale**2


def kerma_area_product_gy_m2(
    spectrum: Spectrum,
    charge_mas: float,
    geometry: ProjectionGeometry,
    box_px: tuple[float, float, float, float] | None = None,
) -> float:
    """Return the air kerma-area product of a pulse [Gy m^2]; 1 Gy m^2 is 10^4 Gy cm^2.

    The same at every distance. The field is taken as uniform: at 1 m and 30 cm x 30 cm the
    inverse square towards the corners takes off 1.5 %, the heel effect a few per cent.

    Args:
        spectrum: of the filtered tube.
        charge_mas: of the pulse [mA s].
        geometry: of the full-resolution image.
        box_px: field as (top, bottom, left, right) pixel edges; default the whole detector.
    """
    area = field_area_m2(geometry, box_px)
    return spectrum.air_kerma_gy(charge_mas, geometry.source_to_detector_m) * area


def reference_kerma_gy(
    spectrum: Spectrum, charge_mas: float, source_to_isocenter_m: float
) -> float:
    """Return the air kerma of a pulse at the interventional reference point [Gy].

    The point lies 15 cm from the isocentre towards the focal spot (IEC 60601-2-43), on a small
    C-arm half way.

    Args:
        spectrum: of the filtered tube.
        charge_mas: of the pulse [mA s].
        source_to_isocenter_m: focal spot to isocentre [m].
    """
    before = source_to_isocenter_m - REFERENCE_POINT_BEFORE_ISOCENTER_M
    return spectrum.air_kerma_gy(charge_mas, max(before, source_to_isocenter_m / 2))


def entrance_kerma_gy(
    spectrum: Spectrum, charge_mas: float, source_to_entrance_m: float | None
) -> float:
    """Return the incident air kerma of a pulse at the patient's entrance, no backscatter [Gy].

    Args:
        spectrum: of the filtered tube.
        charge_mas: of the pulse [mA s].
        source_to_entrance_m: focal spot to skin [m], such as `object_span_m` gives; None, where
            the beam meets nobody, gives NaN.
    """
    if source_to_entrance_m is None:
        return float(np.nan)
    return spectrum.air_kerma_gy(charge_mas, source_to_entrance_m)
