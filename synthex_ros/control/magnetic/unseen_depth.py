"""A tip whose depth one view hardly shows: aimed as if it lay at the far wall, then at the near.

A view does not show which wall a tip lies at, and so the direction to its aim may be quite wrong.
A tip that was caught is therefore aimed anew, as if from another place along the ray.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_DOUBTFUL_M = 1e-3
_TRIED = (0.0, 1.0, -1.0)


def worst_deviation(covariance_m2: Array) -> Array | None:
    """Return the deviation of a place along its worst axis, (3,) [m]; None below a millimetre.

    Args:
        covariance_m2: covariance of the place, shape (3, 3) [m^2].
    """
    spread, axes = np.linalg.eigh(covariance_m2)
    size = math.sqrt(max(float(spread[-1]), 0.0))
    return size * axes[:, -1] if size > _DOUBTFUL_M else None


def taken_aside(deviation_m: Array | None, attempts: int) -> Array:
    """Return by how much a tip is taken to lie elsewhere after so many attempts, (3,) [m].

    Args:
        deviation_m: see `worst_deviation`.
        attempts: how often the tip has missed or caught.
    """
    if deviation_m is None:
        return np.zeros(3)
    return _TRIED[attempts % len(_TRIED)] * deviation_m
