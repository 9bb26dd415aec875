"""The manipulator before gVirtualXray: where it stands, and its path lengths on a fine grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import trimesh
from numpy.typing import NDArray

from benchmark.validation.gvxr_paths import LONGEST_EDGE_M, paths_m
from synthex_ros.devices.continuum.kinematics import ContinuumKinematics
from synthex_ros.devices.continuum.mesh import SECTORS, bent_tube, ring_radii, shorter_tubes
from synthex_ros.geometry import ProjectionGeometry, invert_pose, transform_points
from synthex_ros.learning.sampling import DeviceSample, SceneSampling, ViewSample, draw_device

FINE = 2
"""Samples of a path image a side of a detector pixel."""

_STEP_M = 0.8 * LONGEST_EDGE_M
_OUTSIDE_PX = 40.0
_NEAR_M, _PANEL_SHARE = 0.15, 0.99
_MAX_TRIES = 200
_WHOLE = 0.5


@dataclass(frozen=True, eq=False)
class PlacedDevice:
    """A device in a view.

    Attributes:
        sample: pose and shape.
        source_from_cm: pose of the manipulator in the source frame, shape (4, 4) [m].
        shaft_m: length of the shaft up to where it has left the image [m].
    """

    sample: DeviceSample
    source_from_cm: NDArray[np.float64]
    shaft_m: float


@dataclass(frozen=True, eq=False)
class DevicePaths:
    """Path lengths on a grid `FINE` times finer than the detector.

    Attributes:
        path_m: through tube and shaft [m], shape (FINE rows, FINE columns), float32.
        mask: pixels of the detector at least half covered by the notched tube, uint8.
        moved_m: the same as `path_m` with the base, then with the tip, a notch further in [m];
            same shapes.
    """

    path_m: NDArray[np.float32]
    mask: NDArray[np.uint8]
    moved_m: tuple[NDArray[np.float32], ...] = ()


def place_device(
    sampling: SceneSampling,
    kinematics: ContinuumKinematics,
    seen: ViewSample,
    rng: np.random.Generator,
) -> PlacedDevice:
    """Draw a device whose shaft, as far as it is seen, fits between tube and panel.

    Raises:
        ValueError: none was found.
    """
    geometry = seen.view.geometry
    rows, columns = geometry.shape_px
    for _ in range(_MAX_TRIES):
        sample = draw_device(sampling, kinematics, seen, (0.0, rows, 0.0, columns), rng)
        source_from_cm = (
            invert_pose(seen.view.world_from_source)
            @ sample.world_from_device_base
            @ kinematics.base_from_cm(0.0, sample.roll)
        )
        shaft_m = _seen_shaft_m(kinematics.parameters.shaft_length_m, source_from_cm, geometry)
        if shaft_m is not None:
            return PlacedDevice(sample, source_from_cm, shaft_m)
    raise ValueError(f'no device pose in {_MAX_TRIES} tries kept its shaft in front of the panel')


def _seen_shaft_m(
    longest_m: float, source_from_cm: NDArray[np.float64], geometry: ProjectionGeometry
) -> float | None:
    """Return the length of shaft that is seen [m]; None where it would run through the panel."""
    back_m = np.arange(0.0, longest_m, _STEP_M)
    points = transform_points(source_from_cm, np.outer(-back_m, [0.0, 0.0, 1.0]))
    on_image = geometry.contains(geometry.project(points), -_OUTSIDE_PX)
    last = int(np.flatnonzero(on_image)[-1]) + 1 if on_image.any() else 1
    depth = points[: last + 1, 2]
    fits = depth.min() > _NEAR_M and depth.max() < _PANEL_SHARE * geometry.source_to_detector_m
    return last * _STEP_M if fits else None


def shaft(parameters, length_m: float) -> trimesh.Trimesh:
    """Return a straight tube from z = -length to 0 [m], in rings close enough for gVXR."""
    stations = np.linspace(-length_m, 0.0, int(np.ceil(length_m / _STEP_M)) + 1)
    angle = np.arange(SECTORS) * 2 * np.pi / SECTORS
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    inner, outer = (
        np.concatenate([np.column_stack([radius * circle, np.full(SECTORS, z)]) for z in stations])
        for radius in ring_radii(parameters)
    )
    count = len(outer)
    start = (np.arange(len(stations) - 1) * SECTORS)[:, None]
    near = start + np.arange(SECTORS)
    turn = start + (np.arange(SECTORS) + 1) % SECTORS
    out = _quads(near, turn, turn + SECTORS, near + SECTORS)
    inwards = _quads(near, near + SECTORS, turn + SECTORS, turn) + count
    rim, beside = np.arange(SECTORS), (np.arange(SECTORS) + 1) % SECTORS
    low = _quads(rim, rim + count, beside + count, beside)
    last = (len(stations) - 1) * SECTORS
    high = _quads(rim, beside, beside + count, rim + count) + last
    faces = np.concatenate([out, inwards, low, high])
    return trimesh.Trimesh(np.concatenate([outer, inner]), faces, process=False)


def _quads(a, b, c, d) -> NDArray[np.int64]:
    corners = [np.ravel(x) for x in (a, b, c, d)]
    return np.concatenate(
        [np.stack([corners[k] for k in chosen], axis=1) for chosen in ((0, 1, 2), (0, 2, 3))]
    )


def device_paths(
    kinematics: ContinuumKinematics,
    devices: Sequence[PlacedDevice],
    geometry: ProjectionGeometry,
) -> list[DevicePaths]:
    """Return the paths through devices of views that share a geometry; one gVXR process.

    Raises:
        GvxrMissingError: gVXR is not installed, or finds no OpenGL.
    """
    if not devices:
        return []
    rows, columns = geometry.shape_px
    meshes = []
    for device in devices:
        angles = device.sample.notch_angles
        tubes = (bent_tube(kinematics, angles), *shorter_tubes(kinematics, angles))
        straight = shaft(kinematics.parameters, device.shaft_m)
        parts = [(straight.vertices, straight.faces)]
        for vertices, faces in parts + [(tube.vertices_m, tube.faces) for tube in tubes]:
            posed = transform_points(device.source_from_cm, vertices)
            meshes.append(trimesh.Trimesh(posed, faces, process=False))
    images = paths_m(meshes, geometry.resized((FINE * rows, FINE * columns)))
    each = len(images) // len(devices)
    return [_device_paths(*images[k : k + each]) for k in range(0, len(images), each)]


def _device_paths(shaft_m: NDArray, tube_m: NDArray, *moved_m: NDArray) -> DevicePaths:
    rows, columns = (n // FINE for n in tube_m.shape)
    covered = (tube_m > 0).reshape(rows, FINE, columns, FINE).mean(axis=(1, 3))
    path, *moved = (
        (np.maximum(tube, 0) + np.maximum(shaft_m, 0)).astype(np.float32)
        for tube in (tube_m, *moved_m)
    )
    return DevicePaths(path, (covered >= _WHOLE).astype(np.uint8), tuple(moved))
