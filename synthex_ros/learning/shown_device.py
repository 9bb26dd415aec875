"""A device as training frames show it, whatever kind it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from synthex_ros.bodies import Body
from synthex_ros.learning.view_setup import ViewSetup

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ShownDevice:
    """A device in a view.

    Attributes:
        bodies: what is drawn, posed in `world`, label 1.
        landmarks_world_m: its landmarks, shape (L, 3) [m].
        line_world_m: points along it that objects may hide, shape (N, 3) [m].
        state: pose and shape as COCO's annotation tells them, in JSON types.
        moved: for each landmark, bodies of the device as it were with this landmark somewhere
            else; empty where no such device is known.
        seen_by_pieces: where `moved` is empty, a landmark is visible if the piece of the device
            around it stands out of the noise; otherwise contrast alone tells.
    """

    bodies: list[Body]
    landmarks_world_m: Array
    line_world_m: Array
    state: dict[str, Any]
    moved: Sequence[list[Body]] = ()
    seen_by_pieces: bool = False


NO_DEVICE = ShownDevice([], np.zeros((0, 3)), np.zeros((0, 3)), {})
"""What is drawn where something else than a device is labelled."""


class DeviceSource(Protocol):
    """A kind of device that frames are made of, or what else is labelled in them."""

    @property
    def categories(self) -> list[dict[str, Any]]:
        """COCO's categories, with the names of the landmarks."""

    @property
    def about(self) -> dict[str, Any]:
        """What else the frames depend on, for COCO's `info`, in JSON types."""

    def draw(self, setup: ViewSetup, rng: np.random.Generator) -> ShownDevice:
        """Draw pose and shape in a view."""


def category_of(name: str, landmarks: tuple[str, ...]) -> dict[str, Any]:
    """Return COCO's category of a device with landmarks, in order along it."""
    return {
        'id': 1,
        'name': name,
        'supercategory': 'device',
        'keypoints': list(landmarks),
        'skeleton': [[k, k + 1] for k in range(1, len(landmarks))],
    }
