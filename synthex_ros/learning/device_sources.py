"""Devices that training frames can show, by name."""

from __future__ import annotations

from synthex_ros.learning.anatomy_source import ANATOMY, AnatomySource
from synthex_ros.learning.continuum_source import ContinuumSource
from synthex_ros.learning.object_source import FOREIGN_OBJECTS, ObjectSource
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
        ValueError: no such device.
    """
    if sampling.device not in SOURCES:
        raise ValueError(f'device must be one of {", ".join(SOURCES)}, got {sampling.device!r}')
    return SOURCES[sampling.device](sampling)
