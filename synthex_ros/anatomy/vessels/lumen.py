"""The room inside vessels: signed distance to the wall and the direction away from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from synthex_ros.anatomy.vessels.distance import surface_points
from synthex_ros.anatomy.vessels.lumen_kernels import nearest_on_bend, room_in_tube, sample_points
from synthex_ros.geometry import check_pose, transform_points

Array = NDArray[np.float64]


class Lumen(Protocol):
    """Where a vessel is open."""

    def signed_distance_m(self, points_m: Array) -> tuple[Array, Array]:
        """Return room to the wall and unit inward normal of points, shape (N, 3) [m].

        Returns:
            distance: positive inside, negative in or beyond the wall, shape (N,) [m].
            normal: direction in which the distance grows, shape (N, 3); zero where it has none.
        """
        ...

    def moved(self, pose: ArrayLike) -> Lumen:
        """Return the same lumen after a rigid transform, shape (4, 4) [m]."""
        ...


@dataclass(frozen=True, eq=False)
class SampledLumen:
    """A lumen of any shape: distances on a regular grid, quadratic B-splines in between.

    Attributes:
        distance_m: signed distance, shape (nz, ny, nx), float32 [m], positive inside.
        origin_m: position of the grid point of index (0, 0, 0), shape (3,) [m].
        spacing_m: grid spacing along the grid's x, y, z, shape (3,) [m].
        axes: directions of the grid's x, y, z as columns, shape (3, 3), orthonormal.
    """

    distance_m: NDArray[np.float32]
    origin_m: Array
    spacing_m: Array
    axes: Array

    def __post_init__(self):
        grid = np.ascontiguousarray(self.distance_m, np.float32)
        if grid.ndim != 3 or min(grid.shape) < 3:
            raise ValueError(
                f'distance_m must have shape (nz, ny, nx), 3 or more a side, got {grid.shape}'
            )
        spacing = np.broadcast_to(np.asarray(self.spacing_m, float), (3,)).copy()
        if not np.all((spacing >= 1e-5) & (spacing <= 0.02)):
            raise ValueError(
                f'spacing_m must be 1e-5..0.02 m, got {spacing.tolist()}; 0.8 mm is 0.0008'
            )
        axes = np.ascontiguousarray(self.axes, float)
        if axes.shape != (3, 3) or not np.allclose(axes.T @ axes, np.eye(3), atol=1e-6):
            raise ValueError(f'axes must be orthonormal columns, shape (3, 3), got {axes}')
        object.__setattr__(self, 'distance_m', grid)
        object.__setattr__(self, 'spacing_m', spacing)
        object.__setattr__(self, 'origin_m', np.array(self.origin_m, float).reshape(3))
        object.__setattr__(self, 'axes', axes)

    def signed_distance_m(self, points_m: ArrayLike) -> tuple[Array, Array]:
        """Return room to the wall [m], (N,), and unit inward normal, (N, 3); see `Lumen`.

        Outside the grid the distance to the grid is taken off as well.
        """
        points = np.ascontiguousarray(np.atleast_2d(np.asarray(points_m, float)))
        values, normals = np.empty(len(points)), np.empty((len(points), 3))
        sample_points(
            self.distance_m, self.origin_m, self.spacing_m, self.axes, points, values, normals
        )
        return values, normals

    def inscribed_radius_m(self, points_m: ArrayLike) -> Array:
        """Return the distance to the nearest wall point of points inside, shape (N,) [m].

        `signed_distance_m` cuts the ridge along a vessel's middle by up to half a grid step,
        because it is smooth between grid points; this does not, and takes longer.
        """
        points = np.atleast_2d(np.asarray(points_m, float))
        step = self.spacing_m[0]
        feet = surface_points(self.distance_m, step)[0][:, ::-1]
        index = (points - self.origin_m) @ self.axes
        radius = cKDTree(feet * self.spacing_m / step).query(index)[0]
        return np.where(self.signed_distance_m(points)[0] > 0, radius, 0.0)

    def moved(self, pose: ArrayLike) -> SampledLumen:
        """Return the same lumen after a rigid transform, such as `world_from_patient` (4x4)."""
        matrix = check_pose(pose)
        origin = transform_points(matrix, self.origin_m)
        return replace(self, origin_m=origin, axes=matrix[:3, :3] @ self.axes)

    def index_to_m(self, index_xyz: ArrayLike) -> Array:
        """Map grid indices as (x, y, z), shape (..., 3), to metres."""
        return (np.asarray(index_xyz, float) * self.spacing_m) @ self.axes.T + self.origin_m

    def volume_m3(self) -> float:
        """Return the volume of the lumen [m^3], voxels at the wall counted in part."""
        step = float(np.cbrt(np.prod(self.spacing_m)))
        share = np.clip(self.distance_m / step + 0.5, 0, 1)
        return float(share.sum(dtype=float) * np.prod(self.spacing_m))


@dataclass(frozen=True, eq=False)
class TubeLumen:
    """A round tube: straight, a circular bend, straight again; without end on both sides.

    Attributes:
        radius_m: of the lumen [m].
        start_m: where the bend begins, on the axis, shape (3,) [m].
        direction: of the axis there, unit, shape (3,).
        bend_radius_m: of the axis in the bend [m]; infinite for a straight tube.
        bend_rad: angle of the bend, 0..pi [rad].
        towards: direction to the centre of the bend, unit, at right angles to `direction`.
    """

    radius_m: float
    start_m: Array
    direction: Array
    bend_radius_m: float = np.inf
    bend_rad: float = 0.0
    towards: Array | None = None

    def __post_init__(self):
        object.__setattr__(self, 'start_m', np.array(self.start_m, float).reshape(3))
        direction = np.array(self.direction, float).reshape(3)
        object.__setattr__(self, 'direction', direction / np.linalg.norm(direction))
        if not 1e-5 <= self.radius_m <= 0.1:
            raise ValueError(f'radius_m must be 1e-5..0.1 m, got {self.radius_m:g}; 3 mm is 0.003')
        if not self.bend_rad:
            return
        if not 0 < self.bend_rad <= np.pi or not self.radius_m < self.bend_radius_m < np.inf:
            raise ValueError(
                'a bend must be 0..pi rad with a bend_radius_m above radius_m '
                f'({self.radius_m:g} m), got {self.bend_rad:g} rad and {self.bend_radius_m:g} m'
            )
        towards = np.zeros(3) if self.towards is None else np.array(self.towards, float)
        towards = towards - (towards @ self.direction) * self.direction
        if np.linalg.norm(towards) < 1e-9:
            raise ValueError(
                'a bend needs towards, a direction at right angles to direction '
                f'{self.direction.tolist()}, got {self.towards}'
            )
        object.__setattr__(self, 'towards', towards / np.linalg.norm(towards))

    def signed_distance_m(self, points_m: ArrayLike) -> tuple[Array, Array]:
        """Return room to the wall [m], (N,), and unit inward normal, (N, 3); see `Lumen`."""
        points = np.atleast_2d(np.asarray(points_m, float))
        return room_in_tube(points, self._nearest_axis_m(points), self.radius_m)

    def moved(self, pose: ArrayLike) -> TubeLumen:
        """Return the same tube after a rigid transform, shape (4, 4) [m]."""
        matrix = check_pose(pose)
        turn, start_m = matrix[:3, :3], transform_points(matrix, self.start_m)
        towards = None if self.towards is None else turn @ self.towards
        return replace(self, start_m=start_m, direction=turn @ self.direction, towards=towards)

    def axis_m(self, arc_m: ArrayLike) -> Array:
        """Return points of the axis, shape (..., 3) [m], at arc lengths from `start_m` [m]."""
        arc = np.asarray(arc_m, float)[..., None]
        if not self.bend_rad:
            return self.start_m + arc * self.direction
        turn = np.clip(arc / self.bend_radius_m, 0, self.bend_rad)
        bend = self.bend_radius_m * (
            np.sin(turn) * self.direction + (1 - np.cos(turn)) * self.towards
        )
        rest = arc - turn * self.bend_radius_m
        return (
            self.start_m
            + bend
            + rest * (np.cos(turn) * self.direction + np.sin(turn) * self.towards)
        )

    def _nearest_axis_m(self, points: Array) -> Array:
        """Return the nearest axis point of each point, shape (N, 3)."""
        if not self.bend_rad:
            return self.axis_m((points - self.start_m) @ self.direction)
        points = np.ascontiguousarray(points, float)
        towards = np.asarray(self.towards, float)
        return nearest_on_bend(
            points, self.start_m, self.direction, towards, self.bend_radius_m, self.bend_rad
        )
