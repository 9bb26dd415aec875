"""From the node's parameters to a tracker; everything is checked here, before activation."""

from __future__ import annotations

from pathlib import Path

from synthex_ros import resources
from synthex_ros.devices.continuum.kinematics import ContinuumKinematics
from synthex_ros.devices.continuum.parameters import ContinuumParameters
from synthex_ros.devices.registry import device_parameters
from synthex_ros.geometry import ProjectionGeometry, pose_from_parameters
from synthex_ros.ros.parameters import mapping
from synthex_ros.tracking.detector import DetectorModel
from synthex_ros.tracking.filter import FilterSettings, PointFilter
from synthex_ros.tracking.known_length import KnownEnd
from synthex_ros.tracking.mixed_motion import MixedMotion
from synthex_ros.tracking.model import ModelMismatch, TrackerModel
from synthex_ros.tracking.motion import Motion, WhiteAcceleration
from synthex_ros.tracking.pipeline import Gates, TipTracker
from synthex_ros.tracking.pitched_detector import PitchedDetector
from synthex_ros.tracking.region import RegionChooser, RegionSettings
from synthex_ros.tracking.route_depth import RouteDepth
from synthex_ros.tracking.shape import ShapeFitter
from synthex_ros.tracking.shape_prior import ShapeSettings
from synthex_ros.tracking.wire_depth import PlaneDepth
from synthex_ros.tracking.wire_tracker import WireSettings, WireTracker
from tracker_node.params import FRAME_BY_FRAME, TrackerParams
from tracker_node.vessels import known_routes

TRACKED = {
    'continuum': (('continuum_manipulator',), ('base', 'tip')),
    'guidewire': (('guidewire',), ('marker', 'tip')),
    **dict.fromkeys(FRAME_BY_FRAME, ((), ())),
}
"""Classes and landmarks that a tracker model must know for each device; none: any will do."""

DETECTED = {'sphere': 'sphere', 'droplet': 'sphere', 'soft_robot': 'soft_robot'}
"""Class of a detector for each device without tether; a droplet is all but a sphere."""

# The tip of a wire, two pixels wide, scores lower than that of a tube.
_WIRE_REGION_SCORE = 0.65

# How the uncertainty of the total bend is shared: common to all notches, falling off, uneven.
_GRADIENT_PART = 0.65
_WAVINESS_PART = 0.33


def load_model(params: TrackerParams) -> TrackerModel:
    """Return the model of the parameters, checked against the frames that are expected.

    Raises:
        FileNotFoundError: no such model.
        ModelMismatch: it does not fit the device or the frames.
    """
    model = TrackerModel(_path(params), params.threads)
    model.require(*TRACKED[params.device])
    if params.roi_mode:
        model.require_regions()
    pitch, size = params.frame_pitch_m, params.frame_px
    middle = (size - 1) / 2
    # Distance and centre play no part in the check, size and pitch do.
    model.check_frame(ProjectionGeometry(1.0, (pitch, pitch), (middle, middle), (size, size)))
    return model


def load_detector(params: TrackerParams) -> tuple[PitchedDetector, str]:
    """Return the detector of a device without tether, and the name of the device's class.

    Raises:
        FileNotFoundError: no such model.
        ModelMismatch: it does not fit the device or the frames.
    """
    model, name = DetectorModel(_path(params), params.threads), DETECTED[params.device]
    if name not in model.metadata.classes:
        raise ModelMismatch(
            f'{model.path.name} finds {", ".join(model.metadata.classes[1:])}; a {params.device} '
            f'needs the class {name!r}; set tracker_node model, such as tiny_detector'
        )
    try:
        return PitchedDetector(model, params.frame_pitch_m), name
    except ValueError as error:
        raise ModelMismatch(str(error)) from error


def _path(params: TrackerParams) -> Path:
    name = params.model if Path(params.model).suffix else f'{params.model}.onnx'
    return resources.find('models', name)


def build_kinematics(params: TrackerParams) -> ContinuumKinematics:
    """Return the kinematics of the device in the parameters."""
    return ContinuumKinematics(
        ContinuumParameters(
            length_m=params.device_length_m,
            outer_diameter_m=params.device_outer_diameter_m,
            inner_diameter_m=params.device_inner_diameter_m,
            tendon_offset_m=params.device_tendon_offset_m,
        )
    )


def build_tracker(
    params: TrackerParams, model: TrackerModel, kinematics: ContinuumKinematics
) -> TipTracker:
    """Return the tracker of the parameters."""
    per_notch = params.bend_sigma_rad / kinematics.parameters.notch_count
    shape = ShapeSettings(
        tip_sigma_px=params.tip_sigma_px,
        centerline_sigma_px=params.centerline_sigma_px,
        tube_radius_m=params.device_outer_diameter_m / 2,
        common_sigma_rad=per_notch,
        gradient_sigma_rad=_GRADIENT_PART * per_notch,
        waviness_sigma_rad=_WAVINESS_PART * per_notch,
        base_position_sigma_m=params.base_position_sigma_m,
        base_rotation_sigma_rad=params.base_rotation_sigma_rad,
        model_sigma_m=params.model_sigma_m,
        base_gate_px=params.base_gate_px,
        edge_on_rad=params.edge_on_rad,
    )
    return TipTracker(
        model,
        ShapeFitter(kinematics, shape),
        build_filter(params),
        Gates(params.min_score, params.max_reduced_chi2),
        regions=build_regions(params),
    )


def build_wire_tracker(params: TrackerParams, model: TrackerModel) -> tuple[WireTracker, float]:
    """Return the tracker of a guidewire, and its length beyond the entry at insertion 0 [m].

    Raises:
        ValueError, OSError: its settings are wrong, or the vessels cannot be read or do not begin
            at `device_base_pose`.
    """
    given = mapping(params.device_settings, 'device_settings')
    wire = device_parameters('guidewire', given)
    pose = params.device_base_pose
    entry = pose_from_parameters(pose[:3], pose[3:])
    routes = known_routes(params)
    depth = RouteDepth(routes) if routes else PlaneDepth(entry, params.depth_sigma_m)
    tracker = WireTracker(
        model,
        depth,
        entry[:3, 3],
        build_filter(params),
        WireSettings(params.min_score, params.tip_sigma_px, params.line_length_m),
        regions=build_regions(params, _WIRE_REGION_SCORE),
        end=KnownEnd(wire.flexible_end_m - wire.marker_length_m / 2),
    )
    return tracker, float(wire.parked_m)


def build_filter(params: TrackerParams) -> PointFilter:
    """Return the filter of the tip."""
    rules = FilterSettings(
        gate_chi2=params.gate_chi2,
        lost_after=params.lost_after,
        recover_after=params.recover_after,
        lost_timeout_s=params.lost_timeout_s,
        horizon_s=params.horizon_s,
    )
    return PointFilter(rules, build_motion(params))


def build_regions(params: TrackerParams, min_score: float = 0.8) -> RegionChooser | None:
    """Return which parts of frames are looked at, None for whole frames.

    Args:
        params: whether, and how often the whole frame all the same.
        min_score: landmarks below it in a part have the whole frame looked at.
    """
    if not params.roi_mode:
        return None
    min_score = max(min_score, params.min_score)
    return RegionChooser(RegionSettings(full_every=params.roi_full_every, min_score=min_score))


def build_motion(params: TrackerParams) -> Motion:
    """Return how the tip is taken to move."""
    if params.motion == 'mixed':
        return MixedMotion()
    return WhiteAcceleration(params.acceleration_density)
