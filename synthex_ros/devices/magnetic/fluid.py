"""The fluid around a body without tether."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fluid:
    """The fluid in the vessel; blood by default.

    Attributes:
        viscosity_pa_s: dynamic viscosity [Pa s].
        density_kg_m3: density [kg/m^3].
    """

    viscosity_pa_s: float = 3.5e-3
    density_kg_m3: float = 1060.0

    def __post_init__(self):
        if not 1e-5 <= self.viscosity_pa_s <= 10:
            raise ValueError(
                f'viscosity_pa_s must be 1e-5..10, got {self.viscosity_pa_s:g}; '
                'blood has 0.0035 Pa s, 3.5 cP'
            )
        if not 1 <= self.density_kg_m3 <= 5000:
            raise ValueError(f'density_kg_m3 must be 1..5000, got {self.density_kg_m3:g}')
