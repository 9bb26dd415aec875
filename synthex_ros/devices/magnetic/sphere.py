"""A magnetised sphere: pulled by gradients, rolled along a wall by a turning field."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.bodies import Body
from synthex_ros.devices.magnetic.body_parameters import check_body, sphere_volume_m3
from synthex_ros.devices.magnetic.magnetic_materials import NDFEB_A_M
from synthex_ros.devices.magnetic.swept_mesh import ellipsoid
from synthex_ros.devices.magnetic.untethered import UntetheredPlant
from synthex_ros.geometry import transform_points

Array = NDArray[np.float64]

LANDMARK_NAMES = ('centre',)


@dataclass(frozen=True)
class SphereParameters:
    """A rigid sphere, magnetised along its z axis.

    Attributes:
        radius_m: radius [m].
        magnetization_a_m: magnetisation [A/m].
        density_kg_m3: density [kg/m^3].
        material: as the renderer knows it.
        static_friction: coefficient on the wall while it holds.
        kinetic_friction: coefficient on the wall while it slips.
    """

    radius_m: float = 0.5e-3
    magnetization_a_m: float = NDFEB_A_M
    density_kg_m3: float = 7500.0
    material: str = 'ndfeb'
    static_friction: float = 0.3
    kinetic_friction: float = 0.2

    def __post_init__(self):
        check_body(self)

    @property
    def volume_m3(self) -> float:
        """Volume [m^3]."""
        return sphere_volume_m3(self.radius_m)

    @property
    def moment_a_m2(self) -> float:
        """Magnetic moment [A m^2]."""
        return self.magnetization_a_m * self.volume_m3


class SpherePlant(UntetheredPlant[SphereParameters]):
    """The simulated sphere."""

    parameters_type = SphereParameters

    def moment_base(self, field_t: Array) -> Array:
        """Return the moment, which is fixed to the sphere, shape (3,) [A m^2]."""
        return self.parameters.moment_a_m2 * self._attitude[:, 2]

    def half_length_m(self) -> float:
        """Return the radius [m]."""
        return self.radius_m

    def bodies(self, world_from_device_base: ArrayLike) -> list[Body]:
        """Return the sphere (label 1), posed in `world`."""
        pose = np.asarray(world_from_device_base, float) @ self.base_from_body()
        mesh = ellipsoid((self.radius_m, self.radius_m, self.radius_m))
        return [Body(mesh, self.parameters.material, pose, 1)]

    def landmarks(self, world_from_device_base: ArrayLike) -> Array:
        """Return the centre in `world`, shape (1, 3) [m]."""
        return transform_points(world_from_device_base, self._position[None])
