"""Image features of the tip and their interaction matrix.

The features are (u, v) in pixels and the depth z along the optical axis in metres. For a pinhole
camera that stands still, s' = L(s) R_camera_world p' with

    L = [[fx / z, 0, -(u - cu) / z], [0, fy / z, -(v - cv) / z], [0, 0, 1]]

(Chaumette & Hutchinson, Visual Servo Control I, IEEE RAM 13(4), 2006, eq. 6 for a moving point).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.geometry import View

Array = NDArray[np.float64]


@dataclass(frozen=True)
class TipMeasurement:
    """The tip as one frame shows it.

    Attributes:
        stamp_ns: exposure time [ns].
        view: geometry and pose of the exposure.
        features: (u [px], v [px], z [m]), shape (3,).
        deviations: standard deviations of the features, shape (3,), same units.
        score: confidence of the landmark, 0..1.
    """

    stamp_ns: int
    view: View
    features: Array
    deviations: Array
    score: float = 1.0

    @property
    def tip_world_m(self) -> Array:
        """Where the features put the tip in `world` [m], shape (3,)."""
        return self.view.point_on_ray(self.features[:2], self.features[2])


def features_of(view: View, point_world_m: ArrayLike) -> Array:
    """Return the features (u [px], v [px], z [m]), shape (3,), of a `world` point [m]."""
    point = view.to_source(point_world_m)
    return np.append(view.geometry.project(point), point[2])


def interaction_matrix(view: View, features: ArrayLike) -> Array:
    """Return d features / d point in `world`, shape (3, 3), at features (u, v, z)."""
    u, v, depth = np.asarray(features, float)
    k = view.geometry.intrinsics()
    camera = np.array(
        [
            [k[0, 0] / depth, 0.0, -(u - k[0, 2]) / depth],
            [0.0, k[1, 1] / depth, -(v - k[1, 2]) / depth],
            [0.0, 0.0, 1.0],
        ]
    )
    return camera @ view.world_from_source[:3, :3].T


def metres_per_feature(view: View, features: ArrayLike) -> Array:
    """Return the tip displacement across the ray of one unit of each feature, shape (3,) [m]."""
    geometry = view.geometry
    per_px = float(np.asarray(features, float)[2]) / geometry.source_to_detector_m
    pitch_v, pitch_u = geometry.pixel_pitch_m
    return np.array([per_px * pitch_u, per_px * pitch_v, 1.0])
