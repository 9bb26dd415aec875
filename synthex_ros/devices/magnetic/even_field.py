"""A field that is the same everywhere: what large coils make in their middle, for studies."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


class EvenField:
    """An ideal source, for studies of devices alone.

    With a gradient the field changes along the way only in `force`: the field itself stays the
    same everywhere, which no real source can do over more than a small region.

    Args:
        field_t: field, shape (3,) [T].
        gradient_t_m: the five gradient components, shape (5,) [T/m]; see `synthex_ros.magnetics`.
    """

    def __init__(self, field_t: ArrayLike, gradient_t_m: ArrayLike = (0, 0, 0, 0, 0)) -> None:
        self._field = np.array(field_t, float).reshape(1, 3)
        self._gradient = np.array(gradient_t_m, float).reshape(1, 5)

    def field_t(self, points_m: ArrayLike) -> Array:
        """Return the field [T], shape (N, 3), at points, shape (N, 3) [m]."""
        return np.repeat(self._field, len(np.atleast_2d(points_m)), axis=0)

    def field_and_gradient(self, points_m: ArrayLike) -> tuple[Array, Array]:
        """Return field [T], shape (N, 3), and gradient [T/m], shape (N, 5)."""
        field = self.field_t(points_m)
        return field, np.repeat(self._gradient, len(field), axis=0)
