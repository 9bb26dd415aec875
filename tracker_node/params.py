"""Parameters of the tracker node."""

from __future__ import annotations

from dataclasses import dataclass

from synthex_ros.devices.registry import DEVICES
from synthex_ros.ros.parameters import bounded, choice, flag, numbers, text
from synthex_ros.simulation.vessel_room import VESSELS

BACKENDS = ('onnx', 'ground_truth')
MOTIONS = ('velocity', 'mixed')
FRAME_BY_FRAME = ('anatomy', 'other')
"""What `device` says where each frame is answered by itself, with whatever the model knows."""

TIME_MODES = ('real_time', 'paced', 'lockstep')


@dataclass(frozen=True)
class TrackerParams:
    """Model, device, noise, gates and frames of the tracker."""

    backend: str = choice('onnx', BACKENDS, 'who finds the device; ground_truth is a comparison')
    time_mode: str = choice('real_time', TIME_MODES, 'as the imager; lockstep reads reliably')
    device: str = choice(
        'continuum',
        (*DEVICES, *FRAME_BY_FRAME),
        'what is tracked; anatomy: structures of the patient; other: whatever the model knows',
    )
    truth_sigma_m: float = bounded(0.0, 0.0, 0.01, 'noise on ground truth, per axis [m]')
    seed: int = bounded(0, 0, 2**31 - 1, 'seed of that noise')
    model: str = text('cm_tracker_quarter', 'name in models/, or path of an ONNX file')
    threads: int = bounded(2, 1, 64, 'CPU threads of an inference')
    frame_px: int = bounded(
        512, 32, 4096, 'rows and columns of the frames, checked with the model'
    )
    frame_pitch_m: float = bounded(582e-6, 2e-5, 4e-3, 'pixel pitch of the frames [m]')

    min_score: float = bounded(0.5, 0.05, 1.0, 'lowest landmark score that counts as seen')
    max_reduced_chi2: float = bounded(10.0, 1.0, 1e3, 'largest misfit of a shape that is believed')

    device_base_pose: tuple[float, ...] = numbers(
        [0.0, 0.0, -0.06, 0.0, 0.0, 0.0], 'device base in world: x y z [m] roll pitch yaw [rad]'
    )
    device_length_m: float = bounded(0.035, 0.005, 0.5, 'notched length [m]')
    device_outer_diameter_m: float = bounded(0.006, 5e-4, 0.03, 'outer diameter [m]')
    device_inner_diameter_m: float = bounded(0.004, 1e-4, 0.03, 'lumen diameter [m]')
    device_tendon_offset_m: float = bounded(0.0025, 1e-4, 0.03, 'tendon to centre line [m]')

    tip_sigma_px: float = bounded(1.0, 0.05, 20.0, 'tip landmark, per axis, at score 1 [px]')
    centerline_sigma_px: float = bounded(0.7, 0.05, 20.0, 'lateral centre of the mask [px]')
    bend_sigma_rad: float = bounded(0.16, 0.005, 2.0, 'nominal bend by the tendons, total [rad]')
    base_position_sigma_m: float = bounded(2e-4, 1e-5, 0.02, 'known base, per axis [m]')
    base_rotation_sigma_rad: float = bounded(0.005, 1e-4, 0.3, 'known base, per axis [rad]')
    depth_sigma_m: float = bounded(
        0.004, 1e-4, 0.1, 'depth about device_base_pose where no vessels tell it [m]'
    )
    model_sigma_m: float = bounded(1e-4, 1e-5, 0.01, 'tip left open by the shape model [m]')
    base_gate_px: float = bounded(8.0, 1.0, 200.0, 'distance of seen and known base in doubt [px]')
    edge_on_rad: float = bounded(0.2618, 0.01, 1.5, 'ray to bending plane, counted as edge-on')

    device_settings: str = text('{}', 'of a guidewire, its parameters as a YAML mapping')
    line_length_m: float = bounded(
        0.085, 0.01, 0.3, 'how much of a guidewire is traced back from its tip [m]'
    )
    vessels: str = choice(
        'none', VESSELS, 'that a guidewire lies in: of the CT, of a seed, a tube'
    )
    vessel_map: str = text('', 'file of centre lines in place of vessels; see `synthex vessels`')
    vessel_pose: tuple[float, ...] = numbers(
        [0.0, 0.0, 0.0, 0.0, 0.0, 0.0], 'of vessel_map, a procedural tree or a tube in world'
    )
    vessel_seed: int = bounded(0, 0, 2**31 - 1, 'of a procedural tree')
    vessel_forks: int = bounded(4, 1, 8, 'of a procedural tree')
    vessel_radius_m: float = bounded(0.003, 2e-4, 0.03, 'of a tube [m]')
    anatomy: str = text('chest', 'CT of the vessels: chest, or the path of one')
    isocenter_patient_m: tuple[float, ...] = numbers(
        [0.0, 0.0, 0.0], 'isocentre from the middle of the CT, left posterior superior [m]'
    )

    roi_mode: bool = flag(False, 'once locked, look only at the part of the frame with the device')
    roi_full_every: int = bounded(15, 1, 1000, 'whole frame at least once in so many, roi_mode')

    motion: str = choice(
        'velocity', MOTIONS, 'how the tip moves; mixed: rests, moves on or turns, by likelihood'
    )
    acceleration_density: float = bounded(0.1, 1e-3, 10.0, 'motion of the tip [m/s^1.5]')
    gate_chi2: float = bounded(16.27, 3.0, 1e3, 'squared Mahalanobis distance, 3 dof')
    lost_after: int = bounded(3, 1, 100, 'rejected or missed frames in a row until lost')
    recover_after: int = bounded(2, 1, 100, 'agreeing frames until found again')
    lost_timeout_s: float = bounded(0.5, 0.05, 10.0, 'time without measurement until lost [s]')
    horizon_s: float = bounded(1.0, 0.1, 10.0, 'history kept for late frames [s]')

    pair_timeout_s: float = bounded(0.25, 0.01, 5.0, 'wait for the other parts of a frame [s]')
    joint_gap_s: float = bounded(
        0.1, 0.0, 2.0, 'joint state this far from the exposure will do [s]'
    )
    world_frame: str = text('world', 'frame of poses')
    source_frame: str = text('carm_source_optical', 'frame of images')
