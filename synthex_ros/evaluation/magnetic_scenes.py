"""Scenes of the magnetic tasks: devices that differ from their models, vessels, flows, drives."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthex_ros.anatomy.vessels.lumen import TubeLumen
from synthex_ros.control.frame import FrameRules
from synthex_ros.control.magnetic.build import magnetic_controller
from synthex_ros.control.magnetic.limits import MagneticLimits
from synthex_ros.control.magnetic.untethered import UntetheredLaw, usual_settings
from synthex_ros.devices.magnetic.arm_parameters import ArmParameters
from synthex_ros.devices.magnetic.coil_plant import CoilPlant
from synthex_ros.devices.magnetic.coils import CoilArray
from synthex_ros.devices.magnetic.droplet import DropletParameters, DropletPlant
from synthex_ros.devices.magnetic.environment import Environment
from synthex_ros.devices.magnetic.flow import Pulse, VesselFlow
from synthex_ros.devices.magnetic.fluid import Fluid
from synthex_ros.devices.magnetic.magnet_arm import MagnetArm
from synthex_ros.devices.magnetic.magnetic_materials import Ferrofluid
from synthex_ros.devices.magnetic.numbers import swimmer_numbers
from synthex_ros.devices.magnetic.soft_robot import SoftRobotParameters, SoftRobotPlant
from synthex_ros.devices.magnetic.untethered import NO_JOINTS, UntetheredPlant
from synthex_ros.evaluation.magnetic_loop import Imager, ImagerModel, MagneticLoop
from synthex_ros.geometry import make_pose
from synthex_ros.simulation.arm_drive import ROLLING_WEIGHTS, ArmDrive
from synthex_ros.simulation.coil_drive import CoilDrive

Array = NDArray[np.float64]

MODEL_ERROR = 0.2
"""Devices and flows differ from what the controller is told by up to this part, either way."""
VESSEL_RADIUS_M = 6e-3
BEND_RADIUS_M = 0.05
BEND_RAD = 0.8
PULSE = Pulse(rate_hz=1.1, steady_part=0.8, systole_part=0.4)
FLOW_START_S = 1.5
RULES = FrameRules(landmark_std_px=0.7)


def off(rng: np.random.Generator, part: float = MODEL_ERROR) -> float:
    """Return a factor within `part` of one."""
    return float(rng.uniform(1 - part, 1 + part))


class RisingFlow:
    """A flow that rises from rest in a second; as it is, or as it is known: off and late.

    Args:
        flow: the flow once it has risen.
        start_s: when it begins to rise [s].
        factor: known over true speed.
        late_s: by how much the known beat is late [s].
    """

    def __init__(
        self, flow: VesselFlow, start_s: float, factor: float = 1.0, late_s: float = 0.0
    ) -> None:
        self._flow, self._start_s = flow, start_s
        self._factor, self._late_s = factor, late_s

    def velocity_m_s(self, points_m: Array, time_s: float) -> Array:
        """Return the velocity [m/s], (N, 3), at points, (N, 3) [m]."""
        time_s -= self._late_s
        risen = float(np.clip(time_s - self._start_s, 0, 1))
        return self._factor * risen * self._flow.velocity_m_s(points_m, time_s)

    def vessel(self, points_m: Array) -> tuple[Array, Array]:
        """Return radius, (N,) [m], and direction, (N, 3), of the vessel."""
        return self._flow.vessel(points_m)


@dataclass(frozen=True, eq=False)
class SwimmerScene:
    """A body without tether in a bent vessel.

    Attributes:
        loop: everything, ready to run.
        coils: the coils, for failures and limits.
        lumen: the vessel, along z, bent to +x.
        clearance_m: room of an arm above its distance limit, tick by tick [m]; empty for coils.
    """

    loop: MagneticLoop
    lumen: TubeLumen
    coils: CoilPlant
    clearance_m: list[float] = field(default_factory=list)


def bent_vessel() -> TubeLumen:
    """Return a tube along z that bends to +x round the origin."""
    start = np.array([0.0, 0.0, -BEND_RADIUS_M * BEND_RAD / 2])
    along, towards = np.array([0.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.0])
    return TubeLumen(VESSEL_RADIUS_M, start, along, BEND_RADIUS_M, BEND_RAD, towards)


def nominal(device: str) -> Any:
    """Return the parameters of 'soft_robot' or 'droplet' as the controller knows them."""
    if device == 'droplet':
        return DropletParameters(radius_m=1e-3, surface_tension_n_m=0.03)
    return SoftRobotParameters()


def moment_of(device: str) -> Callable[[float], float]:
    """Return what the drive knows of the device's moment [A m^2] in a field [T]."""
    known = nominal(device)
    if device == 'droplet':
        return lambda field_t: known.ferrofluid.magnetization_a_m(field_t) * known.volume_m3
    return lambda _: known.moment_a_m2


