"""A device of the user's own in training frames: what a Python class of it has to say.

    class BentNeedle:
        landmarks = ('hub', 'tip')

        def __init__(self, length_m: float = 0.06) -> None: ...

        def draw(self, rng: np.random.Generator) -> DeviceShape: ...

All lengths are metres, in a frame of the device's own. `own_device_file` finds the class by the
YAML file that names it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from synthex_ros.bodies import TriangleMesh


@dataclass(frozen=True, eq=False)
class Part:
    """A closed mesh of one material.

    Attributes:
        mesh: in the device's frame [m].
        material: name, NIST compound or chemical formula that the renderer knows.
        labelled: whether its pixels are the device's; a shaft may be drawn and not labelled.
    """

    mesh: TriangleMesh
    material: str
    labelled: bool = True


@dataclass(frozen=True, eq=False)
class DeviceShape:
    """A device in one of its shapes.

    Attributes:
        parts: what is drawn, in the device's frame; they may touch but not overlap.
        landmarks_m: its landmarks in the order of their names, shape (L, 3) [m].
        state: what else the annotation is to tell, in JSON types, such as an angle.
    """

    parts: Sequence[Part]
    landmarks_m: ArrayLike
    state: Mapping[str, Any] = field(default_factory=dict)


class OwnDevice(Protocol):
    """A kind of device."""

    @property
    def landmarks(self) -> Sequence[str]:
        """Names of the landmarks, the first and the last at its ends."""

    def draw(self, rng: np.random.Generator) -> DeviceShape:
        """Return a shape; all its random numbers come from `rng`."""


class RigidDevice:
    """A device of one shape.

    Args:
        parts: what is drawn.
        landmarks_m: by name [m], each of shape (3,).
    """

    def __init__(self, parts: Sequence[Part], landmarks_m: Mapping[str, ArrayLike]) -> None:
        self.landmarks = tuple(landmarks_m)
        self._shape = DeviceShape(tuple(parts), np.array(list(landmarks_m.values()), float))

    def draw(self, rng: np.random.Generator) -> DeviceShape:
        """Return the shape."""
        return self._shape
