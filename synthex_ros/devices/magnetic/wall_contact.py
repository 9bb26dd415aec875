"""Force of a device on the vessel wall, and how a small body meets it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def largest_force_n(arc_m: Array, force_n: Array, window_m: float) -> float:
    """Return the largest force [N] that a stretch of a device has on the wall.

    The forces of a stretch are added as vectors, so the number does not depend on how finely the
    device is divided.

    Args:
        arc_m: positions of the contact points along the device, ascending, shape (N,) [m].
        force_n: forces at the contact points, shape (N, 3) [N].
        window_m: length of a stretch [m].
    """
    if not force_n.any():
        return 0.0
    total = np.vstack([np.zeros(3), np.cumsum(force_n, axis=0)])
    ends = np.searchsorted(arc_m, arc_m + window_m, side='right')
    sums = total[ends] - total[: len(arc_m)]
    return float(np.sqrt(np.einsum('ij,ij->i', sums, sums).max()))
