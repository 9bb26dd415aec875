"""Chords of rays through ideal solids, computed without a mesh."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthex_ros.geometry import ProjectionGeometry, invert_pose, pose_from_parameters


@dataclass(frozen=True, eq=False)
class Rays:
    """Rays of all pixels in the frame of a solid.

    Attributes:
        start: focal spot [m], shape (3,).
        way: unit directions, shape (rows, columns, 3).
    """

    start: np.ndarray
    way: np.ndarray

    @classmethod
    def of(cls, geometry: ProjectionGeometry, centre_m, rpy_rad) -> Rays:
        """Return the rays towards a solid of a pose in the source frame."""
        solid_from_source = invert_pose(pose_from_parameters(centre_m, rpy_rad))
        rows, columns = geometry.shape_px
        pixels = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1)
        way = geometry.back_project(pixels) @ solid_from_source[:3, :3].T
        return cls(solid_from_source[:3, 3], way)


def sphere(rays: Rays, radius_m: float) -> np.ndarray:
    """Return the chords of a sphere [m], (rows, columns)."""
    along = rays.way @ rays.start
    root = along**2 - rays.start @ rays.start + radius_m**2
    return 2 * np.sqrt(np.maximum(root, 0))


def cylinder(rays: Rays, radius_m: float, length_m: float) -> np.ndarray:
    """Return the chords of a cylinder about z [m], (rows, columns)."""
    start, way = rays.start[:2], rays.way[..., :2]
    a, b = np.sum(way**2, axis=-1), way @ start
    root = b**2 - a * (start @ start - radius_m**2)
    half = np.sqrt(np.maximum(root, 0))
    low, high = _between_planes(rays, 2, length_m)
    path = np.minimum((-b + half) / a, high) - np.maximum((-b - half) / a, low)
    return np.where(root > 0, np.maximum(path, 0), 0)


def box(rays: Rays, sides_m: tuple[float, float, float]) -> np.ndarray:
    """Return the chords of a box about the origin [m], (rows, columns)."""
    spans = [_between_planes(rays, axis, side) for axis, side in enumerate(sides_m)]
    low = np.max([span[0] for span in spans], axis=0)
    high = np.min([span[1] for span in spans], axis=0)
    return np.maximum(high - low, 0)


def polyhedron(rays: Rays, mesh) -> np.ndarray:
    """Return the chords of a convex trimesh as an intersection of half-spaces [m]."""
    # Two triangles of one flat side give one plane, up to rounding: the intersection is the same.
    low = np.full(rays.way.shape[:2], -np.inf)
    high = np.full(rays.way.shape[:2], np.inf)
    for triangle in mesh.triangles:
        normal = np.cross(triangle[1] - triangle[0], triangle[2] - triangle[0])
        rate = rays.way @ normal
        at = np.divide(
            normal @ (triangle[0] - rays.start), rate, where=rate != 0, out=np.zeros_like(rate)
        )
        low = np.where(rate < 0, np.maximum(low, at), low)
        high = np.where(rate > 0, np.minimum(high, at), high)
    return np.maximum(high - low, 0)


def _between_planes(rays: Rays, axis: int, width_m: float) -> tuple[np.ndarray, np.ndarray]:
    ends = [(side * width_m / 2 - rays.start[axis]) / rays.way[..., axis] for side in (-1, 1)]
    return np.minimum(*ends), np.maximum(*ends)
