"""Sizes, limits and surroundings of a 7-joint arm that carries a magnet."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.devices.magnetic.arm_chain import box_distance
from synthex_ros.devices.magnetic.cylinder import CylinderShape
from synthex_ros.geometry import check_pose, pose_from_parameters
from synthex_ros.joints import JointLimits
from synthex_ros.magnetics import as_points

Array = NDArray[np.float64]

JOINT_NAMES = tuple(f'arm_{n}' for n in range(1, 8))


@dataclass(frozen=True)
class PatientBox:
    """The space that belongs to the patient: a box along the axes of `world`.

    Attributes:
        centre_m: its centre [m].
        half_size_m: half its size along x, y, z [m].
        distance_limit_m: nothing of the arm comes nearer than this [m].

    Raises:
        ValueError: a size or the limit is not positive.
    """

    centre_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    half_size_m: tuple[float, float, float] = (0.22, 0.35, 0.12)
    distance_limit_m: float = 0.02

    def __post_init__(self):
        if min(*self.half_size_m, self.distance_limit_m) <= 0:
            raise ValueError('half_size_m and distance_limit_m must be positive')

    def distance(self, points_m: ArrayLike) -> tuple[Array, Array]:
        """Return distance from the box, shape (N,) [m], and its unit gradient, shape (N, 3).

        Negative inside. Points have shape (N, 3) [m].
        """
        centre, half_size = np.array(self.centre_m, float), np.array(self.half_size_m, float)
        return box_distance(as_points(points_m), centre, half_size)


def _beside_the_table() -> Array:
    return pose_from_parameters((-0.60, 0.0, 0.05))


@dataclass(frozen=True, eq=False)
class ArmParameters:
    """A generic arm of the shoulder-elbow-wrist kind, sized like common lightweight arms.

    Joint axes alternate along and across the links: z, y, z, -y, z, y, z. The magnet sits in the
    hand, magnetised across the last axis, so that the last joint turns its moment.

    Attributes:
        world_from_arm_base: where the arm stands, shape (4, 4) [m].
        link_offsets_m: distance of each joint from the one before along the link, 7 values, and
            of the magnet's centre from the last joint [m].
        lower_rad: lowest joint angles, 7 values [rad].
        upper_rad: highest joint angles [rad].
        rate_rad_s: fastest joint speeds [rad/s].
        link_masses_kg: masses of the 7 links without the magnet [kg].
        servo_stiffness_nm_rad: position gains of the 7 joint drives [N m/rad].
        link_radius_m: radius of the links [m].
        magnet: the magnet in the hand.
        patient: space that the arm stays out of.

    Raises:
        ValueError: wrong numbers of values, or a value that is not positive.
    """

    world_from_arm_base: Array = field(default_factory=_beside_the_table)
    link_offsets_m: tuple[float, ...] = (0.15, 0.19, 0.21, 0.19, 0.21, 0.19, 0.08, 0.15)
    lower_rad: tuple[float, ...] = tuple(
        -math.radians(v) for v in (168, 118, 168, 118, 168, 118, 173)
    )
    upper_rad: tuple[float, ...] = tuple(
        math.radians(v) for v in (168, 118, 168, 118, 168, 118, 173)
    )
    rate_rad_s: tuple[float, ...] = (0.8, 0.8, 0.8, 0.8, 1.2, 1.2, 3.0)
    link_masses_kg: tuple[float, ...] = (3.5, 3.5, 3.0, 2.5, 2.0, 1.5, 0.5)
    servo_stiffness_nm_rad: tuple[float, ...] = (2e4, 2e4, 1e4, 1e4, 4e3, 4e3, 1e3)
    link_radius_m: float = 0.055
    magnet: CylinderShape = field(default_factory=CylinderShape)
    patient: PatientBox = field(default_factory=PatientBox)

    def __post_init__(self):
        check_pose(self.world_from_arm_base, 'world_from_arm_base')
        counts = {'link_offsets_m': 8, 'link_masses_kg': 7, 'servo_stiffness_nm_rad': 7}
        for name, count in counts.items():
            values = getattr(self, name)
            if len(values) != count or min(values) <= 0:
                raise ValueError(f'{name} must be {count} positive values, got {values}')
        if self.link_radius_m <= 0:
            raise ValueError(f'link_radius_m must be positive, got {self.link_radius_m:g}')
        _ = self.limits

    def with_rotating_hand(self, turns: int = 60) -> ArmParameters:
        """Return the same arm with a hand that turns its magnet so often either way.

        So is the manipulator of Mahoney and Abbott (Int. J. Robot. Res. 35 (2016) 129): with
        stops in its wrist a body that rolls would have to be let go every few millimetres.
        """
        end = 2 * math.pi * turns
        lower, upper = (*self.lower_rad[:6], -end), (*self.upper_rad[:6], end)
        return replace(self, lower_rad=lower, upper_rad=upper)

    @property
    def limits(self) -> JointLimits:
        """Joint names, travel and rates."""
        return JointLimits(
            JOINT_NAMES,
            np.array(self.lower_rad),
            np.array(self.upper_rad),
            np.array(self.rate_rad_s),
        )
