"""One step of an arm: weighted least squares within joint limits, clear of the patient."""

from __future__ import annotations

from typing import Protocol

import daqp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.joints import JointLimits

Array = NDArray[np.float64]

# how fast a broken margin is made good, each step [m]
_GROWTH_M = 0.002


class ArmModel(Protocol):
    """What the control of the magnet's arm must know about it; all in `world`."""

    limits: JointLimits

    @property
    def moment_a_m2(self) -> float:
        """Magnetic moment of the magnet [A m^2]."""

    def magnet(self, joints: ArrayLike) -> tuple[Array, Array]:
        """Return the magnet's centre [m] and the direction of its moment, shape (3,) each."""

    def jacobian(self, joints: ArrayLike) -> Array:
        """Return d(velocity, angular velocity) of the magnet / d(joint speed), shape (6, J)."""

    def clearance(self, joints: ArrayLike) -> tuple[Array, Array]:
        """Return room to the patient, shape (K,) [m], and its derivative, shape (K, J) [m/rad]."""

    def magnet_field(self, position_m: ArrayLike, axis: ArrayLike, points_m: ArrayLike) -> Array:
        """Return field and gradient of the magnet at a pose, shape (N, 8) [T and T/m]."""


def arm_step(
    rows: Array,
    wanted: Array,
    ridge: float,
    box: tuple[Array, Array],
    clearance: tuple[Array, Array],
    margin_m: float,
) -> Array | None:
    """Return the joint step x, shape (J,), that minimises |R x - w|^2 + ridge |x|^2.

    Subject to low <= x <= high and, for each guarded place, room + slope x >= margin. Where the
    margin is already broken, the room must grow, or at least not shrink.

    Args:
        rows: R, weighted, shape (m, J).
        wanted: w, weighted, shape (m,).
        ridge: positive weight of |x|^2: damping near singular poses.
        box: (low, high), shape (J,) each, at most and at least zero.
        clearance: (room, slope), shapes (K,) and (K, J).
        margin_m: room to keep [m].

    Returns:
        The step, or None where no step satisfies all limits.
    """
    (low, high), (room, slope) = box, clearance
    hessian = rows.T @ rows + ridge * np.eye(rows.shape[1])
    upper = np.concatenate([high, np.full(len(room), np.inf)])
    linear, slopes = -rows.T @ wanted, np.ascontiguousarray(slope)
    for growth_m in (_GROWTH_M, 0.0):
        lower = np.concatenate([low, np.minimum(margin_m - room, growth_m)])
        found, _, flag, _ = daqp.solve(hessian, linear, slopes, upper, lower)
        if flag >= 1:
            return np.clip(found, low, high)
    return None


def keeps_clear(arm: ArmModel, before: Array, after: Array, margin_m: float) -> bool:
    """Tell whether a step leaves half the margin, or takes no room where there is less."""
    room, left = arm.clearance(before)[0], arm.clearance(after)[0]
    return bool(np.all(left >= np.minimum(room - 1e-9, margin_m / 2)))


def aim(axis: Array, goal: Array) -> tuple[Array, Array]:
    """Return the rotation vector from one direction to another, and the rows that feel it.

    Args:
        axis: present direction, unit vector, shape (3,).
        goal: wanted direction, unit vector, shape (3,).

    Returns:
        Rotation vector, shape (3,) [rad], across `axis`; and the projection, shape (3, 3), of an
        angular velocity on what turns `axis` at all.
    """
    across = np.cross(axis, goal)
    size, cosine = float(np.linalg.norm(across)), float(axis @ goal)
    if size < 1e-9 and cosine < 0:
        across = np.cross(axis, np.eye(3)[int(np.argmin(np.abs(axis)))])
        size = float(np.linalg.norm(across))
        angle = np.pi
    else:
        angle = np.arctan2(size, cosine)
    return across * (angle / max(size, 1e-12)), np.eye(3) - np.outer(axis, axis)


def reach_pose(
    arm: ArmModel,
    position_m: ArrayLike,
    axis: ArrayLike,
    near: ArrayLike,
    margin_m: float = 0.005,
    steps: int = 60,
) -> tuple[Array, float, float]:
    """Return joints that put the magnet at a pose, spin about its axis left free.

    Damped least squares (Nakamura and Hanafusa, J. Dyn. Syst. Meas. Control 108, 163 (1986)) with
    the limits as constraints of each step; the damping fades with the error.

    Args:
        arm: the arm.
        position_m: wanted centre of the magnet in `world`, shape (3,) [m].
        axis: wanted direction of its moment, unit vector, shape (3,).
        near: joints to start from, shape (J,) [rad].
        margin_m: room to keep to the patient [m].
        steps: most steps.

    Returns:
        Joints, shape (J,); what is left of position [m] and direction [rad].
    """
    joints = arm.limits.clamp(near)
    goal, direction = np.asarray(position_m, float), np.asarray(axis, float)
    for _ in range(steps):
        place, now = arm.magnet(joints)
        turn, feel = aim(now, direction)
        jacobian = arm.jacobian(joints)
        # a tenth of a radian weighs like 2 cm
        error = np.concatenate([goal - place, 0.2 * turn])
        rows = np.vstack([jacobian[:3], 0.2 * feel @ jacobian[3:]])
        if np.linalg.norm(error) < 1e-6:
            break
        box = (
            np.maximum(arm.limits.lower - joints, -0.3),
            np.minimum(arm.limits.upper - joints, 0.3),
        )
        ridge = 1e-6 + 1e-2 * min(float(error @ error), 1.0)
        move = arm_step(rows, error, ridge, box, arm.clearance(joints), margin_m)
        if move is None or np.max(np.abs(move)) < 1e-8:
            break
        after = arm.limits.clamp(joints + move)
        for _ in range(4):
            if keeps_clear(arm, joints, after, margin_m):
                break
            after = joints + 0.4 * (after - joints)
        else:
            break
        joints = after
    place, now = arm.magnet(joints)
    left = float(np.linalg.norm(aim(now, direction)[0]))
    return joints, float(np.linalg.norm(goal - place)), left
