"""Dimensions, mechanics and limits of a notched, tendon-driven continuum manipulator (CM)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from synthex_ros.joints import JointLimits

JOINT_NAMES = ('insertion', 'roll', 'tendon_1', 'tendon_2')
LANDMARK_NAMES = ('base', 'tip')


@dataclass(frozen=True)
class ContinuumParameters:
    """A nitinol tube with notches cut alternately from both sides and two antagonistic tendons.

    The sizes are those usually quoted for the Johns Hopkins / APL manipulator (35 mm long, 6 mm
    outside, 4 mm inside, 27 notches); they are not confirmed by a public drawing.

    Attributes:
        notch_count: number of notches; the tube has one rigid piece more.
        length_m: notched length from base to tip [m].
        outer_diameter_m: outer diameter [m].
        inner_diameter_m: diameter of the open lumen [m].
        shaft_length_m: straight tube behind the base [m].
        notch_width_fraction: axial width of a notch as a fraction of the notch pitch.
        bridge_angle_rad: angle of wall left standing beside a notch [rad].
        material: material of tube and shaft, as the renderer knows it.
        density_kg_m3: mass density of the tube [kg/m^3].
        tendon_offset_m: distance of each tendon from the centre line [m].
        tendon_stiffness_n_m: axial stiffness of a tendon and its drive [N/m].
        pretension_n: tension of both tendons with the tube straight and no pull [N].
        tension_max_n: highest tension of a tendon [N]; the lowest is zero, tendons only pull.
        notch_stiffness_nm_rad: bending stiffness of a notch [N m/rad].
        notch_stiffness_variation: relative standard deviation of that stiffness over the notches.
        notch_damping_nm_s_rad: bending damping of a notch [N m s/rad].
        backlash_m: half width of the play between drive and tendon [m].
        insertion_range_m: travel of the insertion axis, (low, high) [m].
        insertion_rate_m_s: highest insertion speed [m/s].
        roll_range_rad: travel of the roll axis, (low, high) [rad].
        roll_rate_rad_s: highest roll speed [rad/s].
        tendon_range_m: travel of each tendon drive, (low, high), positive pulls [m].
        tendon_rate_m_s: highest tendon speed [m/s].
    """

    notch_count: int = 27
    length_m: float = 0.035
    outer_diameter_m: float = 0.006
    inner_diameter_m: float = 0.004
    shaft_length_m: float = 0.500
    notch_width_fraction: float = 0.5
    bridge_angle_rad: float = math.radians(120.0)
    material: str = 'nitinol'
    density_kg_m3: float = 6450.0
    tendon_offset_m: float = 0.0025
    tendon_stiffness_n_m: float = 30e3
    pretension_n: float = 4.0
    tension_max_n: float = 60.0
    notch_stiffness_nm_rad: float = 0.6
    notch_stiffness_variation: float = 0.1
    notch_damping_nm_s_rad: float = 0.03
    backlash_m: float = 0.15e-3
    insertion_range_m: tuple[float, float] = (0.0, 0.060)
    insertion_rate_m_s: float = 0.020
    roll_range_rad: tuple[float, float] = (-math.pi, math.pi)
    roll_rate_rad_s: float = 1.5
    tendon_range_m: tuple[float, float] = (-0.005, 0.005)
    tendon_rate_m_s: float = 0.004

    def __post_init__(self):
        if not isinstance(self.notch_count, int) or not 6 <= self.notch_count <= 100:
            raise ValueError(f'notch_count must be an integer 6..100, got {self.notch_count!r}')
        for name, (low, high) in _ALLOWED.items():
            value = getattr(self, name)
            if not low <= value <= high:
                hint = '; looks like millimetres' if name.endswith('_m') and value > 1 else ''
                raise ValueError(f'{name} must be {low:g}..{high:g}, got {value:g}{hint}')
        self._check_section()
        self._check_travel()

    def _check_section(self) -> None:
        inner, outer = self.inner_diameter_m / 2, self.outer_diameter_m / 2
        if not inner < self.tendon_offset_m < outer:
            raise ValueError(
                f'tendons run in the wall: inner radius {inner:g} < tendon_offset_m < outer '
                f'radius {outer:g} m, got {self.tendon_offset_m:g}; diameters are not radii'
            )
        if self.pretension_n >= self.tension_max_n:
            raise ValueError(
                f'pretension_n must be below tension_max_n ({self.tension_max_n:g} N), '
                f'got {self.pretension_n:g}'
            )

    def _check_travel(self) -> None:
        limits = self.limits
        if not limits.contains(np.zeros(4)):
            raise ValueError(
                f'every joint range must contain zero, got lower {limits.lower}, '
                f'upper {limits.upper}'
            )
        closing_rad = self.notch_width_m / (self.outer_diameter_m / 2)
        bend_rad = self.bend_max_rad / self.notch_count
        if bend_rad > 0.8 * closing_rad:
            raise ValueError(
                f'tendon_range_m bends each notch by {bend_rad:.3f} rad but a notch closes at '
                f'{closing_rad:.3f} rad: widen notch_width_fraction or shorten the travel'
            )

    @property
    def notch_pitch_m(self) -> float:
        """Distance between notch centres [m]."""
        return self.length_m / self.notch_count

    @property
    def notch_width_m(self) -> float:
        """Axial width of a notch [m]."""
        return self.notch_width_fraction * self.notch_pitch_m

    @property
    def bend_max_rad(self) -> float:
        """Nominal total bend angle at the end of the tendon travel [rad]."""
        low, high = self.tendon_range_m
        return (high - low) / (2 * self.tendon_offset_m)

    @property
    def limits(self) -> JointLimits:
        """Joint names, travel and rate limits in joint order."""
        ranges = (self.insertion_range_m, self.roll_range_rad) + 2 * (self.tendon_range_m,)
        lower, upper = np.array(ranges, float).T
        tendon_rates = (self.tendon_rate_m_s, self.tendon_rate_m_s)
        rate = np.array((self.insertion_rate_m_s, self.roll_rate_rad_s, *tendon_rates), float)
        return JointLimits(JOINT_NAMES, lower, upper, rate)


_ALLOWED = {
    'length_m': (0.005, 0.5),
    'outer_diameter_m': (5e-4, 0.03),
    'inner_diameter_m': (1e-4, 0.03),
    'shaft_length_m': (0.001, 1.0),
    'notch_width_fraction': (0.1, 0.9),
    'bridge_angle_rad': (math.radians(30), math.radians(300)),
    'density_kg_m3': (500.0, 25e3),
    'tendon_offset_m': (1e-4, 0.03),
    'tendon_stiffness_n_m': (100.0, 1e7),
    'pretension_n': (0.0, 200.0),
    'tension_max_n': (0.1, 1e3),
    'notch_stiffness_nm_rad': (1e-3, 100.0),
    'notch_stiffness_variation': (0.0, 0.3),
    'notch_damping_nm_s_rad': (1e-5, 10.0),
    'backlash_m': (0.0, 0.005),
    'insertion_rate_m_s': (1e-4, 1.0),
    'roll_rate_rad_s': (1e-3, 50.0),
    'tendon_rate_m_s': (1e-5, 1.0),
}
