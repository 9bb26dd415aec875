"""Kinematics of the notched manipulator: notch angles, centre line, tip, Jacobian, inverse.

The notch model is the one of Gao et al., "Fluoroscopic navigation for a surgical robotic system
including a continuum manipulator", IEEE TBME 2021: five control points, a cubic spline over the
notch index, each notch bends relative to the one before, all about one axis.

Frame of the CM: origin at the base landmark, z along the straight tube, bending in the x-z plane,
positive angles (rotations about +y) towards +x. Notch i = 1..n sits in the middle of the i-th
pitch, at (i - 1/2) * length / n, so that the first and last rigid piece are half a pitch long.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicSpline

from synthex_ros.devices.continuum.parameters import ContinuumParameters

Array = NDArray[np.float64]

CONTROL_POINTS = 5

# An arc of given length is widest near tan(bend / 2) = bend; beyond, the tip comes back.
_FARTHEST_BEND_RAD = 2.33


def spline_matrix(notch_count: int) -> Array:
    """Return the matrix that maps control points to notch angles, shape (notch_count, 5).

    The natural cubic spline runs through the notch coordinates (n - 1) * k / 6, k = 1..5, is
    continued linearly outside them and is read at the notches 1..n (26 * k / 6 for 27 notches).
    """
    knots = (notch_count - 1) * np.arange(1, CONTROL_POINTS + 1) / (CONTROL_POINTS + 1)
    spline = CubicSpline(knots, np.eye(CONTROL_POINTS), bc_type='natural')
    notches = np.arange(1, notch_count + 1, dtype=float)
    inside = np.clip(notches, knots[0], knots[-1])
    return spline(inside) + (notches - inside)[:, None] * spline(inside, 1)


class ContinuumKinematics:
    """Closed-form kinematics; joints are (insertion [m], roll [rad], tendon_1, tendon_2 [m])."""

    def __init__(self, parameters: ContinuumParameters | None = None) -> None:
        self.parameters = parameters or ContinuumParameters()
        count, pitch = self.parameters.notch_count, self.parameters.notch_pitch_m
        self._spline = spline_matrix(count)
        self._piece_lengths = np.full(count + 1, pitch)
        self._piece_lengths[[0, -1]] = pitch / 2
        self._accumulate = np.arange(count + 1, dtype=float)

    def notch_angles(self, control_rad: ArrayLike) -> Array:
        """Return the angle of each notch [rad], shape (n,), of the control points [rad], (5,)."""
        return self._spline @ np.asarray(control_rad, float)

    def centerline(self, control_rad: ArrayLike) -> Array:
        """Return the centre line in the CM frame [m], shape (n + 2, 3): base, notches, tip."""
        return self.centerline_of_angles(self.notch_angles(control_rad))

    def centerline_of_angles(self, notch_angles: ArrayLike) -> Array:
        """Return the centre line in the CM frame [m], shape (n + 2, 3), of notch angles [rad]."""
        heading = np.zeros(len(self._piece_lengths))
        np.cumsum(notch_angles, out=heading[1:])
        points = np.zeros((len(heading) + 1, 3))
        np.cumsum(self._piece_lengths * np.sin(heading), out=points[1:, 0])
        np.cumsum(self._piece_lengths * np.cos(heading), out=points[1:, 2])
        return points

    def segment_poses(self, notch_angles: ArrayLike) -> Array:
        """Return the poses of the rigid pieces in the CM frame, shape (n + 1, 4, 4) [m].

        The origin of piece 0 is the base; that of piece i is notch i, z along the piece.
        """
        points = self.centerline_of_angles(notch_angles)
        heading = np.concatenate([[0.0], np.cumsum(notch_angles)])
        cosine, sine = np.cos(heading), np.sin(heading)
        poses = np.zeros((len(heading), 4, 4))
        poses[:, 0, 0] = poses[:, 2, 2] = cosine
        poses[:, 0, 2], poses[:, 2, 0] = sine, -sine
        poses[:, 1, 1] = poses[:, 3, 3] = 1.0
        poses[:, :3, 3] = points[:-1]
        return poses

    def base_from_cm(self, insertion: float, roll: float) -> Array:
        """Return the pose of the CM frame in `device_base`, shape (4, 4) [m]."""
        cosine, sine = np.cos(roll), np.sin(roll)
        return np.array(
            [[cosine, -sine, 0, 0], [sine, cosine, 0, 0], [0, 0, 1, insertion], [0, 0, 0, 1.0]]
        )

    def landmarks(self, notch_angles: ArrayLike, insertion: float, roll: float) -> Array:
        """Return base and tip in `device_base`, shape (2, 3) [m]."""
        ends = self.centerline_of_angles(notch_angles)[[0, -1]]
        pose = self.base_from_cm(insertion, roll)
        return ends @ pose[:3, :3].T + pose[:3, 3]

    def tip_pose(self, notch_angles: ArrayLike, insertion: float, roll: float) -> Array:
        """Return the pose of the tip in `device_base`, shape (4, 4) [m]; z leaves the tube."""
        last = self.segment_poses(notch_angles)[-1]
        last[:3, 3] += last[:3, 2] * self._piece_lengths[-1]
        return self.base_from_cm(insertion, roll) @ last

    def bend_of_tendons(self, tendon_1: float, tendon_2: float) -> float:
        """Return the nominal total bend [rad] of two tendon pulls [m].

        Inextensible tendons at the offset r on either side of the centre line shorten by
        r * bend and lengthen by as much: bend = (tendon_1 - tendon_2) / (2 r).
        """
        return (tendon_1 - tendon_2) / (2 * self.parameters.tendon_offset_m)

    def control_of_tendons(self, tendon_1: float, tendon_2: float) -> Array:
        """Return the nominal control points [rad], shape (5,), of two tendon pulls [m].

        Without friction the tendons load every notch with the same moment, so equal notches
        share the bend equally.
        """
        share = self.bend_of_tendons(tendon_1, tendon_2) / self.parameters.notch_count
        return np.full(CONTROL_POINTS, share)

    def _arc(self, bend_rad: float) -> tuple[float, float, float, float]:
        """Return tip x, z [m] and their slopes [m/rad] for a bend shared by equal notches."""
        heading = self._accumulate * (bend_rad / self.parameters.notch_count)
        sine, cosine = np.sin(heading), np.cos(heading)
        lengths = self._piece_lengths
        levers = lengths * self._accumulate / self.parameters.notch_count
        slope_x, slope_z = float(levers @ cosine), -float(levers @ sine)
        return float(lengths @ sine), float(lengths @ cosine), slope_x, slope_z

    def tip(self, joints: ArrayLike) -> Array:
        """Return the nominal tip in `device_base` [m], shape (3,), of the joints, shape (4,)."""
        insertion, roll, tendon_1, tendon_2 = np.asarray(joints, float).tolist()
        x, z, _, _ = self._arc(self.bend_of_tendons(tendon_1, tendon_2))
        return np.array([x * np.cos(roll), x * np.sin(roll), z + insertion])

    def jacobian(self, joints: ArrayLike) -> Array:
        """Return d tip / d joints, shape (3, 4) [m/m and m/rad], of the nominal model."""
        _, roll, tendon_1, tendon_2 = np.asarray(joints, float).tolist()
        x, _, dx, dz = self._arc(self.bend_of_tendons(tendon_1, tendon_2))
        cosine, sine = np.cos(roll), np.sin(roll)
        gain = 1 / (2 * self.parameters.tendon_offset_m)
        bend = np.array([dx * cosine, dx * sine, dz]) * gain
        return np.column_stack([[0.0, 0.0, 1.0], [-x * sine, x * cosine, 0.0], bend, -bend])

    def joints_for_tip(self, point_base_m: ArrayLike, near_roll_rad: float = 0.0) -> Array:
        """Return joints, shape (4,), whose nominal tip is at `point_base_m` [m], shape (3,).

        A point off the axis has two solutions, half a turn of roll and the sign of the bend
        apart; the one within the limits with roll nearest to `near_roll_rad` is returned, with
        the tendons moved by equal and opposite amounts.

        Raises:
            ValueError: the point cannot be reached within the joint limits.
        """
        x, y, z = np.asarray(point_base_m, float).tolist()
        bend = self._bend_for_radius(float(np.hypot(x, y)))
        insertion = z - self._arc(bend)[1]
        pull = bend * self.parameters.tendon_offset_m
        roll = np.arctan2(y, x) if np.hypot(x, y) > 1e-9 else near_roll_rad
        choices = [
            np.array([insertion, turned, sign * pull, -sign * pull])
            for sign, start in ((1, roll), (-1, roll + np.pi))
            for turned in start + 2 * np.pi * np.arange(-2, 3)
        ]
        limits = self.parameters.limits
        allowed = [joints for joints in choices if limits.contains(joints, 1e-9)]
        if not allowed:
            raise ValueError(
                f'tip {np.round([x, y, z], 5)} m is out of reach: it needs insertion '
                f'{insertion:.4f} m, pull +-{pull:.5f} m; allowed {limits.lower} to {limits.upper}'
            )
        return limits.clamp(min(allowed, key=lambda joints: abs(joints[1] - near_roll_rad)))

    def _bend_for_radius(self, radius_m: float) -> float:
        """Return the bend [rad] that puts the tip `radius_m` from the axis, by safe Newton."""
        low, high = 0.0, min(self.parameters.bend_max_rad, _FARTHEST_BEND_RAD)
        reach = self._arc(high)[0]
        if not 0 <= radius_m <= reach + 1e-9:
            raise ValueError(f'tip must be 0..{reach:.5f} m from the axis, got {radius_m:.5f}')
        bend = min(2 * radius_m / self.parameters.length_m, high)
        for _ in range(60):
            x, _, slope, _ = self._arc(bend)
            if abs(x - radius_m) < 1e-13:
                break
            low, high = (bend, high) if x < radius_m else (low, bend)
            newton = bend + (radius_m - x) / slope
            bend = newton if low < newton < high else (low + high) / 2
        return bend
