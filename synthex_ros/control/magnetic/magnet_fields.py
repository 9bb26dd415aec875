"""Where a magnet has to be for a field, and what is wrong with the field that it makes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.magnetics import MU0_OVER_4PI

Array = NDArray[np.float64]


def magnet_for_field(
    field_t: ArrayLike, from_device: ArrayLike, moment_a_m2: float
) -> tuple[float, Array]:
    """Return distance [m] and moment direction of a dipole that makes a field at the device.

    B = k m H mh / d^3 with H = 3 u u^T - I and H^-1 = (H - I) / 2, so the direction of the moment
    is that of (H - I) B, and its strength gives the distance.

    Args:
        field_t: wanted field, shape (3,), not zero [T].
        from_device: unit vector from the device to the magnet, shape (3,).
        moment_a_m2: moment of the magnet [A m^2].
    """
    field, u = np.asarray(field_t, float), np.asarray(from_device, float)
    inverse = 1.5 * np.outer(u, u) - np.eye(3)
    needed = inverse @ field
    size = float(np.linalg.norm(needed))
    return float(np.cbrt(MU0_OVER_4PI * moment_a_m2 / size)), needed / size


def field_errors(wanted_t: Array, made_t: Array, unit_t: float) -> Array:
    """Return what is wrong with a field: its direction and the logarithm of its strength, (4,).

    For small errors their squares are those of the relative error of the field. For large ones
    the plain difference would be least without any field: an arm that is behind a turning field
    would take its magnet away. Without a wanted field it is that difference, over `unit_t`.
    """
    wanted, made = float(np.linalg.norm(wanted_t)), float(np.linalg.norm(made_t))
    if wanted == 0.0 or made == 0.0:
        return np.append((wanted_t - made_t) / unit_t, 0.0)
    return np.append(wanted_t / wanted - made_t / made, np.log(wanted / made))


def field_slopes(wanted_t: Array, made_t: Array, unit_t: float) -> Array:
    """Return by how much `field_errors` fall with the field made, shape (4, 3) [1/T]."""
    made = float(np.linalg.norm(made_t))
    if made == 0.0 or not np.any(wanted_t):
        return np.vstack([np.eye(3) / unit_t, np.zeros(3)])
    unit = made_t / made
    return np.vstack([np.eye(3) - np.outer(unit, unit), unit]) / made
