"""From a wanted field and force at the device to the pose of a magnet on an arm.

A magnet has five useful degrees of freedom, place and direction of its moment, for three
components of the field and three of the force: all six can be had only by luck. The field comes
first. `plan` searches all around the device and is for the start of a motion; `follow` moves from
where the arm is, within its speeds, and runs in the loop.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.control.magnetic.arm_allocation_step import (
    ArmModel,
    arm_step,
    keeps_clear,
    reach_pose,
)
from synthex_ros.control.magnetic.magnet_fields import (
    field_errors,
    field_slopes,
    magnet_for_field,
)
from synthex_ros.magnetics import as_vector, force_map

Array = NDArray[np.float64]

REACHED, LIMITED, UNREACHABLE = 'reached', 'limited', 'unreachable'
_DISPLACEMENT_M, _TURN_RAD = 1e-4, 1e-3
_EYE = np.eye(3)


@dataclass(frozen=True)
class ArmWeights:
    """What counts how much, and from when on a miss is reported.

    Attributes:
        field_first: factor on the relative error of the field over that of the force.
        ridge: weight of a squared radian of joint motion.
        margin_m: room to keep above the arm's distance limit [m].
        field_tolerance: relative error of the field that counts as reached.
        force_tolerance: relative error of the force that counts as reached.
        least_field_t: errors are relative to the wanted field but to no less than this [T].
        least_gradient_t_m: and relative to the wanted force but to no less than this does to the
            device; a magnet at arm's length always pulls about that much [T/m].
        candidates: directions that `plan` looks at.
        refined: how many of them it works out.
    """

    field_first: float = 20.0
    ridge: float = 1e-4
    margin_m: float = 0.005
    field_tolerance: float = 0.02
    force_tolerance: float = 0.10
    least_field_t: float = 0.5e-3
    least_gradient_t_m: float = 0.1
    candidates: int = 60
    refined: int = 8


@dataclass(frozen=True, eq=False)
class ArmAllocation:
    """Where the arm shall go, and what its magnet does there by the model.

    Attributes:
        joints: joint angles to command, shape (J,) [rad].
        magnet_position_m: centre of the magnet there, in `world`, shape (3,) [m].
        magnet_axis: direction of its moment, shape (3,).
        field_t: field that it makes at the device, shape (3,) [T].
        gradient_t_m: gradient that it makes, shape (5,) [T/m].
        field_residual_t: wanted less made field, shape (3,) [T].
        force_residual_n: wanted less made force, shape (3,) [N]; zero if none was wanted.
        clearance_m: least room to the patient above the distance limit [m].
        status: 'reached'; 'limited' (a limit or a speed is in the way, or force and field exclude
            each other here); 'unreachable' (`plan` has found no pose that makes the field).
        reason: what is in the way, in words; empty if reached.
    """

    joints: Array
    magnet_position_m: Array
    magnet_axis: Array
    field_t: Array
    gradient_t_m: Array
    field_residual_t: Array
    force_residual_n: Array
    clearance_m: float
    status: str
    reason: str


@dataclass(frozen=True, eq=False)
class _Wish:
    point_m: Array
    field_t: Array
    field_unit_t: float
    force_rows: Array  # from gradient components to force, (3, 5); no rows without a wanted force
    force_n: Array
    force_unit_n: float


class ArmAllocator:
    """Allocates magnet poses for one arm.

    Attributes:
        arm: the model of the arm.
        weights: weights and tolerances.
    """

    def __init__(self, arm: ArmModel, weights: ArmWeights | None = None) -> None:
        """Allocate for `arm` with `weights`, by default those of the class."""
        self.arm = arm
        self.weights = weights or ArmWeights()

    def plan(
        self,
        point_m: ArrayLike,
        field_t: ArrayLike,
        near: ArrayLike,
        *,
        force_n: ArrayLike | None = None,
        moment_a_m2: ArrayLike | None = None,
    ) -> ArmAllocation:
        """Return the best pose found anywhere around the device; takes some tenths of a second.

        Args:
            point_m: the device in `world`, shape (3,) [m].
            field_t: wanted field in `world`, shape (3,), not zero [T].
            near: joints where the arm is, shape (J,) [rad]; of good poses, near ones are taken.
            force_n: wanted force on the device, shape (3,) [N]; with `moment_a_m2`.
            moment_a_m2: magnetic moment of the device in `world`, shape (3,) [A m^2].

        Raises:
            ValueError: shapes or values that make no sense; says which.
        """
        wish = self._wish(point_m, field_t, force_n, moment_a_m2)
        start = self.arm.limits.check(near)
        if not np.any(wish.field_t):
            raise ValueError(
                'field_t must not be zero: move the magnet away with `follow` instead'
            )
        best, best_cost = None, np.inf
        for position, axis in self._candidates(wish, start):
            joints, *_ = reach_pose(self.arm, position, axis, start, self.weights.margin_m, 25)
            for _ in range(12):
                joints, moved = self._descend(wish, joints, (joints - 0.3, joints + 0.3))
                if moved < 1e-4:
                    break
            cost = self._cost(wish, joints) + 1e-3 * float(np.sum((joints - start) ** 2))
            clear = float(self.arm.clearance(joints)[0].min()) >= 0
            if clear and cost < best_cost:
                best, best_cost = joints, cost
        if best is None:
            best = start
        return self._report(wish, best, UNREACHABLE)

    def follow(
        self,
        point_m: ArrayLike,
        field_t: ArrayLike,
        joints: ArrayLike,
        duration_s: float,
        *,
        force_n: ArrayLike | None = None,
        moment_a_m2: ArrayLike | None = None,
    ) -> ArmAllocation:
        """Return the joints for the next command: the best that can be reached in `duration_s`.

        Args:
            point_m: the device in `world`, shape (3,) [m].
            field_t: wanted field in `world`, shape (3,) [T].
            joints: joints as last commanded, shape (J,) [rad].
            duration_s: time until the next command [s].
            force_n: wanted force on the device, shape (3,) [N]; with `moment_a_m2`.
            moment_a_m2: magnetic moment of the device in `world`, shape (3,) [A m^2].

        Raises:
            ValueError: shapes or values that make no sense; says which.
        """
        wish = self._wish(point_m, field_t, force_n, moment_a_m2)
        here = self.arm.limits.clamp(joints)
        after, _ = self._descend(wish, here, self.arm.limits.reach(here, duration_s))
        return self._report(wish, after, LIMITED)

    def _wish(self, point_m, field_t, force_n, moment_a_m2) -> _Wish:
        if (force_n is None) != (moment_a_m2 is None):
            raise ValueError('force_n and moment_a_m2 go together, got one of them')
        field = as_vector(field_t, 'field_t')
        unit_t = max(float(np.linalg.norm(field)), self.weights.least_field_t)
        rows, force, unit_n = np.zeros((0, 5)), np.zeros(0), 1.0
        if force_n is not None:
            moment = as_vector(moment_a_m2, 'moment_a_m2')
            rows, force = force_map(moment), as_vector(force_n, 'force_n')
            least = self.weights.least_gradient_t_m * float(np.linalg.norm(moment))
            unit_n = max(float(np.linalg.norm(force)), least)
            if unit_n == 0.0:
                raise ValueError('moment_a_m2 must not be zero: no gradient pulls at it')
        return _Wish(as_vector(point_m, 'point_m'), field, unit_t, rows, force, unit_n)

    def _candidates(self, wish: _Wish, start: Array) -> list[tuple[Array, Array]]:
        """Return poses at which a dipole makes the field, the most promising first."""
        count = self.weights.candidates
        height = 1 - 2 * (np.arange(count) + 0.5) / count
        angle = np.arange(count) * np.pi * (1 + 5**0.5)
        flat = np.sqrt(1 - height**2)
        around = np.column_stack([flat * np.cos(angle), flat * np.sin(angle), height])
        place = self.arm.magnet(start)[0]
        rated = []
        for u in around:
            distance, axis = magnet_for_field(wish.field_t, u, self.arm.moment_a_m2)
            position = wish.point_m + distance * u
            made = self.arm.magnet_field(position, axis, wish.point_m[None])[0]
            missing = (wish.force_n - wish.force_rows @ made[3:]) / wish.force_unit_n
            way = float(np.linalg.norm(position - place))
            rated.append((float(missing @ missing) + 4.0 * way, position, axis))
        rated.sort(key=lambda item: item[0])
        return [(position, axis) for _, position, axis in rated[: self.weights.refined]]

    def _errors(self, wish: _Wish, made: Array) -> Array:
        """Return weighted errors of field and force, shape (N,), of (8,) made."""
        field = self.weights.field_first * field_errors(wish.field_t, made[:3], wish.field_unit_t)
        force = (wish.force_n - wish.force_rows @ made[3:]) / wish.force_unit_n
        return np.concatenate([field, force])

    def _made(self, wish: _Wish, joints: Array) -> Array:
        position, axis = self.arm.magnet(joints)
        return self.arm.magnet_field(position, axis, wish.point_m[None])[0]

    def _cost(self, wish: _Wish, joints: Array) -> float:
        errors = self._errors(wish, self._made(wish, joints))
        return float(errors @ errors)

    def _descend(self, wish: _Wish, joints: Array, reach) -> tuple[Array, float]:
        """Return joints after one Gauss-Newton step that lowers the cost, and how far it went."""
        limits = self.arm.limits
        made = self._made(wish, joints)
        errors = self._errors(wish, made)
        rows = self._slopes(wish, joints, made[:3])
        low = np.maximum(limits.lower, reach[0]) - joints
        high = np.minimum(limits.upper, reach[1]) - joints
        box = (np.minimum(low, 0.0), np.maximum(high, 0.0))
        clearance = self.arm.clearance(joints)
        ridge = self.weights.ridge * (1 + float(errors @ errors))
        move = arm_step(rows, errors, ridge, box, clearance, self.weights.margin_m)
        if move is None:
            return joints, 0.0
        for share in (1.0, 0.4, 0.1):
            after = limits.clamp(joints + share * move)
            if not keeps_clear(self.arm, joints, after, self.weights.margin_m):
                continue
            out = float(clearance[0].min()) < 0
            if out or self._cost(wish, after) <= float(errors @ errors):
                return after, float(np.max(np.abs(after - joints)))
        return joints, 0.0

    def _slopes(self, wish: _Wish, joints: Array, made_t: Array) -> Array:
        """Return d(weighted field and force) / d(joints), shape (N, J).

        Args:
            wish: field and force wanted.
            joints: joint angles, shape (J,) [rad].
            made_t: field that the magnet makes at the device with them, shape (3,) [T].
        """
        position, axis = self.arm.magnet(joints)
        steps = _DISPLACEMENT_M * np.vstack([_EYE, -_EYE])
        # moving the magnet is moving the point the other way
        shifted = self.arm.magnet_field(position, axis, wish.point_m - steps)
        by_place = (shifted[:3] - shifted[3:]).T / (2 * _DISPLACEMENT_M)
        by_turn = np.zeros((8, 3))
        swings = np.cross(_EYE, axis)
        for k, (turn, swing) in enumerate(zip(_EYE, swings, strict=True)):
            if np.linalg.norm(swing) < 1e-9:
                continue
            ends = [
                self.arm.magnet_field(
                    position,
                    np.cos(a) * axis + np.sin(a) * swing + (1 - np.cos(a)) * (turn @ axis) * turn,
                    wish.point_m[None],
                )[0]
                for a in (_TURN_RAD, -_TURN_RAD)
            ]
            by_turn[:, k] = (ends[0] - ends[1]) / (2 * _TURN_RAD)
        by_joint = np.hstack([by_place, by_turn]) @ self.arm.jacobian(joints)
        field = self.weights.field_first * field_slopes(wish.field_t, made_t, wish.field_unit_t)
        return np.vstack(
            [field @ by_joint[:3], wish.force_rows @ by_joint[3:] / wish.force_unit_n]
        )

    def _report(self, wish: _Wish, joints: Array, otherwise: str) -> ArmAllocation:
        position, axis = self.arm.magnet(joints)
        made = self.arm.magnet_field(position, axis, wish.point_m[None])[0]
        room = float(self.arm.clearance(joints)[0].min())
        field_off = wish.field_t - made[:3]
        force_off = wish.force_n - wish.force_rows @ made[3:]
        weights = self.weights
        field_reached = np.linalg.norm(field_off) <= weights.field_tolerance * wish.field_unit_t
        force_reached = np.linalg.norm(force_off) <= weights.force_tolerance * wish.force_unit_n
        status, reason = REACHED, ''
        if not (field_reached and force_reached):
            status = LIMITED if field_reached else otherwise
            reason = self._reason(joints, room, bool(field_reached))
        return ArmAllocation(
            joints=joints,
            magnet_position_m=position,
            magnet_axis=axis,
            field_t=made[:3],
            gradient_t_m=made[3:],
            field_residual_t=field_off,
            force_residual_n=force_off if len(force_off) else np.zeros(3),
            clearance_m=room,
            status=status,
            reason=reason,
        )

    def _reason(self, joints: Array, room: float, field_reached: bool) -> str:
        limits = self.arm.limits
        at_end = (joints - limits.lower < 1e-3) | (limits.upper - joints < 1e-3)
        reasons = ['the force is not there with this field' if field_reached else 'field missed']
        if room <= self.weights.margin_m + 1e-3:
            reasons.append('distance limit to the patient')
        if np.any(at_end):
            ends = [name for name, held in zip(limits.names, at_end, strict=True) if held]
            reasons.append(f'joint limit of {", ".join(ends)}')
        return '; '.join(reasons)
