"""A turn that points somewhere and is random about that line."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def random_turn_to(axis: Array, rng: np.random.Generator) -> Array:
    """Return a rotation that carries z to `axis` with a random turn about it, shape (3, 3)."""
    z = axis / np.linalg.norm(axis)
    x = np.cross(rng.normal(size=3), z)
    x /= np.linalg.norm(x)
    return np.column_stack([x, np.cross(z, x), z])
