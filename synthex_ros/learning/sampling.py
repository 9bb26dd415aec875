"""What is varied in training data: patient, C-arm views, device poses and shapes.

Every random number comes from (seed, kind, index), so any frame can be made alone and again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from synthex_ros.anatomy.volume import Volume
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
from synthex_ros.learning.anatomies import check_weights, load_anatomy
from synthex_ros.learning.distractors import Distractors
from synthex_ros.learning.imaging import ImagingSampling
from synthex_ros.learning.structure_sampling import StructureSampling
from synthex_ros.learning.visibility import ROSE_SNR
from synthex_ros.learning.wire_sampling import WireSampling
from synthex_ros.xray.realism import realism

Array = NDArray[np.float64]
Box = tuple[float, float, float, float]

_GROUPS = {
    'imaging': ImagingSampling,
    'distractors': Distractors,
    'wire': WireSampling,
    'structures': StructureSampling,
}
_VIEW_STREAM, _FRAME_STREAM = 0, 1
_MAX_TRIES = 200


@dataclass(frozen=True)
class SceneSampling:
    """Ranges that scenes are drawn from, uniformly unless said otherwise.

    The view and curvature ranges contain those of SyntheX (Gao et al., Nature Machine
    Intelligence 5, 2023: LAO/RAO +-30, CRAN/CAUD +-10 degrees, control points N(0, 2.5 degrees),
    600-900 mm).

    Attributes:
        anatomies: weight of each sample or path of a CT; `phantoms` stands for `phantom_count`
            procedural torsos of which no two are alike, `head_phantoms` for as many heads.
        phantom_count: how many phantoms of a kind there are.
        segmentations: label image of each CT given by its path, with the ids of TotalSegmentator
            2; samples and phantoms bring their own.
        materials: what voxels are made of: 'detailed', 'standard', 'heuristic' or 'naive'.
        realism: 'realistic', or SyntheX's simpler levels 'heuristic' and 'naive', which leave
            physics out (`synthex_ros.xray.realism`).
        image_px: side of the square image [px].
        frames_per_view: device poses for a C-arm view; its anatomy is rendered once.
        primary_deg: LAO (+) / RAO (-) angle.
        secondary_deg: CRAN (+) / CAUD (-) angle.
        source_to_isocenter_m: distance focal spot to isocentre [m].
        isocenter_box_m: half extents of the box round the CT's centre for the isocentre [m].
        depth_m: half extent of the device's place along the beam round the isocentre [m].
        border_share: part of the open field that the middle of the device keeps from its edges.
        edge_share: part of the frames where a point of the device lies at an edge of the open
            field, so that it is often cut.
        edge_px: deviation of that point from the edge [px].
        landmark_margin_px: a landmark counts as visible this far inside the open field, so that
            the device around it is seen and not cut in half.
        least_contrast: a landmark where the device changes the signal by less than this part is
            hidden, such as behind a plate of metal.
        least_landmark_snr: a landmark that cannot be told from one a notch further in with this
            signal-to-noise ratio is hidden; `device_labels`.
        out_of_plane_deg: greatest angle between the shaft and the image plane.
        bend_deg: greatest bend by constant curvature.
        control_noise_deg: deviation of the noise on control points is drawn from 0 to this.
        negative_share: part of the frames without a device.
        device: what is shown and labelled: 'continuum', 'guidewire', or the YAML file of a device
            of your own (`own_device_file`); 'foreign_objects' shows no device and labels each
            foreign object as an instance; 'anatomy' shows none and labels structures of the CT.
        wire: a guidewire and how it lies; for that device alone.
        structures: what of the anatomy is labelled, where no device is.
        imaging: technique, imaging chain and detector.
        distractors: foreign objects.
    """

    anatomies: Mapping[str, float] = field(
        default_factory=lambda: {'chest': 0.75, 'phantoms': 0.25}
    )
    phantom_count: int = 6
    segmentations: Mapping[str, str] = field(default_factory=dict)
    materials: str = 'detailed'
    realism: str = 'realistic'
    image_px: int = 512
    frames_per_view: int = 2
    primary_deg: tuple[float, float] = (-40.0, 40.0)
    secondary_deg: tuple[float, float] = (-15.0, 15.0)
    source_to_isocenter_m: tuple[float, float] = (0.60, 0.90)
    isocenter_box_m: tuple[float, float, float] = (0.07, 0.04, 0.07)
    depth_m: float = 0.06
    border_share: float = 0.04
    edge_share: float = 0.25
    edge_px: float = 20.0
    landmark_margin_px: float = 8.0
    least_contrast: float = 0.01
    least_landmark_snr: float = ROSE_SNR
    out_of_plane_deg: float = 50.0
    bend_deg: float = 90.0
    control_noise_deg: float = 2.5
    negative_share: float = 0.25
    device: str = 'continuum'
    wire: WireSampling = field(default_factory=WireSampling)
    structures: StructureSampling = field(default_factory=StructureSampling)
    imaging: ImagingSampling = field(default_factory=ImagingSampling)
    distractors: Distractors = field(default_factory=Distractors)

    def __post_init__(self):
        for name, kind in _GROUPS.items():
            value = getattr(self, name)
            if isinstance(value, Mapping):
                object.__setattr__(self, name, _nested(kind, name, value))
        check_weights(self.anatomies)
        unused = sorted(set(self.segmentations) - set(self.anatomies))
        if unused:
            raise ValueError(
                f'segmentations must belong to anatomies {sorted(self.anatomies)}, got {unused}'
            )
        realism(self.realism)
        for name in ('phantom_count', 'frames_per_view'):
            if getattr(self, name) < 1:
                raise ValueError(f'{name} must be at least 1, got {getattr(self, name)}')
        for name in ('primary_deg', 'secondary_deg', 'source_to_isocenter_m'):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f'{name} must be (low, high), got ({low:g}, {high:g})')
        for name in ('negative_share', 'edge_share', 'border_share'):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f'{name} must be 0..1, got {getattr(self, name):g}')
        if not self.least_landmark_snr >= 0:
            raise ValueError(
                f'least_landmark_snr must be 0 or more, got {self.least_landmark_snr:g}'
            )
        if self.image_px < 64:
            raise ValueError(f'image_px must be at least 64, got {self.image_px}')

    def volume(self, anatomy: str) -> Volume:
        """Return the CT of an anatomy, with its structures where they are known."""
        return load_anatomy(anatomy, self.segmentations.get(anatomy))


def _nested(kind, name: str, values: Mapping):
    """Return a group of settings from its mapping in a file.

    Raises:
        ValueError: a key that the group does not have.
    """
    unknown = sorted(set(values) - set(kind.__dataclass_fields__))
    if unknown:
        raise ValueError(
            f'{name} has unknown settings {unknown}; allowed are {list(kind.__dataclass_fields__)}'
        )
    return kind(**values)


@dataclass(frozen=True, eq=False)
class ViewSample:
    """A C-arm view of a patient.

    Attributes:
        view: geometry and pose.
        world_from_patient: pose of the patient, shape (4, 4) [m].
        name: clinical name of the view.
        source_to_isocenter_m: distance focal spot to isocentre [m].
    """

    view: View
    world_from_patient: Array
    name: str
    source_to_isocenter_m: float


@dataclass(frozen=True, eq=False)
class DeviceSample:
    """A device in a view.

    Attributes:
        world_from_device_base: pose of the device's base, shape (4, 4) [m].
        roll: roll joint [rad]; insertion is 0.
        control_rad: control points, shape (5,) [rad].
        notch_angles: shape (n,) [rad].
        landmarks_world_m: base and tip, shape (2, 3) [m].
    """

    world_from_device_base: Array
    roll: float
    control_rad: Array
    notch_angles: Array
    landmarks_world_m: Array


def view_rng(seed: int, index: int) -> np.random.Generator:
    """Return the generator of view `index`."""
    return np.random.default_rng([seed, _VIEW_STREAM, index])


def frame_rng(seed: int, index: int) -> np.random.Generator:
    """Return the generator of frame `index`: device, objects and detector noise."""
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
    view = CArm(source_to_isocenter_m=distance).view(*joints)
    if view.geometry.shape_px != (sampling.image_px,) * 2:
        view = View(view.geometry.resized((sampling.image_px,) * 2), view.world_from_source)
    pose = make_pose(None, -isocenter)
    return ViewSample(view, pose, view_name(*joints), distance)


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


def draw_device(
    sampling: SceneSampling,
    kinematics: ContinuumKinematics,
    seen: ViewSample,
    field_px: Box,
    rng: np.random.Generator,
) -> DeviceSample:
    """Draw a device pose and shape near the isocentre's depth.

    Args:
        sampling: ranges.
        kinematics: of the device.
        seen: the view.
        field_px: open field as (top, bottom, left, right) pixel edges.
        rng: source of the device's numbers.
    """
    control, angles = draw_shape(sampling, kinematics, rng)
    roll = rng.uniform(-np.pi, np.pi)
    ends = kinematics.landmarks(angles, 0.0, roll)
    world_from_base = draw_pose(
        sampling, lambda along: ends[0] + along * (ends[1] - ends[0]), seen, field_px, rng
    )
    return DeviceSample(
        world_from_base, float(roll), control, angles, transform_points(world_from_base, ends)
    )


def draw_pose(
    sampling: SceneSampling,
    held_at: Callable[[float], Array],
    seen: ViewSample,
    field_px: Box,
    rng: np.random.Generator,
) -> Array:
    """Return a pose in `world` of a device that lies along its z axis, shape (4, 4) [m].

    Args:
        sampling: ranges.
        held_at: returns the point of the device, shape (3,) [m], that lies at a share 0 (base) ..
            1 (tip) of its length.
        seen: the view.
        field_px: open field as (top, bottom, left, right) pixel edges.
        rng: source of the pose's numbers.
    """
    limit = np.radians(sampling.out_of_plane_deg)
    turn = rotation('z', rng.uniform(-np.pi, np.pi)) @ rotation(
        'y', np.pi / 2 + rng.uniform(-limit, limit)
    )
    along, pixel = draw_place(sampling, field_px, rng)
    depth = seen.source_to_isocenter_m + rng.uniform(-sampling.depth_m, sampling.depth_m)
    ray = seen.view.geometry.back_project(pixel)
    source_from_device = make_pose(turn, ray * (depth / ray[2]) - turn @ held_at(along))
    return seen.view.world_from_source @ source_from_device


def draw_place(
    sampling: SceneSampling, field_px: Box, rng: np.random.Generator
) -> tuple[float, Array]:
    """Return a point of the chord (0 base .. 1 tip) and the pixel where it is put, (2,) [px].

    Args:
        sampling: how often and how near a device lies at an edge.
        field_px: open field as (top, bottom, left, right) [px].
        rng: source of this frame's place.
    """
    top, bottom, left, right = field_px
    low, size = np.array([left, top]) - 0.5, np.array([right - left, bottom - top])
    margin = sampling.border_share
    pixel = low + size * rng.uniform(margin, 1 - margin, 2)
    along, axis, side = (
        float(rng.choice([0.0, 1.0, 0.5])),
        int(rng.integers(2)),
        int(rng.integers(2)),
    )
    offset = rng.normal(0, sampling.edge_px)
    if rng.random() >= sampling.edge_share:
        return 0.5, pixel
    pixel[axis] = low[axis] + side * size[axis] + offset
    return along, pixel