def _true(device: str, rng: np.random.Generator) -> Any:
    known = nominal(device)
    if device == 'droplet':
        fluid = Ferrofluid(volume_fraction=known.ferrofluid.volume_fraction * off(rng))
        return replace(known, ferrofluid=fluid)
    return replace(known, magnetization_a_m=known.magnetization_a_m * off(rng))


def swimmer_scene(
    device: str,
    seed: int,
    mean_flow_m_s: float = 0.0,
    imager: ImagerModel | None = None,
) -> SwimmerScene:
    """Return a scene in which device, fluid and flow differ from their models, by seed."""
    rng = np.random.default_rng([seed, 3])
    lumen = bent_vessel()
    line = lumen.axis_m(np.linspace(-0.08, 0.12, 161))
    flow = VesselFlow(line, VESSEL_RADIUS_M, mean_flow_m_s, pulse=PULSE)
    known_flow = RisingFlow(flow, FLOW_START_S, off(rng), float(rng.uniform(-0.02, 0.02)))
    fluid = Fluid(viscosity_pa_s=Fluid().viscosity_pa_s * off(rng))
    base = make_pose(None, lumen.axis_m(0.0))
    around = Environment(lumen, RisingFlow(flow, FLOW_START_S), base)
    plant: UntetheredPlant
    parameters = _true(device, rng)
    if device == 'droplet':
        plant = DropletPlant(parameters, around, fluid)
    else:
        plant = SoftRobotPlant(parameters, around, fluid)
    settings = usual_settings(device)
    numbers = swimmer_numbers(
        nominal(device), field_t=settings.field_t, vessel_radius_m=VESSEL_RADIUS_M
    )
    controller = magnetic_controller(
        device,
        numbers,
        NO_JOINTS,
        settings=settings,
        # across the vessel a pull against the flow grows least on the way to the coils
        field_direction=(1.0, 0.0, 0.0) if device == 'droplet' else (0.0, 0.0, 1.0),
        flow=known_flow if mean_flow_m_s else None,
        rules=RULES,
        limits=MagneticLimits(0.05, settings.force_max_n),
    )
    coils = CoilPlant(CoilArray.from_calibration('octomag_like'), seed)
    drive = CoilDrive(
        coils,
        np.eye(4),
        moment_of(device),
        settings.force_max_n,
        any_direction=device == 'droplet',
    )
    loop = MagneticLoop(
        plant,
        drive,
        controller,
        Imager(imager or ImagerModel(), seed),
        lambda: _centre(plant, base),
        parts=5,
    )
    return SwimmerScene(loop, lumen, coils)


def _centre(plant: UntetheredPlant, base: Array) -> Array:
    return (base[:3, :3] @ plant.state.position_base_m + base[:3, 3])[None]


def vessel_path(lumen: TubeLumen, body_radius_m: float, length_m: float) -> Array:
    """Return points along the posterior wall of the bend that a body's centre passes, (N, 3)."""
    middle = BEND_RADIUS_M * BEND_RAD / 2
    arc = np.linspace(middle - length_m / 2, middle + length_m / 2, 121)
    return lumen.axis_m(arc) + [0.0, lumen.radius_m - body_radius_m, 0.0]


def arm_scene(seed: int, imager: ImagerModel | None = None) -> SwimmerScene:
    """Return a soft robot in the bent vessel and an arm whose hand turns its magnet without end.

    As in the manipulator of Mahoney and Abbott (Int. J. Robot. Res. 35 (2016) 129), a rotating
    magnet sits in the hand: a wrist with stops would have to turn back every few millimetres.
    """
    scene = swimmer_scene('soft_robot', seed, 0.0, imager)
    turns = 2 * math.pi * 60
    known = ArmParameters()
    parameters = replace(
        known,
        lower_rad=(*known.lower_rad[:6], -turns),
        upper_rad=(*known.upper_rad[:6], turns),
    )
    arm = MagnetArm(parameters)
    moment = nominal('soft_robot').moment_a_m2
    # the arm's frame has the patient along y and up along z; gravity in `world` is along +y
    drive = ArmDrive(arm, _ARM_FRAME, lambda _: moment, 1e-3, ROLLING_WEIGHTS)
    scene.loop.use(drive)
    scene.loop.on_tick = lambda _: scene.clearance_m.append(arm.state.clearance_m)
    law = scene.loop.controller.law
    if isinstance(law, UntetheredLaw):
        law.settings = replace(
            law.settings, field_t=ARM_FIELD_T, press_n=0.0, lead_max_rad=ARM_LEAD_RAD
        )
        law.reset()
    return scene


ARM_FIELD_T = 1.2e-3
ARM_LEAD_RAD = 1.0
"""Beyond a right angle a field turns a body less the further it is ahead."""
_ARM_FRAME = make_pose([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
