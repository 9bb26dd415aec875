"""Heel effect: what the anode itself absorbs of rays that leave it at a flat angle.

Photons are taken to be made at one depth below the target's face. With the anode angle a between
the face and the central ray, a ray at angle b from it towards the cathode runs through
depth * cos(a) / sin(a + b) of tungsten (Birch and Marshall, Phys. Med. Biol. 24 (1979) 505;
Poludniowski and Evans, Med. Phys. 34 (2007) 2164). The depth is fitted to SpekPy's heel effect
at 60 to 150 kV; for anodes of 12 and 16 degrees the factor agrees with SpekPy's to 2 % within 8
degrees of the central ray, see `benchmark/heel_effect.py`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.geometry import ProjectionGeometry
from synthex_ros.xray.attenuation import density_g_cm3, mass_attenuation_cm2_g
from synthex_ros.xray.beam import Beam

DEPTH_AT_100_KV_CM = 1.60e-4
DEPTH_EXPONENT = 1.72

_SIDES = {'+x': (1, 0), '-x': (-1, 0), '+y': (0, 1), '-y': (0, -1)}
_TABLE_ROWS = 257


def heel_factor(
    geometry: ProjectionGeometry,
    beam: Beam,
    anode_angle_deg: float = 12.0,
    cathode: str = '+y',
) -> NDArray[np.float32]:
    """Return the signal across the detector that the heel effect leaves, 1 on the central ray.

    Inverse square and obliquity are not in it. The spectrum table is of a 12 degree anode; another
    angle changes the shape of the factor only. Rays behind the anode's face get 0.

    Args:
        geometry: of the image.
        beam: spectrum and detector, whose absorbed energy is the signal.
        anode_angle_deg: between the target's face and the central ray, 4..45 degrees.
        cathode: image axis that points to the cathode, where the beam is strongest: '+x' (right),
            '-x', '+y' (down) or '-y'.

    Returns:
        Factor, shape (rows, columns), float32.

    Raises:
        ValueError: the angle is out of range or the axis unknown.
    """
    if not 4 <= anode_angle_deg <= 45:
        raise ValueError(f'anode_angle_deg must be 4..45, got {anode_angle_deg:g}')
    if cathode not in _SIDES:
        raise ValueError(f'cathode must be one of {", ".join(_SIDES)}, got {cathode!r}')
    right, down = _SIDES[cathode]
    pitch_v, pitch_u = geometry.pixel_pitch_m
    u0, v0 = geometry.piercing_px
    rows, columns = geometry.shape_px
    x = (np.arange(columns) - u0) * pitch_u / geometry.source_to_detector_m
    y = (np.arange(rows)[:, None] - v0) * pitch_v / geometry.source_to_detector_m
    angle = np.radians(anode_angle_deg)
    leaving = np.sin(angle) + np.cos(angle) * (right * x + down * y)
    slope = np.sqrt(1 + x * x + y * y) / np.maximum(leaving, 1e-6)
    paths = np.geomspace(slope.min(), max(min(slope.max(), 1e3), slope.min() + 1e-9), _TABLE_ROWS)
    values = signal_behind_anode(beam, anode_angle_deg, paths)
    factor = np.interp(slope, paths, values)
    return np.where(leaving > 1e-3, factor, 0).astype(np.float32)


def signal_behind_anode(
    beam: Beam, anode_angle_deg: float, inverse_sine: ArrayLike
) -> NDArray[np.float64]:
    """Return the signal of rays over that of the central ray, shape (N,).

    Args:
        beam: spectrum and detector.
        anode_angle_deg: between the target's face and the central ray.
        inverse_sine: 1 / sine of the angle between the target's face and each ray, shape (N,).
    """
    angle = np.radians(anode_angle_deg)
    depth = DEPTH_AT_100_KV_CM * (beam.technique.tube_voltage_kv / 100) ** DEPTH_EXPONENT
    extra = depth * np.cos(angle) * (np.asarray(inverse_sine, float) - 1 / np.sin(angle))
    spectrum = beam.spectrum
    mu = density_g_cm3('W') * mass_attenuation_cm2_g('W', spectrum.energies_kev)
    absorbed = spectrum.fluence_cm2_mas * beam.detector.efficiency(spectrum.energies_kev)
    signal = absorbed * spectrum.energies_kev
    return np.exp(-np.multiply.outer(extra, mu)) @ signal / signal.sum()
