"""What surrounds a magnetic device: field source, vessel and flow, seen from the device's base."""

from __future__ import annotations

from typing import Protocol

import numba as nb
import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.devices.magnetic.field_source import FieldSource
from synthex_ros.geometry import check_pose, transform_points

Array = NDArray[np.float64]

OPEN_ROOM_M = 1.0
"""Distance to the wall where there is no vessel."""


class Lumen(Protocol):
    """Where a vessel is open."""

    def signed_distance_m(self, points_m: Array) -> tuple[Array, Array]:
        """Return room to the wall, shape (N,) [m], positive inside, and unit inward normals."""

    def moved(self, pose: ArrayLike) -> Lumen:
        """Return the same lumen after a rigid transform, shape (4, 4) [m]."""


class Flow(Protocol):
    """The moving fluid in a vessel."""

    def velocity_m_s(self, points_m: Array, time_s: float) -> Array:
        """Return the velocity [m/s] at points, shape (N, 3) [m], at a time [s]."""

    def vessel(self, points_m: Array) -> tuple[Array, Array]:
        """Return radius, (N,) [m], and unit direction, (N, 3), of the vessel at points (N, 3)."""


class Environment:
    """Source, lumen and flow in `world`, asked for in the frame of a device's base.

    Attributes:
        world_from_base: pose of `device_base` in `world`, shape (4, 4) [m].
        lumen: the vessel, or None in open space.
        flow: the fluid's motion, or None where it rests.
        source: the field source, or None where there is no field.
    """

    def __init__(
        self,
        lumen: Lumen | None = None,
        flow: Flow | None = None,
        world_from_base: ArrayLike | None = None,
        source: FieldSource | None = None,
    ) -> None:
        self.lumen, self.flow, self.source = lumen, flow, source
        self.world_from_base = (
            np.eye(4) if world_from_base is None else check_pose(world_from_base)
        )
        self._moved: tuple[Lumen, Array, Lumen] | None = None

    def field(self, points_m: Array) -> tuple[Array, Array]:
        """Return field, (N, 3) [T], and gradient matrices, (N, 3, 3) [T/m], at base points."""
        if self.source is None:
            return np.zeros((len(points_m), 3)), np.zeros((len(points_m), 3, 3))
        turn = self.world_from_base[:3, :3]
        flux, gradient = self.source.field_and_gradient(self._world(points_m))
        return _in_base(np.ascontiguousarray(flux), np.ascontiguousarray(gradient), turn)

    def room(self, points_m: Array) -> tuple[Array, Array]:
        """Return room to the wall, (N,) [m], and inward normals, (N, 3), at base points."""
        if self.lumen is None:
            return np.full(len(points_m), OPEN_ROOM_M), np.zeros((len(points_m), 3))
        return self._in_own_frame(self.lumen).signed_distance_m(points_m)

    def velocity(self, points_m: Array, time_s: float) -> Array:
        """Return the velocity of the fluid, (N, 3) [m/s], at base points."""
        if self.flow is None:
            return np.zeros((len(points_m), 3))
        velocity = self.flow.velocity_m_s(self._world(points_m), time_s)
        return velocity @ self.world_from_base[:3, :3]

    def vessel(self, points_m: Array) -> tuple[Array, Array] | None:
        """Return radius, (N,) [m], and direction, (N, 3), of the vessel; None without a flow."""
        if self.flow is None:
            return None
        radius, axis = self.flow.vessel(self._world(points_m))
        return radius, axis @ self.world_from_base[:3, :3]

    def _in_own_frame(self, lumen: Lumen) -> Lumen:
        """Return the lumen in the base's frame; it is moved once for all points to come."""
        pose, known = self.world_from_base, self._moved
        if known is None or known[0] is not lumen or known[1] is not pose:
            known = self._moved = lumen, pose, lumen.moved(np.linalg.inv(pose))
        return known[2]

    def _world(self, points_m: Array) -> Array:
        return transform_points(self.world_from_base, points_m)


@nb.njit(cache=True)
def _in_base(flux, gradient, turn):
    """Return field, (N, 3), and gradient matrices, (N, 3, 3), turned from `world` to the base."""
    field, matrices = np.zeros_like(flux), np.zeros((len(flux), 3, 3))
    for n in range(len(flux)):
        xx, xy, xz, yy, yz = gradient[n]
        world = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, -xx - yy]])
        for a in range(3):
            for i in range(3):
                field[n, a] += turn[i, a] * flux[n, i]
                for b in range(3):
                    for j in range(3):
                        matrices[n, a, b] += turn[i, a] * world[i, j] * turn[j, b]
    return field, matrices
