"""A magnetic device in its vessel, in the field of coils or of a magnet on an arm."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthex_ros.control.magnetic.field_guard import FieldCommand
from synthex_ros.devices.magnetic.arm_parameters import ArmParameters, PatientBox
from synthex_ros.devices.magnetic.coil_plant import CoilPlant
from synthex_ros.devices.magnetic.coils import CoilArray
from synthex_ros.devices.magnetic.droplet import DropletParameters
from synthex_ros.devices.magnetic.environment import Environment
from synthex_ros.devices.magnetic.magnet_arm import MagnetArm
from synthex_ros.devices.magnetic.sphere import SphereParameters
from synthex_ros.devices.registry import build_device, device_kind, device_parameters
from synthex_ros.simulation.arm_drive import ROLLING_WEIGHTS, ArmDrive
from synthex_ros.simulation.coil_drive import CoilDrive
from synthex_ros.simulation.driven_magnetic import DrivenMagnetic
from synthex_ros.simulation.field_drive import FieldDrive, MomentOf
from synthex_ros.simulation.vessel_room import RoomVessels, VesselSettings

Array = NDArray[np.float64]

ARM = 'arm'
_REHEARSED_T, _REHEARSED_S = (0.0, 0.0, 1e-3), 0.05


@dataclass(frozen=True, eq=False)
class MagneticSettings:
    """What a magnetic device and what moves it are made of.

    Attributes:
        device: a key of the registry of devices.
        settings: of the device, by the names of its parameters; the rest are defaults.
        arm_keep_out_m: half sizes of the box about the origin of its frame that an arm stays out
            of, x y z [m].
        fluid: settings of the fluid round a device without tether.
        start: joints at start, one a joint of the device.
        vessels: vessels and flow.
        field_source: calibration of the coils, by name or file, or 'arm'.
        world_from_field_source: where coils or arm stand, shape (4, 4) [m].
        force_max_n: largest magnetic force that may be commanded [N].
        wall_force_max_n: force on the wall above which the device is not fed on [N].
        coil_gain_error: standard deviation of a coil's field from its calibration.
        lost_coil: name of a coil that makes no field; '' for none.
    """

    device: str
    settings: Mapping[str, Any]
    start: tuple[float, ...]
    vessels: VesselSettings
    field_source: str
    world_from_field_source: Array
    arm_keep_out_m: tuple[float, ...] = (0.22, 0.35, 0.12)
    fluid: Mapping[str, Any] = field(default_factory=dict)
    force_max_n: float = 0.01
    wall_force_max_n: float = 0.7
    coil_gain_error: float = 0.0
    lost_coil: str = ''


def build_magnetic(
    settings: MagneticSettings,
    vessels: RoomVessels | None,
    world_from_device_base: Array,
    max_age_s: float,
    enabled: bool,
    seed: int,
    frame: str = 'world',
) -> DrivenMagnetic:
    """Return the device behind its drives.

    Raises:
        ValueError: a setting does not fit the device, or the device would start outside its
            vessel.
    """
    environment = Environment(world_from_base=world_from_device_base)
    if vessels is not None:
        check_start(vessels, world_from_device_base)
        environment.lumen = vessels.lumen
        environment.flow = vessels.flow(settings.vessels)
    kind = device_kind(settings.device)
    fluid = settings.fluid if kind.in_fluid else None
    if settings.fluid and not kind.in_fluid:
        raise ValueError(f'device {settings.device!r} takes no device_fluid; leave it {{}}')
    plant = build_device(
        settings.device, settings.settings, seed=seed, environment=environment, fluid=fluid
    )
    start = np.array(settings.start, float)[: len(kind.joint_names)]
    if len(start) < len(kind.joint_names):
        raise ValueError(
            f'device_start must have a value for each of {list(kind.joint_names)}, got {start}'
        )
    return DrivenMagnetic(
        plant,
        start,
        max_age_s,
        enabled,
        build_drive(settings, seed),
        frame,
        settings.wall_force_max_n,
    )


def rehearse(
    settings: MagneticSettings, vessels: RoomVessels | None, world_from_device_base: Array
) -> None:
    """Move a copy of the device in a field for a moment, and throw it away.

    So the kernels of its motion are compiled now, not when the first command waits to be followed.
    """
    copy = build_magnetic(settings, vessels, world_from_device_base, 1.0, True, 0)
    here_m = copy.tip_pose(world_from_device_base)[:3, 3]
    copy.servo_field(FieldCommand('world', _REHEARSED_T, here_m, None, 1.0), 1.0)
    copy.step(_REHEARSED_S)


def check_start(vessels: RoomVessels, world_from_device_base: Array) -> None:
    """Raise ValueError if the device's base is outside the vessels."""
    base = world_from_device_base[:3, 3]
    room_m = float(vessels.lumen.signed_distance_m(base[None])[0][0])
    if room_m <= 0:
        nearest = vessels.points_m[np.argmin(np.linalg.norm(vessels.points_m - base, axis=1))]
        raise ValueError(
            f'device_base_pose {base.round(4).tolist()} m is {-1e3 * room_m:.1f} mm outside the '
            f'vessels; the nearest centre line is at {nearest.round(4).tolist()} m'
        )


def build_drive(settings: MagneticSettings, seed: int) -> FieldDrive:
    """Return the drive of coils or arm, with the failures of the settings."""
    moment_of = nominal_moment_of(settings)
    if settings.field_source == ARM:
        if settings.lost_coil or settings.coil_gain_error:
            raise ValueError('lost_coil and coil_gain_error need coils, got field_source arm')
        pose = settings.world_from_field_source
        x, y, z = settings.arm_keep_out_m
        keep_out = PatientBox(half_size_m=(x, y, z))
        arm = MagnetArm(ArmParameters(patient=keep_out).with_rotating_hand())
        return ArmDrive(arm, pose, moment_of, settings.force_max_n, ROLLING_WEIGHTS)
    coils = CoilArray.from_calibration(settings.field_source)
    plant = CoilPlant(coils, seed=seed)
    if settings.coil_gain_error > 0:
        rng = np.random.default_rng([seed, 7])
        errors = settings.coil_gain_error * rng.standard_normal(len(coils.names))
        plant.field_gains = np.clip(1 + errors, 0, 2)
    if settings.lost_coil:
        plant.fail(settings.lost_coil)
    pose, any_direction = settings.world_from_field_source, settings.device == 'droplet'
    return CoilDrive(plant, pose, moment_of, settings.force_max_n, any_direction)


def nominal_moment_of(settings: MagneticSettings) -> MomentOf:
    """Return what the drive knows of the device's moment [A m^2] in a field [T]."""
    parameters = device_parameters(settings.device, settings.settings)
    if isinstance(parameters, DropletParameters):
        volume = 4 / 3 * math.pi * parameters.radius_m**3
        return lambda field_t: parameters.ferrofluid.magnetization_a_m(field_t) * volume
    if isinstance(parameters, SphereParameters):
        fixed = 4 / 3 * math.pi * parameters.radius_m**3 * parameters.magnetization_a_m
    else:
        fixed = float(parameters.moment_a_m2)
    return lambda field_t: fixed
