"""Magnetic devices with their drives: fields arrive, limits hold, silence takes the field away."""

import numpy as np
import pytest

from sim_node.params import SimParams
from sim_node.settings import room_settings
from synthex_ros.control.magnetic.field_guard import FieldCommand
from synthex_ros.devices.magnetic.even_field import EvenField
from synthex_ros.devices.magnetic.placed_source import PlacedSource
from synthex_ros.geometry import pose_from_parameters
from synthex_ros.magnetics import gradient_matrix
from synthex_ros.simulation.build import build_room
from synthex_ros.simulation.magnetic_room import build_magnetic

SMALL = {
    'anatomy': 'vessel_phantom',
    'anatomy_px': 64,
    'detector_px': 256,
    'pixel_pitch_m': 0.4e-3,
    'binning': 1,
    'vessels': 'tube',
    'vessel_pose': (0.0, 0.0, -0.03, 0.0, 0.0, 0.0),
    'vessel_radius_m': 0.005,
    'device_base_pose': (0.0, 0.0, -0.02, 0.0, 0.0, 0.0),
    'device_start': (0.005, 0.0, 0.0, 0.0),
}


def settings(**changes):
    return room_settings(SimParams(**{**SMALL, **changes}))


def driven(**changes):
    """Return the device of the settings, in the tube, without its room."""
    from synthex_ros.simulation.vessel_room import made_vessels

    wanted = settings(**changes)
    vessels = made_vessels(wanted.magnetic.vessels)
    return build_magnetic(
        wanted.magnetic, vessels, wanted.world_from_device_base, 0.5, True, wanted.seed
    )


def command(field_t, point_m=(0, 0, 0), force_n=None, stamp_s=10.0, frame='world'):
    return FieldCommand(frame, field_t, point_m, force_n, stamp_s)


def field_at(device, point_m=(0, 0, 0)):
    return device.drive.source.field_t(np.array([point_m], float))[0]


@pytest.mark.parametrize('source', ['navion_like', 'octomag_like', 'cardiomag_like'])
def test_coils_make_the_commanded_field_in_world_axes(source):
    device = driven(device='sphere', field_source=source)
    wanted = np.array([0.004, -0.006, 0.003])
    assert device.servo_field(command(wanted), 10.0) is None
    for _ in range(100):
        device.step(0.01)
    assert np.allclose(field_at(device), wanted, atol=2e-4)
    assert np.allclose(device.drive.modelled_field_t(np.zeros(3)), wanted, atol=2e-4)


def test_a_turned_source_keeps_field_and_gradient_together():
    """The force on a moment does not care in which axes it is computed."""
    pose = pose_from_parameters((0.1, -0.2, 0.05), (0.4, -0.9, 1.3))
    field, gradient = np.array([0.01, 0.02, -0.005]), np.array([0.3, -0.1, 0.2, 0.15, 0.4])
    placed = PlacedSource(EvenField(field, gradient), pose)
    seen, components = placed.field_and_gradient(np.zeros((1, 3)))
    moment = np.array([1e-4, -2e-4, 3e-4])
    own = gradient_matrix(gradient) @ placed.to_source(moment)
    assert np.allclose(gradient_matrix(components[0]) @ moment, placed.to_world(own))
    assert np.allclose(placed.to_source(seen[0]), field)


def test_magnet_on_the_arm_makes_a_field_and_retreats():
    device = driven(device='soft_robot', field_source='arm', arm_keep_out_m=(0.05, 0.05, 0.05))
    wanted = np.array([0.0, 0.0, 0.004])
    stamp = 10.0
    for _ in range(60):
        stamp += 0.1
        assert device.servo_field(command(wanted, stamp_s=stamp), stamp) is None
        device.step(0.1)
    made = field_at(device)
    assert np.linalg.norm(made - wanted) < 0.2 * np.linalg.norm(wanted)
    assert device.drive.plant.state.clearance_m >= 0
    assert device.trouble == ''
    device.make_safe()
    assert device.report()['allocation'] == 'no field'
    device.step(4.0)
    assert np.linalg.norm(field_at(device)) < 0.3 * np.linalg.norm(made)
    assert device.drive.plant.state.clearance_m >= 0


def test_magnet_on_the_arm_turns_without_end_and_says_where_it_cannot_follow():
    device = driven(device='soft_robot', field_source='arm', arm_keep_out_m=(0.05, 0.05, 0.05))
    stamp, turns, misses = 10.0, 0.0, []
    for k in range(280):
        stamp += 0.05
        turns += 1.5 * 0.05 if k > 80 else 0.0  # rad, after the approach
        wanted = 1.5e-3 * np.array([0.0, np.cos(turns), np.sin(turns)])
        assert device.servo_field(command(wanted, stamp_s=stamp), stamp) is None
        device.step(0.05)
        misses.append(np.linalg.norm(field_at(device) - wanted))
    assert turns > 2 * np.pi
    assert max(misses[80:]) < 0.5e-3
    assert device.trouble == ''
    weak, strong = np.array([0.0, 1e-3, 0.0]), np.array([0.0, 0.045, 0.0])
    for wanted in (weak, strong):
        stamp += 0.05
        assert device.servo_field(command(wanted, stamp_s=stamp), stamp) is None
        device.step(0.05)
    assert device.trouble.startswith('magnet: field missed')


