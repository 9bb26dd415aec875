"""Projection geometry of one exposure, the C-arm that makes it, and rigid poses.

A C-arm is a pinhole camera with its centre at the focal spot: +z towards the detector, +x along
increasing columns, +y along increasing rows, pixel centres at integers. `a_from_b` is the 4x4
rigid transform that maps coordinates of frame b to frame a; lengths are metres, angles radians.

With the C-arm at rest the tube is below a supine patient and the image is seen from the tube:
columns increase towards the patient's right, rows towards the feet.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

# Columns to the patient's right, rows to the feet, beam from posterior to anterior.
_PATIENT_FROM_SOURCE_AT_REST = np.array([[-1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, -1.0, 0.0]])


def rotation(axis: str, angle_rad: float) -> Array:
    """Return the right-handed rotation about 'x', 'y' or 'z' [rad], shape (3, 3)."""
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    matrices = {
        'x': [[1, 0, 0], [0, c, -s], [0, s, c]],
        'y': [[c, 0, s], [0, 1, 0], [-s, 0, c]],
        'z': [[c, -s, 0], [s, c, 0], [0, 0, 1]],
    }
    if axis not in matrices:
        raise ValueError(f"axis must be 'x', 'y' or 'z', got {axis!r}")
    return np.array(matrices[axis], float)


def make_pose(
    rotation_matrix: ArrayLike | None = None, translation_m: ArrayLike = (0, 0, 0)
) -> Array:
    """Return the 4x4 pose of a rotation, shape (3, 3), and a translation [m], shape (3,)."""
    pose = np.eye(4)
    if rotation_matrix is not None:
        pose[:3, :3] = rotation_matrix
    pose[:3, 3] = translation_m
    return pose


def invert_pose(pose: ArrayLike) -> Array:
    """Return the inverse of a rigid 4x4 pose."""
    pose = np.asarray(pose, float)
    return make_pose(pose[:3, :3].T, -pose[:3, :3].T @ pose[:3, 3])


def transform_points(a_from_b: ArrayLike, points_b_m: ArrayLike) -> Array:
    """Map points [m], shape (..., 3), from frame b to frame a."""
    pose = np.asarray(a_from_b, float)
    return np.asarray(points_b_m, float) @ pose[:3, :3].T + pose[:3, 3]


def pose_from_parameters(position_m: ArrayLike, rpy_rad: ArrayLike = (0, 0, 0)) -> Array:
    """Return the pose of a position [m] and fixed-axis roll, pitch, yaw [rad] (as in URDF)."""
    roll, pitch, yaw = np.asarray(rpy_rad, float)
    return make_pose(rotation('z', yaw) @ rotation('y', pitch) @ rotation('x', roll), position_m)


def check_pose(pose: ArrayLike, name: str = 'pose') -> Array:
    """Return `pose` as float64, or raise ValueError if it is not a finite rigid 4x4 transform."""
    array = np.asarray(pose, float)
    if array.shape != (4, 4) or not np.all(np.isfinite(array)):
        raise ValueError(f'{name} must be a finite 4x4 matrix, got shape {array.shape}')
    rot = array[:3, :3]
    if np.abs(rot @ rot.T - np.eye(3)).max() > 1e-6 or np.linalg.det(rot) < 0:
        raise ValueError(
            f'{name} must be rigid (orthonormal, right-handed), got determinant '
            f'{np.linalg.det(rot):.4g}; a scaled matrix usually mixes millimetres and metres'
        )
    return array


@dataclass(frozen=True, slots=True)
class ProjectionGeometry:
    """Pinhole geometry of one exposure: source at the origin, +z to the detector.

    Attributes:
        source_to_detector_m: distance focal spot to detector plane [m].
        pixel_pitch_m: detector pitch as (row, column) [m].
        piercing_px: where the central ray meets the detector, (u, v) [px].
        shape_px: image size, (rows, columns) [px].
    """

    source_to_detector_m: float
    pixel_pitch_m: tuple[float, float]
    piercing_px: tuple[float, float]
    shape_px: tuple[int, int]

    def __post_init__(self):
        distance = self.source_to_detector_m
        if not 0.2 <= distance <= 3.0:
            hint = f'; looks like millimetres, pass {distance / 1000:g}' if distance > 100 else ''
            raise ValueError(f'source_to_detector_m must be 0.2..3.0 m, got {distance:g}{hint}')
        if not all(1e-6 <= pitch <= 0.02 for pitch in self.pixel_pitch_m):
            raise ValueError(
                f'pixel_pitch_m must be 1e-6..0.02 m, got {self.pixel_pitch_m}; '
                'a pitch of 0.194 mm is 0.000194'
            )
        if not np.all(np.isfinite(self.piercing_px)):
            raise ValueError(f'piercing_px must be finite, got {self.piercing_px}')
        if not all(isinstance(n, (int, np.integer)) and n > 0 for n in self.shape_px):
            raise ValueError(f'shape_px must be positive integers, got {self.shape_px}')

    def intrinsics(self) -> Array:
        """Return K [px], shape (3, 3)."""
        pitch_v, pitch_u = self.pixel_pitch_m
        u0, v0 = self.piercing_px
        distance = self.source_to_detector_m
        return np.array([[distance / pitch_u, 0, u0], [0, distance / pitch_v, v0], [0, 0, 1.0]])

    @classmethod
    def from_intrinsics(
        cls, k: ArrayLike, source_to_detector_m: float, shape_px: tuple[int, int]
    ) -> ProjectionGeometry:
        """Return the geometry of K [px], shape (3, 3), and the metric distance [m].

        Raises:
            ValueError: K is uncalibrated (fx or fy not positive) or has skew.
        """
        k = np.asarray(k, float).reshape(3, 3)
        if not (k[0, 0] > 0 and k[1, 1] > 0):
            raise ValueError(
                f'k[0] and k[4] must be positive, got {k[0, 0]:g}, {k[1, 1]:g}; '
                'an all-zero matrix means an uncalibrated camera'
            )
        if abs(k[0, 1]) > 1e-9 * k[0, 0]:
            raise ValueError(f'a flat panel has no skew, got k[1] = {k[0, 1]:g}')
        pitch = (source_to_detector_m / k[1, 1], source_to_detector_m / k[0, 0])
        return cls(source_to_detector_m, pitch, (k[0, 2], k[1, 2]), shape_px)

    def project(self, points_m: ArrayLike) -> Array:
        """Project optical-frame points [m], shape (..., 3), to (u, v) [px], shape (..., 2).

        Points at or behind the source have no image and give NaN.
        """
        points = np.asarray(points_m, float)
        uvw = points @ self.intrinsics().T
        depth = np.where(points[..., 2:] > 0, uvw[..., 2:], np.nan)
        return uvw[..., :2] / depth

    def back_project(self, pixels_px: ArrayLike) -> Array:
        """Return unit ray directions in the optical frame, shape (..., 3), of pixels (..., 2)."""
        pixels = np.asarray(pixels_px, float)
        pitch_v, pitch_u = self.pixel_pitch_m
        u0, v0 = self.piercing_px
        x = (pixels[..., 0] - u0) * pitch_u
        y = (pixels[..., 1] - v0) * pitch_v
        rays = np.stack([x, y, np.full_like(x, self.source_to_detector_m)], axis=-1)
        return rays / np.linalg.norm(rays, axis=-1, keepdims=True)

    def magnification(self, depth_m: float) -> float:
        """Return the magnification of an object at `depth_m` [m] from the source."""
        return self.source_to_detector_m / depth_m

    def contains(self, pixels_px: ArrayLike, margin_px: float = 0.0) -> NDArray[np.bool_]:
        """Tell which pixels, shape (..., 2), lie on the detector, `margin_px` inside its edge."""
        pixels = np.asarray(pixels_px, float)
        rows, columns = self.shape_px
        low, high = margin_px - 0.5, np.array([columns, rows]) - 0.5 - margin_px
        return np.all((pixels >= low) & (pixels <= high), axis=-1)

    def resized(self, shape_px: tuple[int, int]) -> ProjectionGeometry:
        """Return the same detector area sampled with another number of (rows, columns)."""
        scale_v, scale_u = self.shape_px[0] / shape_px[0], self.shape_px[1] / shape_px[1]
        pitch_v, pitch_u = self.pixel_pitch_m
        u0, v0 = self.piercing_px
        piercing = ((u0 + 0.5) / scale_u - 0.5, (v0 + 0.5) / scale_v - 0.5)
        return ProjectionGeometry(
            self.source_to_detector_m, (pitch_v * scale_v, pitch_u * scale_u), piercing, shape_px
        )


@dataclass(frozen=True)
class View:
    """One exposure in the world: the projection geometry and where the source frame stands.

    Attributes:
        geometry: the pinhole geometry of the detector.
        world_from_source: pose of the source optical frame in `world`, shape (4, 4) [m].
    """

    geometry: ProjectionGeometry
    world_from_source: Array

    def __post_init__(self):
        check_pose(self.world_from_source, 'world_from_source')

    @property
    def source_world_m(self) -> Array:
        """Focal spot in `world` [m], shape (3,)."""
        return self.world_from_source[:3, 3]

    def to_source(self, points_world_m: ArrayLike) -> Array:
        """Map world points [m], shape (..., 3), to the source optical frame."""
        return transform_points(invert_pose(self.world_from_source), points_world_m)

    def project(self, points_world_m: ArrayLike) -> Array:
        """Project world points [m], shape (..., 3), to (u, v) [px], shape (..., 2)."""
        return self.geometry.project(self.to_source(points_world_m))

    def rays_world(self, pixels_px: ArrayLike) -> Array:
        """Return unit ray directions in `world`, shape (..., 3), of pixels (u, v), (..., 2)."""
        return self.geometry.back_project(pixels_px) @ self.world_from_source[:3, :3].T

    def point_on_ray(self, pixel_px: ArrayLike, depth_m: ArrayLike) -> Array:
        """Return the world point [m] seen at `pixel_px` at optical depth `depth_m` [m] (z)."""
        rays = self.geometry.back_project(pixel_px)
        points = rays * (np.asarray(depth_m, float) / rays[..., 2])[..., None]
        return transform_points(self.world_from_source, points)

    def resized(self, shape_px: tuple[int, int]) -> View:
        """Return the same view with another number of (rows, columns)."""
        return View(self.geometry.resized(shape_px), self.world_from_source)


def clinical_angles(orbital_rad: float, angulation_rad: float) -> tuple[float, float]:
    """Return DICOM positioner angles (primary, secondary) [rad] of the C-arm's joints.

    Primary is positive for LAO and secondary for CRAN: DICOM PS3.3 C.8.7.5, positioner primary
    and secondary angle; both name the direction from the isocentre to the detector.
    """
    towards_detector = rotation('x', -angulation_rad) @ rotation('z', orbital_rad) @ [0, -1.0, 0]
    primary = np.arctan2(towards_detector[0], -towards_detector[1])
    return float(primary), float(np.arcsin(np.clip(towards_detector[2], -1, 1)))


def joints_of_clinical(primary_rad: float, secondary_rad: float) -> tuple[float, float]:
    """Return C-arm joints (orbital, angulation) [rad] of DICOM angles, inverse of the above.

    Of the two solutions the one with |angulation| <= 90 degrees is returned.
    """
    left = np.sin(primary_rad) * np.cos(secondary_rad)
    anterior = np.cos(primary_rad) * np.cos(secondary_rad)
    orbital, cranial = np.arcsin(np.clip(left, -1, 1)), np.sin(secondary_rad)
    if anterior < 0:
        orbital, anterior, cranial = np.copysign(np.pi, left) - orbital, -anterior, -cranial
    return float(orbital), float(np.arctan2(cranial, anterior))


def view_name(orbital_rad: float, angulation_rad: float) -> str:
    """Return the clinical name of a view, such as 'LAO 30 CRAN 10'."""
    primary, secondary = np.degrees(clinical_angles(orbital_rad, angulation_rad))
    first = f'{"LAO" if primary >= 0 else "RAO"} {abs(primary):.0f}'
    second = f'{"CRAN" if secondary >= 0 else "CAUD"} {abs(secondary):.0f}'
    return f'{first} {second}'


@dataclass(frozen=True)
class CArm:
    """A C-arm that turns about an isocentre; the default is a Siemens CIOS Fusion, binned 3x.

    Attributes:
        source_to_detector_m: focal spot to detector [m].
        source_to_isocenter_m: focal spot to isocentre [m].
        pixel_pitch_m: pitch of the unbinned detector, square pixels [m].
        detector_px: rows and columns of the unbinned square detector [px].
        binning: pixels joined per side; the image has detector_px // binning rows.
        world_from_carm_isocenter: isocentre frame, patient axes at rest, in `world` (4x4) [m].
    """

    source_to_detector_m: float = 1.020
    source_to_isocenter_m: float = 0.700
    pixel_pitch_m: float = 194e-6
    detector_px: int = 1536
    binning: int = 3
    world_from_carm_isocenter: Array = field(default_factory=lambda: np.eye(4))

    def __post_init__(self):
        check_pose(self.world_from_carm_isocenter, 'world_from_carm_isocenter')
        if not 0 < self.source_to_isocenter_m < self.source_to_detector_m:
            raise ValueError(
                f'source_to_isocenter_m must lie between 0 and source_to_detector_m '
                f'({self.source_to_detector_m:g} m), got {self.source_to_isocenter_m:g}'
            )
        if self.binning < 1 or self.detector_px % self.binning:
            raise ValueError(f'binning must divide {self.detector_px} px, got {self.binning}')

    def geometry(self) -> ProjectionGeometry:
        """Return the pinhole geometry of the binned image."""
        size = self.detector_px // self.binning
        pitch = self.pixel_pitch_m * self.binning
        centre = (size - 1) / 2
        return ProjectionGeometry(
            self.source_to_detector_m, (pitch, pitch), (centre, centre), (size, size)
        )

    def world_from_source(self, orbital_rad: float = 0.0, angulation_rad: float = 0.0) -> Array:
        """Return the source frame in `world`, shape (4, 4) [m], at the given joints [rad].

        Orbital turns about the patient's long axis (positive to LAO), angulation about the
        left-right axis that carries the C (positive tips the detector to the head, CRAN).
        """
        turn = rotation('x', -angulation_rad) @ rotation('z', orbital_rad)
        turned = turn @ _PATIENT_FROM_SOURCE_AT_REST
        from_isocenter = make_pose(turned, -self.source_to_isocenter_m * turned[:, 2])
        return self.world_from_carm_isocenter @ from_isocenter

    def view(self, orbital_rad: float = 0.0, angulation_rad: float = 0.0) -> View:
        """Return the view at the given joints [rad]."""
        return View(self.geometry(), self.world_from_source(orbital_rad, angulation_rad))

    def with_(self, **changes) -> CArm:
        """Return a copy with some attributes changed."""
        return replace(self, **changes)
