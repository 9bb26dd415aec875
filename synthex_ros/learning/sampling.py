"""What is varied in training data: C-arm views, device poses and shapes, technique, collimation.

Every random number comes from (seed, kind, index), so any frame can be made alone and again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthex_ros.devices.continuum.kinematics import CONTROL_POINTS, ContinuumKinematics
from synthex_ros.geometry import (
    CArm,
    View,
    joints_of_clinical,
    make_pose,
    rotation,
    transform_points,
    view_name,
)
from synthex_ros.xray.beam import Technique
from synthex_ros.xray.exposure_control import ExposureControl

Array = NDArray[np.float64]

_VIEW_STREAM, _FRAME_STREAM = 0, 1
_MAX_TRIES = 200


@dataclass(frozen=True)
class SceneSampling:
    """Ranges that scenes are drawn from, uniformly unless said otherwise.

    The view and curvature ranges contain those of SyntheX (Gao et al., Nature Machine
    Intelligence 5, 2023: LAO/RAO +-30, CRAN/CAUD +-10 degrees, control points N(0, 2.5 degrees),
    600-900 mm).

    Attributes:
        anatomy: sample name or path of the CT.
        frames_per_view: device poses for a C-arm view; its anatomy is rendered once.
        primary_deg: LAO (+) / RAO (-) angle.
        secondary_deg: CRAN (+) / CAUD (-) angle.
        source_to_isocenter_m: distance focal spot to isocentre [m].
        isocenter_box_m: half extents of the box round the CT's centre for the isocentre [m].
        depth_m: half extent of the device's place along the beam round the isocentre [m].
        border_share: part of the image that the middle of the device keeps from the border.
        landmark_margin_px: a landmark counts as visible this far inside the image and the
            collimated field, so that the device around it is seen and not cut in half.
        out_of_plane_deg: greatest angle between the shaft and the image plane.
        bend_deg: greatest bend by constant curvature.
        control_noise_deg: deviation of the noise on control points is drawn from 0 to this.
        tube_voltage_kv: tube voltage.
        detector_kerma_ngy: median air kerma a pulse behind the patient that the automatic exposure
            control is set to [nGy], drawn uniformly in its logarithm.
        collimated_share: part of the frames with a collimated border.
        negative_share: part of the frames without a device.
    """

    anatomy: str = 'chest'
    frames_per_view: int = 5
    primary_deg: tuple[float, float] = (-40.0, 40.0)
    secondary_deg: tuple[float, float] = (-15.0, 15.0)
    source_to_isocenter_m: tuple[float, float] = (0.60, 0.90)
    isocenter_box_m: tuple[float, float, float] = (0.07, 0.04, 0.07)
    depth_m: float = 0.06
    border_share: float = 0.04
    landmark_margin_px: int = 8
    out_of_plane_deg: float = 50.0
    bend_deg: float = 90.0
    control_noise_deg: float = 2.5
    tube_voltage_kv: tuple[float, float] = (60.0, 110.0)
    detector_kerma_ngy: tuple[float, float] = (8.0, 80.0)
    collimated_share: float = 0.15
    negative_share: float = 0.15

    def __post_init__(self):
        if self.frames_per_view < 1:
            raise ValueError(f'frames_per_view must be at least 1, got {self.frames_per_view}')
        for name in (
            'primary_deg',
            'secondary_deg',
            'source_to_isocenter_m',
            'tube_voltage_kv',
            'detector_kerma_ngy',
        ):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f'{name} must be (low, high), got ({low:g}, {high:g})')
        for name in ('collimated_share', 'negative_share'):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f'{name} must be 0..1, got {getattr(self, name):g}')


@dataclass(frozen=True, eq=False)
class ViewSample:
    """A C-arm view of a patient.

    Attributes:
        view: geometry and pose.
        world_from_patient: pose of the patient, shape (4, 4) [m].
        technique: tube settings; the charge is left to `control`.
        control: automatic exposure control.
        name: clinical name of the view.
        source_to_isocenter_m: distance focal spot to isocentre [m].
    """

    view: View
    world_from_patient: Array
    technique: Technique
    control: ExposureControl
    name: str
    source_to_isocenter_m: float


@dataclass(frozen=True, eq=False)
class FrameSample:
    """A device in a view.

    Attributes:
        world_from_device_base: pose of the device's base, shape (4, 4) [m].
        roll: roll joint [rad]; insertion is 0.
        control_rad: control points, shape (5,) [rad].
        notch_angles: shape (n,) [rad].
        landmarks_world_m: base and tip, shape (2, 3) [m].
        has_device: False for a frame of anatomy alone.
        field_px: open field as (top, bottom, left, right) [px], or None for all.
    """

    world_from_device_base: Array
    roll: float
    control_rad: Array
    notch_angles: Array
    landmarks_world_m: Array
    has_device: bool
    field_px: tuple[int, int, int, int] | None


def view_rng(seed: int, index: int) -> np.random.Generator:
    """Return the generator of view `index`."""
    return np.random.default_rng([seed, _VIEW_STREAM, index])


def frame_rng(seed: int, index: int) -> np.random.Generator:
    """Return the generator of frame `index`: device, collimation and detector noise."""
    return np.random.default_rng([seed, _FRAME_STREAM, index])


def draw_view(
    sampling: SceneSampling, centre_patient_m: Array, rng: np.random.Generator
) -> ViewSample:
    """Draw a C-arm view with the isocentre near `centre_patient_m` [m], shape (3,)."""
    distance = rng.uniform(*sampling.source_to_isocenter_m)
    primary, secondary = (
        np.radians(rng.uniform(*limits))
        for limits in (sampling.primary_deg, sampling.secondary_deg)
    )
    joints = joints_of_clinical(primary, secondary)
    box = np.array(sampling.isocenter_box_m)
    isocenter = centre_patient_m + rng.uniform(-box, box)
    technique = Technique(tube_voltage_kv=float(rng.uniform(*sampling.tube_voltage_kv)))
    kerma = np.exp(rng.uniform(*np.log(sampling.detector_kerma_ngy)))
    control = ExposureControl(detector_kerma_gy=float(kerma) * 1e-9)
    view = CArm(source_to_isocenter_m=distance).view(*joints)
    pose = make_pose(None, -isocenter)
    return ViewSample(view, pose, technique, control, view_name(*joints), distance)


def draw_shape(
    sampling: SceneSampling, kinematics: ContinuumKinematics, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Draw control points [rad], shape (5,), and their notch angles, shape (n,).

    Constant curvature plus independent noise, as SyntheX draws its manipulators; shapes that
    would close a notch or bend by more than `bend_deg` plus 45 degrees are drawn again.
    """
    parameters = kinematics.parameters
    closing = 2 * np.arctan(parameters.notch_width_m / parameters.outer_diameter_m)
    limit = np.radians(sampling.bend_deg)
    for _ in range(_MAX_TRIES):
        bend = rng.uniform(-limit, limit)
        noise = np.radians(rng.uniform(0, sampling.control_noise_deg))
        control = bend / parameters.notch_count + rng.normal(0, noise, CONTROL_POINTS)
        angles = kinematics.notch_angles(control)
        total = np.abs(np.cumsum(angles))
        if np.max(np.abs(angles)) < 0.95 * closing and np.max(total) < limit + np.pi / 4:
            return control, angles
    raise ValueError(
        f'no shape within bend_deg {sampling.bend_deg:g} keeps the notches open in {_MAX_TRIES} '
        f'tries; lower control_noise_deg, now {sampling.control_noise_deg:g}'
    )


