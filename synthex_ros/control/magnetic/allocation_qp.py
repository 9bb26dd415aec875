"""Least squares in a box with a limit on the sum of squares: the core of current allocation."""

from __future__ import annotations

from collections.abc import Callable

import daqp
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

Array = NDArray[np.float64]

_POWER_TOLERANCE = 2e-3
# exponents of the least and the largest extra ridge
_RIDGES = (-6.0, 9.0)


def box_least_squares(
    rows: Array, wanted: Array, ridge: float, lower: Array, upper: Array
) -> Array:
    """Return x, shape (n,), that minimises |R x - w|^2 + ridge |x|^2 with lower <= x <= upper.

    Solved by the active-set method of DAQP (Arnstrom et al., IEEE Trans. Autom. Control 67, 4362
    (2022)).

    Args:
        rows: R, already weighted, shape (m, n).
        wanted: w, already weighted, shape (m,).
        ridge: positive weight of |x|^2.
        lower: lowest x, shape (n,).
        upper: highest x, shape (n,); equal bounds fix a value.

    Raises:
        ValueError: something is not finite, or a lower bound is above its upper bound.
    """
    if not (np.isfinite(rows).all() and np.isfinite(wanted).all()):
        raise ValueError('rows and wanted values must be finite')
    if not (lower <= upper).all():
        raise ValueError(f'lower must not be above upper, got {lower} and {upper}')
    free = lower < upper
    x = np.array(lower, float)
    if free.any():
        inner = np.ascontiguousarray(rows[:, free])
        target = wanted - rows[:, ~free] @ x[~free]
        hessian = inner.T @ inner
        hessian.ravel()[:: len(hessian) + 1] += ridge  # the diagonal
        x[free] = _solve(hessian, -inner.T @ target, lower[free], upper[free])
    return x


def _solve(hessian: Array, linear: Array, lower: Array, upper: Array) -> Array:
    found = np.linalg.solve(hessian, -linear).astype(float, copy=False)
    if (found >= lower).all() and (found <= upper).all():
        return found
    count = len(linear)
    sense = np.zeros(count, np.int32)
    found, _, flag, _ = daqp.solve(hessian, linear, np.zeros((0, count)), upper, lower, sense)
    if flag < 1:
        raise ArithmeticError(f'the quadratic program was not solved, DAQP flag {flag}')
    return np.clip(found, lower, upper)


def within_power(
    solve: Callable[[float], Array], power: Callable[[Array], float], limit: float
) -> tuple[Array, bool]:
    """Return the solution with the least extra ridge whose power is within the limit.

    The extra ridge is the multiplier of the power limit, found by Brent's method on its logarithm.

    Args:
        solve: returns x, shape (n,), for an extra ridge.
        power: power of x.
        limit: highest power.

    Returns:
        x, shape (n,), and whether the limit is active. Where even the largest ridge does not
        reach the limit (bounds that exclude zero), that x is returned.
    """
    x = solve(0.0)
    if power(x) <= limit:
        return x, False
    goal = limit * (1 - _POWER_TOLERANCE / 2)
    tried: dict[float, Array] = {}

    def excess(exponent: float) -> float:
        """Return how far the length of x is from that of the goal, nearly linear in the ridge."""
        tried[exponent] = solve(10.0**exponent)
        off = float(np.sqrt(power(tried[exponent]) / goal) - 1)
        return 0.0 if abs(off) < _POWER_TOLERANCE / 4 else off

    low, high = _RIDGES
    if excess(high) > 0:
        return tried[high], True
    root = high if excess(low) <= 0 else float(brentq(excess, low, high, xtol=1e-6, maxiter=60))
    allowed = [e for e in tried if e >= root - 1e-5 and power(tried[e]) <= limit]
    return tried[min(allowed)], True
