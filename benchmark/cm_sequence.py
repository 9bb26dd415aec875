"""A rendered sequence of a continuum manipulator that rests, bends and turns, hidden at times.

Shared by the benchmarks of inference and of tracking: chest CT, one view, the physics of the
simulator, a known base, joints that predict the shape with an error, and a steel plate that comes
over the device in some frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import trimesh
from numpy.typing import NDArray

from synthex_ros.anatomy import load_sample
from synthex_ros.bodies import Body, TriangleMesh
from synthex_ros.devices.continuum.kinematics import ContinuumKinematics
from synthex_ros.devices.continuum.mesh import continuum_bodies
from synthex_ros.geometry import CArm, make_pose, rotation, transform_points
from synthex_ros.tracking.pipeline import TipFrame
from synthex_ros.xray.renderer import Renderer
from synthex_ros.xray.scene import Scene

RATE_HZ = 15.0
PLATE_M = (0.05, 0.012, 0.05)
"""Width, thickness along the beam and height of the steel plate."""

_PREDICTION_GAIN, _PREDICTION_OFFSET_RAD = 0.92, 0.0015


@dataclass(frozen=True)
class SequenceFrame:
    """One frame and what is true of it.

    Attributes:
        frame: what a tracker gets.
        tip_world_m: true tip, shape (3,).
        landmarks_px: true base and tip (u, v), shape (2, 2).
        hidden: whether the plate covers the device.
    """

    frame: TipFrame
    tip_world_m: NDArray[np.float64]
    landmarks_px: NDArray[np.float64]
    hidden: bool


def hidden_frames(count: int, share: float, seed: int, first: int = 15) -> NDArray[np.bool_]:
    """Return which frames are hidden: spells of 3 to 12 frames, `share` of all after `first`."""
    rng, hidden = np.random.default_rng([seed, 7]), np.zeros(count, bool)
    while share and hidden[first:].mean() < share:
        start, length = int(rng.integers(first, count - 4)), int(rng.integers(3, 13))
        hidden[start : min(start + length, count - 4)] = True
    return hidden


def bend_rad(time_s: float) -> float:
    """Return the total bend: at rest, at constant speed, swinging, and again."""
    phase = time_s % 8.0
    if phase < 2.0:
        return 0.0
    if phase < 4.0:
        return np.radians(30.0) * (phase - 2.0)
    return np.radians(60.0) * np.cos(2 * np.pi * (phase - 4.0) / 2.0)


def sequence(count: int, hidden_share: float, seed: int) -> Iterator[SequenceFrame]:
    """Yield the frames of a sequence; the same for the same seed."""
    volume = load_sample('chest')
    scene = Scene(volume, world_from_patient=make_pose(None, -volume.centre_patient_m))
    renderer = Renderer(scene, cached_layers=2)
    view = CArm().view(np.radians(15), np.radians(5)).resized((512, 512))
    kinematics = ContinuumKinematics()
    base = make_pose(rotation('z', np.pi / 2), (0.0, 0.0, -0.02))
    cm_from_base = np.linalg.inv(kinematics.base_from_cm(0.0, 0.0))
    hidden = hidden_frames(count, hidden_share, seed)
    for k in range(count):
        control = np.full(5, bend_rad(k / RATE_HZ) / kinematics.parameters.notch_count)
        bodies = continuum_bodies(
            kinematics, kinematics.notch_angles(control), 0.0, 0.0, base @ cm_from_base
        )
        curve = transform_points(base, kinematics.centerline(control))
        if hidden[k]:
            bodies.append(_plate(curve.mean(axis=0), view.world_from_source))
        counts = renderer.render(view, bodies, np.random.default_rng([seed, k])).counts
        predicted = _PREDICTION_GAIN * control + _PREDICTION_OFFSET_RAD
        frame = TipFrame(counts, view, base, predicted, k / RATE_HZ)
        yield SequenceFrame(frame, curve[-1], view.project(curve[[0, -1]]), bool(hidden[k]))


def _plate(over_m: NDArray[np.float64], world_from_source: NDArray[np.float64]) -> Body:
    """Return a plate 40 mm before a point, across the beam."""
    width, thickness, height = PLATE_M
    box = trimesh.creation.box((width, height, thickness))
    towards = world_from_source[:3, 3] - over_m
    place = over_m + 0.04 * towards / np.linalg.norm(towards)
    mesh = TriangleMesh(np.asarray(box.vertices, float), np.asarray(box.faces, np.int32))
    return Body(mesh, 'stainless_steel', make_pose(world_from_source[:3, :3], place), 0)
