"""What a magnetic device offers beyond the contract of every device."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from synthex_ros.devices.base import Device
from synthex_ros.devices.magnetic.environment import Environment
from synthex_ros.devices.magnetic.field_source import FieldSource

Array = NDArray[np.float64]


@runtime_checkable
class MagneticDevice(Device, Protocol):
    """A device that an outer field moves."""

    environment: Environment

    @property
    def wall_force_n(self) -> float:
        """Largest force on the vessel wall in the last step [N]."""

    def set_source(self, source: FieldSource | None) -> None:
        """Set what makes the field, None for no field; it may change between steps."""

    def magnetic_moment(self) -> Array:
        """Return the magnetic moment in `world`, shape (3,) [A m^2]."""
