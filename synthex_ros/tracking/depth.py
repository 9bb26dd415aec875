"""A point from one ray and a depth that is known from elsewhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthex_ros.geometry import View

Array = NDArray[np.float64]


def place_at_depth(
    view: View, pixel: Array, anchor_m: Array, pixel_sigma_px: float, depth_sigma_m: float
) -> tuple[Array, Array]:
    """Return a point on a pixel's ray [m], (3,), and its covariance [m^2], (3, 3), in `world`.

    It lies in the plane through `anchor_m` along the detector.

    Args:
        view: geometry and pose of the exposure.
        pixel: (u, v) [px], shape (2,).
        anchor_m: a point at the right depth, shape (3,) [m].
        pixel_sigma_px: standard deviation of the pixel per axis [px].
        depth_sigma_m: of the depth [m].

    Raises:
        ValueError: `anchor_m` lies at or behind the source.
    """
    source, ray = view.source_world_m, view.rays_world(pixel[None])[0]
    forward = view.world_from_source[:3, 2]
    depth = float((anchor_m - source) @ forward)
    if depth <= 1e-3:
        raise ValueError(
            f'device_base_pose is {depth:.3g} m in front of the source; check it and carm/pose'
        )
    along = ray / (ray @ forward)
    pitch_m = np.array(view.geometry.pixel_pitch_m[::-1])
    across = pixel_sigma_px * pitch_m * depth / view.geometry.source_to_detector_m
    axes = view.world_from_source[:3, :2] * across
    covariance = axes @ axes.T + depth_sigma_m**2 * np.outer(along, along)
    return source + depth * along, covariance
