"""Devices by name: which there are, what may be set, and how one is built from settings."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from synthex_ros.devices.base import Device
from synthex_ros.devices.continuum import parameters as continuum
from synthex_ros.devices.continuum.plant import ContinuumPlant
from synthex_ros.devices.magnetic import droplet, guidewire_parameters, soft_robot, sphere
from synthex_ros.devices.magnetic.environment import Environment
from synthex_ros.devices.magnetic.fluid import Fluid
from synthex_ros.devices.magnetic.guidewire import GuidewirePlant
from synthex_ros.devices.magnetic.magnetic_materials import Ferrofluid


@dataclass(frozen=True)
class DeviceKind:
    """A kind of device.

    Attributes:
        parameters: dataclass of its settings.
        plant: class of its simulation.
        joint_names: its joints, in order; none for a device without tether.
        landmark_names: its landmarks, in order.
        magnetic: a field moves it, and it has an environment.
        in_fluid: it swims, and the fluid can be set.
    """

    parameters: type
    plant: type
    joint_names: tuple[str, ...]
    landmark_names: tuple[str, ...]
    magnetic: bool = True
    in_fluid: bool = False


DEVICES: dict[str, DeviceKind] = {
    'continuum': DeviceKind(
        continuum.ContinuumParameters, ContinuumPlant, continuum.JOINT_NAMES,
        continuum.LANDMARK_NAMES, magnetic=False,
    ),
    'guidewire': DeviceKind(
        guidewire_parameters.GuidewireParameters, GuidewirePlant,
        guidewire_parameters.JOINT_NAMES, guidewire_parameters.LANDMARK_NAMES,
    ),
    'soft_robot': DeviceKind(
        soft_robot.SoftRobotParameters, soft_robot.SoftRobotPlant, (),
        soft_robot.LANDMARK_NAMES, in_fluid=True,
    ),
    'droplet': DeviceKind(
        droplet.DropletParameters, droplet.DropletPlant, (), droplet.LANDMARK_NAMES, in_fluid=True
    ),
    'sphere': DeviceKind(
        sphere.SphereParameters, sphere.SpherePlant, (), sphere.LANDMARK_NAMES, in_fluid=True
    ),
}  # fmt: skip
_NESTED = {'ferrofluid': Ferrofluid}


def device_kind(name: str) -> DeviceKind:
    """Return a kind of device by name.

    Raises:
        ValueError: there is none of that name.
    """
    if name not in DEVICES:
        raise ValueError(f'device must be one of {", ".join(DEVICES)}, got {name!r}')
    return DEVICES[name]


def device_parameters(name: str, settings: Mapping[str, Any] | None = None) -> Any:
    """Return the parameters of a kind of device, the given settings over its defaults.

    Raises:
        ValueError: the device or a setting is unknown, or a value is out of range.
    """
    return _filled(device_kind(name).parameters, settings or {}, f'device {name!r}')


def build_device(
    name: str,
    settings: Mapping[str, Any] | None = None,
    *,
    seed: int = 0,
    environment: Environment | None = None,
    fluid: Mapping[str, Any] | None = None,
) -> Device:
    """Return a simulated device.

    Args:
        name: a key of `DEVICES`.
        settings: its settings by the names of its parameters; the rest are defaults.
        seed: draws what differs from device to device (the continuum manipulator's notches).
        environment: source, vessel and flow of a magnetic device.
        fluid: settings of the fluid round a device without tether.

    Raises:
        ValueError: device or setting unknown, value out of range, or an environment or fluid for
            a device that has none.
    """
    kind, parameters = device_kind(name), device_parameters(name, settings)
    if environment is not None and not kind.magnetic:
        raise ValueError(f'device {name!r} takes no environment: no field or vessel acts on it')
    if fluid is not None and not kind.in_fluid:
        raise ValueError(f'device {name!r} takes no fluid')
    if not kind.magnetic:
        return kind.plant(parameters, seed=seed)
    if not kind.in_fluid:
        return kind.plant(parameters, environment)
    return kind.plant(parameters, environment, _filled(Fluid, fluid or {}, 'fluid'))


def _filled(cls: type, settings: Mapping[str, Any], what: str) -> Any:
    """Return a dataclass with settings over its defaults; lists become tuples."""
    names = [item.name for item in dataclasses.fields(cls)]
    for key in settings:
        if key not in names:
            close = difflib.get_close_matches(key, names, n=1)
            hint = f'; did you mean {close[0]!r}?' if close else f'; it has {", ".join(names)}'
            raise ValueError(f'{what} has no setting {key!r}{hint}')
    values = {key: tuple(v) if isinstance(v, list) else v for key, v in settings.items()}
    for key, nested in _NESTED.items():
        inner = settings.get(key)
        if isinstance(inner, Mapping):
            values[key] = _filled(nested, inner, key)
    return cls(**values)
