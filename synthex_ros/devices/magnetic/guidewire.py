"""Dynamics of the magnetic guidewire: an elastic rod pushed and turned at its entry.

The rod is an own quasi-static one. A chain of ball joints in a rigid-body engine (see
`rod_chain`) needs steps of 1 ms and less and slows with the square of its length, while inertia
plays no part in a wire of a gram; `benchmark/magnetic_devices.py --chain` measures both. A step
ends after a set number of iterations, so while the wire snaps or a strong field whips its tip the
forces of that step are not balanced to the last digit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.bodies import Body
from synthex_ros.devices.base import DeviceState
from synthex_ros.devices.continuum.drives import RateLimitedDrives
from synthex_ros.devices.magnetic.environment import Environment
from synthex_ros.devices.magnetic.field_source import FieldSource
from synthex_ros.devices.magnetic.guidewire_mesh import WireShape, guidewire_bodies
from synthex_ros.devices.magnetic.guidewire_parameters import GuidewireParameters
from synthex_ros.devices.magnetic.rod import Rod
from synthex_ros.devices.magnetic.rod_kernels import transported_sides
from synthex_ros.devices.magnetic.wall_contact import largest_force_n
from synthex_ros.geometry import make_pose, transform_points
from synthex_ros.joints import JointLimits
from synthex_ros.vectors import cross

Array = NDArray[np.float64]

TIME_STEP_S = 5e-3
FEED_STEP_M = 1e-3
FEED_STEP_S = 0.02
SETTLE_S = 0.4
WALL_WINDOW_M = 0.010
"""A contact of the wall is what this length of wire presses on."""


@dataclass(frozen=True)
class GuidewireState(DeviceState):
    """State of the guidewire; joints are (insertion, roll).

    Attributes:
        nodes_base_m: nodes from the tip to the entry in `device_base`, shape (N, 3) [m].
        wall_force_n: largest force of 10 mm of wire on the wall in the last step [N].
        entry_force_n: force of the wire on the feeder, shape (3,) [N]; z < 0 pushes back.
    """

    nodes_base_m: Array
    wall_force_n: float
    entry_force_n: Array


class GuidewirePlant:
    """The simulated guidewire; it enters at `device_base` and looks along its +z axis.

    Attributes:
        parameters: dimensions, materials and limits.
        environment: field source, vessel and flow.
        rod: the part beyond the entry.
    """

    def __init__(
        self,
        parameters: GuidewireParameters | None = None,
        environment: Environment | None = None,
    ) -> None:
        self.parameters = parameters or GuidewireParameters()
        self.environment = environment or Environment()
        self._limits = self.parameters.limits
        self._drives = RateLimitedDrives(self._limits)
        surroundings = self.parameters.surroundings
        self.rod = Rod(self.parameters.table(), surroundings, self.parameters.parked_m)
        self.reset()

    @property
    def limits(self) -> JointLimits:
        """Joint names and their limits."""
        return self._limits

    @property
    def wall_force_n(self) -> float:
        """Largest force of 10 mm of wire on the wall in the last step [N]."""
        return self._wall_force_n

    @property
    def state(self) -> GuidewireState:
        """The present state; the joints are read at the feeder."""
        return GuidewireState(
            time_s=self._steps * TIME_STEP_S,
            joints=np.array(self._drives.positions),
            velocities=np.array(self._drives.velocities),
            tip_base=self._tip_base(),
            nodes_base_m=self.rod.nodes_m.copy(),
            wall_force_n=self._wall_force_n,
            entry_force_n=self.rod.entry_force_n(),
        )

    def set_source(self, source: FieldSource | None) -> None:
        """Set what makes the field, None for no field; it may change between steps."""
        self.environment.source = source

    def magnetic_moment(self) -> Array:
        """Return the moment of the part beyond the entry in `world`, shape (3,) [A m^2]."""
        moment = self.rod.moments_a_m2()[1].sum(axis=0)
        return self.environment.world_from_base[:3, :3] @ moment

    def command(self, joints: ArrayLike) -> Array:
        """Set the set-point, shape (2,); return what was accepted after the travel limits.

        Raises:
            ValueError: wrong shape or not finite; nothing changes.
        """
        return self._drives.command(joints)

    def hold(self) -> None:
        """Freeze the set-point where the feeder stands now."""
        self._drives.hold()

    def reset(self, joints: ArrayLike | None = None) -> None:
        """Start again at time zero at `joints`, shape (2,), fed in slowly from insertion 0.

        Raises:
            ValueError: wrong shape, not finite, or outside the travel limits.
        """
        self._drives.reset(np.zeros(2) if joints is None else joints)
        insertion = self._drives.positions[0]
        self._elapsed_s, self._steps, self._wall_force_n = 0.0, 0, 0.0
        self.rod.reset(self.parameters.parked_m)
        feeds = int(np.ceil(insertion / FEED_STEP_M))
        for fed in np.linspace(0, insertion, feeds + 1)[1:]:
            self.rod.insert(self.parameters.parked_m + fed)
            self._relax(FEED_STEP_S)
        for _ in range(round(SETTLE_S / FEED_STEP_S)):
            self._relax(FEED_STEP_S)
        self._wall_force_n = self._pressed_n()

    def step(self, duration_s: float) -> GuidewireState:
        """Advance simulated time by `duration_s` [s] and return the new state.

        Time passes in whole steps of 5 ms; what is left over is made up in later calls.

        Raises:
            ValueError: the duration is negative or not finite.
            FloatingPointError: the wire has become unstable.
        """
        if not (np.isfinite(duration_s) and duration_s >= 0):
            raise ValueError(f'duration_s must be finite and not negative, got {duration_s}')
        self._elapsed_s += duration_s
        due = round(self._elapsed_s / TIME_STEP_S)
        largest = 0.0 if self._steps < due else self._wall_force_n
        while self._steps < due:
            insertion, _ = self._drives.step(TIME_STEP_S)
            self.rod.insert(self.parameters.parked_m + insertion)
            self._relax(TIME_STEP_S)
            self._steps += 1
            largest = max(largest, self._pressed_n())
        self._wall_force_n = largest
        return self.state

    def _relax(self, duration_s: float) -> None:
        around = self.environment
        self.rod.step(
            duration_s,
            self._drives.positions[1],
            None if around.source is None else around.field,
            None if around.lumen is None else around.room,
        )

    def _pressed_n(self) -> float:
        arc = self.rod.table.node_m[: len(self.rod.contact_n)]
        return largest_force_n(arc, self.rod.contact_n + self.rod.friction_n, WALL_WINDOW_M)

    def _tip_base(self) -> Array:
        nodes = self.rod.nodes_m
        along = self.rod.tangents[0]
        side = transported_sides(nodes, self._drives.positions[1])[0]
        turn = np.stack([side, cross(along, side), along], axis=1)
        return make_pose(turn, nodes[0])

    def _shape(self) -> WireShape:
        return WireShape(self.rod.table.node_m, self.rod.nodes_m, self.rod.inserted_m)

    def bodies(self, world_from_device_base: ArrayLike) -> list[Body]:
        """Return core, jacket, marker and magnet (label 1), posed in `world`."""
        return guidewire_bodies(self.parameters, self._shape(), world_from_device_base)

    def landmarks(self, world_from_device_base: ArrayLike) -> Array:
        """Return the middle of the marker and the tip in `world`, shape (2, 3) [m]."""
        back = self.parameters.flexible_end_m - self.parameters.marker_length_m / 2
        points = self._shape().at(np.array([back, 0.0]))
        return transform_points(world_from_device_base, points)

    def behind_tip(self, world_from_device_base: ArrayLike, distance_m: ArrayLike) -> Array:
        """Return the points at distances from the tip [m], shape (K,), in `world`, (K, 3) [m]."""
        distances = np.minimum(np.asarray(distance_m, float), self.rod.inserted_m)
        return transform_points(world_from_device_base, self._shape().at(distances))

    def centerline(self, world_from_device_base: ArrayLike) -> Array:
        """Return the centre line from the entry to the tip in `world`, shape (N, 3) [m]."""
        points = self._shape().sampled(0.0, self.rod.inserted_m)[::-1]
        return transform_points(world_from_device_base, points)

    def tip_pose(self, world_from_device_base: ArrayLike) -> Array:
        """Return the true pose of the tip in `world`, z out of the wire, shape (4, 4) [m]."""
        return np.asarray(world_from_device_base, float) @ self._tip_base()
