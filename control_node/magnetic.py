"""A controller of a magnetic device from the parameters, and paths as it follows them."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import yaml
from numpy.typing import ArrayLike, NDArray

from control_node.params import ControlParams
from synthex_ros.control.delay import LoopDelay
from synthex_ros.control.frame import FrameRules
from synthex_ros.control.magnetic.build import magnetic_controller
from synthex_ros.control.magnetic.controller import MagneticController
from synthex_ros.control.magnetic.feed_settings import FeedSettings
from synthex_ros.control.magnetic.guidewire import GuidewireSettings
from synthex_ros.control.magnetic.limits import MagneticLimits
from synthex_ros.control.magnetic.lumen_path import LumenPath
from synthex_ros.control.magnetic.planner import PlannedPath, Waypoint
from synthex_ros.control.magnetic.untethered import usual_settings
from synthex_ros.control.magnetic.wire_sight import line_end
from synthex_ros.devices.magnetic.flow import VesselFlow
from synthex_ros.devices.magnetic.fluid import Fluid
from synthex_ros.devices.magnetic.guidewire_parameters import GuidewireParameters
from synthex_ros.devices.magnetic.numbers import swimmer_numbers, wire_numbers
from synthex_ros.devices.magnetic.untethered import NO_JOINTS
from synthex_ros.devices.registry import device_parameters
from synthex_ros.geometry import pose_from_parameters
from synthex_ros.ros.parameters import mapping
from synthex_ros.simulation.vessel_room import (
    RoomVessels,
    VesselSettings,
    known_vessels,
    made_vessels,
)

Array = NDArray[np.float64]

PATH_STEP_M = 1e-3
WAYPOINT_M = 0.05
LINE_M = 0.06
"""Length of wire behind the tip of which the controller gets to know the shape [m]."""


def build_magnetic_controller(params: ControlParams) -> MagneticController:
    """Return the controller of the magnetic device that the parameters describe.

    Raises:
        ValueError: the device is not magnetic, or values do not fit together.
    """
    if params.device == 'continuum':
        raise ValueError(
            'controller: magnetic needs a magnetic device; set device: guidewire, soft_robot, '
            'droplet or sphere, got continuum'
        )
    parameters = device_parameters(
        params.device, mapping(params.device_settings, 'device_settings')
    )
    common: dict[str, Any] = {
        'rules': FrameRules(params.min_score, params.max_tip_std_m, params.landmark_std_px),
        'delay': LoopDelay(None if params.loop_delay_s < 0 else params.loop_delay_s),
        'limits': MagneticLimits(params.field_max_t, params.force_max_n),
        'max_age_s': params.command_max_age_s,
    }
    if isinstance(parameters, GuidewireParameters):
        wire_vessels(params)  # read now, not when the first path comes
        pose = params.device_base_pose
        return magnetic_controller(
            params.device,
            wire_numbers(parameters),
            parameters.limits,
            world_from_base=pose_from_parameters(pose[:3], pose[3:]),
            settings=_wire_settings(params),
            **common,
        )
    return _swimmer(params, parameters, common)


def _wire_settings(params: ControlParams) -> GuidewireSettings:
    own = GuidewireSettings()
    return replace(
        own,
        field_t=params.field_t or own.field_t,
        field_max_t=max(own.field_max_t, params.field_t),
        feed=feed_settings(params),
    )


def _swimmer(params: ControlParams, parameters: Any, common: dict[str, Any]) -> MagneticController:
    own = usual_settings(params.device)
    field_t = params.field_t or own.field_t
    settings = replace(
        own,
        gain_hz=params.swim_gain_hz,
        speed_max_m_s=params.swim_speed_m_s,
        press_n=own.press_n if params.press_n < 0 else params.press_n,
        field_t=field_t,
        force_max_n=params.force_max_n,
        lead_max_rad=params.field_lead_rad,
    )
    vessels = made_vessels(vessel_settings(params))
    numbers = swimmer_numbers(
        parameters,
        field_t=field_t,
        fluid=Fluid(**mapping(params.device_fluid, 'device_fluid')),
        vessel_radius_m=np.inf if vessels is None else float(vessels.radius_m[0]),
    )
    return magnetic_controller(
        params.device,
        numbers,
        NO_JOINTS,
        settings=settings,
        field_direction=params.field_direction,
        flow=_flow(params, vessels),
        **common,
    )


def _flow(params: ControlParams, vessels: RoomVessels | None) -> VesselFlow | None:
    """Return the flow that is known beforehand, where the vessels are."""
    if vessels is None:
        return None
    flow = vessels.flow(vessel_settings(params))
    if flow is not None:
        flow.velocity_m_s(vessels.points_m[:1], 0.0)  # compiled now, not in the first answer
    return flow


def vessel_settings(params: ControlParams) -> VesselSettings:
    """Return the vessels that the controller is told of."""
    pose = params.vessel_pose
    return VesselSettings(
        params.vessels,
        pose_from_parameters(pose[:3], pose[3:]),
        params.vessel_seed,
        params.vessel_forks,
        params.vessel_radius_m,
        params.flow_m_s,
        params.flow_profile,
        params.flow_pulse_hz,
    )


@lru_cache(maxsize=4)
def wire_vessels(params: ControlParams) -> RoomVessels | None:
    """Return the vessels that a guidewire is known to lie in, in `world`; None for none.

    Raises:
        ValueError, OSError: the CT has no such vessels or cannot be read.
    """
    return known_vessels(vessel_settings(params), params.anatomy, params.isocenter_patient_m)


def feed_settings(params: ControlParams) -> FeedSettings:
    """Return how a wire is fed along paths."""
    return FeedSettings(speed_m_s=params.feed_speed_m_s)


def back_distance_m(params: ControlParams) -> float:
    """Return how far behind the tip the shape of the device is looked at [m]; 0 for not at all."""
    if params.controller != 'magnetic' or params.device != 'guidewire':
        return 0.0
    settings = mapping(params.device_settings, 'device_settings')
    return float(wire_numbers(device_parameters('guidewire', settings))['back_m'])


def line_of(line_m: Array, params: ControlParams) -> Array | None:
    """Return the end of a centre line that the controller looks at, (K, 3) [m]; None without."""
    return line_end(line_m, LINE_M) if back_distance_m(params) > 0 else None


def end_of_line(line_m: Array, length_m: float) -> Array | None:
    """Return the point `length_m` before the end of a line, and its end, shape (2, 3) [m].

    None where the line is shorter.
    """
    steps = np.linalg.norm(np.diff(line_m, axis=0), axis=1)
    arc = np.concatenate([[0.0], np.cumsum(steps)])
    if len(line_m) < 2 or arc[-1] < length_m:
        return None
    back = [np.interp(arc[-1] - length_m, arc, line_m[:, axis]) for axis in range(3)]
    return np.stack([np.array(back), line_m[-1]])


def lumen_path(points_m: ArrayLike, params: ControlParams) -> LumenPath:
    """Return a path without times as a guidewire follows it, with waypoints every 50 mm.

    Raises:
        ValueError: fewer than two points, or all in one place.
    """
    points = np.asarray(points_m, float)
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    if len(points) < 2 or not np.all(np.isfinite(points)) or steps.sum() < 2 * PATH_STEP_M:
        raise ValueError(
            f'a path through vessels needs two points at least 2 mm apart, got {len(points)}'
        )
    before = np.concatenate([[0.0], np.cumsum(steps)])
    arc = np.linspace(0, before[-1], int(np.ceil(before[-1] / PATH_STEP_M)) + 1)
    line = np.stack([np.interp(arc, before, points[:, axis]) for axis in range(3)], axis=1)
    stops = np.append(np.arange(WAYPOINT_M, arc[-1] - WAYPOINT_M / 2, WAYPOINT_M), arc[-1])
    waypoints = tuple(
        Waypoint(f'{1e3 * stop:.0f} mm', float(stop), line[np.argmin(np.abs(arc - stop))])
        for stop in stops
    )
    radius = path_radii_m(params, line)
    path = PlannedPath(line, arc, radius, radius, ('',) * len(arc), waypoints)
    vessels = wire_vessels(params)
    lumen = None if vessels is None else vessels.lumen
    return LumenPath(path, feed_settings(params), params.path_mode, lumen)


def path_radii_m(params: ControlParams, line_m: Array) -> Array:
    """Return what is known of the radius of the vessel along a line, shape (N,) [m]; else NaN.

    Raises:
        ValueError: `path_radii_m` is not a list of positive numbers.
    """
    given = yaml.safe_load(params.path_radii_m) or []
    try:
        radii = np.asarray(given, float)
    except (TypeError, ValueError):
        radii = np.full(1, np.nan)
    if radii.ndim != 1 or not np.all((radii > 0) & (radii < 0.1)):
        raise ValueError(
            'path_radii_m must be a YAML list of radii in metres, '
            f'got {params.path_radii_m[:60]!r}'
        )
    share = np.linspace(0, 1, len(line_m))
    if len(radii):
        return np.interp(share, np.linspace(0, 1, len(radii)), radii)
    vessels = wire_vessels(params)
    if vessels is None:
        return np.full(len(line_m), np.nan)
    away = np.linalg.norm(line_m[:, None] - vessels.points_m[None], axis=2)
    return vessels.radius_m[np.argmin(away, axis=1)]
