"""Closed form of the field of an axially magnetised cylinder, with its gradient.

Such a magnet makes the field of a thin solenoid on its mantle with Br / mu0 ampere-turns a metre.
Field: Derby and Olbert, Am. J. Phys. 78, 229 (2010), with the generalised complete elliptic
integral `cel` (Bulirsch, Numer. Math. 13, 305 (1969)). Gradient: the axial derivative of a
solenoid is the difference of two current loops at its ends; the other components follow from the
field having no curl and no divergence.
"""

from __future__ import annotations

import math

import numba as nb
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# below this distance from the axis, in radii, the radial field is linear in it to 1e-10
_NEAR_AXIS = 1e-5
# the field is infinite on the edges; they are kept off by this modulus
_SMALLEST_MODULUS = 1e-9


@nb.njit(cache=True)
def cel(kc: float, p: float, a: float, b: float) -> float:
    """Return int_0^(pi/2) (a cos^2 + b sin^2) / ((cos^2 + p sin^2) sqrt(cos^2 + kc^2 sin^2)).

    Bulirsch's algorithm for p > 0; relative accuracy about 1e-15.

    Args:
        kc: complementary modulus, above zero.
        p: characteristic, above zero.
        a: factor of cos^2.
        b: factor of sin^2.
    """
    k, product, em = kc, kc, 1.0
    p = math.sqrt(p)
    b /= p
    while True:
        before = a
        a += b / p
        g = product / p
        b = 2 * (b + before * g)
        p += g
        g = em
        em += k
        if abs(g - k) <= 1e-8 * g:
            break
        k = 2 * math.sqrt(product)
        product = k * em
    return 0.5 * math.pi * (b + a * em) / (em * (em + p))


@nb.njit(cache=True)
def _solenoid_end(rho: float, z: float, radius: float) -> tuple[float, float]:
    """Return radial and axial field of a half-infinite solenoid, in units of Br / pi."""
    s = math.sqrt(z * z + (rho + radius) ** 2)
    kc = max(math.sqrt(z * z + (radius - rho) ** 2) / s, _SMALLEST_MODULUS)
    gamma = (radius - rho) / (radius + rho)
    squared = max(gamma * gamma, 1e-24)
    radial = radius / s * cel(kc, 1.0, 1.0, -1.0)
    axial = radius / (radius + rho) * z / s * cel(kc, squared, 1.0, gamma)
    return radial, axial


@nb.njit(cache=True)
def _loop(rho: float, z: float, radius: float) -> tuple[float, float]:
    """Return radial and axial field of a current loop, in units of mu0 I / pi [1/m]."""
    s2 = z * z + (rho + radius) ** 2
    kc2 = max((z * z + (radius - rho) ** 2) / s2, _SMALLEST_MODULUS**2)
    kc = math.sqrt(kc2)
    scale = radius / (s2 * math.sqrt(s2))
    radial = scale * z * cel(kc, kc2, -1.0, 1.0)
    axial = scale * cel(kc, kc2, radius + rho, radius - rho)
    return radial, axial


@nb.njit(cache=True)
def cylinder_at(
    points: Array, position: Array, axis: Array, radius: float, length: float, remanence: float
) -> Array:
    """Return field and gradient of an axially magnetised cylinder, shape (N, 8) [T and T/m].

    Args:
        points: where, shape (N, 3) [m].
        position: centre, shape (3,) [m].
        axis: unit vector of the magnetisation, shape (3,).
        radius: radius [m].
        length: length along the axis [m].
        remanence: remanent flux density [T].
    """
    out = np.empty((len(points), 8))
    scale = remanence / math.pi
    half = length / 2
    for n in range(len(points)):
        rx, ry, rz = (
            points[n, 0] - position[0],
            points[n, 1] - position[1],
            points[n, 2] - position[2],
        )
        z = rx * axis[0] + ry * axis[1] + rz * axis[2]
        ex, ey, ez = rx - z * axis[0], ry - z * axis[1], rz - z * axis[2]
        rho = math.sqrt(ex * ex + ey * ey + ez * ez)
        upper_radial, upper_axial = _solenoid_end(rho, z + half, radius)
        lower_radial, lower_axial = _solenoid_end(rho, z - half, radius)
        b_rho = scale * (upper_radial - lower_radial)
        b_z = scale * (upper_axial - lower_axial)
        upper_radial, upper_axial = _loop(rho, z + half, radius)
        lower_radial, lower_axial = _loop(rho, z - half, radius)
        shear = scale * (upper_radial - lower_radial)
        slope = scale * (upper_axial - lower_axial)
        hoop = b_rho / rho if rho > _NEAR_AXIS * radius else -slope / 2
        b_rho = hoop * rho
        if rho > 0.0:
            ex, ey, ez = ex / rho, ey / rho, ez / rho
        spread = -slope - 2 * hoop
        ax, ay, az = axis[0], axis[1], axis[2]
        out[n, 0] = b_rho * ex + b_z * ax
        out[n, 1] = b_rho * ey + b_z * ay
        out[n, 2] = b_rho * ez + b_z * az
        # G = slope a a + hoop (I - a a) + spread e e + shear (a e + e a)
        along = slope - hoop
        out[n, 3] = hoop + along * ax * ax + spread * ex * ex + 2 * shear * ax * ex
        out[n, 4] = along * ax * ay + spread * ex * ey + shear * (ax * ey + ex * ay)
        out[n, 5] = along * ax * az + spread * ex * ez + shear * (ax * ez + ex * az)
        out[n, 6] = hoop + along * ay * ay + spread * ey * ey + 2 * shear * ay * ey
        out[n, 7] = along * ay * az + spread * ey * ez + shear * (ay * ez + ey * az)
    return out
