"""Dynamics of the arm with the magnet: a MuJoCo chain of seven driven hinges.

Joint drives follow their set-points at up to their rates through stiff, overdamped servos (links
that start together push each other up to a tenth beyond their rates for some milliseconds),
and the arm carries its own weight. A guard of its own stops the arm before it comes nearer to the
patient than the limit; whoever commands it should plan for that.
"""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.devices.continuum.drives import RateLimitedDrives
from synthex_ros.devices.magnetic.arm_kinematics import AXES, MAGNET_AXIS, ArmKinematics
from synthex_ros.devices.magnetic.arm_parameters import JOINT_NAMES, ArmParameters
from synthex_ros.devices.magnetic.cylinder import CylinderMagnet
from synthex_ros.devices.magnetic.field_source import split
from synthex_ros.joints import JointLimits

Array = NDArray[np.float64]

TIMESTEP_S = 0.002
# elbow bent over the table, hand down
HOME_RAD = (0.0, 0.35, 0.0, -1.75, 0.0, 1.05, 0.0)
# the guard looks every so many steps, and this far ahead along the present motion [s]
_GUARD_EVERY = 5
_LOOK_AHEAD_S = 0.10


@dataclass(frozen=True)
class ArmState:
    """What the arm reports, and its magnet's true pose, at one instant.

    Attributes:
        time_s: simulated time since the last reset [s].
        joints: joint angles, shape (7,) [rad].
        velocities: joint speeds, shape (7,) [rad/s].
        magnet_position_m: centre of the magnet in `world`, shape (3,) [m].
        magnet_axis: direction of its moment, unit vector, shape (3,).
        clearance_m: least room to the patient above the distance limit [m].
        stopped: the guard holds the arm; `release` lets it move again.
    """

    time_s: float
    joints: Array
    velocities: Array
    magnet_position_m: Array
    magnet_axis: Array
    clearance_m: float
    stopped: bool


def arm_xml(parameters: ArmParameters) -> str:
    """Return the MJCF model of the arm in its base frame; links touch nothing."""
    offsets, inside = parameters.link_offsets_m, ''
    magnet, reach = parameters.magnet, parameters.link_offsets_m[7]
    a, b = (np.array(MAGNET_AXIS) * s * magnet.length_m / 2 for s in (-1, 1))
    inside = (
        f'<geom type="cylinder" size="{magnet.diameter_m / 2}" mass="{magnet.mass_kg}" '
        f'fromto="{a[0]} {a[1]} {reach + a[2]} {b[0]} {b[1]} {reach + b[2]}"/>'
        f'<site name="magnet" pos="0 0 {reach}"/>'
    )
    for n in reversed(range(7)):
        axis = ' '.join(str(v) for v in AXES[n])
        inside = (
            f'<body name="link_{n + 1}" pos="0 0 {offsets[n]}" gravcomp="1">'
            f'<joint name="{JOINT_NAMES[n]}" type="hinge" axis="{axis}" armature="0.05"/>'
            f'<geom type="capsule" size="{parameters.link_radius_m}" '
            f'mass="{parameters.link_masses_kg[n]}" fromto="0 0 0 0 0 {offsets[n + 1] * 0.8}"/>'
            f'{inside}</body>'
        )
    drives = ''.join(
        f'<position joint="{name}" kp="{stiffness}" dampratio="3"/>'
        for name, stiffness in zip(JOINT_NAMES, parameters.servo_stiffness_nm_rad, strict=True)
    )
    return (
        '<mujoco model="magnet_arm"><compiler angle="radian"/>'
        f'<option timestep="{TIMESTEP_S}" integrator="implicitfast"/>'
        '<default><geom contype="0" conaffinity="0"/></default>'
        f'<worldbody>{inside}</worldbody><actuator>{drives}</actuator></mujoco>'
    )


