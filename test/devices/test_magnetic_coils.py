import dataclasses

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from synthex_ros import magnetics, resources
from synthex_ros.devices.magnetic.coil_calibration import read_calibration
from synthex_ros.devices.magnetic.coil_mpem import read_mpem
from synthex_ros.devices.magnetic.coil_plant import CoilPlant
from synthex_ros.devices.magnetic.coil_saturation import Saturation
from synthex_ros.devices.magnetic.coils import CoilArray
from synthex_ros.devices.magnetic.dipole import Dipole

SYSTEMS = ('octomag_like', 'navion_like', 'cardiomag_like')
# what the published calibrations have at the centre: mT/A, largest T/m per A, condition number
PUBLISHED = {
    'octomag_like': ((1.8, 2.6), (0.041, 0.055), 58.0, slice(None)),
    'navion_like': ((0.51, 0.55), (0.0037, 0.0040), 1.11, slice(3)),
    'cardiomag_like': ((1.43, 2.96), (0.0063, 0.0210), 40.0, slice(None)),
}
CENTRE = np.zeros(3)


@pytest.fixture(params=SYSTEMS)
def coils(request):
    return CoilArray.from_calibration(request.param)


def octomag():
    return CoilArray.from_calibration('octomag_like')


@pytest.mark.parametrize('name', SYSTEMS)
def test_the_centre_has_the_published_numbers(name):
    fields_mt, gradients, condition, rows = PUBLISHED[name]
    unit = CoilArray.from_calibration(name).unit_matrix(CENTRE)
    made = 1e3 * np.linalg.norm(unit[:3], axis=0)
    steep = np.abs(magnetics.gradient_matrix(unit[3:].T)).max(axis=(1, 2))
    assert [made.min(), made.max()] == pytest.approx(fields_mt, rel=0.01)
    assert [steep.min(), steep.max()] == pytest.approx(gradients, rel=0.01)
    assert np.linalg.cond(unit[rows]) == pytest.approx(condition, rel=0.02)


def test_the_field_is_the_sum_of_the_coils_dipoles(coils):
    calibration, rng = coils.calibration, np.random.default_rng(0)
    currents = rng.uniform(-10, 10, len(coils.names))
    points = rng.uniform(-0.03, 0.03, (5, 3))
    effective = coils.effective(currents)[calibration.coil_of_dipole]
    dipoles = Dipole(calibration.positions_m, calibration.moments_m2 * effective[:, None])
    for got, expected in zip(
        coils.energized(currents).field_and_gradient(points),
        dipoles.field_and_gradient(points),
        strict=True,
    ):
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-15)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-30, 30), min_size=8, max_size=8), st.sampled_from(['erf', 'tanh']))
def test_saturation_is_odd_monotone_and_undone(currents, kind):
    saturation = Saturation(kind, np.linspace(17, 20, 8), np.full(8, 0.05))
    effective = saturation.effective(currents)
    np.testing.assert_array_equal(saturation.effective(-np.array(currents)), -effective)
    assert np.all(np.abs(effective) <= saturation.ceiling_a)
    assert np.all(saturation.effective(np.array(currents) + 0.1) > effective)
    np.testing.assert_allclose(saturation.currents(effective), currents, rtol=1e-6, atol=1e-9)


def test_a_saturated_core_makes_no_more_field():
    coils = CoilArray.from_calibration('cardiomag_like')
    small, large, huge = (
        np.linalg.norm(coils.energized(np.full(8, amperes)).field_t([CENTRE]))
        for amperes in (0.1, 30.0, 60.0)
    )
    assert small / 0.1 == pytest.approx(large / 30.0 * 1.77, rel=0.1)
    assert huge / large < 1.06


def test_currents_follow_as_a_first_order_lag():
    plant = CoilPlant(octomag())
    tau = plant.limits.time_constant_s
    plant.command(np.full(8, 2.0))
    for steps in (1, 1, 2):
        plant.step(steps * tau)
    np.testing.assert_allclose(plant.currents_a, 2 * (1 - np.exp(-4)), rtol=1e-9)


def test_rate_limit_holds_at_every_instant():
    plant, last = CoilPlant(octomag()), np.zeros(8)
    plant.command(np.full(8, 14.0))
    for _ in range(100):
        now = plant.step(1e-3).currents_a
        assert np.all(np.abs(now - last) <= plant.limits.current_rate_a_s * 1e-3 + 1e-9)
        last = now
    assert np.all(last > 13)


def test_commands_are_cut_to_current_and_power():
    plant = CoilPlant(octomag())
    accepted = plant.command([100.0, -100.0, 0, 0, 0, 0, 0, 0])
    np.testing.assert_allclose(accepted[:2], [20.0, -20.0])
    accepted = plant.command(np.full(8, 20.0))
    assert plant.limits.power_w(accepted) == pytest.approx(plant.limits.power_max_w)
    with pytest.raises(ValueError, match='finite'):
        plant.command([np.nan] * 8)
    with pytest.raises(ValueError, match='coil_1'):
        plant.command([1.0] * 3)


