"""Damped, weighted least squares in a box: the step of a servo law within its limits."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import lsq_linear

Array = NDArray[np.float64]


def box_step(
    jacobian: ArrayLike,
    error: ArrayLike,
    damping: ArrayLike,
    lower: ArrayLike,
    upper: ArrayLike,
) -> Array:
    """Return the step x, shape (n,), that minimises |J x - e|^2 + |D x|^2, lower <= x <= upper.

    The damping D keeps the step small in directions that J hardly moves (singularities).

    Args:
        jacobian: J, already weighted, shape (m, n).
        error: e, already weighted, shape (m,).
        damping: diagonal of D, shape (n,), in the unit of e per unit of x.
        lower: lowest steps, shape (n,), at most zero for a point inside its box.
        upper: highest steps, shape (n,).

    Raises:
        ValueError: something is not finite, or a lower bound is above its upper bound.
    """
    matrix = np.vstack([jacobian, np.diag(damping)])
    wanted = np.concatenate([error, np.zeros(len(np.asarray(damping)))])
    low, high = np.asarray(lower, float), np.asarray(upper, float)
    if not (np.all(np.isfinite(matrix)) and np.all(np.isfinite(wanted))):
        raise ValueError('jacobian, error and damping must be finite')
    if not np.all(low <= high):
        raise ValueError(f'lower must not be above upper, got {low} and {high}')
    scale = np.linalg.norm(matrix, axis=0)
    scale[scale == 0.0] = 1.0
    free = np.linalg.lstsq(matrix / scale, wanted, rcond=None)[0] / scale
    if np.all((free >= low) & (free <= high)):
        return free
    span = np.maximum(high - low, 1e-15)
    bounds = (low * scale, (low + span) * scale)
    return np.clip(lsq_linear(matrix / scale, wanted, bounds, method='bvls').x / scale, low, high)
