"""A hollow cylinder of magnetic rubber: rolls on a wall, or screws itself along a tight vessel.

Narrower than the vessel it lies on the wall and rolls about its axis in a turning field. Wider
than the vessel it is squeezed like a stent, presses on the wall all round, and a helical ridge
turns its rotation into motion along the vessel (wireless stent-shaped robots: Wang, Zhang, Ko et
al., Nat. Commun. 13 (2022) 4465). Static friction above kinetic friction makes it stick and slip;
a field that turns faster or is weaker than friction allows leaves it behind: it steps out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.bodies import Body
from synthex_ros.devices.magnetic.body_parameters import check_body
from synthex_ros.devices.magnetic.magnetic_materials import FILLED_RUBBER_A_M
from synthex_ros.devices.magnetic.swept_mesh import swept_tube
from synthex_ros.devices.magnetic.untethered import UntetheredPlant
from synthex_ros.geometry import make_pose, transform_points

Array = NDArray[np.float64]

LANDMARK_NAMES = ('back', 'front')
SLIDING_M_S = 2e-3
"""A surface that moves faster along the wall has kinetic friction, a slower one static."""
TIGHT = 0.98
"""A squeezed robot keeps to the axis of the vessel within the rest of this part of its radius."""


@dataclass(frozen=True)
class SoftRobotParameters:
    """A tube of rubber filled with NdFeB powder, magnetised along its x axis, across its length.

    Attributes:
        radius_m: outer radius when free [m].
        wall_m: thickness of its wall [m].
        length_m: length along its z axis [m].
        magnetization_a_m: magnetisation of the filled rubber [A/m].
        density_kg_m3: density of the filled rubber [kg/m^3].
        material: as the renderer knows it.
        radial_stiffness_n_m: force all round over the squeeze of its radius [N/m].
        helix_pitch_m: way along the vessel of a turn without slip, positive for a right-handed
            ridge [m].
        static_friction: coefficient on the wall while it holds.
        kinetic_friction: coefficient on the wall while it slips.
    """

    radius_m: float = 0.8e-3
    wall_m: float = 0.2e-3
    length_m: float = 4e-3
    magnetization_a_m: float = FILLED_RUBBER_A_M
    density_kg_m3: float = 2380.0
    material: str = 'ndfeb_silicone'
    radial_stiffness_n_m: float = 5.0
    helix_pitch_m: float = 0.4e-3
    static_friction: float = 0.4
    kinetic_friction: float = 0.3

    def __post_init__(self):
        check_body(self)
        if not 1e-5 <= self.wall_m < self.radius_m:
            raise ValueError(
                f'wall_m must be 1e-5 m to below radius_m ({self.radius_m:g}), got {self.wall_m:g}'
            )
        if not self.radius_m <= self.length_m <= 0.05:
            raise ValueError(
                f'length_m must be radius_m ({self.radius_m:g})..0.05 m, got {self.length_m:g}'
            )

    @property
    def volume_m3(self) -> float:
        """Volume of the rubber [m^3]."""
        inner = self.radius_m - self.wall_m
        return math.pi * (self.radius_m**2 - inner**2) * self.length_m

    @property
    def moment_a_m2(self) -> float:
        """Magnetic moment [A m^2]."""
        return self.magnetization_a_m * self.volume_m3


class SoftRobotPlant(UntetheredPlant[SoftRobotParameters]):
    """The simulated soft robot."""

    parameters_type = SoftRobotParameters

    def moment_base(self, field_t: Array) -> Array:
        """Return the moment, which is fixed to the robot, shape (3,) [A m^2]."""
        return self.parameters.moment_a_m2 * self._attitude[:, 0]

    @property
    def squeeze_m(self) -> float:
        """By how much the vessel is narrower than the free robot [m]."""
        return max(0.0, self.radius_m - self._place.radius_m)

    @property
    def contact_radius_m(self) -> float:
        """Outer radius, squeezed where the vessel is narrow [m]."""
        return TIGHT * (self.radius_m - self.squeeze_m) if self.squeeze_m else self.radius_m

    @property
    def preload_n(self) -> float:
        """Force with which a squeezed robot presses on the wall [N]."""
        return self.parameters.radial_stiffness_n_m * self.squeeze_m

    def drag_and_stream(self) -> tuple[float, Array]:
        """Return drag over speed [N s/m] and the velocity without force [m/s].

        A squeezed robot is a piece of pipe: the fluid runs through it, and pulls with Poiseuille's
        wall shear 8 pi eta L v.
        """
        if not self.squeeze_m:
            return super().drag_and_stream()
        drag = 8 * math.pi * self.fluid.viscosity_pa_s * self.parameters.length_m
        return drag, self._place.flow_m_s

    def carried_m_s(self) -> Array:
        """Return the velocity of a squeezed robot that screws itself along without slip [m/s]."""
        if not self.squeeze_m:
            return np.zeros(3)
        axis = self._attitude[:, 2]
        return self.parameters.helix_pitch_m / (2 * math.pi) * float(self._spin @ axis) * axis

    def turning_loads_n_m(self, axis: Array) -> tuple[float, float]:
        """Return the Coulomb torques against starting and going on to turn about an axis [N m]."""
        if not self.squeeze_m:
            return super().turning_loads_n_m(axis)
        lever = self.preload_n * (self.radius_m - self.squeeze_m)
        still, moving = self.friction
        return (moving if self._turning else still) * lever, moving * lever

    def reset(self, joints: ArrayLike | None = None) -> None:
        """Start again at rest at `device_base`; `joints` must be None or empty."""
        self._turning = False
        super().reset(joints)

    def _turn(self, field: Array) -> None:
        self._follow_vessel()
        super()._turn(field)
        surface_m_s = math.sqrt(self._spin @ self._spin) * self.radius_m
        self._turning = surface_m_s > SLIDING_M_S

    def alignment(self, field: Array) -> tuple[float, Array, float]:
        """Return highest torque [N m], axis, shape (3,), and angle [rad] to the field.

        In a tight vessel only the field across the axis turns the robot, about the axis.
        """
        if not self.squeeze_m:
            return super().alignment(field)
        axis = self._attitude[:, 2]
        across = field - (field @ axis) * axis
        strength = float(np.linalg.norm(across))
        if strength == 0.0:
            return 0.0, axis, 0.0
        side, upright = self._attitude[:, 0], self._attitude[:, 1]
        angle = math.atan2(upright @ across, side @ across)
        torque = self.parameters.moment_a_m2 * strength
        return torque, axis if angle >= 0 else -axis, abs(angle)

    def _follow_vessel(self) -> None:
        """Lay the robot's axis along a tight vessel."""
        axis = self._place.axis
        if axis is None or not self.squeeze_m:
            return
        if axis @ self._attitude[:, 2] < 0:
            axis = -axis
        side = self._attitude[:, 0] - (self._attitude[:, 0] @ axis) * axis
        side /= np.linalg.norm(side)
        self._attitude = np.stack([side, np.cross(axis, side), axis], axis=1)

    def half_length_m(self) -> float:
        """Return half of the length [m]."""
        return self.parameters.length_m / 2

    def bodies(self, world_from_device_base: ArrayLike) -> list[Body]:
        """Return the tube, as wide as the vessel lets it be (label 1), posed in `world`."""
        pose = np.asarray(world_from_device_base, float) @ self.base_from_body()
        outer = self.radius_m - self.squeeze_m
        half = self.half_length_m()
        line = np.array([[0.0, 0.0, -half], [0.0, 0.0, 0.0], [0.0, 0.0, half]])
        area = self.parameters.volume_m3 / self.parameters.length_m / math.pi
        inner = math.sqrt(max(outer**2 - area, (0.05 * outer) ** 2))
        return [Body(swept_tube(line, outer, inner), self.parameters.material, pose, 1)]

    def landmarks(self, world_from_device_base: ArrayLike) -> Array:
        """Return the middle of both ends in `world`, back first, shape (2, 3) [m]."""
        half = self.half_length_m()
        ends = transform_points(
            make_pose(self._attitude, self._position), [[0, 0, -half], [0, 0, half]]
        )
        return transform_points(world_from_device_base, ends)