def draw_frame(
    sampling: SceneSampling,
    kinematics: ContinuumKinematics,
    seen: ViewSample,
    rng: np.random.Generator,
) -> FrameSample:
    """Draw a device pose and shape whose middle lies in the image, near the isocentre's depth."""
    control, angles = draw_shape(sampling, kinematics, rng)
    roll = rng.uniform(-np.pi, np.pi)
    ends = kinematics.landmarks(angles, 0.0, roll)
    limit = np.radians(sampling.out_of_plane_deg)
    turn = rotation('z', rng.uniform(-np.pi, np.pi)) @ rotation(
        'y', np.pi / 2 + rng.uniform(-limit, limit)
    )
    rows, columns = seen.view.geometry.shape_px
    margin = sampling.border_share
    pixel = rng.uniform(margin, 1 - margin, 2) * [columns, rows]
    depth = seen.source_to_isocenter_m + rng.uniform(-sampling.depth_m, sampling.depth_m)
    ray = seen.view.geometry.back_project(pixel)
    middle = ray * (depth / ray[2])
    source_from_base = make_pose(turn, middle - turn @ ends.mean(axis=0))
    world_from_base = seen.view.world_from_source @ source_from_base
    return FrameSample(
        world_from_base,
        float(roll),
        control,
        angles,
        transform_points(world_from_base, ends),
        bool(rng.random() >= sampling.negative_share),
        _draw_field(sampling, (rows, columns), rng),
    )


def _draw_field(
    sampling: SceneSampling, shape: tuple[int, int], rng: np.random.Generator
) -> tuple[int, int, int, int] | None:
    """Draw the open field of a collimator; each side is closed by up to a quarter."""
    insets = rng.uniform(0, 0.25, 4) * (rng.random(4) < 0.7)
    if rng.random() >= sampling.collimated_share:
        return None
    rows, columns = shape
    top, left = int(insets[0] * rows), int(insets[2] * columns)
    return top, rows - int(insets[1] * rows), left, columns - int(insets[3] * columns)
