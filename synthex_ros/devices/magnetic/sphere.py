"""A magnetised sphere: pulled by gradients, rolled along a wall by a turning field."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.bodies import Body
from synthex_ros.devices.magnetic.environment import Environment
from synthex_ros.devices.magnetic.magnetic_materials import NDFEB_A_M
from synthex_ros.devices.magnetic.swept_mesh import ellipsoid
from synthex_ros.devices.magnetic.untethered import Fluid, UntetheredPlant
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
        check_body(self.radius_m, self.density_kg_m3, self.static_friction, self.kinetic_friction)


def check_body(
    radius_m: float, density_kg_m3: float, static_friction: float, kinetic_friction: float
) -> None:
    """Raise ValueError if a value of a small body is out of range."""
    if not 2e-5 <= radius_m <= 0.01:
        raise ValueError(f'radius_m must be 2e-5..0.01 m, got {radius_m:g}; 0.5 mm is 0.0005')
    if not 100 <= density_kg_m3 <= 25e3:
        raise ValueError(f'density_kg_m3 must be 100..25000, got {density_kg_m3:g}')
    if not 0 <= kinetic_friction <= static_friction <= 2:
        raise ValueError(
            'friction must be 0 <= kinetic <= static <= 2, '
            f'got {kinetic_friction:g} and {static_friction:g}'
        )


class SpherePlant(UntetheredPlant):
    """The simulated sphere.

    Attributes:
        parameters: size, material and friction.
    """

    def __init__(
        self,
        parameters: SphereParameters | None = None,
        environment: Environment | None = None,
        fluid: Fluid | None = None,
    ) -> None:
        self.parameters = parameters or SphereParameters()
        super().__init__(environment, fluid)

    @property
    def radius_m(self) -> float:
        """Radius [m]."""
        return self.parameters.radius_m

    @property
    def volume_m3(self) -> float:
        """Volume [m^3]."""
        return 4 / 3 * math.pi * self.parameters.radius_m**3

    @property
    def density_kg_m3(self) -> float:
        """Density [kg/m^3]."""
        return self.parameters.density_kg_m3

    @property
    def friction(self) -> tuple[float, float]:
        """Coefficients of static and kinetic friction on the wall."""
        return self.parameters.static_friction, self.parameters.kinetic_friction

    def moment_base(self, field_t: Array) -> Array:
        """Return the moment, which is fixed to the sphere, shape (3,) [A m^2]."""
        return self.parameters.magnetization_a_m * self.volume_m3 * self._attitude[:, 2]

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
