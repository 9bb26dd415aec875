"""Known shapes, the views they are seen in, and the noisy images a detector would make of them."""

from dataclasses import dataclass

import cv2
import numpy as np

from synthex_ros.devices.continuum.kinematics import ContinuumKinematics
from synthex_ros.geometry import CArm, make_pose, rotation

KINEMATICS = ContinuumKinematics()
RADIUS_M = 0.003


@dataclass(frozen=True)
class Point:
    name: str
    u: float
    v: float
    score: float


def base_pose(roll_rad, tilt_rad=0.0):
    """The CM base 15 mm below the isocentre, pointing to the head, rolled about its axis."""
    turn = rotation('x', tilt_rad) @ rotation('z', roll_rad)
    return make_pose(turn, (0.0, 0.0, -0.015))


def curve_world(control_rad, world_from_cm):
    local = KINEMATICS.centerline(control_rad)
    return local @ world_from_cm[:3, :3].T + world_from_cm[:3, 3]


def draw_mask(view, curve_m, lateral_px=None):
    """Fill the tube's silhouette: a band about the projected curve, 8 times oversampled ends."""
    rows, columns = view.geometry.shape_px
    fine = np.linspace(0, 1, 120)
    given = np.linspace(0, 1, len(curve_m))
    curve = np.stack([np.interp(fine, given, axis) for axis in curve_m.T], axis=1)
    pixels = view.project(curve)
    tangent = np.gradient(pixels, axis=0)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1), 1e-9)[:, None]
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)
    if lateral_px is not None:
        pixels = (
            pixels
            + normal * np.interp(fine, np.linspace(0, 1, len(lateral_px)), lateral_px)[:, None]
        )
    depth = view.to_source(curve)[:, 2]
    half = RADIUS_M * view.geometry.source_to_detector_m / depth / view.geometry.pixel_pitch_m[0]
    outline = np.concatenate(
        [pixels + normal * half[:, None], (pixels - normal * half[:, None])[::-1]]
    )
    mask = np.zeros((rows, columns), np.uint8)
    cv2.fillPoly(mask, [np.round(outline * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    return mask.astype(np.float32) / 255


def correlated(rng, sigma, correlation, count=60):
    """Gaussian noise over a unit length with exponential correlation."""
    place = np.linspace(0, 1, count)
    covariance = np.exp(-np.abs(place[:, None] - place) / correlation)
    return (
        sigma * np.linalg.cholesky(covariance + 1e-9 * np.eye(count)) @ rng.standard_normal(count)
    )


def observe(view, control_rad, world_from_cm, rng=None, tip_sigma_px=0.0, lateral_sigma_px=0.0):
    """The mask and the landmarks of a shape, with pixel noise from `rng`."""
    curve = curve_world(control_rad, world_from_cm)
    lateral, shift = None, np.zeros(2)
    if rng is not None:
        lateral = correlated(rng, lateral_sigma_px, 0.25)
        shift = tip_sigma_px * rng.standard_normal(2)
    base, tip = view.project(curve[[0, -1]])
    points = [Point('base', *base, 1.0), Point('tip', *(tip + shift), 1.0)]
    return draw_mask(view, curve, lateral), points, curve


def view_from(orbital_deg=0.0, angulation_deg=0.0):
    return CArm().view(np.radians(orbital_deg), np.radians(angulation_deg))
