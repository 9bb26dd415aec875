"""Dimensions, materials and limits of a guidewire with a magnet in its tip."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from synthex_ros.devices.magnetic.rod import RodTable, Surroundings
from synthex_ros.joints import JointLimits

JOINT_NAMES = ('insertion', 'roll')
LANDMARK_NAMES = ('marker', 'tip')

Array = np.ndarray


@dataclass(frozen=True)
class GuidewireParameters:
    """A nitinol wire whose core tapers to a soft tip that ends in a magnet.

    From the back: body, taper, flexible part (thin core in a polymer jacket), magnet. The sizes
    are those of a 0.014 inch guidewire; the magnetic tips of Kim et al., Sci. Robot. 4 (2019)
    eaax7329, and of cylinder-magnet catheters are both within the ranges.

    Attributes:
        length_m: whole wire [m].
        body_diameter_m: of the core in the body [m].
        core_youngs_pa: Young's modulus of the core, superelastic nitinol [Pa].
        taper_length_m: over which the core narrows [m].
        flexible_length_m: flexible part between taper and magnet [m].
        flexible_core_diameter_m: of the core in the flexible part [m].
        jacket_diameter_m: outer diameter of the jacket on the flexible part and the taper [m].
        jacket_youngs_pa: Young's modulus of the jacket [Pa].
        jacket_magnetization_a_m: of the jacket of the flexible part along the wire; 0 for plain
            polymer, 30..130 kA/m for a jacket filled with NdFeB powder [A/m].
        precurve_rad: bend of the flexible part at rest [rad].
        magnet_length_m: of the magnet at the tip; 0 for none [m].
        magnet_diameter_m: of that magnet [m].
        magnet_magnetization_a_m: of that magnet along the wire; positive has its north pole at
            the tip [A/m].
        marker_length_m: of the platinum-iridium band at the back of the flexible part [m].
        parked_m: length beyond the entry at insertion 0 [m].
        body_spacing_m: element size in the body [m].
        flexible_elements: elements of the flexible part.
        drag_n_s_m2: viscous drag per length [N s/m^2].
        wall_stiffness_n_m2: force per length on a wall pressed in by a metre [N/m^2].
        friction: coefficient of friction on the wall.
        insertion_range_m: travel of the feeder, (low, high) [m].
        insertion_rate_m_s: highest feeding speed [m/s].
        roll_range_rad: travel of the roll axis, (low, high) [rad].
        roll_rate_rad_s: highest roll speed [rad/s].
    """

    length_m: float = 0.55
    body_diameter_m: float = 0.30e-3
    core_youngs_pa: float = 60e9
    taper_length_m: float = 0.030
    flexible_length_m: float = 0.020
    flexible_core_diameter_m: float = 0.10e-3
    jacket_diameter_m: float = 0.50e-3
    jacket_youngs_pa: float = 5e6
    jacket_magnetization_a_m: float = 0.0
    precurve_rad: float = 0.0
    magnet_length_m: float = 4e-3
    magnet_diameter_m: float = 0.60e-3
    magnet_magnetization_a_m: float = 955e3
    marker_length_m: float = 1.5e-3
    parked_m: float = 0.030
    body_spacing_m: float = 5e-3
    flexible_elements: int = 10
    drag_n_s_m2: float = 0.05
    wall_stiffness_n_m2: float = 1e5
    friction: float = 0.1
    insertion_range_m: tuple[float, float] = (0.0, 0.45)
    insertion_rate_m_s: float = 0.035
    roll_range_rad: tuple[float, float] = (-4 * math.pi, 4 * math.pi)
    roll_rate_rad_s: float = math.pi

    def __post_init__(self):
        for name, (low, high) in _ALLOWED.items():
            value = getattr(self, name)
            if not low <= value <= high:
                hint = '; looks like millimetres' if name.endswith('_m') and value > 1 else ''
                raise ValueError(f'{name} must be {low:g}..{high:g}, got {value:g}{hint}')
        if not isinstance(self.flexible_elements, int) or not 3 <= self.flexible_elements <= 40:
            raise ValueError(
                f'flexible_elements must be an integer 3..40, got {self.flexible_elements!r}'
            )
        if self.flexible_core_diameter_m > min(self.body_diameter_m, self.jacket_diameter_m):
            raise ValueError(
                'flexible_core_diameter_m must not exceed body and jacket '
                f'({self.body_diameter_m:g}, {self.jacket_diameter_m:g} m), '
                f'got {self.flexible_core_diameter_m:g}'
            )
        needed = self.parked_m + self.insertion_range_m[1]
        if not self.soft_length_m < needed <= self.length_m:
            raise ValueError(
                f'parked_m + the end of insertion_range_m is {needed:g} m; it must be more than '
                f'taper, flexible part and magnet ({self.soft_length_m:g} m) and at most '
                f'length_m ({self.length_m:g} m)'
            )

    @property
    def flexible_end_m(self) -> float:
        """Distance of the back of the flexible part from the tip [m]."""
        return self.magnet_length_m + self.flexible_length_m

    @property
    def soft_length_m(self) -> float:
        """Length from the tip to where the body begins [m]."""
        return self.flexible_end_m + self.taper_length_m

    @property
    def moment_a_m2(self) -> float:
        """Magnetic moment of the tip magnet [A m^2]."""
        area = math.pi / 4 * self.magnet_diameter_m**2
        return self.magnet_magnetization_a_m * area * self.magnet_length_m

    @property
    def flexible_bending_n_m2(self) -> float:
        """Bending stiffness EI of the flexible part [N m^2]."""
        return float(self._bending(np.array([self.flexible_core_diameter_m]))[0])

    @property
    def surroundings(self) -> Surroundings:
        """Drag, wall and friction."""
        return Surroundings(self.drag_n_s_m2, self.wall_stiffness_n_m2, self.friction)

    @property
    def limits(self) -> JointLimits:
        """Joint names, travel and rate limits in joint order."""
        lower, upper = np.array((self.insertion_range_m, self.roll_range_rad), float).T
        rate = np.array((self.insertion_rate_m_s, self.roll_rate_rad_s), float)
        return JointLimits(JOINT_NAMES, lower, upper, rate)

    def core_diameter_m(self, distance_m: Array) -> Array:
        """Return the diameter of the core at distances from the tip [m], shape (K,)."""
        share = np.clip((distance_m - self.flexible_end_m) / self.taper_length_m, 0, 1)
        return self.flexible_core_diameter_m + share * (
            self.body_diameter_m - self.flexible_core_diameter_m
        )

    def _bending(self, core_m: Array, jacket: bool = True) -> Array:
        outer = max(self.jacket_diameter_m, float(core_m.max())) if jacket else core_m
        polymer = self.jacket_youngs_pa * (outer**4 - core_m**4)
        return math.pi / 64 * (self.core_youngs_pa * core_m**4 + polymer)

    def table(self) -> RodTable:
        """Return the wire as elements: two in the magnet, finer ones in the soft parts."""
        flexible = self.flexible_length_m / self.flexible_elements
        magnet = np.linspace(0, self.magnet_length_m, 3 if self.magnet_length_m else 1)
        taper = max(2, round(self.taper_length_m / 3e-3))
        rest = math.ceil((self.length_m - self.soft_length_m) / self.body_spacing_m)
        nodes = np.concatenate([
            magnet,
            self.magnet_length_m + flexible * np.arange(1, self.flexible_elements + 1),
            self.flexible_end_m + self.taper_length_m / taper * np.arange(1, taper + 1),
            self.soft_length_m + self.body_spacing_m * np.arange(1, rest + 1),
        ])  # fmt: skip
        middle = (nodes[:-1] + nodes[1:]) / 2
        in_magnet = middle < self.magnet_length_m
        in_flexible = ~in_magnet & (middle < self.flexible_end_m)
        core = self.core_diameter_m(middle)
        bending = np.where(middle < self.soft_length_m, self._bending(core),
                           self._bending(core, jacket=False))  # fmt: skip
        bending[in_magnet] = _RIGID * self.flexible_bending_n_m2
        jacket_area = math.pi / 4 * (self.jacket_diameter_m**2 - self.flexible_core_diameter_m**2)
        magnetization = np.zeros_like(middle)
        magnetization[in_flexible] = self.jacket_magnetization_a_m * jacket_area
        if self.magnet_length_m:
            magnetization[in_magnet] = self.moment_a_m2 / self.magnet_length_m
        radius = np.where(middle < self.soft_length_m, self.jacket_diameter_m, core) / 2
        radius[in_magnet] = self.magnet_diameter_m / 2
        curvature = np.where(in_flexible, self.precurve_rad / self.flexible_length_m, 0.0)
        return RodTable(nodes, bending, magnetization, radius, curvature)


_RIGID = 100.0
"""A magnet is taken as so many times stiffer than the flexible part."""

_ALLOWED = {
    'length_m': (0.02, 2.5),
    'body_diameter_m': (5e-5, 3e-3),
    'core_youngs_pa': (1e6, 250e9),
    'taper_length_m': (1e-3, 0.3),
    'flexible_length_m': (2e-3, 0.2),
    'flexible_core_diameter_m': (1e-5, 3e-3),
    'jacket_diameter_m': (5e-5, 4e-3),
    'jacket_youngs_pa': (1e5, 5e9),
    'jacket_magnetization_a_m': (-500e3, 500e3),
    'precurve_rad': (-math.pi, math.pi),
    'magnet_length_m': (0.0, 0.02),
    'magnet_diameter_m': (5e-5, 4e-3),
    'magnet_magnetization_a_m': (-1.2e6, 1.2e6),
    'marker_length_m': (0.0, 0.01),
    'parked_m': (2e-3, 0.5),
    'body_spacing_m': (1e-3, 0.02),
    'drag_n_s_m2': (1e-3, 10.0),
    'wall_stiffness_n_m2': (1e3, 1e7),
    'friction': (0.0, 1.0),
    'insertion_rate_m_s': (1e-4, 0.5),
    'roll_rate_rad_s': (1e-3, 50.0),
}
