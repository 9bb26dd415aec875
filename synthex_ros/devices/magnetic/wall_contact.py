"""Force of a device on the vessel wall."""

from __future__ import annotations

import math

import numba as nb
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@nb.njit(cache=True)
def largest_force_n(arc_m: Array, force_n: Array, window_m: float) -> float:
    """Return the largest force [N] that a stretch of a device has on the wall.

    The forces of a stretch are added as vectors, so the number does not depend on how finely the
    device is divided.

    Args:
        arc_m: positions of the contact points along the device, ascending, shape (N,) [m].
        force_n: forces at the contact points, shape (N, 3) [N].
        window_m: length of a stretch [m].
    """
    largest, end = 0.0, 0
    total = np.zeros(3)
    for begin in range(len(arc_m)):
        while end < len(arc_m) and arc_m[end] <= arc_m[begin] + window_m:
            total += force_n[end]
            end += 1
        largest = max(largest, total[0] ** 2 + total[1] ** 2 + total[2] ** 2)
        total -= force_n[begin]
    return math.sqrt(largest)
