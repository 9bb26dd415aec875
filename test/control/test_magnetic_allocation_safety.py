"""Step-out and slew of a commanded field, and coils that fail behind their current sensors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthex_ros.control.magnetic.allocation import CoilAllocator
from synthex_ros.control.magnetic.allocation_slew import (
    FieldSlew,
    sphere_drag_n_m_s,
    step_out_rad_s,
)
from synthex_ros.control.magnetic.coil_watch import CoilWatch, WatchSettings
from synthex_ros.devices.magnetic.coil_plant import CoilPlant
from synthex_ros.devices.magnetic.coils import CoilArray

part = st.floats(-1.0, 1.0)
vector = st.tuples(part, part, part)


def test_in_step_the_lag_angle_balances_drag_and_beyond_step_out_it_slips():
    """Integrate c dphi/dt = m B sin(w t - phi) below and above w = m B / c."""
    drag = sphere_drag_n_m_s(0.5e-3, 3.5e-3)
    limit = step_out_rad_s(1e-9, 1e-3, drag)

    def mean_speed(speed):
        angle, step = 0.0, 0.002 / limit
        for n in range(40000):
            angle += step * limit * np.sin(speed * n * step - angle)
        return angle / (40000 * step)

    assert mean_speed(0.95 * limit) == pytest.approx(0.95 * limit, rel=0.03)
    slipping = 1.5 * limit - np.sqrt(1.5**2 - 1) * limit
    assert mean_speed(1.5 * limit) == pytest.approx(slipping, rel=0.05)


@settings(max_examples=30, deadline=None)
@given(vector, vector, st.floats(0.01, 0.2))
def test_the_field_turns_and_grows_within_its_limits_and_arrives(start, goal, duration_s):
    slew = FieldSlew(turn_rad_s=2.0, growth_t_s=0.5)
    slew.reset(start)
    last = np.array(start)
    for _ in range(int(5 / duration_s) + 2):
        now = slew.step(goal, duration_s)
        sizes = np.linalg.norm(last), np.linalg.norm(now)
        assert abs(sizes[1] - sizes[0]) <= 0.5 * duration_s + 1e-9
        if min(sizes) > 1e-6:
            angle = np.arctan2(np.linalg.norm(np.cross(last, now)), last @ now)
            assert angle <= 2.0 * duration_s + 1e-6
        last = now
    np.testing.assert_allclose(last, goal, atol=1e-9)


def test_the_field_turns_slower_than_the_step_out_and_through_a_half_turn():
    slew = FieldSlew(turn_rad_s=10.0, growth_t_s=1.0)
    slew.reset([0.0, 0, 0.01])
    now = slew.step([0, 0, -0.01], 0.1, stay_below_rad_s=3.0)
    assert np.arccos(now[2] / 0.01) == pytest.approx(0.3)
    assert np.linalg.norm(now) == pytest.approx(0.01)
    with pytest.raises(ValueError, match='positive'):
        FieldSlew(0.0, 1.0)
    with pytest.raises(ValueError, match='drag'):
        step_out_rad_s(1.0, 1.0, 0.0)


def running_plant(seed=0, gain_spread=0.0, name='octomag_like'):
    coils = CoilArray.from_calibration(name)
    plant = CoilPlant(coils, seed + 1000)
    rng = np.random.default_rng(seed)
    plant.field_gains = 1 + gain_spread * rng.standard_normal(len(coils.names))
    watch = CoilWatch(coils, coils.calibration.sensors_m)
    return plant, watch, rng


def drive(plant, watch, rng, readings=20):
    """Steer the field about with reports on the way."""
    planner = CoilAllocator(plant.coils)
    reports = []
    for _ in range(readings):
        wish = planner.allocate(np.zeros(3), 0.02 * rng.uniform(-1, 1, 3))
        plant.command(wish.currents_a)
        plant.step(0.03)
        reports.append(watch.update(plant.currents_a, plant.measured_field_t()))
    return reports


def test_healthy_coils_within_tolerance_raise_no_alarm():
    for seed in range(5):
        reports = drive(*running_plant(seed, gain_spread=0.07), readings=100)
        assert not any(report.alarm for report in reports)


def test_chi_square_has_its_mean_when_noise_and_tolerance_are_as_assumed():
    values = []
    for seed in range(150):
        plant, _, rng = running_plant(seed, gain_spread=0.10)
        assumed = WatchSettings(gain_tolerance=0.1, noise_t=50e-6)
        watch = CoilWatch(plant.coils, plant.coils.calibration.sensors_m, assumed)
        values.append(drive(plant, watch, rng, readings=1)[0].chi_square)
    degrees = 3 * len(plant.coils.calibration.sensors_m)
    assert np.mean(values) == pytest.approx(degrees, abs=4 * np.sqrt(2 * degrees / 150))


@pytest.mark.parametrize('name', [f'coil_{n}' for n in range(1, 9)])
def test_a_lost_coil_is_named_within_a_second(name):
    plant, watch, rng = running_plant(1, gain_spread=0.05)
    assert not drive(plant, watch, rng)[-1].alarm
    plant.fail(name)
    reports = drive(plant, watch, rng, readings=33)
    assert reports[-1].failed == (name,)
    index = plant.coils.names.index(name)
    assert reports[-1].gains[index] == pytest.approx(0.0, abs=0.05)
    others = np.delete(reports[-1].gains - plant.field_gains, index)
    np.testing.assert_allclose(others, 0, atol=0.05)
    assert f'{name} makes' in reports[-1].reason


def test_a_failure_stays_latched_until_reset_and_a_second_one_is_named_too():
    plant, watch, rng = running_plant(2)
    plant.fail('coil_2', 0.3)
    assert drive(plant, watch, rng, 40)[-1].failed == ('coil_2',)
    plant.field_gains[:] = 1.0
    assert drive(plant, watch, rng, 40)[-1].failed == ('coil_2',)
    plant.fail('coil_7')
    assert set(drive(plant, watch, rng, 40)[-1].failed) == {'coil_2', 'coil_7'}
    watch.reset()
    plant.field_gains[:] = 1.0
    assert not drive(plant, watch, rng, 20)[-1].alarm


def test_a_failure_that_is_no_single_coil_is_reported_without_a_name():
    """A foreign field, as of a magnet brought near, is blamed on no coil."""
    plant, watch, _ = running_plant(3)
    foreign = np.tile([3e-3, 0, 0], (len(plant.coils.calibration.sensors_m), 1))
    for _ in range(20):
        report = watch.update(np.zeros(8), plant.measured_field_t() + foreign)
    assert report.alarm
    assert report.failed == ()
    assert 'whatever their gains' in report.reason


def test_allocation_without_the_named_coil_restores_the_field():
    plant, watch, rng = running_plant(4)
    plant.fail('coil_5')
    failed = drive(plant, watch, rng, 40)[-1].failed
    planner, wish = CoilAllocator(plant.coils), np.array([0.012, 0.006, 0.0])
    errors = []
    for lost in ((), failed):
        plant.command(planner.allocate(np.zeros(3), wish, lost=lost).currents_a)
        plant.step(1.0)
        errors.append(np.linalg.norm(plant.field_t(np.zeros((1, 3)))[0] - wish))
    assert errors[0] > 2e-3
    assert errors[1] < 1e-5


def steer(plant, watch, gains, use_gains, seconds=4.0, tolerate_from_s=1.0):
    """Turn a field of 10 mT with reports back; return the field errors [T] from a time on."""
    planner, errors, last = CoilAllocator(plant.coils), [], np.zeros(8)
    plant.field_gains = plant.field_gains * gains
    for n in range(int(seconds / 0.02)):
        angle = 0.5 * n * 0.02
        wanted = 0.010 * np.array([np.cos(angle), np.sin(angle), 0.3])
        report = watch.update(plant.currents_a, plant.measured_field_t())
        result = planner.allocate(
            np.zeros(3),
            wanted,
            present_a=last,
            duration_s=0.02,
            temperatures_c=plant.state.temperatures_c,
            lost=report.failed,
            gains=report.gains if use_gains else None,
        )
        last = plant.command(result.currents_a)
        np.testing.assert_allclose(last, result.currents_a, atol=1e-9)
        plant.step(0.02)
        if n * 0.02 >= tolerate_from_s:
            errors.append(np.linalg.norm(plant.field_t(np.zeros((1, 3)))[0] - wanted))
    return np.array(errors), report


GAINS = np.array([1.2, 0.9, 0.85, 1.1, 0.95, 1.15, 0.8, 1.05])


@pytest.mark.parametrize('name', [None, 'coil_1', 'coil_3', 'coil_6', 'coil_8'])
def test_estimated_gains_make_up_for_gain_errors_and_a_lost_coil(name):
    """20 % gain errors: nominal is the error that they cause with all coils and no watch."""
    coils = CoilArray.from_calibration('octomag_like')

    def rms(lost, use_gains):
        plant = CoilPlant(coils)
        if lost:
            plant.fail(lost)
        watch = CoilWatch(coils, coils.calibration.sensors_m)
        errors, report = steer(plant, watch, GAINS, use_gains)
        assert report.failed == ((lost,) if lost else ())
        return np.sqrt(np.mean(errors**2))

    assert rms(name, use_gains=True) < 0.7 * rms(None, use_gains=False)


def test_half_a_minute_of_overload_trips_no_driver_and_breaks_no_limit():
    plant = CoilPlant(CoilArray.from_calibration('octomag_like'))
    planner, limits, last, strengths = CoilAllocator(plant.coils), plant.limits, np.zeros(8), []
    for _ in range(300):
        state = plant.state
        result = planner.allocate(
            np.zeros(3),
            [0.05, 0, 0],
            gradient_t_m=[1.4, 0, 0, -0.7, 0],
            present_a=last,
            duration_s=0.1,
            temperatures_c=state.temperatures_c,
        )
        last = plant.command(result.currents_a)
        np.testing.assert_allclose(last, result.currents_a, atol=1e-9)
        state = plant.step(0.1)
        assert state.tripped == ()
        assert np.all(state.temperatures_c <= limits.temperature_max_c)
        assert limits.power_w(state.currents_a) <= limits.power_max_w * (1 + 1e-6)
        strengths.append(np.linalg.norm(result.field_t))
    assert np.abs(state.currents_a).max() > 0.99 * limits.current_max_a
    assert min(strengths[5:]) > 0.045


def test_wrong_readings_and_settings_are_refused():
    _, watch, _ = running_plant()
    with pytest.raises(ValueError, match='field_t'):
        watch.update(np.zeros(8), np.zeros((2, 3)))
    with pytest.raises(ValueError, match='false_alarm'):
        WatchSettings(false_alarm=0.0)
