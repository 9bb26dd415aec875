"""Frames without a device, whose foreign objects are labelled themselves."""

from __future__ import annotations

from typing import Any

import numpy as np

from synthex_ros.learning.sampling import SceneSampling
from synthex_ros.learning.shown_device import NO_DEVICE, ShownDevice
from synthex_ros.learning.view_setup import ViewSetup

FOREIGN_OBJECTS = 'foreign_objects'
"""What `device:` says where foreign objects are labelled and no device is shown."""


class ObjectSource:
    """Draws nothing; see `DeviceSource`. Every foreign object is an instance of one category."""

    def __init__(self, sampling: SceneSampling) -> None:
        self.categories: list[dict[str, Any]] = [
            {'id': 1, 'name': 'foreign_object', 'supercategory': 'object'}
        ]
        self.about = {'kind': FOREIGN_OBJECTS}

    def draw(self, setup: ViewSetup, rng: np.random.Generator) -> ShownDevice:
        """Return a device without bodies and landmarks."""
        return NO_DEVICE
