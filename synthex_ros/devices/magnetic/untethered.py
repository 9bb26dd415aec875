"""A small body without tether in a vessel: field, flow, weight, wall; the base of three devices.

    m dv/dt = F_magnetic + F_weight - drag (v - flow) + F_wall + F_friction

The drag knows the size of the vessel (wall factor) and the Reynolds number; the mass includes the
fluid that is carried along (half of the displaced). Turning has no inertia.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.bodies import Body
from synthex_ros.devices.base import DeviceState
from synthex_ros.devices.magnetic.body_motion import alignment, move, rotated, touch, turned
from synthex_ros.devices.magnetic.body_parameters import BodyParameters
from synthex_ros.devices.magnetic.drag import (
    RIGID,
    free_drag_n_s_m,
    inertia_factor,
    wall_factors,
)
from synthex_ros.devices.magnetic.environment import Environment
from synthex_ros.devices.magnetic.field_source import FieldSource
from synthex_ros.devices.magnetic.fluid import Fluid
from synthex_ros.geometry import check_pose, make_pose, transform_points
from synthex_ros.joints import JointLimits

Array = NDArray[np.float64]
ParametersT = TypeVar('ParametersT', bound=BodyParameters)

TIME_STEP_S = 2e-3
NO_JOINTS = JointLimits((), np.zeros(0), np.zeros(0), np.zeros(0))
WEIGHT_WORLD_M_S2 = np.array([0.0, 9.81, 0.0])
"""Gravity in `world` of a supine patient, whose posterior direction is +y."""


@dataclass(frozen=True)
class UntetheredState(DeviceState):
    """State of a body without joints; its tip is its centre, which is what a goal is about.

    Attributes:
        position_base_m: centre in `device_base`, shape (3,) [m].
        velocity_base_m_s: its velocity, shape (3,) [m/s].
        spin_rad_s: angular velocity, shape (3,) [rad/s].
        wall_force_n: largest force on the wall in the last step [N].
        held: friction on the wall held it in the last step; so does a body at the start.
    """

    position_base_m: Array
    velocity_base_m_s: Array
    spin_rad_s: Array
    wall_force_n: float
    held: bool


@dataclass(frozen=True, eq=False)
class Place:
    """The fluid and the vessel where a body is, in `device_base`.

    Attributes:
        flow_m_s: velocity of the fluid, shape (3,) [m/s].
        radius_m: radius of the vessel; infinite where nothing is known of it [m].
        axis: direction of the vessel, shape (3,), None where nothing is known of it.
    """

    flow_m_s: Array
    radius_m: float = math.inf
    axis: Array | None = None


class UntetheredPlant(ABC, Generic[ParametersT]):
    """What sphere, soft robot and droplet share; `device_base` is where the body starts.

    Args:
        parameters: of the body; the defaults of its kind if None.
        environment: field source, vessel and flow; none of them if None.
        fluid: what fills the vessel; blood if None.

    Attributes:
        parameters: size, material and friction of the body.
        environment: field source, vessel and flow.
        fluid: what fills the vessel.
        parameters_type: dataclass of the parameters, set by each kind of body.
    """

    parameters_type: type[ParametersT]

    def __init__(
        self,
        parameters: ParametersT | None = None,
        environment: Environment | None = None,
        fluid: Fluid | None = None,
    ) -> None:
        self.parameters: ParametersT = parameters or self.parameters_type()
        self.environment, self.fluid = environment or Environment(), fluid or Fluid()
        self.reset()

    @property
    def viscosity_ratio(self) -> float:
        """Viscosity of the body over that of the fluid; a rigid one by default."""
        return RIGID

    @property
    def radius_m(self) -> float:
        """Radius of the sphere of the same drag [m]."""
        return self.parameters.radius_m

    @property
    def volume_m3(self) -> float:
        """Volume of the material [m^3]."""
        return self.parameters.volume_m3

    @property
    def density_kg_m3(self) -> float:
        """Density of the material [kg/m^3]."""
        return self.parameters.density_kg_m3

    @property
    def friction(self) -> tuple[float, float]:
        """Coefficients of static and kinetic friction on the wall."""
        return self.parameters.static_friction, self.parameters.kinetic_friction

    @abstractmethod
    def moment_base(self, field_t: Array) -> Array:
        """Return the magnetic moment in a field, shape (3,) [T], both in `device_base` [A m^2]."""

    @abstractmethod
    def bodies(self, world_from_device_base: ArrayLike) -> list[Body]:
        """Return the closed meshes to draw (label 1), posed in `world`."""

    @abstractmethod
    def landmarks(self, world_from_device_base: ArrayLike) -> Array:
        """Return the landmark positions in `world`, shape (K, 3) [m]."""

    @abstractmethod
    def half_length_m(self) -> float:
        """Return the distance of the front from the centre along the body's z axis [m]."""

    @property
    def limits(self) -> JointLimits:
        """No joints."""
        return NO_JOINTS

    @property
    def wall_force_n(self) -> float:
        """Largest force on the wall in the last step [N]."""
        return self._wall_force_n

    @property
    def state(self) -> UntetheredState:
        """The present state."""
        return UntetheredState(
            time_s=self._steps * TIME_STEP_S,
            joints=np.zeros(0),
            velocities=np.zeros(0),
            tip_base=self.base_from_body(),
            position_base_m=self._position.copy(),
            velocity_base_m_s=self._velocity.copy(),
            spin_rad_s=self._spin.copy(),
            wall_force_n=self._wall_force_n,
            held=self._held,
        )

    def set_source(self, source: FieldSource | None) -> None:
        """Set what makes the field, None for no field; it may change between steps."""
        self.environment.source = source

    def magnetic_moment(self) -> Array:
        """Return the magnetic moment in `world`, shape (3,) [A m^2]."""
        field = self.environment.field(self._position[None])[0][0]
        return self.environment.world_from_base[:3, :3] @ self.moment_base(field)

    def command(self, joints: ArrayLike) -> Array:
        """Return `joints`, which must be empty.

        Raises:
            ValueError: there is a value; nothing changes.
        """
        return self.limits.check(joints)

    def hold(self) -> None:  # noqa: B027
        """Do nothing: only the field holds a body without tether."""

    def reset(self, joints: ArrayLike | None = None) -> None:
        """Start again at rest at `device_base`; `joints` must be None or empty."""
        if joints is not None:
            self.limits.check(joints)
        self.place(np.eye(4))

    def place(self, base_from_body: ArrayLike) -> None:
        """Start again at rest, with the body's frame at a pose in `device_base`, (4, 4) [m]."""
        pose = check_pose(base_from_body, 'base_from_body')
        self._position, self._attitude = pose[:3, 3].copy(), pose[:3, :3].copy()
        self._velocity, self._spin = np.zeros(3), np.zeros(3)
        self._contact_torque = np.zeros(3)
        self._stream: Array | None = None
        self._steps = 0
        self._place = self._look_round(self._position[None])
        self._held, self._wall_force_n, self._elapsed_s, self._steps = True, 0.0, 0.0, 0

    def step(self, duration_s: float) -> UntetheredState:
        """Advance simulated time by `duration_s` [s] and return the new state.

        Time passes in whole steps of 2 ms; what is left over is made up in later calls.

        Raises:
            ValueError: the duration is negative or not finite.
            FloatingPointError: the body was lost.
        """
        if not (np.isfinite(duration_s) and duration_s >= 0):
            raise ValueError(f'duration_s must be finite and not negative, got {duration_s}')
        self._elapsed_s += duration_s
        due = round(self._elapsed_s / TIME_STEP_S)
        largest = 0.0 if self._steps < due else self._wall_force_n
        while self._steps < due:
            largest = max(largest, self._advance())
            self._steps += 1
        self._wall_force_n = largest
        if not np.all(np.isfinite(self._position)):
            raise FloatingPointError('the body was lost; the field must be finite everywhere')
        return self.state

    def _advance(self) -> float:
        """Make one time step; return the force on the wall [N]."""
        here = self._position[None]
        fields, gradients = self.environment.field(here)
        self._place = self._look_round(here)
        self._turn(fields[0])
        drag, stream = self.drag_and_stream()
        magnetic = gradients[0] @ self.moment_base(fields[0])
        force = magnetic + self._weight() + self._swept(stream)
        mass = self._mass()
        position, velocity = move(
            self._position, self._velocity, force, stream, TIME_STEP_S, mass, drag
        )
        room, inward = self.environment.room(position[None])
        still, moving = self.friction
        self._position, self._velocity, push, self._contact_torque, self._held = touch(
            position, velocity, self._spin, room[0], inward[0], self.contact_radius_m,
            self.preload_n, still, moving, self._held, self.carried_m_s(), TIME_STEP_S, mass, drag,
        )  # fmt: skip
        return math.sqrt(push @ push)

    def _look_round(self, here_m: Array) -> Place:
        flow = self.environment.velocity(here_m, self._steps * TIME_STEP_S)[0]
        vessel = self.environment.vessel(here_m)
        if vessel is None:
            return Place(flow)
        return Place(flow, float(vessel[0][0]), vessel[1][0])

    def drag_and_stream(self) -> tuple[float, Array]:
        """Return drag over speed [N s/m] and the velocity without force [m/s], shape (3,)."""
        place, fluid = self._place, self.fluid
        still, flowing = wall_factors(self.radius_m / place.radius_m, self.viscosity_ratio)
        stream = place.flow_m_s * (flowing / still)
        gap = self._velocity - stream
        reynolds = fluid.density_kg_m3 * math.sqrt(gap @ gap) * 2 * self.radius_m
        drag = free_drag_n_s_m(self.radius_m, fluid.viscosity_pa_s, self.viscosity_ratio)
        return drag * still * inertia_factor(reynolds / fluid.viscosity_pa_s), stream

    @property
    def contact_radius_m(self) -> float:
        """Radius with which the body meets the wall [m]."""
        return self.radius_m

    @property
    def preload_n(self) -> float:
        """Force with which the body presses on the wall all round [N]."""
        return 0.0

    def carried_m_s(self) -> Array:
        """Return the velocity that the wall gives a body that it holds, shape (3,) [m/s]."""
        return np.zeros(3)

    def _mass(self) -> float:
        return (self.density_kg_m3 + self.fluid.density_kg_m3 / 2) * self.volume_m3

    def _weight(self) -> Array:
        gravity = self.environment.world_from_base[:3, :3].T @ WEIGHT_WORLD_M_S2
        return (self.density_kg_m3 - self.fluid.density_kg_m3) * self.volume_m3 * gravity

    def _swept(self, stream: Array) -> Array:
        """Return the force of a fluid that gains speed on what swims in it [N], shape (3,)."""
        last = stream if self._stream is None else self._stream
        self._stream = stream
        return 1.5 * self.fluid.density_kg_m3 * self.volume_m3 * (stream - last) / TIME_STEP_S

    def _turn(self, field: Array) -> None:
        """Turn towards the field against drag and friction; sets the spin."""
        torque, axis, angle = self.alignment(field)
        self._spin = np.zeros(3)
        if torque == 0.0 or angle < 1e-9:
            return
        drag = 8 * math.pi * self.fluid.viscosity_pa_s * self.radius_m**3
        hold, load = self.turning_loads_n_m(axis)
        left = turned(angle, torque, hold, load, drag, TIME_STEP_S)
        self._attitude = rotated(self._attitude, axis, angle - left)
        self._spin = (angle - left) / TIME_STEP_S * axis

    def alignment(self, field: Array) -> tuple[float, Array, float]:
        """Return highest torque [N m], axis, shape (3,), and angle [rad] to the field."""
        spare = np.ascontiguousarray(self._attitude[:, 1])
        return alignment(self.moment_base(field), field, spare)

    def turning_loads_n_m(self, axis: Array) -> tuple[float, float]:
        """Return the Coulomb torques against starting and going on to turn about an axis [N m]."""
        load = max(0.0, -float(self._contact_torque @ axis))
        return load, load

    def base_from_body(self) -> Array:
        """Return the body's frame in `device_base`, shape (4, 4) [m]."""
        return make_pose(self._attitude, self._position)

    def centerline(self, world_from_device_base: ArrayLike) -> Array:
        """Return back, centre and front of the body in `world`, shape (3, 3) [m]."""
        along = self.half_length_m() * self._attitude[:, 2]
        points = np.stack([self._position - along, self._position, self._position + along])
        return transform_points(world_from_device_base, points)

    def tip_pose(self, world_from_device_base: ArrayLike) -> Array:
        """Return the true pose of the centre in `world`, shape (4, 4) [m]."""
        return np.asarray(world_from_device_base, float) @ self.base_from_body()
