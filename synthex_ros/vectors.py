"""Single short vectors, on which the general calls of NumPy take many times as long."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def cross(a: Array, b: Array) -> Array:
    """Return the cross product of two vectors, shape (3,) each."""
    (ax, ay, az), (bx, by, bz) = a.tolist(), b.tolist()
    return np.array([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx])


def length(a: Array) -> float:
    """Return the length of a vector, shape (n,)."""
    return math.sqrt(a @ a)


def angle_rad(a: Array, b: Array) -> float:
    """Return the angle between two vectors, shape (3,) each [rad]; 0 where one is zero."""
    return math.atan2(length(cross(a, b)), float(a @ b))


def clamp(value: float, low: float, high: float) -> float:
    """Return a number moved into low..high; NaN stays NaN."""
    return low if value < low else high if value > high else value
