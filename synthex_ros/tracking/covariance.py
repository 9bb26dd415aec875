"""Projection with its Jacobian, and the small covariance arithmetic of the estimators."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.geometry import View

Array = NDArray[np.float64]


def project_with_jacobian(view: View, points_world_m: ArrayLike) -> tuple[Array, Array]:
    """Return pixels (u, v), shape (M, 2), and d pixel / d point, shape (M, 2, 3) [px/m].

    Args:
        view: geometry and pose of the exposure.
        points_world_m: world points [m], shape (M, 3), in front of the source.

    Raises:
        ValueError: a point lies at or behind the source.
    """
    turn = view.world_from_source[:3, :3]
    local = (np.asarray(points_world_m, float) - view.world_from_source[:3, 3]) @ turn
    depth = local[:, 2]
    if not np.all(depth > 1e-3):
        raise ValueError(
            f'points must be in front of the source, got a depth of {np.min(depth):.4g} m; '
            'check the device base pose and the C-arm pose'
        )
    geometry = view.geometry
    pitch_v, pitch_u = geometry.pixel_pitch_m
    focal = geometry.source_to_detector_m / np.array([pitch_u, pitch_v])
    scaled = local[:, :2] / depth[:, None]
    jacobian = np.empty((len(local), 2, 3))
    slope = focal / depth[:, None]
    jacobian[...] = slope[..., None] * (turn.T[None, :2] - scaled[..., None] * turn.T[None, 2:])
    return scaled * focal + geometry.piercing_px, jacobian


def symmetric(matrix: Array) -> Array:
    """Return the symmetric part of a square matrix."""
    return 0.5 * (matrix + matrix.T)


def mahalanobis_squared(error: ArrayLike, covariance: ArrayLike) -> float:
    """Return e^T C^-1 e of an error, shape (n,), and its covariance, shape (n, n).

    Raises:
        ValueError: the covariance is not positive definite.
    """
    try:
        factor = np.linalg.cholesky(np.asarray(covariance, float))
    except np.linalg.LinAlgError:
        raise ValueError(
            f'covariance must be positive definite, got diagonal {np.diag(covariance)}'
        ) from None
    whitened = np.linalg.solve(factor, np.asarray(error, float))
    return float(whitened @ whitened)


def depth_sigma_m(covariance_m2: ArrayLike, ray_world: ArrayLike) -> float:
    """Return the standard deviation [m] along a unit ray, shape (3,), of a (3, 3) covariance."""
    ray = np.asarray(ray_world, float)
    return float(np.sqrt(ray @ np.asarray(covariance_m2, float) @ ray))
