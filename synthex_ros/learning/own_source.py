"""Devices of the user's own for training frames: free in the field, turned at random."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthex_ros.bodies import Body
from synthex_ros.geometry import make_pose, transform_points
from synthex_ros.learning.own_device import DeviceShape
from synthex_ros.learning.own_device_file import read_own_device
from synthex_ros.learning.random_turn import random_turn_to
from synthex_ros.learning.sampling import SceneSampling, draw_pose
from synthex_ros.learning.shown_device import ShownDevice, category_of
from synthex_ros.learning.view_setup import ViewSetup

Array = NDArray[np.float64]

_LEG_POINTS = 9


class OwnSource:
    """Draws the device of a file; see `DeviceSource`.

    The line from the first landmark to the last is turned as the shaft of a manipulator is, by
    any angle about itself; a device of one landmark is turned any way.
    """

    def __init__(self, sampling: SceneSampling) -> None:
        known = read_own_device(sampling.device)
        self._sampling, self._name, self._device = sampling, known.name, known.device
        self.categories = [category_of(known.name, tuple(known.device.landmarks))]
        self.about: dict[str, Any] = known.about

    def draw(self, setup: ViewSetup, rng: np.random.Generator) -> ShownDevice:
        """Draw shape and pose in a view."""
        shape = self._device.draw(rng)
        points = self._checked(shape)
        along = points[-1] - points[0]
        axis = along if np.linalg.norm(along) > 0 else rng.normal(size=3)
        # From the device's frame to one whose z axis is the line between its ends.
        upright = make_pose(random_turn_to(axis, rng).T)
        first, last = transform_points(upright, points[[0, -1]])
        pose = draw_pose(
            self._sampling,
            lambda share: first + share * (last - first),
            setup.seen,
            setup.field_px,
            rng,
        )
        world_from_device = pose @ upright
        landmarks = transform_points(world_from_device, points)
        return ShownDevice(
            [
                Body(part.mesh, part.material, world_from_device, int(part.labelled))
                for part in shape.parts
            ],
            landmarks,
            _line_through(landmarks),
            {'world_from_device_base': world_from_device.tolist(), **shape.state},
            seen_by_pieces=True,
        )

    def _checked(self, shape: DeviceShape) -> Array:
        """Return the landmarks of a shape, shape (L, 3) [m]; refuse one that cannot be drawn."""
        count, where = len(self._device.landmarks), f'device {self._name}: draw(rng)'
        if not isinstance(shape, DeviceShape):
            raise ValueError(f'{where} must return a DeviceShape, got {type(shape).__name__}')
        points = np.asarray(shape.landmarks_m, float)
        if points.shape != (count, 3) or not np.isfinite(points).all():
            raise ValueError(
                f'{where} must give {count} landmarks as finite numbers of shape ({count}, 3) '
                f'[m], got shape {points.shape}'
            )
        if not any(part.labelled for part in shape.parts):
            raise ValueError(f'{where} must give a part at least that is labelled')
        for number, part in enumerate(shape.parts):
            if not part.mesh.volume_m3() > 0:
                raise ValueError(
                    f'{where}: the mesh of part {number} must enclose a volume, its faces '
                    f'counter-clockwise from outside, got {part.mesh.volume_m3():.3g} m^3'
                )
        return points


def _line_through(points: Array) -> Array:
    """Return points along straight lines from landmark to landmark, shape (N, 3) [m]."""
    if len(points) == 1:
        return points
    share = np.linspace(0, 1, _LEG_POINTS)[:, None]
    legs = [a + share * (b - a) for a, b in zip(points[:-1], points[1:], strict=True)]
    return np.concatenate(legs)
