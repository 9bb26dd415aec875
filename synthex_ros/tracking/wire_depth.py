"""Where a wire in the image lies in space: what one view lacks is the depth.

Two ways to know it: the wire lies in vessels that are known (`RouteDepth`), or near a plane along
the detector (`PlaneDepth`). Neither claims to know more than it does: the covariance is large
along the ray.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.geometry import View, check_pose
from synthex_ros.tracking.depth import place_at_depth

Array = NDArray[np.float64]

_FRESH = 0.2
"""Part of the deviation of the depth that is new in every frame; the rest stays."""


@dataclass(frozen=True, eq=False)
class PlacedWire:
    """A wire in space.

    Attributes:
        line_world_m: from the back to the tip, shape (N, 3) [m].
        covariance_m2: of the tip, shape (3, 3) [m^2].
        shared_m2: the part of it that successive frames share, shape (3, 3) [m^2].
        room_m: how far each point may lie nearer or deeper, infinite where nothing bounds it,
            shape (N,) [m].
    """

    line_world_m: Array
    covariance_m2: Array
    shared_m2: Array
    room_m: Array


class WireDepth(Protocol):
    """What gives a wire its depth."""

    def place(
        self, view: View, line_px: Array, inserted_m: float, sigma_px: float
    ) -> PlacedWire | str:
        """Return the wire in space, or why it cannot be told.

        Args:
            view: geometry and pose of the exposure.
            line_px: from the back to the tip, shape (N, 2) (u, v) [px].
            inserted_m: length of wire beyond the entry [m].
            sigma_px: standard deviation of the tip per axis [px].
        """
        ...

    def reset(self) -> None:
        """Forget the frames before."""
        ...


class PlaneDepth:
    """A wire in the plane along the detector through its entry.

    Args:
        world_from_entry: pose of the entry, shape (4, 4) [m].
        sigma_m: standard deviation of the depth about it [m].
    """

    def __init__(self, world_from_entry: ArrayLike, sigma_m: float) -> None:
        self._entry_m = check_pose(world_from_entry, 'world_from_entry')[:3, 3]
        self._sigma_m = sigma_m

    def place(
        self, view: View, line_px: Array, inserted_m: float, sigma_px: float
    ) -> PlacedWire | str:
        """Return the wire in the plane; see `WireDepth.place`.

        Raises:
            ValueError: the entry lies at or behind the source.
        """
        _, covariance = place_at_depth(view, line_px[-1], self._entry_m, sigma_px, self._sigma_m)
        depth = float(view.to_source(self._entry_m)[2])
        line = view.point_on_ray(line_px, np.full(len(line_px), depth))
        shared = along_ray(view, line_px[-1], self._sigma_m)
        return PlacedWire(line, covariance, shared, np.full(len(line), np.inf))

    def reset(self) -> None:
        """Nothing is kept."""


def along_ray(view: View, pixel: Array, sigma_m: float) -> Array:
    """Return the covariance of a depth that stays wrong from frame to frame, (3, 3) [m^2]."""
    ray = view.rays_world(pixel)
    ray = ray / (ray @ view.world_from_source[:3, 2])
    return (1 - _FRESH**2) * sigma_m**2 * np.outer(ray, ray)
