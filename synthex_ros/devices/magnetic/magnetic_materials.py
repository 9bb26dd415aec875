"""Magnetisation of what magnetic devices are made of."""

from __future__ import annotations

import math
from dataclasses import dataclass

MU0 = 4e-7 * math.pi
BOLTZMANN_J_K = 1.380649e-23
BODY_K = 310.0

NDFEB_A_M = 955e3
"""Sintered NdFeB, remanence 1.2 T [A/m]."""
FILLED_RUBBER_A_M = 128e3
"""Rubber with 20 % by volume of NdFeB powder of 0.8 T remanence [A/m]."""
MAGNETITE_A_M = 446e3


@dataclass(frozen=True)
class Ferrofluid:
    """Magnetite particles in oil, magnetised by Langevin's law.

    Attributes:
        volume_fraction: of magnetite.
        particle_diameter_m: magnetic diameter of the particles [m].
        density_kg_m3: of the fluid [kg/m^3].
    """

    volume_fraction: float = 0.06
    particle_diameter_m: float = 10e-9
    density_kg_m3: float = 1053.0

    @property
    def saturation_a_m(self) -> float:
        """Highest magnetisation [A/m]."""
        return self.volume_fraction * MAGNETITE_A_M

    @property
    def langevin_per_a_m(self) -> float:
        """Argument of Langevin's function per inner field [m/A]."""
        moment = MAGNETITE_A_M * math.pi / 6 * self.particle_diameter_m**3
        return MU0 * moment / (BOLTZMANN_J_K * BODY_K)

    @property
    def susceptibility(self) -> float:
        """Initial susceptibility."""
        return self.saturation_a_m * self.langevin_per_a_m / 3

    def magnetization_a_m(self, field_t: float, demagnetization: float = 1 / 3) -> float:
        """Return the magnetisation of a droplet in an outer field.

        The inner field is the outer one less the droplet's own, H = B / mu0 - N M; solved by
        Newton from the linear answer.

        Args:
            field_t: outer field [T].
            demagnetization: factor N along the field; 1/3 for a sphere.
        """
        outer = field_t / MU0
        chi = self.susceptibility
        value = min(chi * outer / (1 + demagnetization * chi), 0.999 * self.saturation_a_m)
        for _ in range(30):
            inside = outer - demagnetization * value
            level, slope = langevin(self.langevin_per_a_m * inside)
            miss = value - self.saturation_a_m * level
            gain = 1 + self.saturation_a_m * slope * self.langevin_per_a_m * demagnetization
            value -= miss / gain
            if abs(miss) < 1e-9 * self.saturation_a_m:
                break
        return value


def langevin(x: float) -> tuple[float, float]:
    """Return coth x - 1/x and its derivative."""
    if abs(x) < 1e-3:
        return x / 3 - x**3 / 45, 1 / 3 - x**2 / 15
    if abs(x) > 300:
        return math.copysign(1 - 1 / abs(x), x), 1 / x**2
    coth = 1 / math.tanh(x)
    return coth - 1 / x, 1 - coth**2 + 1 / x**2