@pytest.mark.parametrize(
    ('bad', 'now_s', 'words', 'kind'),
    [
        (command((np.nan, 0, 0)), 10.0, 'not finite', 'not_finite'),
        (command((0.01, 0, 0), frame='camera'), 10.0, "must be in frame 'world'", 'names'),
        (command((0.01, 0, 0)), 11.0, 'old, limit', 'stamp_stale'),
        (command((0.2, 0, 0)), 10.0, 'field is 0.2 T, limit 0.05', 'field_limit'),
        (command((0.01, 0, 0), force_n=(0, 0, 1)), 10.0, 'force is 1 N', 'force_limit'),
        (command((0.01, 0, 0), (0.5, 0, 0)), 10.0, 'from the middle', 'point_limit'),
        (command((0.01, 0, 0), stamp_s=9.0), 9.0, 'before the last', 'stamp_order'),
    ],
)
def test_bad_commands_are_refused_counted_and_leave_the_field(bad, now_s, words, kind):
    device = driven(device='sphere')
    assert device.servo_field(command((0.005, 0, 0), stamp_s=9.9), 9.9) is None
    device.step(0.3)
    before = field_at(device)
    assert words in device.servo_field(bad, now_s)
    assert device.rejections == {kind: 1}
    device.step(0.3)
    assert np.allclose(field_at(device), before, atol=2e-5)


def test_no_field_while_disabled_faulted_or_made_safe():
    device = driven(device='sphere')
    for stop in (device.make_safe, lambda: device.enable(False), lambda: device.trip('test')):
        device.enable(True)
        device.acknowledge()
        device.reset()
        assert device.servo_field(command((0.01, 0, 0)), 10.0) is None
        device.step(0.5)
        assert np.linalg.norm(field_at(device)) > 5e-3
        stop()
        device.step(1.0)
        assert np.linalg.norm(field_at(device)) < 5e-5
    assert 'faulted' in device.servo_field(command((0.01, 0, 0)), 10.0)


def test_lost_coil_is_found_and_done_without():
    device = driven(device='droplet', field_source='octomag_like', lost_coil='coil_3')
    wanted, stamp = np.array([0.0, 0.01, 0.005]), 10.0
    for _ in range(40):
        stamp += 0.07
        turned = wanted + 2e-3 * np.array([np.sin(stamp), np.cos(2 * stamp), np.sin(3 * stamp)])
        assert device.servo_field(command(turned, stamp_s=stamp), stamp) is None
        device.step(0.07)
    assert device.drive.lost == ('coil_3',)
    assert device.fault == ''
    assert 'coil_3' in device.report()['coil_watch']
    assert device.trouble.startswith('done without: coil_3 makes ')
    assert np.linalg.norm(field_at(device) - turned) < 1e-3


def test_foreign_magnet_is_a_fault_and_takes_the_field_away():
    device = driven(device='droplet', field_source='octomag_like')
    plant = device.drive.plant
    honest = plant.measured_field_t
    plant.measured_field_t = lambda: honest() + np.linspace(-1, 1, 24).reshape(8, 3) * 5e-3
    assert device.servo_field(command((0.0, 0.01, 0.005)), 10.0) is None
    device.step(1.5)
    assert 'coil watch' in device.fault
    assert np.linalg.norm(field_at(device)) < 1e-4


def test_wire_that_presses_on_the_wall_is_not_fed_on_but_may_come_back():
    device = driven(device='guidewire', wall_force_max_n=3e-4, vessel_radius_m=0.002)
    assert device.servo_field(command((0.025, 0.0, 0.0)), 10.0) is None
    stamp, insertion = 10.0, 0.005
    for _ in range(80):
        stamp, insertion = stamp + 0.05, insertion + 5e-4
        reason = device.servo(('insertion', 'roll'), [insertion, 0.0], stamp, stamp)
        device.step(0.05)
        if reason is not None:
            break
    assert 'wall force' in reason
    assert device.rejections['wall_force'] == 1
    here = device.state.joints[0]
    assert device.servo(('insertion', 'roll'), [here - 1e-3, 0.0], stamp, stamp) is None


def test_device_that_would_start_in_the_wall_is_refused():
    with pytest.raises(ValueError, match='mm outside the vessels'):
        driven(device='sphere', device_base_pose=(0.02, 0.0, -0.02, 0.0, 0.0, 0.0))


def test_every_magnetic_device_shows_in_the_mask_where_the_truth_says():
    for name in ('guidewire', 'soft_robot', 'droplet', 'sphere'):
        built = build_room(settings(device=name, charge_mas=1.0))
        exposure = built.room.expose(1)
        rows, columns = np.nonzero(exposure.radiograph.mask)
        u, v = exposure.landmarks_px[-1]
        assert np.min(np.hypot(columns - u, rows - v)) < 2.0, name
