"""Cylindrical permanent magnets, exact near and far."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.devices.magnetic.cylinder_kernels import cylinder_at
from synthex_ros.devices.magnetic.field_source import split
from synthex_ros.magnetics import MU0, as_points, as_vector

Array = NDArray[np.float64]


@dataclass(frozen=True)
class CylinderShape:
    """Size and strength of a magnet that is magnetised along its axis.

    Where length / diameter is near 0.87 the field is closest to a dipole's (0.8 % at two
    diameters, 10 % for a flat disc of half that length).

    Attributes:
        diameter_m: diameter [m].
        length_m: length along the axis [m].
        remanence_t: remanent flux density of the material [T]; NdFeB has 1.2 to 1.45 T.
        density_kg_m3: mass density [kg/m^3].

    Raises:
        ValueError: a value is outside its range.
    """

    diameter_m: float = 0.060
    length_m: float = 0.052
    remanence_t: float = 1.3
    density_kg_m3: float = 7500.0

    def __post_init__(self):
        ranges = {
            'diameter_m': (1e-5, 0.5),
            'length_m': (1e-5, 0.5),
            'remanence_t': (0.01, 2.0),
            'density_kg_m3': (1000.0, 20000.0),
        }
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not low <= value <= high:
                hint = '; looks like millimetres' if name.endswith('_m') and value > high else ''
                raise ValueError(f'{name} must be {low:g}..{high:g}, got {value:g}{hint}')

    @property
    def volume_m3(self) -> float:
        """Volume [m^3]."""
        return math.pi / 4 * self.diameter_m**2 * self.length_m

    @property
    def moment_a_m2(self) -> float:
        """Magnetic moment Br V / mu0 [A m^2]."""
        return self.remanence_t * self.volume_m3 / MU0

    @property
    def mass_kg(self) -> float:
        """Mass [kg]."""
        return self.density_kg_m3 * self.volume_m3

    @property
    def bounding_radius_m(self) -> float:
        """Distance of the edges from the centre [m]."""
        return math.hypot(self.diameter_m, self.length_m) / 2


class CylinderMagnet:
    """A cylinder, magnetised along its axis, at a place; inside it, the field is B.

    Attributes:
        shape: size and strength.
        position_m: centre, shape (3,) [m].
        axis: unit vector from its south to its north face, shape (3,).
    """

    def __init__(self, shape: CylinderShape, position_m: ArrayLike, axis: ArrayLike) -> None:
        """Place a magnet; `axis` needs no unit length.

        Raises:
            ValueError: not three finite numbers each, or an axis of no length.
        """
        self.shape = shape
        self.position_m = as_vector(position_m, 'position_m')
        direction = as_vector(axis, 'axis')
        length = float(np.linalg.norm(direction))
        if length == 0.0:
            raise ValueError('axis must have a direction, got [0, 0, 0]')
        self.axis = direction / length

    @property
    def moment_a_m2(self) -> Array:
        """Magnetic moment, shape (3,) [A m^2]."""
        return self.shape.moment_a_m2 * self.axis

    def field_t(self, points_m: ArrayLike) -> Array:
        """Return the field [T], shape (N, 3), at points, shape (N, 3) [m]."""
        return self.field_and_gradient(points_m)[0]

    def field_and_gradient(self, points_m: ArrayLike) -> tuple[Array, Array]:
        """Return field [T], shape (N, 3), and gradient [T/m], shape (N, 5), at points (N, 3) [m].

        On the edges, where both are infinite, large finite values are returned.

        Raises:
            ValueError: wrong shape or not finite.
        """
        shape = self.shape
        values = cylinder_at(
            as_points(points_m),
            self.position_m,
            self.axis,
            shape.diameter_m / 2,
            shape.length_m,
            shape.remanence_t,
        )
        return split(values)
