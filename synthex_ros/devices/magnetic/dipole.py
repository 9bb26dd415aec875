"""Point dipoles: the far field of any magnet or coil."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.devices.magnetic.field_source import split
from synthex_ros.magnetics import as_points, dipoles_at

Array = NDArray[np.float64]


class Dipole:
    """One dipole or several.

    Attributes:
        positions_m: where they are, shape (S, 3) [m].
        moments_a_m2: their moments, shape (S, 3) [A m^2].
    """

    def __init__(self, position_m: ArrayLike, moment_a_m2: ArrayLike) -> None:
        """Place dipoles: position [m] and moment [A m^2], each of shape (3,) or (S, 3).

        Raises:
            ValueError: wrong or different shapes, or not finite.
        """
        self.positions_m = as_points(np.atleast_2d(position_m), 'position_m')
        self.moments_a_m2 = as_points(np.atleast_2d(moment_a_m2), 'moment_a_m2')
        if self.positions_m.shape != self.moments_a_m2.shape:
            raise ValueError(
                f'position_m and moment_a_m2 must have one row for each dipole, got '
                f'{len(self.positions_m)} and {len(self.moments_a_m2)}'
            )

    def field_t(self, points_m: ArrayLike) -> Array:
        """Return the field [T], shape (N, 3), at points, shape (N, 3) [m]."""
        return self.field_and_gradient(points_m)[0]

    def field_and_gradient(self, points_m: ArrayLike) -> tuple[Array, Array]:
        """Return field [T], shape (N, 3), and gradient [T/m], shape (N, 5), at points (N, 3) [m].

        Raises:
            ValueError: wrong shape, not finite, or a point on a dipole.
        """
        return split(dipoles_at(as_points(points_m), self.positions_m, self.moments_a_m2))
