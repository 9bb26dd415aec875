"""From the node's parameters to a controller."""

from __future__ import annotations

import numpy as np

from control_node.params import ControlParams
from synthex_ros.control.controller import Controller
from synthex_ros.control.delay import LoopDelay
from synthex_ros.control.frame import FrameRules
from synthex_ros.control.guard import CommandGuard
from synthex_ros.control.reference import TeleopGoal
from synthex_ros.control.servo import Servo, ServoSettings
from synthex_ros.control.tip_model import JOINT_NAMES, TipModel
from synthex_ros.devices.continuum.kinematics import ContinuumKinematics
from synthex_ros.devices.continuum.parameters import ContinuumParameters
from synthex_ros.devices.registry import device_kind
from synthex_ros.geometry import pose_from_parameters
from synthex_ros.joints import JointLimits


def build_controller(params: ControlParams) -> Controller:
    """Return the controller that the parameters describe.

    Raises:
        ValueError: values that are fine one by one but not together.
    """
    if params.device != 'continuum':
        raise ValueError(
            f'controller: continuum steers device: continuum, got {params.device}; '
            'set controller: magnetic'
        )
    limits = JointLimits(
        JOINT_NAMES,
        np.array(params.joint_lower),
        np.array(params.joint_upper),
        np.array(params.joint_rate),
    )
    device = ContinuumParameters(
        length_m=params.device_length_m, tendon_offset_m=params.device_tendon_offset_m
    )
    pose = params.device_base_pose
    model = TipModel(
        ContinuumKinematics(device),
        pose_from_parameters(pose[:3], pose[3:]),
        params.co_contraction_m,
    )
    settings = ServoSettings(
        gain_hz=params.gain_hz,
        delay_gain=params.delay_gain,
        backlash_m=params.backlash_m,
        bend_dead_band_m=params.bend_dead_band_m,
        actuator_lag_s=params.actuator_lag_s,
        reach_tolerance_m=params.reach_tolerance_m,
        home_roll_rad=params.home_roll_rad,
        compensate_delay=params.compensate_delay,
        adapt=params.adapt_jacobian,
    )
    rules = FrameRules(params.min_score, params.max_tip_std_m, params.landmark_std_px)
    guard = CommandGuard(limits, max_age_s=params.command_max_age_s)
    delay = LoopDelay(None if params.loop_delay_s < 0 else params.loop_delay_s)
    return Controller(Servo(model, limits, settings), limits, rules, guard, delay)


def device_names(params: ControlParams) -> tuple[tuple[str, ...], int]:
    """Return the joint names of the device and the id of its tip among the landmarks."""
    kind = device_kind(params.device)
    tip = params.tip_landmark
    return kind.joint_names, len(kind.landmark_names) - 1 if tip < 0 else tip


def steered_landmarks(params: ControlParams) -> tuple[int, ...]:
    """Return the ids of the landmarks in the middle of which is what a goal is about."""
    kind = device_kind(params.device)
    if kind.in_fluid and params.tip_landmark < 0:
        return tuple(range(len(kind.landmark_names)))
    return (device_names(params)[1],)


def teleop_goal(params: ControlParams) -> TeleopGoal:
    """Return a new goal that a hand moves."""
    return TeleopGoal(params.teleop_timeout_s, params.teleop_max_speed_m_s, params.teleop_leash_m)
