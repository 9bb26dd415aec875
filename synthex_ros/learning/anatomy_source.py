"""Frames without a device, in which structures of the patient are labelled."""

from __future__ import annotations

from typing import Any

import numpy as np

from synthex_ros.learning.anatomies import names_of
from synthex_ros.learning.anatomy_labels import AnatomyLabels
from synthex_ros.learning.sampling import SceneSampling
from synthex_ros.learning.shown_device import NO_DEVICE, ShownDevice
from synthex_ros.learning.view_setup import ViewSetup

ANATOMY = 'anatomy'
"""What `device:` says where structures of the CT are labelled and no device is shown."""


class AnatomySource:
    """Draws nothing; see `DeviceSource`. Every group of structures is a category.

    Raises:
        ValueError: no group of structures is named.
    """

    def __init__(self, sampling: SceneSampling) -> None:
        self._sampling = sampling
        self._labels: dict[str, AnatomyLabels] = {}
        if not sampling.structures.groups:
            raise ValueError(
                'device: anatomy needs groups of structures, such as '
                'structures: {groups: {ribs: [rib_*]}}; see config/generate_anatomy.yaml'
            )

    @property
    def categories(self) -> list[dict[str, Any]]:
        """COCO's categories: one a group, with its landmarks."""
        settings = self._sampling.structures
        return [
            {
                'id': number,
                'name': group,
                'supercategory': ANATOMY,
                'keypoints': settings.landmarks_of(group),
            }
            for number, group in enumerate(settings.groups, start=1)
        ]

    @property
    def about(self) -> dict[str, Any]:
        """Landmarks of every anatomy in patient LPS [mm].

        Raises:
            ValueError: a CT does not have what is to be labelled.
        """
        names = names_of(self._sampling.anatomies, self._sampling.phantom_count)
        return {
            'kind': ANATOMY,
            'landmarks_mm': {
                anatomy: {
                    name: np.round(point * 1e3, 3).tolist()
                    for name, point in self.labels(anatomy).points_m.items()
                }
                for anatomy in names
            },
        }

    def draw(self, setup: ViewSetup, rng: np.random.Generator) -> ShownDevice:
        """Return a device without bodies and landmarks."""
        return NO_DEVICE

    def labels(self, anatomy: str) -> AnatomyLabels:
        """Return what labels the views of an anatomy; made once.

        Raises:
            ValueError: its CT does not have what is to be labelled.
        """
        if anatomy not in self._labels:
            sampling = self._sampling
            self._labels[anatomy] = AnatomyLabels(
                sampling.volume(anatomy),
                sampling.structures,
                sampling.structures.points.get(anatomy),
                sampling.landmark_margin_px,
            )
        return self._labels[anatomy]
