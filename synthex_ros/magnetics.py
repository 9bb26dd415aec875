"""Magnetic field, its gradient, force and torque: what devices and their controllers share.

Outside its sources a static field has no curl and no divergence, so its gradient is a symmetric,
trace-free matrix of five independent components, in this order everywhere in the package:
dBx/dx, dBx/dy, dBx/dz, dBy/dy, dBy/dz.
"""

from __future__ import annotations

import math

import numba as nb
import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

MU0_OVER_4PI = 1e-7
MU0 = 4e-7 * math.pi
GRADIENT_NAMES = ('dBx/dx', 'dBx/dy', 'dBx/dz', 'dBy/dy', 'dBy/dz')
_MATRIX_OF_COMPONENTS = np.array([[0, 1, 2], [1, 3, 4], [2, 4, 0]])
_ROWS, _COLUMNS = np.array([0, 0, 0, 1, 1]), np.array([0, 1, 2, 1, 2])


def gradient_matrix(gradient_t_m: ArrayLike) -> Array:
    """Return dB_i/dx_j [T/m], shape (..., 3, 3), of the five components, shape (..., 5)."""
    gradient = np.asarray(gradient_t_m, float)
    matrix = gradient[..., _MATRIX_OF_COMPONENTS]
    matrix[..., 2, 2] = -(gradient[..., 0] + gradient[..., 3])
    return matrix


def gradient_components(matrix_t_m: ArrayLike) -> Array:
    """Return the five components [T/m], shape (..., 5), of dB_i/dx_j, shape (..., 3, 3)."""
    return np.asarray(matrix_t_m, float)[..., _ROWS, _COLUMNS]


def force_n(moment_a_m2: ArrayLike, gradient_t_m: ArrayLike) -> Array:
    """Return the force (grad B)^T m [N], shape (..., 3), on a point moment.

    Args:
        moment_a_m2: magnetic moment, shape (..., 3) [A m^2].
        gradient_t_m: the five gradient components at it, shape (..., 5) [T/m].
    """
    return np.einsum('...ij,...i->...j', gradient_matrix(gradient_t_m), np.asarray(moment_a_m2))


def torque_n_m(moment_a_m2: ArrayLike, field_t: ArrayLike) -> Array:
    """Return the torque m x B [N m], shape (..., 3), on a moment (..., 3) in a field (..., 3)."""
    return np.cross(np.asarray(moment_a_m2, float), np.asarray(field_t, float))


def force_map(moment_a_m2: ArrayLike) -> Array:
    """Return M [A m^2], shape (3, 5), with force = M @ gradient, of a moment, shape (3,)."""
    x, y, z = np.asarray(moment_a_m2, float)
    return np.array([[x, y, z, 0, 0], [0, x, 0, y, z], [-z, 0, x, -z, y]])


@nb.njit(cache=True)
def add_dipole(out: Array, x: float, y: float, z: float, mx: float, my: float, mz: float) -> None:
    """Add the field [T] and gradient [T/m] of a dipole to `out`, shape (8,).

    B = k (3 (m.n) n - m) / r^3 and
    dB_i/dx_j = 3 k (m_i n_j + n_i m_j + (m.n) (delta_ij - 5 n_i n_j)) / r^4, with k = mu0 / 4 pi
    (Jackson, Classical Electrodynamics, 3rd ed., eq. 5.56, and its derivative).

    Args:
        out: receives Bx, By, Bz and the five gradient components.
        x: point relative to the dipole, first of three coordinates [m].
        y: second coordinate [m].
        z: third coordinate [m].
        mx: moment, first of three components [A m^2].
        my: second component [A m^2].
        mz: third component [A m^2].
    """
    r2 = x * x + y * y + z * z
    r = math.sqrt(r2)
    x, y, z = x / r, y / r, z / r
    along = mx * x + my * y + mz * z
    scale = 1e-7 / (r2 * r)
    out[0] += scale * (3 * along * x - mx)
    out[1] += scale * (3 * along * y - my)
    out[2] += scale * (3 * along * z - mz)
    scale *= 3 / r
    out[3] += scale * (2 * mx * x + along * (1 - 5 * x * x))
    out[4] += scale * (mx * y + x * my - 5 * along * x * y)
    out[5] += scale * (mx * z + x * mz - 5 * along * x * z)
    out[6] += scale * (2 * my * y + along * (1 - 5 * y * y))
    out[7] += scale * (my * z + y * mz - 5 * along * y * z)


@nb.njit(cache=True)
def dipoles_at(points: Array, positions: Array, moments: Array) -> Array:
    """Return field and gradient of a sum of dipoles, shape (N, 8) [T and T/m].

    Args:
        points: where, shape (N, 3) [m].
        positions: the dipoles, shape (S, 3) [m].
        moments: their moments, shape (S, 3) [A m^2].
    """
    out = np.zeros((len(points), 8))
    for n in range(len(points)):
        for s in range(len(positions)):
            x = points[n, 0] - positions[s, 0]
            y = points[n, 1] - positions[s, 1]
            z = points[n, 2] - positions[s, 2]
            if x == 0.0 and y == 0.0 and z == 0.0:
                out[n] = np.nan
            else:
                add_dipole(out[n], x, y, z, moments[s, 0], moments[s, 1], moments[s, 2])
    return out


@nb.njit(cache=True)
def dipole_columns(
    points: Array, positions: Array, moments: Array, column: NDArray[np.int64], n: int
) -> Array:
    """Return field and gradient of n groups of dipoles, shape (N, 8, n) [T and T/m].

    Args:
        points: where, shape (N, 3) [m].
        positions: the dipoles, shape (S, 3) [m].
        moments: their moments, shape (S, 3) [A m^2].
        column: the group of each dipole, shape (S,), integers below n.
        n: number of groups.
    """
    out = np.zeros((len(points), 8, n))
    one = np.zeros(8)
    for p in range(len(points)):
        for s in range(len(positions)):
            one[:] = 0.0
            x = points[p, 0] - positions[s, 0]
            y = points[p, 1] - positions[s, 1]
            z = points[p, 2] - positions[s, 2]
            add_dipole(one, x, y, z, moments[s, 0], moments[s, 1], moments[s, 2])
            for k in range(8):
                out[p, k, column[s]] += one[k]
    return out


def as_points(points_m: ArrayLike, name: str = 'points_m') -> Array:
    """Return points as contiguous float64, shape (N, 3) [m].

    Raises:
        ValueError: wrong shape or not finite.
    """
    points = np.ascontiguousarray(points_m, float)
    if points.ndim != 2 or points.shape[1] != 3:
        hint = '; pass one point as [[x, y, z]]' if points.shape == (3,) else ''
        raise ValueError(f'{name} must have shape (N, 3), got {points.shape}{hint}')
    if not np.isfinite(points).all():
        raise ValueError(f'{name} must be finite, got NaN or infinity')
    return points


def as_vector(values: ArrayLike, name: str) -> Array:
    """Return a finite vector of three, float64, shape (3,).

    Raises:
        ValueError: wrong shape or not finite.
    """
    vector = np.asarray(values, float)
    if vector.shape != (3,) or not all(map(math.isfinite, vector.tolist())):
        raise ValueError(f'{name} must be three finite numbers, got {vector.tolist()}')
    return vector
