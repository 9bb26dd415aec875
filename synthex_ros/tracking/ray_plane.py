"""Tip from one ray and the bending plane: the simple estimate when a shape cannot be fitted."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.geometry import View, check_pose
from synthex_ros.tracking.covariance import symmetric

Array = NDArray[np.float64]

EDGE_ON_RAD = np.radians(15.0)


def plane_angle_rad(ray_world: ArrayLike, world_from_cm_base: ArrayLike) -> float:
    """Return the angle [rad], 0..pi/2, between a unit ray and the bending (x-z) plane."""
    normal = np.asarray(world_from_cm_base, float)[:3, 1]
    return float(np.arcsin(np.clip(abs(normal @ np.asarray(ray_world, float)), 0, 1)))


def meet(ray_origin_m: Array, ray: Array, plane_point_m: Array, normal: Array) -> Array:
    """Return where a ray meets a plane [m], shape (3,)."""
    return ray_origin_m + ray * ((plane_point_m - ray_origin_m) @ normal) / (ray @ normal)


def tip_on_plane(
    view: View,
    tip_px: ArrayLike,
    world_from_cm_base: ArrayLike,
    pixel_sigma_px: float = 1.0,
    base_position_sigma_m: float = 2e-4,
    base_rotation_sigma_rad: float = 0.01,
    gate_rad: float = EDGE_ON_RAD,
) -> tuple[Array, Array]:
    """Return the tip [m], shape (3,), and its covariance [m^2], shape (3, 3), in `world`.

    First-order propagation of the pixel noise, of the plane's offset and of its tilt; all grow
    as 1 / sin(angle between ray and plane).

    Args:
        view: geometry and pose of the exposure.
        tip_px: the tip (u, v) [px].
        world_from_cm_base: the manipulator's frame, which bends in its x-z plane, (4, 4) [m].
        pixel_sigma_px: standard deviation of the tip per axis [px].
        base_position_sigma_m: standard deviation of the plane's position [m].
        base_rotation_sigma_rad: standard deviation of the plane's orientation per axis [rad].
        gate_rad: smallest angle between ray and plane [rad].

    Raises:
        ValueError: the ray is closer than `gate_rad` to the plane (seen edge-on).
    """
    pose = check_pose(world_from_cm_base, 'world_from_cm_base')
    pixel = np.asarray(tip_px, float)
    rays = view.rays_world(pixel + np.array([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1]]))
    angle = plane_angle_rad(rays[0], pose)
    if angle < gate_rad:
        raise ValueError(
            f'the ray meets the bending plane at {np.degrees(angle):.1f} deg, at least '
            f'{np.degrees(gate_rad):.1f} deg are needed: turn the C-arm or the roll joint'
        )
    origin, normal = view.source_world_m, pose[:3, 1]
    points = np.array([meet(origin, ray, pose[:3, 3], normal) for ray in rays])
    tip = points[0]
    per_pixel = np.stack([points[1] - points[2], points[3] - points[4]], axis=1) / 2
    along_ray = rays[0] / (rays[0] @ normal)
    # A tilt about an in-plane axis moves the plane by its lever; one about the normal does not.
    lever_m = np.linalg.norm(tip - pose[:3, 3])
    plane_variance = base_position_sigma_m**2 + (lever_m * base_rotation_sigma_rad) ** 2
    covariance = pixel_sigma_px**2 * per_pixel @ per_pixel.T
    covariance += plane_variance * np.outer(along_ray, along_ray)
    return tip, symmetric(covariance + 1e-12 * np.eye(3))
