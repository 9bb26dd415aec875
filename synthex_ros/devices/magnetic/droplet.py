"""A ferrofluid droplet: pulled by gradients, drawn out by the field, small enough to hold."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from synthex_ros.bodies import Body
from synthex_ros.devices.magnetic.body_motion import frame_along
from synthex_ros.devices.magnetic.body_parameters import check_body, sphere_volume_m3
from synthex_ros.devices.magnetic.magnetic_materials import MU0, Ferrofluid
from synthex_ros.devices.magnetic.swept_mesh import ellipsoid
from synthex_ros.devices.magnetic.untethered import UntetheredPlant
from synthex_ros.geometry import transform_points

Array = NDArray[np.float64]

LANDMARK_NAMES = ('centre',)
LONGEST_ASPECT = 6.0
"""A droplet longer than this is drawn so; in truth it may break up."""


@dataclass(frozen=True)
class DropletParameters:
    """A droplet of ferrofluid that does not mix with blood.

    Attributes:
        radius_m: radius of the sphere of its volume [m].
        ferrofluid: what it consists of.
        viscosity_pa_s: of the ferrofluid [Pa s].
        surface_tension_n_m: towards blood [N/m].
        material: as the renderer knows it.
        static_friction: coefficient on the wall while it holds.
        kinetic_friction: coefficient on the wall while it slips.
    """

    radius_m: float = 0.75e-3
    ferrofluid: Ferrofluid = field(default_factory=Ferrofluid)
    viscosity_pa_s: float = 6e-3
    surface_tension_n_m: float = 0.015
    material: str = 'ferrofluid'
    static_friction: float = 0.05
    kinetic_friction: float = 0.05

    def __post_init__(self):
        check_body(self)
        if not 1e-4 <= self.surface_tension_n_m <= 0.1:
            raise ValueError(
                f'surface_tension_n_m must be 1e-4..0.1, got {self.surface_tension_n_m:g}; '
                '15 mN/m is 0.015'
            )

    @property
    def volume_m3(self) -> float:
        """Volume [m^3]."""
        return sphere_volume_m3(self.radius_m)

    @property
    def density_kg_m3(self) -> float:
        """Density of the ferrofluid [kg/m^3]."""
        return self.ferrofluid.density_kg_m3

    def bond_number(self, magnetization_a_m: float) -> float:
        """Return mu0 M^2 R / (2 gamma)."""
        return MU0 * magnetization_a_m**2 * self.radius_m / (2 * self.surface_tension_n_m)


def _spheroid(aspect: float) -> tuple[float, float]:
    """Return demagnetising factor along the axis, and surface over that of the sphere.

    Prolate spheroid of the volume of the unit sphere: Osborn, Phys. Rev. 67 (1945) 351.
    """
    if aspect < 1 + 1e-4:
        small = aspect - 1
        return 1 / 3 - 4 / 15 * small, 1 + 8 / 45 * small**2
    square = aspect**2 - 1
    factor = (aspect * math.acosh(aspect) / math.sqrt(square) - 1) / square
    eccentricity = math.sqrt(1 - 1 / aspect**2)
    short = aspect ** (-1 / 3)
    surface = short**2 / 2 * (1 + aspect * math.asin(eccentricity) / eccentricity)
    return factor, surface


def _drawing(aspect: float) -> float:
    """Return the Bond number at which a droplet has an aspect ratio."""
    step = 1e-3 * aspect
    (before, narrow), (after, wide) = _spheroid(aspect - step), _spheroid(aspect + step)
    # Energy per 4 pi R^2 gamma: surface + Bo N / 3; its slope is zero at rest.
    return 3 * (wide - narrow) / (before - after)


@lru_cache(maxsize=4096)
def aspect_ratio(bond_number: float) -> float:
    """Return length over width of a droplet that is magnetised along its length.

    It minimises the energy of surface and magnetic self-energy mu0 N M^2 V / 2 of a prolate
    spheroid of even magnetisation (after Bacri and Salin, J. Phys. Lett. 43 (1982) 649); for
    small numbers it is 1 + Bo / 4.
    """
    if bond_number <= 4e-3:
        return 1 + max(bond_number, 0.0) / 4
    if _drawing(LONGEST_ASPECT) <= bond_number:
        return LONGEST_ASPECT
    return float(
        brentq(lambda a: _drawing(a) - bond_number, 1.0 + 5e-4, LONGEST_ASPECT, rtol=1e-6)
    )


class DropletPlant(UntetheredPlant[DropletParameters]):
    """The simulated droplet."""

    parameters_type = DropletParameters

    @property
    def viscosity_ratio(self) -> float:
        """Viscosity of the ferrofluid over that of the fluid."""
        return self.parameters.viscosity_pa_s / self.fluid.viscosity_pa_s

    def _magnetization(self, strength_t: float) -> float:
        return self.parameters.ferrofluid.magnetization_a_m(strength_t)

    def moment_base(self, field_t: Array) -> Array:
        """Return the moment that a field [T] gives the droplet, along it, shape (3,) [A m^2]."""
        strength = math.sqrt(field_t @ field_t)
        if strength == 0.0:
            return np.zeros(3)
        return self._magnetization(strength) * self.volume_m3 / strength * field_t

    def _turn(self, field: Array) -> None:
        """Point the droplet's long axis along the field; the fluid itself does not spin."""
        self._field_t = math.sqrt(field @ field)
        if self._field_t > 0:
            self._attitude = frame_along(field / self._field_t)

    def reset(self, joints: ArrayLike | None = None) -> None:
        """Start again at rest at `device_base`; `joints` must be None or empty."""
        self._field_t = 0.0
        super().reset(joints)

    @property
    def aspect_ratio(self) -> float:
        """Length over width."""
        bond = self.parameters.bond_number(self._magnetization(self._field_t))
        return aspect_ratio(round(bond, 4))

    def half_length_m(self) -> float:
        """Return half of the length [m]."""
        return self.radius_m * self.aspect_ratio ** (2 / 3)

    def bodies(self, world_from_device_base: ArrayLike) -> list[Body]:
        """Return the droplet as an ellipsoid along the field (label 1), posed in `world`."""
        pose = np.asarray(world_from_device_base, float) @ self.base_from_body()
        short = self.radius_m * self.aspect_ratio ** (-1 / 3)
        mesh = ellipsoid((short, short, self.half_length_m()))
        return [Body(mesh, self.parameters.material, pose, 1)]

    def landmarks(self, world_from_device_base: ArrayLike) -> Array:
        """Return the centre in `world`, shape (1, 3) [m]."""
        return transform_points(world_from_device_base, self._position[None])
