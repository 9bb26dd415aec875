"""Devices that training frames can show, by name."""

from __future__ import annotations

from synthex_ros.learning.anatomy_source import ANATOMY, AnatomySource
from synthex_ros.learning.continuum_source import ContinuumSource
from synthex_ros.learning.object_source import FOREIGN_OBJECTS, ObjectSource
from synthex_ros.learning.own_device_file import is_device_file
from synthex_ros.learning.own_source import OwnSource
from synthex_ros.learning.sampling import SceneSampling
from synthex_ros.learning.shown_device import DeviceSource
from synthex_ros.learning.wire_source import WireSource

SOURCES: dict[str, type] = {
    'continuum': ContinuumSource,
    'guidewire': WireSource,
    FOREIGN_OBJECTS: ObjectSource,
    ANATOMY: AnatomySource,
}


def device_source(sampling: SceneSampling) -> DeviceSource:
    """Return what draws the devices of frames.

    Raises:
        ValueError: no such device, or a file that does not describe one.
        FileNotFoundError: no such file, or one that it names is missing.
    """
    if is_device_file(sampling.device):
        return OwnSource(sampling)
    if sampling.device not in SOURCES:
        raise ValueError(
            f'device must be one of {", ".join(SOURCES)}, or the YAML file of a device of your '
            f'own (docs/your_device.md), got {sampling.device!r}'
        )
    return SOURCES[sampling.device](sampling)