def test_heat_goes_into_the_coil_or_the_coolant():
    """Energy: R i^2 t = C (T - T0) + integral of (T - coolant) / R_thermal."""
    plant, limits = CoilPlant(octomag()), octomag().limits
    plant.command([5.0] + [0.0] * 7)
    electric = stored = lost = 0.0
    for _ in range(2000):
        before = plant.state
        after = plant.step(0.05)
        electric += limits.resistance_ohm * after.currents_a[0] ** 2 * 0.05
        middle = (before.temperatures_c[0] + after.temperatures_c[0]) / 2
        lost += (middle - limits.coolant_c) / limits.thermal_resistance_k_w * 0.05
    stored = limits.heat_capacity_j_k * (after.temperatures_c[0] - limits.coolant_c)
    assert stored + lost == pytest.approx(electric, rel=1e-3)
    assert np.all(after.temperatures_c[1:] == limits.coolant_c)


def test_an_overloaded_coil_trips_and_needs_a_reset():
    plant = CoilPlant(octomag())
    plant.command([20.0] + [0.0] * 7)
    for _ in range(60):
        state = plant.step(10.0)
    assert state.tripped == ('coil_1',)
    assert abs(state.currents_a[0]) < 1e-6
    assert plant.command([5.0] * 8)[0] == 0.0
    plant.reset_trips()
    assert plant.command([5.0] * 8)[0] == 5.0


@pytest.mark.parametrize('start_c', [20.0, 60.0, 95.0])
def test_the_current_for_a_hot_coil_reaches_the_limit_at_the_horizon(start_c):
    limits = dataclasses.replace(octomag().limits, current_max_a=500.0)
    current = limits.current_max_at([start_c], 5.0)
    end_c = limits.warmer_c(np.array([start_c]), current, 5.0)
    assert end_c[0] == pytest.approx(limits.temperature_max_c)
    assert limits.current_max_at([200.0], 5.0)[0] == 0.0


def test_a_lost_coil_keeps_its_current_and_makes_no_field():
    plant = CoilPlant(octomag())
    plant.command(np.full(8, 3.0))
    plant.step(1.0)
    whole = plant.field_t([CENTRE])
    plant.fail('coil_3')
    np.testing.assert_allclose(plant.currents_a, 3.0)
    missing = whole - plant.field_t([CENTRE])
    np.testing.assert_allclose(missing[0], 3.0 * plant.coils.unit_matrix(CENTRE)[:3, 2], rtol=1e-9)
    with pytest.raises(ValueError, match='coil_9'):
        plant.fail('coil_9')


def test_sensors_read_the_true_field_with_their_noise():
    plant = CoilPlant(octomag(), seed=3)
    plant.command(np.full(8, 3.0))
    plant.step(1.0)
    calibration = plant.coils.calibration
    readings = np.array([plant.measured_field_t() for _ in range(400)])
    errors = readings - plant.field_t(calibration.sensors_m)
    assert np.std(errors) == pytest.approx(calibration.sensor_noise_t, rel=0.03)
    np.testing.assert_allclose(errors.mean(axis=0), 0, atol=5 * calibration.sensor_noise_t / 20)
    plant.reset()
    assert np.all(plant.field_t([CENTRE]) == 0)


def test_multipole_files_are_read(tmp_path):
    source = {
        'A_Coeff': None,
        'B_Coeff': [2e-6],
        'Source_Direction': [0.0, 0.0, 1.0],
        'Source_Position': [0.0, 0.0, -0.2],
    }
    path = tmp_path / 'coils.yaml'
    content = {'Coil_List': ['Coil_0'], 'Coil_0': {'Source_List': ['Src_0'], 'Src_0': source}}
    path.write_text(yaml.safe_dump(content))
    given_ = (octomag().limits, 0.05, [[0.1, 0.0, 0.0]], 1e-5)
    unit = CoilArray(read_mpem(path, *given_)).unit_matrix(CENTRE)
    # on the axis of a dipole of strength b, the field is 2 b / r^3
    assert unit[2, 0] == pytest.approx(2 * 2e-6 / 0.2**3)
    source['A_Coeff'] = [1.0]
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(ValueError, match='only dipoles'):
        read_mpem(path, *given_)
    path.write_text('Coil_List: [Coil_0]')
    with pytest.raises(ValueError, match='not an MPEM'):
        read_mpem(path, *given_)


def test_calibrations_that_make_no_sense_are_refused(tmp_path):
    text = resources.find('config/coils', 'octomag_like.yaml').read_text(encoding='utf-8')
    path = tmp_path / 'coils.yaml'
    for change, match in [
        (('current_max_a: 20.0', 'current_max_a: -1'), 'current_max_a must be positive'),
        (('workspace_radius_m: 0.03', 'workspace_radius_m: 30'), 'workspace_radius_m'),
        (('name: coil_2', 'name: coil_1'), 'names that differ'),
        (('sensors:', 'probes:'), "no 'sensors'"),
        (('saturation: none', 'saturation: cubic'), "no 'ceiling_a'"),
    ]:
        path.write_text(text.replace(*change))
        with pytest.raises(ValueError, match=match):
            read_calibration(path)
    with pytest.raises(FileNotFoundError, match='navion_like'):
        read_calibration('no_such_coils')