class MagnetArm:
    """The simulated arm; it is a field source at the magnet's present pose.

    Attributes:
        parameters: sizes, limits and surroundings.
        kinematics: kinematics of the same arm.
    """

    def __init__(self, parameters: ArmParameters | None = None) -> None:
        """Build the arm at rest in its home pose."""
        self.parameters = parameters or ArmParameters()
        self.kinematics = ArmKinematics(self.parameters)
        self._model = mujoco.MjModel.from_xml_string(arm_xml(self.parameters))
        self._data = mujoco.MjData(self._model)
        self._drives = RateLimitedDrives(self.parameters.limits)
        self._magnet_now: tuple[Array, Array] | None = None
        self.reset()

    @property
    def limits(self) -> JointLimits:
        """Joint names and their limits."""
        return self.parameters.limits

    @property
    def state(self) -> ArmState:
        """The present state."""
        joints = self._data.qpos.copy()
        position, axis = self.kinematics.magnet(joints)
        return ArmState(
            time_s=self._steps * TIMESTEP_S,
            joints=joints,
            velocities=self._data.qvel.copy(),
            magnet_position_m=position,
            magnet_axis=axis,
            clearance_m=float(self.kinematics.clearance(joints)[0].min()),
            stopped=self._stopped,
        )

    @property
    def magnet_pose(self) -> Array:
        """Pose of the hand at the magnet's centre in `world`, shape (4, 4) [m]."""
        return self.kinematics.magnet_pose(self._data.qpos)

    @property
    def magnet(self) -> CylinderMagnet:
        """The magnet where it is now."""
        position, axis = self.kinematics.magnet(self._data.qpos)
        return CylinderMagnet(self.parameters.magnet, position, axis)

    def field_t(self, points_m: ArrayLike) -> Array:
        """Return the magnet's field [T], shape (N, 3), at points in `world`, shape (N, 3) [m]."""
        return self.field_and_gradient(points_m)[0]

    def field_and_gradient(self, points_m: ArrayLike) -> tuple[Array, Array]:
        """Return the magnet's field [T], shape (N, 3), and gradient [T/m], shape (N, 5)."""
        if self._magnet_now is None:
            self._magnet_now = self.kinematics.magnet(self._data.qpos)
        return split(self.kinematics.magnet_field(*self._magnet_now, points_m))

    def command(self, joints: ArrayLike) -> Array:
        """Set the set-point, shape (7,) [rad]; return what was accepted after the travel limits.

        Raises:
            ValueError: wrong shape or not finite; nothing changes.
        """
        accepted = self.limits.clamp(joints)
        if self._stopped:
            return np.array(self._drives.positions)
        return self._drives.command(accepted)

    def hold(self) -> None:
        """Freeze the set-point where the drives stand now."""
        self._drives.hold()

    def release(self) -> None:
        """Let the arm move again after its guard has stopped it; motion away is then possible."""
        self._stopped = False

    def reset(self, joints: ArrayLike | None = None) -> None:
        """Start again at time zero, at rest at `joints`, shape (7,) (home by default).

        Raises:
            ValueError: wrong shape, outside the travel limits, or too near to the patient.
        """
        start = self.limits.check(HOME_RAD if joints is None else joints)
        room = float(self.kinematics.clearance(start)[0].min())
        if room < 0:
            raise ValueError(
                f'the arm would start {-room:.3f} m inside the distance limit of the patient; '
                'give other joints, or move world_from_arm_base'
            )
        self._drives.reset(start)
        mujoco.mj_resetData(self._model, self._data)
        self._data.qpos[:] = start
        self._data.ctrl[:] = start
        mujoco.mj_forward(self._model, self._data)
        self._elapsed_s, self._steps, self._stopped = 0.0, 0, False
        self._magnet_now = None

    def step(self, duration_s: float) -> ArmState:
        """Advance simulated time by `duration_s` [s] and return the new state.

        Raises:
            ValueError: the duration is negative or not finite.
            FloatingPointError: the arm has become unstable.
        """
        if not (np.isfinite(duration_s) and duration_s >= 0):
            raise ValueError(f'duration_s must be finite and not negative, got {duration_s}')
        self._elapsed_s += duration_s
        due = round(self._elapsed_s / TIMESTEP_S)
        while self._steps < due:
            self._advance()
            self._steps += 1
        if not np.all(np.isfinite(self._data.qacc)):
            raise FloatingPointError('the arm became unstable; lower servo_stiffness_nm_rad')
        return self.state

    def _advance(self) -> None:
        if self._steps % _GUARD_EVERY == 0:
            self._guard()
        self._magnet_now = None
        self._data.ctrl[:] = self._drives.step(TIMESTEP_S)
        mujoco.mj_step(self._model, self._data)

    def _guard(self) -> None:
        """Stop before the limit: where the drives are going must leave room, or gain some."""
        here = np.array(self._drives.positions)
        ahead = self._drives.peek(_LOOK_AHEAD_S)
        room, slopes = self.kinematics.clearance(here)
        after = room + slopes @ (ahead - here)
        if np.any((after < 0) & (after < room)):
            self._drives.hold()
            self._stopped = True
