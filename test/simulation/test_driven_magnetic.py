"""Magnetic devices behind the same guard: joints are servoed, the field comes from its source."""

import numpy as np
import pytest

from synthex_ros.devices.magnetic.even_field import EvenField
from synthex_ros.devices.registry import build_device
from synthex_ros.simulation.driven_device import DrivenDevice

NAMES = ('insertion', 'roll')


def driven(name, start):
    return DrivenDevice(build_device(name), start, max_age_s=0.5, enabled=True)


def test_guidewire_is_fed_on_good_commands_and_bent_by_the_field():
    device = driven('guidewire', [0.0, 0.0])
    device.set_source(EvenField((0.02, 0, 0)))
    assert device.servo(NAMES, [0.001, 0.1], 10.0, 10.1) is None
    for _ in range(50):
        device.step(0.02)
    assert np.allclose(device.state.joints, [0.001, 0.1], atol=1e-9)
    assert device.tip_pose(np.eye(4))[0, 2] > 0.5
    assert 'limit' in device.servo(NAMES, [0.3, 0.1], 11.0, 11.1)
    device.set_source(None)
    for _ in range(50):
        device.step(0.02)
    assert abs(device.tip_pose(np.eye(4))[0, 2]) < 0.05


def test_planned_feed_arrives():
    device = driven('guidewire', [0.0, 0.0])
    device.move([1.0], [[0.02, 0.5]])
    for _ in range(60):
        device.step(0.02)
    assert np.allclose(device.state.joints, [0.02, 0.5], atol=1e-4)


def test_body_without_joints_moves_in_the_field_alone():
    device = driven('droplet', [])
    assert device.is_magnetic
    assert device.names == ()
    assert 'no joints' in device.servo((), [], 10.0, 10.0)
    with pytest.raises(ValueError, match='no joints'):
        device.move([1.0], [[]])
    device.set_source(EvenField((0, 0, 0.02), (0, 0, 0.3, 0, 0)))
    device.step(0.5)
    moved = device.state.tip_base[0, 3]
    device.reset()
    assert moved > 1e-3
    assert device.state.tip_base[0, 3] == 0


def test_manipulator_takes_no_field():
    device = driven('continuum', [0.03, 0.0, 0.0, 0.0])
    assert not device.is_magnetic
    assert device.wall_force_n == 0
    with pytest.raises(ValueError, match='no field'):
        device.set_source(EvenField((0.01, 0, 0)))
