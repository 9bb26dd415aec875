"""Dynamics of the manipulator: a MuJoCo chain of hinges pulled by two elastic tendons.

What separates it from the nominal kinematics, and what a controller has to cope with: play
between drives and tendons, tendons that stretch and go slack, notches of unequal stiffness, and
the time the tube takes to settle. Insertion and roll are stiff and carry a few grams, so they
move as commanded within their rate; gravity (below 0.1 mm at the tip) is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.bodies import Body
from synthex_ros.devices.base import DeviceState
from synthex_ros.devices.continuum.backlash import Play
from synthex_ros.devices.continuum.chain import chain_xml
from synthex_ros.devices.continuum.drives import RateLimitedDrives
from synthex_ros.devices.continuum.kinematics import ContinuumKinematics
from synthex_ros.devices.continuum.mesh import continuum_bodies
from synthex_ros.devices.continuum.parameters import ContinuumParameters
from synthex_ros.devices.continuum.statics import equilibrium_angles
from synthex_ros.geometry import transform_points
from synthex_ros.joints import JointLimits

Array = NDArray[np.float64]

_SETTLE_S = 0.3


@dataclass(frozen=True)
class ContinuumState(DeviceState):
    """State of the manipulator; joints are (insertion, roll, tendon_1, tendon_2).

    Attributes:
        tensions_n: tendon tensions, shape (2,) [N].
        notch_angles: true notch angles, shape (n,) [rad].
    """

    tensions_n: Array
    notch_angles: Array


class ContinuumPlant:
    """The simulated manipulator; the same inputs and seed give the same motion.

    Attributes:
        parameters: dimensions, mechanics and limits.
        kinematics: kinematics of the same manipulator.
        notch_stiffness_nm_rad: true stiffness of each notch, shape (n,) [N m/rad].
    """

    def __init__(self, parameters: ContinuumParameters | None = None, seed: int = 0) -> None:
        """Build the plant at rest with all joints at zero; `seed` draws the notch stiffness."""
        self.parameters = parameters or ContinuumParameters()
        self.kinematics = ContinuumKinematics(self.parameters)
        spread = self.parameters.notch_stiffness_variation
        draw = np.random.default_rng(seed).standard_normal(self.parameters.notch_count)
        self.notch_stiffness_nm_rad = self.parameters.notch_stiffness_nm_rad * np.exp(
            spread * draw - spread**2 / 2
        )
        xml = chain_xml(self.parameters, self.notch_stiffness_nm_rad)
        self._model = mujoco.MjModel.from_xml_string(xml)
        self._data = mujoco.MjData(self._model)
        mujoco.mj_forward(self._model, self._data)
        self._rest_lengths = self._data.ten_length.tolist()
        self._limits = self.parameters.limits
        self._drives = RateLimitedDrives(self._limits)
        self._play = (Play(self.parameters.backlash_m), Play(self.parameters.backlash_m))
        self.reset()

    @property
    def limits(self) -> JointLimits:
        """Joint names and their limits."""
        return self._limits

    @property
    def state(self) -> ContinuumState:
        """The present state; the joints are read at the drives, before play and stretch."""
        angles = self._data.qpos.copy()
        insertion, roll = self._drives.positions[:2]
        return ContinuumState(
            time_s=self._steps * self._model.opt.timestep,
            joints=np.array(self._drives.positions),
            velocities=np.array(self._drives.velocities),
            tip_base=self.kinematics.tip_pose(angles, insertion, roll),
            tensions_n=0.0 - self._data.actuator_force,
            notch_angles=angles,
        )

    def command(self, joints: ArrayLike) -> Array:
        """Set the set-point, shape (4,); return what was accepted after the travel limits.

        Raises:
            ValueError: wrong shape or not finite; nothing changes.
        """
        return self._drives.command(joints)

    def hold(self) -> None:
        """Freeze the set-point where the drives stand now."""
        self._drives.hold()

    def reset(self, joints: ArrayLike | None = None) -> None:
        """Start again at time zero, at rest at `joints`, shape (4,), with the play centred.

        Raises:
            ValueError: wrong shape, not finite, or outside the travel limits.
        """
        self._drives.reset(np.zeros(4) if joints is None else joints)
        pulls = self._drives.positions[2:]
        for play, pull in zip(self._play, pulls, strict=True):
            play.output = pull
        mujoco.mj_resetData(self._model, self._data)
        self._data.qpos[:] = equilibrium_angles(
            self.parameters, self.notch_stiffness_nm_rad, pulls[0], pulls[1]
        )
        self._elapsed_s, self._steps = 0.0, 0
        for _ in range(round(_SETTLE_S / self._model.opt.timestep)):
            self._advance()

    def step(self, duration_s: float) -> ContinuumState:
        """Advance simulated time by `duration_s` [s] and return the new state.

        Time passes in whole steps of the chain; what is left over is made up in later calls.

        Raises:
            ValueError: the duration is negative or not finite.
            FloatingPointError: the chain has become unstable.
        """
        if not (np.isfinite(duration_s) and duration_s >= 0):
            raise ValueError(f'duration_s must be finite and not negative, got {duration_s}')
        self._elapsed_s += duration_s
        due = round(self._elapsed_s / self._model.opt.timestep)
        while self._steps < due:
            self._advance()
            self._steps += 1
        if not np.all(np.isfinite(self._data.qacc)):
            raise FloatingPointError(
                'the manipulator became unstable; raise notch_damping_nm_s_rad'
            )
        return self.state

    def _advance(self) -> None:
        positions = self._drives.step(self._model.opt.timestep)
        control = self._data.ctrl
        control[0] = self._rest_lengths[0] - self._play[0](positions[2])
        control[1] = self._rest_lengths[1] - self._play[1](positions[3])
        mujoco.mj_step(self._model, self._data)

    def bodies(self, world_from_device_base: ArrayLike) -> list[Body]:
        """Return notched tube (label 1) and shaft (label 0), posed in `world`."""
        insertion, roll = self._drives.positions[:2]
        return continuum_bodies(
            self.kinematics, self._data.qpos, insertion, roll, world_from_device_base
        )

    def landmarks(self, world_from_device_base: ArrayLike) -> Array:
        """Return base and tip in `world`, shape (2, 3) [m]."""
        insertion, roll = self._drives.positions[:2]
        points = self.kinematics.landmarks(self._data.qpos, insertion, roll)
        return transform_points(world_from_device_base, points)

    def centerline(self, world_from_device_base: ArrayLike) -> Array:
        """Return the centre line from base to tip in `world`, shape (n + 2, 3) [m]."""
        world_from_cm = np.asarray(world_from_device_base, float) @ self.kinematics.base_from_cm(
            *self._drives.positions[:2]
        )
        return transform_points(
            world_from_cm, self.kinematics.centerline_of_angles(self._data.qpos)
        )

    def tip_pose(self, world_from_device_base: ArrayLike) -> Array:
        """Return the true pose of the tip in `world`, shape (4, 4) [m]."""
        insertion, roll = self._drives.positions[:2]
        tip = self.kinematics.tip_pose(self._data.qpos, insertion, roll)
        return np.asarray(world_from_device_base, float) @ tip
