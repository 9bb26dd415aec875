"""What the parameters of every body without tether say, and the ranges that all of them keep."""

from __future__ import annotations

import math
from typing import Protocol


class BodyParameters(Protocol):
    """Size, mass and friction of a body; its dataclass adds what makes it magnetic."""

    @property
    def radius_m(self) -> float:
        """Radius of the sphere of the same drag, when nothing squeezes the body [m]."""

    @property
    def volume_m3(self) -> float:
        """Volume of the material [m^3]."""

    @property
    def density_kg_m3(self) -> float:
        """Density of the material [kg/m^3]."""

    @property
    def static_friction(self) -> float:
        """Coefficient on the wall while it holds."""

    @property
    def kinetic_friction(self) -> float:
        """Coefficient on the wall while the body slips."""


def check_body(parameters: BodyParameters) -> None:
    """Check what all bodies have.

    Raises:
        ValueError: a value is out of range.
    """
    radius, density = parameters.radius_m, parameters.density_kg_m3
    if not 2e-5 <= radius <= 0.01:
        raise ValueError(f'radius_m must be 2e-5..0.01 m, got {radius:g}; 0.5 mm is 0.0005')
    if not 100 <= density <= 25e3:
        slip = 'give it in kg/m^3, of which water has 1000'
        if 0.1 <= density <= 25:
            slip = f'looks like g/cm^3, pass {1000 * density:g}'
        raise ValueError(f'density_kg_m3 must be 100..25000, got {density:g}; {slip}')
    still, moving = parameters.static_friction, parameters.kinetic_friction
    if not 0 <= moving <= still <= 2:
        raise ValueError(
            'friction must be 0 <= kinetic_friction <= static_friction <= 2, got kinetic '
            f'{moving:g} and static {still:g}; what slips rubs no more than what holds'
        )


def sphere_volume_m3(radius_m: float) -> float:
    """Return the volume of a sphere [m^3] of a radius [m]."""
    return 4 / 3 * math.pi * radius_m**3
