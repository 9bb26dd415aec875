"""Every device is built by its name, keeps the contract, and says what a setting should be."""

import numpy as np
import pytest

from synthex_ros.devices.magnetic.contract import MagneticDevice
from synthex_ros.devices.magnetic.environment import Environment
from synthex_ros.devices.magnetic.even_field import EvenField
from synthex_ros.devices.registry import DEVICES, build_device, device_kind, device_parameters


@pytest.mark.parametrize('name', DEVICES)
def test_device_keeps_the_contract(name):
    kind, device = device_kind(name), build_device(name)
    assert device.limits.names == kind.joint_names
    start = np.clip(0.0, device.limits.lower, device.limits.upper)
    device.reset(start)
    state = device.step(0.1)
    assert state.time_s == pytest.approx(0.1)
    np.testing.assert_allclose(state.joints, start)
    device.hold()
    pose = np.eye(4)
    pose[:3, 3] = 0.3
    assert all(body.mesh.volume_m3() > 0 for body in device.bodies(pose))
    assert device.landmarks(pose).shape == (len(kind.landmark_names), 3)
    line = device.centerline(pose)
    assert line.shape[1] == 3
    assert len(line) >= 2
    np.testing.assert_allclose(device.tip_pose(pose), pose @ state.tip_base, atol=1e-12)
    assert isinstance(device, MagneticDevice) == kind.magnetic


@pytest.mark.parametrize('name', [name for name, kind in DEVICES.items() if kind.magnetic])
def test_field_acts_on_magnetic_devices(name):
    device = build_device(name, environment=Environment(source=EvenField((0.01, 0, 0.005))))
    device.step(0.2)
    moment = device.magnetic_moment()
    assert np.linalg.norm(moment) > 0
    device.set_source(None)
    device.step(0.01)
    assert device.wall_force_n == 0


def test_settings_reach_the_parameters():
    device = build_device('sphere', {'radius_m': 3e-4}, fluid={'viscosity_pa_s': 0.01})
    assert device.parameters.radius_m == 3e-4
    assert device.fluid.viscosity_pa_s == 0.01
    wire = device_parameters('guidewire', {'insertion_range_m': [0.0, 0.2]})
    assert wire.insertion_range_m == (0.0, 0.2)
    drop = device_parameters('droplet', {'ferrofluid': {'volume_fraction': 0.04}})
    assert drop.ferrofluid.volume_fraction == 0.04


@pytest.mark.parametrize(
    ('name', 'settings', 'options', 'word'),
    [
        ('snake', {}, {}, 'continuum, guidewire'),
        ('sphere', {'radius': 1e-3}, {}, "did you mean 'radius_m'"),
        ('sphere', {'radius_m': 0.5}, {}, '0.5 mm is 0.0005'),
        ('continuum', {}, {'environment': Environment()}, 'no environment'),
        ('guidewire', {}, {'fluid': {}}, 'no fluid'),
    ],
)
def test_mistakes_are_named(name, settings, options, word):
    with pytest.raises(ValueError, match=word):
        build_device(name, settings, **options)
