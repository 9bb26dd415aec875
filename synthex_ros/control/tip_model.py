"""The tip of a two-tendon continuum manipulator in `world`, with corrections learned on line.

Commands have four joints, but only three can be told apart at the tip: insertion, roll and bend,
where bend = (tendon_1 - tendon_2) / 2 is the differential pull. The common pull
(tendon_1 + tendon_2) / 2 is the co-contraction and stays as configured.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.geometry import check_pose, transform_points

Array = NDArray[np.float64]

JOINT_NAMES = ('insertion', 'roll', 'tendon_1', 'tendon_2')
_JOINTS_FROM_COORDINATES = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, -1.0]])


class TipKinematics(Protocol):
    """Nominal kinematics of the device, joints in the order of `JOINT_NAMES`."""

    def tip(self, joints: Array) -> Array:
        """Return the tip in `device_base` [m], shape (3,), of joints, shape (4,)."""
        ...

    def jacobian(self, joints: Array) -> Array:
        """Return d tip / d joints, shape (3, 4), of joints, shape (4,)."""
        ...


def coordinates_of(joints: ArrayLike) -> Array:
    """Return (insertion [m], roll [rad], bend [m]), shape (3,), of joints, shape (4,)."""
    insertion, roll, tendon_1, tendon_2 = np.asarray(joints, float)
    return np.array([insertion, roll, (tendon_1 - tendon_2) / 2])


def joints_of(coordinates: ArrayLike, co_contraction_m: float = 0.0) -> Array:
    """Return joints, shape (4,), of (insertion, roll, bend) and the common tendon pull [m]."""
    insertion, roll, bend = np.asarray(coordinates, float)
    return np.array([insertion, roll, co_contraction_m + bend, co_contraction_m - bend])


@dataclass(frozen=True)
class Correction:
    """How the device differs from its nominal model.

    Attributes:
        bend_gain: effective bend per commanded bend (stiffness error), 1 nominally.
        bend_offset_m: effective bend at zero command (slack, memory) [m].
        roll_offset_rad: bending plane against the roll joint [rad].
        offset_m: tip displacement in `world` (registration, load) [m], shape (3,).
    """

    bend_gain: float = 1.0
    bend_offset_m: float = 0.0
    roll_offset_rad: float = 0.0
    offset_m: Array = field(default_factory=lambda: np.zeros(3))

    def effective(self, coordinates: ArrayLike) -> Array:
        """Return the coordinates that the nominal model needs to give the true shape, (3,)."""
        insertion, roll, bend = np.asarray(coordinates, float)
        return np.array(
            [insertion, roll + self.roll_offset_rad, self.bend_gain * bend + self.bend_offset_m]
        )


@dataclass(frozen=True)
class TipModel:
    """Tip position and Jacobian in `world` as functions of (insertion, roll, bend).

    Attributes:
        kinematics: nominal model in `device_base`.
        world_from_device_base: registration of the device, shape (4, 4) [m].
        co_contraction_m: common pull of both tendons [m].
    """

    kinematics: TipKinematics
    world_from_device_base: Array
    co_contraction_m: float = 0.0

    def __post_init__(self):
        check_pose(self.world_from_device_base, 'world_from_device_base')

    def tip(self, coordinates: ArrayLike, correction: Correction) -> Array:
        """Return the tip in `world` [m], shape (3,)."""
        joints = joints_of(correction.effective(coordinates), self.co_contraction_m)
        tip = transform_points(self.world_from_device_base, self.kinematics.tip(joints))
        return tip + correction.offset_m

    def effective_jacobian(self, coordinates: ArrayLike, correction: Correction) -> Array:
        """Return d tip / d (insertion, roll, effective bend) in `world`, shape (3, 3)."""
        joints = joints_of(correction.effective(coordinates), self.co_contraction_m)
        rotation = self.world_from_device_base[:3, :3]
        return rotation @ self.kinematics.jacobian(joints) @ _JOINTS_FROM_COORDINATES

    def jacobian(self, coordinates: ArrayLike, correction: Correction) -> Array:
        """Return d tip / d (insertion, roll, bend) in `world`, corrected, shape (3, 3)."""
        columns = self.effective_jacobian(coordinates, correction)
        return columns * np.array([1.0, 1.0, correction.bend_gain])

    def in_base(self, point_world_m: ArrayLike, correction: Correction) -> Array:
        """Return a `world` point [m] where the nominal model must put the tip, shape (3,)."""
        point = np.asarray(point_world_m, float) - correction.offset_m
        rotation = self.world_from_device_base[:3, :3]
        return rotation.T @ (point - self.world_from_device_base[:3, 3])
