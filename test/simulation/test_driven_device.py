"""A device moves on good commands only, and stops on everything else."""

import numpy as np
import pytest

from synthex_ros.devices.continuum.plant import ContinuumPlant
from synthex_ros.simulation.driven_device import DrivenDevice

START = [0.03, 0.0, 0.0, 0.0]
NAMES = ('insertion', 'roll', 'tendon_1', 'tendon_2')


@pytest.fixture
def device():
    return DrivenDevice(ContinuumPlant(), START, max_age_s=0.5, enabled=True)


def settle(device, duration_s=0.5):
    for _ in range(round(duration_s / 0.01)):
        device.step(0.01)
    return device.state.joints


def test_good_command_is_followed(device):
    assert device.servo(NAMES, [0.0305, 0.02, 0.0, 0.0], 10.0, 10.1) is None
    assert np.allclose(settle(device), [0.0305, 0.02, 0.0, 0.0], atol=1e-6)


@pytest.mark.parametrize(
    ('names', 'positions', 'stamp', 'word'),
    [
        (NAMES, [np.nan, 0, 0, 0], 10.0, 'finite'),
        (NAMES[::-1], START, 10.0, 'order'),
        (NAMES, START, 0.0, 'zero'),
        (NAMES, START, 9.0, 'old'),
        (NAMES, START, 11.0, 'ahead'),
        (NAMES, [0.2, 0, 0, 0], 10.0, 'insertion'),
        (NAMES, [0.05, 0, 0, 0], 10.0, 'limit'),
    ],
)
def test_bad_command_holds_and_is_counted(device, names, positions, stamp, word):
    assert device.servo(NAMES, [0.0305, 0.0, 0.0, 0.0], 9.9, 9.95) is None
    device.step(0.005)
    where = device.state.joints
    assert word in device.servo(names, positions, stamp, 10.05)
    assert sum(device.rejections.values()) == 1
    assert np.allclose(settle(device), where, atol=5e-4)


def test_disabled_and_faulted_devices_do_not_move_until_told(device):
    device.enable(False)
    assert 'not enabled' in device.servo(NAMES, START, 10.0, 10.0)
    device.enable(True)
    device.trip('cable slack')
    assert 'cable slack' in device.servo(NAMES, START, 10.0, 10.0)
    assert device.acknowledge() == 'cable slack'
    assert device.servo(NAMES, START, 10.0, 10.0) is None


def test_planned_move_arrives_and_a_servo_command_ends_it(device):
    device.move([0.5, 1.0], [[0.035, 0.1, 0.0, 0.0], [0.040, 0.2, 0.0, 0.0]])
    assert np.allclose(settle(device, 1.5), [0.040, 0.2, 0, 0], atol=1e-4)
    device.move([1.0], [[0.030, 0.0, 0.0, 0.0]])
    settle(device, 0.3)
    assert device.servo(NAMES, device.state.joints, 10.0, 10.0) is None
    stopped = settle(device, 0.05)
    assert np.allclose(settle(device, 0.5), stopped, atol=1e-4)


def test_plan_outside_the_limits_is_refused_whole(device):
    with pytest.raises(ValueError, match='joint limits'):
        device.move([0.5, 1.0], [[0.035, 0, 0, 0], [0.5, 0, 0, 0]])
    assert np.allclose(settle(device), START)


def test_reset_returns_to_the_start(device):
    device.servo(NAMES, [0.0305, 0.02, 0.0, 0.0], 10.0, 10.1)
    settle(device)
    device.reset()
    assert np.allclose(device.state.joints, START)
