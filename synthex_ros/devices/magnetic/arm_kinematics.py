"""Kinematics of the 7-joint arm: where the magnet is, how it moves, how near the patient is."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.devices.magnetic.arm_chain import chain, moved, room_beside
from synthex_ros.devices.magnetic.arm_parameters import ArmParameters
from synthex_ros.devices.magnetic.cylinder_kernels import cylinder_at
from synthex_ros.joints import JointLimits
from synthex_ros.magnetics import as_points

Array = NDArray[np.float64]

# joint axes in the frame of their link
AXES = ((0, 0, 1), (0, 1, 0), (0, 0, 1), (0, -1, 0), (0, 0, 1), (0, 1, 0), (0, 0, 1))
# magnetisation in the frame of the hand
MAGNET_AXIS = (1.0, 0.0, 0.0)
# joints at whose place a sphere of the arm may come near the patient: elbow, wrist
GUARDED_JOINTS = (3, 5)


class ArmKinematics:
    """Nominal kinematics of the arm and the exact field of its magnet, all in `world`.

    Attributes:
        parameters: sizes and limits.
        limits: joint limits.
    """

    def __init__(self, parameters: ArmParameters | None = None) -> None:
        """Prepare the kinematics of an arm, by default of the class's sizes."""
        self.parameters = parameters or ArmParameters()
        self.limits: JointLimits = self.parameters.limits
        self._base = np.ascontiguousarray(self.parameters.world_from_arm_base, float)
        self._offsets = np.array(self.parameters.link_offsets_m)
        self._axes = np.array(AXES, float)
        self._magnet_axis = np.array(MAGNET_AXIS)
        self._guarded = np.array([*GUARDED_JOINTS, 7])
        self._centre_m = np.array(self.parameters.patient.centre_m, float)
        self._half_size_m = np.array(self.parameters.patient.half_size_m, float)
        link = self.parameters.link_radius_m
        self._radii = np.array([link, link, self.parameters.magnet.bounding_radius_m])

    @property
    def moment_a_m2(self) -> float:
        """Magnetic moment of the magnet in the hand [A m^2]."""
        return self.parameters.magnet.moment_a_m2

    def magnet_pose(self, joints: ArrayLike) -> Array:
        """Return the pose of the hand at the magnet's centre in `world`, shape (4, 4) [m]."""
        places, _, rotation = self._chain(joints)
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = rotation, places[7]
        return pose

    def magnet(self, joints: ArrayLike) -> tuple[Array, Array]:
        """Return the magnet's centre [m] and the direction of its moment, shape (3,) each."""
        places, _, rotation = self._chain(joints)
        return places[7], rotation @ self._magnet_axis

    def jacobian(self, joints: ArrayLike) -> Array:
        """Return d(velocity, angular velocity) of the magnet / d(joint speed), shape (6, 7)."""
        places, directions, _ = self._chain(joints)
        return np.vstack([moved(places, directions, 7), directions.T])

    def clearance(self, joints: ArrayLike) -> tuple[Array, Array]:
        """Return the room between patient and elbow, wrist and magnet, and how it changes.

        Each is taken as a sphere. The room is what is left above the distance limit.

        Returns:
            Room, shape (3,) [m], and its derivative by the joints, shape (3, 7) [m/rad].
        """
        places, directions, _ = self._chain(joints)
        distance, slopes = room_beside(
            places, directions, self._guarded, self._centre_m, self._half_size_m
        )
        return distance - self._radii - self.parameters.patient.distance_limit_m, slopes

    def magnet_field(self, position_m: ArrayLike, axis: ArrayLike, points_m: ArrayLike) -> Array:
        """Return field and gradient of the magnet at a pose, shape (N, 8) [T and T/m].

        Args:
            position_m: centre of the magnet, shape (3,) [m].
            axis: unit vector of its moment, shape (3,).
            points_m: where, shape (N, 3) [m].
        """
        magnet = self.parameters.magnet
        return cylinder_at(
            as_points(points_m),
            np.ascontiguousarray(position_m, float),
            np.ascontiguousarray(axis, float),
            magnet.diameter_m / 2,
            magnet.length_m,
            magnet.remanence_t,
        )

    def _chain(self, joints: ArrayLike) -> tuple[Array, Array, Array]:
        return chain(self.limits.check(joints), self._base, self._offsets, self._axes)
