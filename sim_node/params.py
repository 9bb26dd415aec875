"""Parameters of the simulator node."""

from __future__ import annotations

from dataclasses import dataclass

from synthex_ros.devices.registry import DEVICES
from synthex_ros.ros.parameters import bounded, choice, flag, numbers, text
from synthex_ros.simulation.vessel_room import VESSELS
from synthex_ros.xray.cuda.compute import COMPUTE

TIME_MODES = ('real_time', 'paced', 'lockstep')


@dataclass(frozen=True)
class SimParams:
    """Imager, device, patient and time of the simulation."""

    time_mode: str = choice('real_time', TIME_MODES, 'clock: wall, simulated at a speed, waiting')
    speed_factor: float = bounded(1.0, 0.05, 20.0, 'paced: simulated seconds per second')
    start_time_s: float = bounded(1.0, 0.001, 1e9, 'simulated time at start [s]')
    end_time_s: float = bounded(0.0, 0.0, 1e9, 'simulated time at which to pause; 0 is never [s]')
    answer_timeout_s: float = bounded(5.0, 0.1, 600.0, 'lockstep: longest wait for a command [s]')
    first_answer_timeout_s: float = bounded(
        30.0, 0.1, 600.0, 'lockstep: the same for the first frame [s]'
    )
    answer_policy: str = choice('hold', ('hold', 'fail'), 'lockstep: what to do without an answer')
    start_paused: bool = flag(False, 'wait for sim/pause false before the first frame')
    wait_for_subscribers: int = bounded(0, 0, 20, 'subscribers of carm/image_raw to wait for')
    seed: int = bounded(0, 0, 2**31 - 1, 'seed of noise, faults and device variation')

    anatomy: str = text('chest', 'chest, head, phantom, vessel_phantom, or the path of a CT')
    isocenter_patient_m: tuple[float, ...] = numbers(
        [0.0, 0.0, 0.0], 'isocentre from the middle of the CT, left posterior superior [m]'
    )
    anatomy_px: int = bounded(280, 32, 1536, 'rows and columns at which the anatomy is projected')
    compute: str = choice('cpu', COMPUTE, 'where the anatomy is projected; cuda needs a GPU')
    materials: str = choice(
        'standard', ('standard', 'detailed'), 'tissues of the CT: four, or six with contrast agent'
    )
    breathing_amplitude_m: float = bounded(0.0, 0.0, 0.05, 'motion of the anatomy; 0 is off [m]')
    breathing_period_s: float = bounded(4.0, 1.0, 20.0, 'length of a breath [s]')
    breathing_model: str = choice(
        'rigid', ('rigid', 'deformable'), 'deformable: diaphragm and ribs move, spine rests'
    )
    heartbeat_amplitude_m: float = bounded(
        0.0, 0.0, 0.01, 'inward motion of the heart, deformable only; 0 is off [m]'
    )
    heart_rate_hz: float = bounded(1.1, 0.3, 4.0, 'heartbeats a second [Hz]')

    frame_rate_hz: float = bounded(15.0, 1.0, 30.0, 'X-ray pulse rate [Hz]')
    beam_on: bool = flag(True, 'beam at start')
    tube_voltage_kv: float = bounded(80.0, 40.0, 150.0, 'tube voltage [kV]')
    charge_mas: float = bounded(0.1, 0.0001, 50.0, 'charge of a pulse [mAs]')
    pulse_length_s: float = bounded(0.008, 0.0005, 0.1, 'length of a pulse [s]')
    filtration_al_mm: float = bounded(3.0, 0.0, 20.0, 'aluminium in the beam [mm]')
    filtration_cu_mm: float = bounded(0.1, 0.0, 3.0, 'copper in the beam [mm]')
    detector_kerma_gy: float = bounded(
        0.0, 0.0, 1e-3, 'exposure control: air kerma a pulse at the detector; 0 is off [Gy]'
    )
    collimator: tuple[float, ...] = numbers(
        [0.0, 1.0, 0.0, 1.0], 'open field: top, bottom, left, right as parts of the image'
    )
    imaging_chain: str = choice(
        'ideal', ('ideal', 'full'), 'full: heel effect, scatter, focal spot and lag as well'
    )
    grid: str = choice(
        'none', ('none', 'focused'), 'anti-scatter grid of the full chain; focused is 10:1'
    )
    panel_seed: int = bounded(
        -1, -1, 2**31 - 1, 'number of a panel with uneven and dead pixels; -1 is an even one'
    )
    image_intensifier: bool = flag(False, 'image intensifier instead of a flat panel')
    intensifier_pincushion_percent: float = bounded(
        5.0, 0.0, 30.0, 'edge of its field too far out, part of the radius [%]'
    )
    intensifier_s_distortion_deg: float = bounded(0.0, -20.0, 20.0, 'turn of its edge [deg]')
    intensifier_vignetting_percent: float = bounded(15.0, 0.0, 90.0, 'light lost at its edge [%]')
    intensifier_glare_percent: float = bounded(
        10.0, 0.0, 50.0, 'its veiling glare, part of the light [%]'
    )
    intensifier_glare_reach_m: float = bounded(
        0.025, 1e-3, 0.1, 'mean way of light scattered in it [m]'
    )
    realism: str = choice(
        'realistic', ('realistic', 'heuristic', 'naive'), 'simpler ones leave physics out'
    )
    frame_threads: int = bounded(1, 0, 64, 'threads that render a frame; 0 is all cores')
    latency_s: float = bounded(0.0, 0.0, 2.0, 'delay from exposure to delivery [s]')
    jitter_s: float = bounded(0.0, 0.0, 1.0, 'standard deviation of a half-normal extra delay [s]')
    drop_rate: float = bounded(0.0, 0.0, 1.0, 'share of frames lost')

    source_to_detector_m: float = bounded(1.020, 0.9, 1.2, 'focal spot to detector [m]')
    source_to_isocenter_m: float = bounded(0.700, 0.3, 1.0, 'focal spot to isocentre [m]')
    detector_px: int = bounded(1536, 64, 4096, 'rows and columns of the unbinned detector')
    pixel_pitch_m: float = bounded(194e-6, 2e-5, 1e-2, 'pitch of the unbinned detector [m]')
    binning: int = bounded(3, 1, 12, 'pixels joined per side')
    orbital_rad: float = bounded(0.0, -1.92, 1.92, 'C-arm at start, positive to LAO [rad]')
    angulation_rad: float = bounded(0.0, -0.79, 0.79, 'C-arm at start, positive to CRAN [rad]')

    device: str = choice('continuum', tuple(DEVICES), 'what is moved under the beam')
    device_settings: str = text('{}', 'of a magnetic device, its parameters as a YAML mapping')
    device_fluid: str = text('{}', 'round a device without tether, as a YAML mapping')
    device_base_pose: tuple[float, ...] = numbers(
        [0.0, 0.0, -0.06, 0.0, 0.0, 0.0], 'device base in world: x y z [m] roll pitch yaw [rad]'
    )
    device_start: tuple[float, ...] = numbers(
        [0.03, 0.0, 0.0, 0.0], 'joints at start: insertion [m] roll [rad] tendon_1 tendon_2 [m]'
    )
    device_length_m: float = bounded(0.035, 0.005, 0.5, 'notched length [m]')
    device_outer_diameter_m: float = bounded(0.006, 5e-4, 0.03, 'outer diameter [m]')
    device_inner_diameter_m: float = bounded(0.004, 1e-4, 0.03, 'lumen diameter [m]')
    device_tendon_offset_m: float = bounded(0.0025, 1e-4, 0.03, 'tendon to centre line [m]')
    device_backlash_m: float = bounded(0.00015, 0.0, 0.005, 'half width of the tendon play [m]')
    device_stiffness_variation: float = bounded(0.1, 0.0, 0.3, 'relative, from notch to notch')

    vessels: str = choice('none', VESSELS, 'round a magnetic device: of the CT, of a seed, a tube')
    vessel_pose: tuple[float, ...] = numbers(
        [0.0, 0.0, 0.0, 0.0, 0.0, 0.0], 'entry of a procedural tree or tube, +z inwards'
    )
    vessel_seed: int = bounded(0, 0, 2**31 - 1, 'of a procedural tree')
    vessel_forks: int = bounded(4, 1, 8, 'of a procedural tree')
    vessel_radius_m: float = bounded(0.003, 2e-4, 0.03, 'of a tube [m]')
    vessel_contrast_hu: float = bounded(150.0, 0.0, 3000.0, 'in the vessels of a vessel_phantom')
    flow_m_s: float = bounded(0.0, -1.0, 1.0, 'mean speed of blood, away from the root [m/s]')
    flow_profile: str = choice('poiseuille', ('poiseuille', 'plug'), 'speed across a vessel')
    flow_pulse_hz: float = bounded(0.0, 0.0, 4.0, 'heartbeats of the flow; 0 is steady [Hz]')

    field_source: str = text('navion_like', 'coils by calibration name or file, or arm')
    field_source_pose: tuple[float, ...] = numbers(
        [0.0, 0.0, 0.0, 1.5707963267948966, 0.0, 0.0], 'coils or arm in world, their z upwards'
    )
    arm_keep_out_m: tuple[float, ...] = numbers(
        [0.22, 0.35, 0.12], 'half sizes of the box the arm stays out of, in its frame', low=0.01
    )
    force_max_n: float = bounded(0.01, 1e-7, 1.0, 'largest magnetic force commanded [N]')
    wall_force_max_n: float = bounded(0.7, 1e-5, 10.0, 'on the wall; above it no feeding on [N]')
    coil_gain_error: float = bounded(0.0, 0.0, 0.5, 'deviation of the field of a coil, relative')
    lost_coil: str = text('', 'name of a coil that makes no field; empty is none')

    device_enabled: bool = flag(True, 'energised at start')
    command_timeout_s: float = bounded(
        0.25, 0.05, 5.0, 'silence after which the device is held [s]'
    )
    command_max_age_s: float = bounded(0.5, 0.05, 5.0, 'oldest command that is followed [s]')
    joint_state_rate_hz: float = bounded(
        50.0, 1.0, 200.0, 'rate of device/measured_js, not in lockstep [Hz]'
    )

    world_frame: str = text('world', 'frame of poses')
    source_frame: str = text('carm_source_optical', 'frame of images')
