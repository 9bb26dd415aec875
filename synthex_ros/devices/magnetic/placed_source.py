"""A field source that stands somewhere in `world`: points go in, fields come out in world axes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.devices.magnetic.field_source import FieldSource
from synthex_ros.geometry import check_pose, invert_pose, transform_points
from synthex_ros.magnetics import as_points, gradient_components, gradient_matrix

Array = NDArray[np.float64]


class PlacedSource:
    """A source in its own frame, seen from `world`.

    Attributes:
        source: the source.
        world_from_source: pose of its frame in `world`, shape (4, 4) [m].
    """

    def __init__(self, source: FieldSource, world_from_source: ArrayLike) -> None:
        self.source = source
        self.world_from_source = check_pose(world_from_source)
        self._source_from_world = invert_pose(self.world_from_source)

    def to_source(self, vector: ArrayLike) -> Array:
        """Return a vector of `world`, shape (3,), in the axes of the source."""
        return self._source_from_world[:3, :3] @ np.asarray(vector, float)

    def to_world(self, vector: ArrayLike) -> Array:
        """Return a vector of the source's frame, shape (3,), in the axes of `world`."""
        return self.world_from_source[:3, :3] @ np.asarray(vector, float)

    def point(self, point_m: ArrayLike) -> Array:
        """Return a point of `world` in the frame of the source, shape (3,) [m]."""
        return transform_points(self._source_from_world, np.asarray(point_m, float))

    def field_t(self, points_m: ArrayLike) -> Array:
        """Return the field [T], shape (N, 3), at points in `world`, shape (N, 3) [m]."""
        own = transform_points(self._source_from_world, as_points(points_m))
        return self.source.field_t(own) @ self.world_from_source[:3, :3].T

    def field_and_gradient(self, points_m: ArrayLike) -> tuple[Array, Array]:
        """Return field [T], shape (N, 3), and gradient [T/m], shape (N, 5), in world axes."""
        own = transform_points(self._source_from_world, as_points(points_m))
        field, components = self.source.field_and_gradient(own)
        turn = self.world_from_source[:3, :3]
        matrices = turn @ gradient_matrix(components) @ turn.T
        return field @ turn.T, gradient_components(matrices)
