"""Viscous drag of spheres and droplets, in free fluid and in the middle of a round tube."""

from __future__ import annotations

import math

RIGID = math.inf
"""Viscosity ratio of a solid sphere."""
WIDEST = 0.9
"""Radius over tube radius up to which the wall factor is used; the series is good to about 0.8."""


def _of_ratio(viscosity_ratio: float) -> tuple[float, float, float, float]:
    """Return (1-k)/(2+3k), (2+3k)/(1+k), k/(1+k), (1-k)/(1+k), with their limits for a solid."""
    if math.isinf(viscosity_ratio):
        return -1 / 3, 3.0, 1.0, -1.0
    k = viscosity_ratio
    return (1 - k) / (2 + 3 * k), (2 + 3 * k) / (1 + k), k / (1 + k), (1 - k) / (1 + k)


def free_drag_n_s_m(radius_m: float, viscosity_pa_s: float, viscosity_ratio: float) -> float:
    """Return drag over speed of a droplet in creeping flow: Hadamard and Rybczynski, 1911.

    Args:
        radius_m: radius [m].
        viscosity_pa_s: of the fluid around [Pa s].
        viscosity_ratio: droplet's viscosity over that of the fluid; `RIGID` is Stokes' sphere.
    """
    return 2 * math.pi * viscosity_pa_s * radius_m * _of_ratio(viscosity_ratio)[1]


def wall_factors(ratio: float, viscosity_ratio: float = RIGID) -> tuple[float, float]:
    """Return how a tube multiplies the drag of motion, and that of the flow past a held droplet.

    Haberman and Sayre, DTMB Report 1143 (1958); the first for motion through still fluid, the
    second on Poiseuille flow of the axial speed; a free droplet moves with their quotient.

    Args:
        ratio: droplet radius over tube radius; held at 0.9 beyond.
        viscosity_ratio: droplet's viscosity over that of the fluid.
    """
    s = min(max(ratio, 0.0), WIDEST)
    inner, outer, solid, mixed = _of_ratio(viscosity_ratio)
    below = 1 - 0.7017 * outer * s + 2.0865 * solid * s**3
    below += 0.5689 * (4 * (1 - solid) - outer) * s**5 - 0.72603 * mixed * s**6
    still = 1 + 2.2757 * inner * s**5
    square = 2 * solid / outer
    flowing = 1 - square * s**2 + 0.60651 * inner * s**5
    return still / below, flowing / below


def inertia_factor(reynolds: float) -> float:
    """Return drag over creeping drag: 1 + 0.15 Re^0.687, Schiller and Naumann, 1933 (Re < 800)."""
    return 1 + 0.15 * min(max(reynolds, 0.0), 800.0) ** 0.687
