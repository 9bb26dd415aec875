"""Parameters of the controller node."""

from __future__ import annotations

from dataclasses import dataclass

from synthex_ros.devices.registry import DEVICES
from synthex_ros.ros.parameters import bounded, choice, flag, numbers, text
from synthex_ros.simulation.vessel_room import VESSELS

CONTROLLERS = ('continuum', 'magnetic')
TIME_MODES = ('real_time', 'paced', 'lockstep')


@dataclass(frozen=True)
class ControlParams:
    """Servo, limits, guard and goals of the controller."""

    time_mode: str = choice('real_time', TIME_MODES, 'as the imager; in lockstep time waits')
    world_frame: str = text('world', 'frame of goals and poses')
    controller: str = choice('continuum', CONTROLLERS, 'family of the device that is steered')
    device: str = choice('continuum', tuple(DEVICES), 'device that is steered')
    tip_landmark: int = bounded(
        -1, -1, 63, 'id of the tip; -1 is the last, of a device without tether the middle of all'
    )

    device_base_pose: tuple[float, ...] = numbers(
        [0.0, 0.0, -0.06, 0.0, 0.0, 0.0], 'device base in world: x y z [m] roll pitch yaw [rad]'
    )
    device_length_m: float = bounded(0.035, 0.005, 0.5, 'notched length')
    device_tendon_offset_m: float = bounded(0.0025, 1e-4, 0.03, 'tendon to centre line')
    joint_lower: tuple[float, ...] = numbers(
        [0.0, -3.141592653589793, -0.005, -0.005], 'insertion [m] roll [rad] tendon_1 tendon_2 [m]'
    )
    joint_upper: tuple[float, ...] = numbers(
        [0.060, 3.141592653589793, 0.005, 0.005], 'insertion [m] roll [rad] tendon_1 tendon_2 [m]'
    )
    joint_rate: tuple[float, ...] = numbers(
        [0.020, 1.5, 0.004, 0.004], 'highest speeds [m/s, rad/s]', low=1e-5, high=50.0
    )
    home_roll_rad: float = bounded(0.0, -3.15, 3.15, 'roll to stay near')
    co_contraction_m: float = bounded(0.0, 0.0, 0.002, 'common pull of both tendons')

    gain_hz: float = bounded(4.0, 0.1, 20.0, 'rate of approach to a goal [1/s]')
    delay_gain: float = bounded(0.5, 0.05, 1.2, 'highest product of gain and loop delay')
    loop_delay_s: float = bounded(-1.0, -1.0, 2.0, 'exposure to command; -1 measures it')
    compensate_delay: bool = flag(True, 'count in the commands sent since the exposure')
    actuator_lag_s: float = bounded(0.02, 0.0, 0.5, 'time by which the tip trails the joints')
    backlash_m: float = bounded(0.00015, 0.0, 0.002, 'half width of tendon play to drive through')
    bend_dead_band_m: float = bounded(2e-5, 0.0, 0.001, 'difference of tendon pull to leave alone')
    adapt_jacobian: bool = flag(True, 'correct the model Jacobian on line')
    reach_tolerance_m: float = bounded(0.005, 0.0005, 0.1, 'miss at which a goal is out of reach')

    min_score: float = bounded(0.5, 0.0, 1.0, 'lowest landmark score to act on')
    landmark_std_px: float = bounded(1.0, 0.05, 20.0, 'deviation of a landmark with score 1')
    max_tip_std_m: float = bounded(0.003, 0.0002, 0.05, 'largest tip deviation across the ray')

    path_speed_m_s: float = bounded(0.002, 1e-5, 0.05, 'speed on paths without times')
    path_start_tolerance_m: float = bounded(0.001, 1e-4, 0.02, 'start reached, path may begin')
    path_jump_speed_m_s: float = bounded(0.02, 1e-4, 1.0, 'timed segments above it are jumps')
    hold_at_start: bool = flag(False, 'stay where first seen until there is a goal')
    teleop_timeout_s: float = bounded(0.3, 0.05, 5.0, 'age at which a velocity no longer counts')
    teleop_max_speed_m_s: float = bounded(0.02, 1e-4, 0.1, 'highest speed of the reference')
    teleop_leash_m: float = bounded(0.005, 5e-4, 0.05, 'how far the reference may run ahead')

    joy_axis_x: int = bounded(0, 0, 31, 'axis of control/joy that moves along world x')
    joy_axis_y: int = bounded(1, 0, 31, 'axis of control/joy that moves along world y')
    joy_axis_z: int = bounded(4, 0, 31, 'axis of control/joy that moves along world z')
    joy_button_hold: int = bounded(4, 0, 31, 'button that has to be held to move')
    joy_button_fine: int = bounded(5, 0, 31, 'button for small steps')
    joy_fine_share: float = bounded(0.2, 0.01, 1.0, 'speed of small steps, of the highest')

    device_settings: str = text('{}', 'of a magnetic device, its parameters as a YAML mapping')
    device_fluid: str = text('{}', 'round a device without tether, as a YAML mapping')
    vessels: str = choice(
        'none', VESSELS, 'that are known to the controller: of the CT, of a seed, a tube'
    )
    anatomy: str = text('chest', 'CT of the vessels: chest, or the path of one')
    isocenter_patient_m: tuple[float, ...] = numbers(
        [0.0, 0.0, 0.0], 'isocentre from the middle of the CT, left posterior superior [m]'
    )
    vessel_pose: tuple[float, ...] = numbers(
        [0.0, 0.0, 0.0, 0.0, 0.0, 0.0], 'entry of a procedural tree or tube, +z inwards'
    )
    vessel_seed: int = bounded(0, 0, 2**31 - 1, 'of a procedural tree')
    vessel_forks: int = bounded(4, 1, 8, 'of a procedural tree')
    vessel_radius_m: float = bounded(0.003, 2e-4, 0.03, 'of a tube [m]')
    flow_m_s: float = bounded(0.0, -1.0, 1.0, 'what is known of the speed of blood [m/s]')
    flow_profile: str = choice('poiseuille', ('poiseuille', 'plug'), 'speed across a vessel')
    flow_pulse_hz: float = bounded(0.0, 0.0, 4.0, 'heartbeats of the flow; 0 is steady [Hz]')
    field_t: float = bounded(0.0, 0.0, 0.2, 'strength of the field; 0 is that of the law [T]')
    field_max_t: float = bounded(0.05, 1e-3, 0.2, 'strongest field commanded [T]')
    field_direction: tuple[float, ...] = numbers(
        [0.0, 0.0, 1.0], 'of the field round a device without tether'
    )
    field_lead_rad: float = bounded(
        0.0, 0.0, 1.5, 'how far a rolling field is ahead of the field made; 0 does not look [rad]'
    )
    force_max_n: float = bounded(1e-3, 1e-7, 1.0, 'largest magnetic force commanded [N]')
    swim_gain_hz: float = bounded(2.5, 0.1, 20.0, 'rate of approach of a device without tether')
    swim_speed_m_s: float = bounded(0.02, 1e-4, 1.0, 'its highest speed [m/s]')
    press_n: float = bounded(
        -1.0, -1.0, 0.01, 'force that keeps it on the wall; negative is that of the law [N]'
    )
    feed_speed_m_s: float = bounded(0.012, 1e-4, 0.03, 'speed of a wire on paths without times')
    path_radii_m: str = text(
        '[]', 'of the vessel at even steps along paths without times, as a YAML list [m]'
    )
    path_mode: str = choice(
        'automatic', ('automatic', 'confirm'), 'confirm: wait at waypoints for control/confirm'
    )

    stale_after_s: float = bounded(0.5, 0.1, 10.0, 'time without usable frame until the hold')
    command_max_age_s: float = bounded(0.5, 0.05, 5.0, 'oldest frame to send a motion for')
    pair_timeout_s: float = bounded(0.25, 0.01, 5.0, 'wait for the other parts of a frame')
