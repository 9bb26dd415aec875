"""The contract of a field source, and the sum of several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.magnetics import as_points, force_n, gradient_matrix, torque_n_m

__all__ = ['FieldSource', 'SumOfSources', 'force_n', 'gradient_matrix', 'split', 'torque_n_m']

Array = NDArray[np.float64]


class FieldSource(Protocol):
    """Something that makes a static magnetic field."""

    def field_t(self, points_m: ArrayLike) -> Array:
        """Return the field [T], shape (N, 3), at points, shape (N, 3) [m]."""

    def field_and_gradient(self, points_m: ArrayLike) -> tuple[Array, Array]:
        """Return field [T], shape (N, 3), and gradient [T/m], shape (N, 5), at points (N, 3) [m].

        The gradient components are those of `synthex_ros.magnetics.GRADIENT_NAMES`.
        """


def split(values: Array) -> tuple[Array, Array]:
    """Return field, shape (N, 3), and gradient, shape (N, 5), of both together, shape (N, 8).

    Raises:
        ValueError: a value is not finite, the point lies on a source.
    """
    if not np.isfinite(values).all():
        raise ValueError(
            'the field is infinite at a point that lies on its source; move the point'
        )
    return values[:, :3], values[:, 3:]


class SumOfSources:
    """Several sources at once; fields add."""

    def __init__(self, sources: Sequence[FieldSource]) -> None:
        """Take the sources, in any order; none makes no field."""
        self.sources = tuple(sources)

    def field_t(self, points_m: ArrayLike) -> Array:
        """Return the field [T], shape (N, 3), at points, shape (N, 3) [m]."""
        return self.field_and_gradient(points_m)[0]

    def field_and_gradient(self, points_m: ArrayLike) -> tuple[Array, Array]:
        """Return field [T], shape (N, 3), and gradient [T/m], shape (N, 5)."""
        count = len(as_points(points_m))
        field, gradient = np.zeros((count, 3)), np.zeros((count, 5))
        for source in self.sources:
            more_field, more_gradient = source.field_and_gradient(points_m)
            field += more_field
            gradient += more_gradient
        return field, gradient
