from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import lsq_linear

from synthex_ros import magnetics
from synthex_ros.control.magnetic.allocation import AllocationWeights, CoilAllocator
from synthex_ros.control.magnetic.allocation_qp import box_least_squares, within_power
from synthex_ros.devices.magnetic.coils import CoilArray

CENTRE = np.zeros(3)
STRETCH = np.array([1.0, 0, 0, -0.5, 0])  # dBx/dx with dBy/dy = dBz/dz = -1/2
component = st.floats(-1.0, 1.0)


def allocator(name='octomag_like', **limits):
    coils = CoilArray.from_calibration(name)
    coils.limits = replace(coils.limits, **limits)
    return CoilAllocator(coils)


def makes(planner, result, point=CENTRE, gains=None):
    """Field and gradient that the coils truly make with the allocated currents."""
    effective = planner.coils.effective(result.currents_a)
    return planner.coils.unit_matrix(point) @ (effective if gains is None else effective * gains)


@settings(max_examples=50, deadline=None)
@given(
    st.tuples(component, component, component),
    st.lists(component, min_size=5, max_size=5),
    st.tuples(component, component, component),
)
def test_a_modest_wish_comes_true_at_any_point(direction, gradient, place):
    planner, point = allocator(), 0.015 * np.array(place)
    field, gradient = 0.008 * np.array(direction), 0.1 * np.array(gradient)
    result = planner.allocate(point, field, gradient_t_m=gradient)
    assert result.status == 'reached'
    assert result.reason == ''
    made = makes(planner, result, point)
    np.testing.assert_allclose(made[:3], field, atol=1e-6)
    np.testing.assert_allclose(made[3:], gradient, atol=2e-3)
    np.testing.assert_allclose(np.r_[result.field_t, result.gradient_t_m], made, atol=1e-9)


def test_currents_of_the_published_cases():
    """20 mT along one axis costs 3.2-4.9 A with OctoMag's calibration, with 1 T/m 11.2 A."""
    planner = allocator()
    for axis in np.eye(3):
        largest = np.abs(planner.allocate(CENTRE, 0.020 * axis).currents_a).max()
        assert 2.0 < largest < 5.0
    pull = {'force_n': [1e-3, 0, 0], 'moment_a_m2': [1e-3, 0, 0]}
    assert 6 < np.abs(planner.allocate(CENTRE, [0.02, 0, 0], **pull).currents_a).max() < 15


def test_the_force_on_the_device_is_the_wanted_one():
    planner, moment = allocator(), np.array([3e-4, 1e-4, -2e-4])
    force = np.array([5e-5, -3e-5, 2e-5])
    result = planner.allocate(CENTRE, 30.0 * moment, force_n=force, moment_a_m2=moment)
    made = makes(planner, result)
    np.testing.assert_allclose(magnetics.force_n(moment, made[3:]), force, atol=1e-8)
    np.testing.assert_allclose(magnetics.torque_n_m(moment, made[:3]), 0, atol=1e-10)


def test_of_equal_currents_the_ones_with_least_power_are_taken():
    planner, field = allocator(), np.array([0.01, 0.005, -0.002])
    currents = planner.allocate(CENTRE, field).currents_a
    least = np.linalg.pinv(planner.coils.unit_matrix(CENTRE)[:3]) @ field
    np.testing.assert_allclose(currents, least, atol=1e-3)


def test_the_direction_of_the_field_is_kept_when_its_strength_cannot_be():
    planner = allocator('navion_like', field_max_t=1.0)
    wanted = np.array([0.1, 0.04, 0.02])
    result = planner.allocate(CENTRE, wanted)
    assert result.status == 'limited'
    assert 'current limit of coil' in result.reason
    assert np.abs(result.currents_a).max() <= planner.coils.limits.current_max_a + 1e-9
    cosine = result.field_t @ wanted / np.linalg.norm(result.field_t) / np.linalg.norm(wanted)
    assert np.degrees(np.arccos(cosine)) < 3.0
    np.testing.assert_allclose(result.field_residual_t, wanted - result.field_t)


def test_the_gradient_is_given_up_before_the_field():
    planner = allocator(current_max_a=5.0)
    field = np.array([0.02, 0, 0])
    result = planner.allocate(CENTRE, field, gradient_t_m=STRETCH)
    assert result.status == 'limited'
    assert np.linalg.norm(result.field_residual_t) < 0.05e-3
    assert 0.2 < result.gradient_t_m[0] < 0.9


def test_the_power_limit_is_met_and_as_little_as_possible_is_given_up():
    planner = allocator(power_max_w=200.0)
    wish = dict(field_t=[0.02, 0, 0], gradient_t_m=STRETCH)
    result = planner.allocate(CENTRE, **wish)
    assert 199 < result.power_w <= 200.0
    assert result.status == 'limited'
    assert 'power limit' in result.reason
    assert np.linalg.norm(result.field_residual_t) < 0.2e-3
    less = allocator(power_max_w=150.0).allocate(CENTRE, **wish)
    assert less.gradient_t_m[0] < result.gradient_t_m[0]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(-1, 1), min_size=8, max_size=8),
    st.lists(st.floats(-1, 1), min_size=8, max_size=8),
    st.floats(0.002, 0.05),
)
def test_no_wish_breaks_a_limit(wish, present, duration_s):
    """Currents, rates and power hold whatever is wanted from wherever the currents are."""
    planner = allocator('cardiomag_like', power_max_w=3000.0)
    limits, present = planner.coils.limits, 12.0 * np.array(present)
    result = planner.allocate(
        [0.02, 0.01, 0],
        0.2 * np.array(wish[:3]),
        gradient_t_m=3.0 * np.array(wish[3:]),
        present_a=present,
        duration_s=duration_s,
    )
    reach = limits.current_rate_a_s * duration_s
    assert np.all(np.abs(result.currents_a - present) <= reach * (1 + 1e-6))
    assert np.all(np.abs(result.currents_a) <= limits.current_max_a + 1e-6)
    if limits.power_w(present) < limits.power_max_w:
        assert result.power_w <= limits.power_max_w * (1 + 1e-9)


def test_a_rate_limit_slows_the_currents_and_says_so():
    planner = allocator()
    wish, currents = np.array([0.02, 0, 0]), np.zeros(8)
    seen = []
    for _ in range(4):
        result = planner.allocate(CENTRE, wish, present_a=currents, duration_s=0.002)
        currents = result.currents_a
        seen.append((result.status, float(result.field_t[0])))
    assert seen[0][0] == 'limited'
    assert seen[-1][0] == 'reached'
    assert np.all(np.diff([field for _, field in seen]) >= -1e-9)


def test_hot_coils_get_less_current():
    planner = allocator()
    wish = dict(field_t=[0.03, 0, 0], gradient_t_m=STRETCH)
    cold = planner.allocate(CENTRE, **wish)
    temperatures = np.full(8, 20.0)
    temperatures[0] = planner.coils.limits.temperature_max_c
    hot = planner.allocate(CENTRE, **wish, temperatures_c=temperatures)
    allowed = planner.coils.limits.current_max_at(temperatures)[0]
    assert abs(cold.currents_a[0]) > allowed
    assert abs(hot.currents_a[0]) == pytest.approx(allowed, rel=1e-5)
    assert 'heat limit of coil_1' in hot.reason


@pytest.mark.parametrize('lost', ['coil_1', 'coil_4', 'coil_7'])
def test_a_lost_coil_costs_the_full_gradient_but_not_field_and_force(lost):
    planner = allocator()
    field, moment = np.array([0.01, 0.0, 0.005]), np.array([2e-4, 0, 1e-4])
    force = np.array([2e-5, 0, 0])
    result = planner.allocate(CENTRE, field, force_n=force, moment_a_m2=moment, lost=[lost])
    assert result.status == 'reached'
    assert result.currents_a[planner.coils.names.index(lost)] == 0.0
    made = makes(planner, result)
    np.testing.assert_allclose(made[:3], field, atol=1e-5)
    np.testing.assert_allclose(magnetics.force_n(moment, made[3:]), force, atol=1e-7)


def test_seven_coils_cannot_make_eight_components():
    planner, field = allocator(), np.array([0.02, 0, 0])
    result = planner.allocate(CENTRE, field, gradient_t_m=STRETCH, lost=['coil_1'])
    assert result.status == 'singular'
    assert 'cannot make it' in result.reason
    assert 'without coil_1' in result.reason
    assert np.linalg.norm(result.field_residual_t) < 0.1e-3


def test_three_coils_make_a_field_but_no_wanted_gradient():
    planner = allocator('navion_like')
    assert planner.allocate(CENTRE, [0.005, 0.002, 0.01]).status == 'reached'
    result = planner.allocate(CENTRE, [0.005, 0.002, 0.01], gradient_t_m=0.1 * STRETCH)
    assert result.status == 'singular'
    assert np.linalg.norm(result.field_residual_t) < 0.1e-3
    two = planner.allocate(CENTRE, [0.005, 0.002, 0.01], lost=['coil_2'])
    assert two.status == 'singular'


def test_saturation_is_undone_by_larger_currents():
    planner = allocator('cardiomag_like', field_max_t=0.2)
    result = planner.allocate(CENTRE, [0.07, 0, 0.03])
    assert result.status == 'reached'
    linear = np.linalg.pinv(planner.coils.unit_matrix(CENTRE)[:3]) @ [0.07, 0, 0.03]
    assert np.abs(result.currents_a).max() > 1.1 * np.abs(linear).max()
    np.testing.assert_allclose(makes(planner, result)[:3], [0.07, 0, 0.03], atol=1e-4)


def test_known_gains_are_made_up_for():
    planner, field = allocator(), np.array([0.01, -0.01, 0.005])
    gains = np.array([0.8, 1.2, 0.8, 1.2, 1.0, 0.9, 1.1, 1.0])
    result = planner.allocate(CENTRE, field, gradient_t_m=0.3 * STRETCH, gains=gains)
    np.testing.assert_allclose(makes(planner, result, gains=gains)[:3], field, atol=1e-6)


def test_wishes_above_the_limits_of_the_workspace_are_cut():
    planner = allocator()
    result = planner.allocate(CENTRE, [0, 0, 0.2])
    assert result.status == 'clipped'
    assert 'field 0.2 T is above 0.05 T' in result.reason
    np.testing.assert_allclose(result.field_t, [0, 0, 0.05], atol=1e-5)
    steep = planner.allocate(CENTRE, [0, 0, 0], gradient_t_m=10 * STRETCH)
    assert steep.gradient_t_m[0] <= 1.5 + 1e-9
    assert 'gradient 10 T/m' in steep.reason


def test_nonsense_is_refused():
    planner = allocator()
    for wish, match in [
        (dict(field_t=[0.0, np.nan, 0.0]), 'field_t'),
        (dict(field_t=CENTRE, force_n=CENTRE), 'go together'),
        (dict(field_t=CENTRE, force_n=CENTRE, moment_a_m2=CENTRE), 'must not be zero'),
        (dict(field_t=CENTRE, gradient_t_m=[1.0, 2.0]), 'five'),
        (dict(field_t=CENTRE, present_a=np.zeros(8)), 'go together'),
        (dict(field_t=CENTRE, lost=['coil_9']), 'coil_9'),
        (dict(field_t=CENTRE, gains=[1.0]), 'gains'),
    ]:
        with pytest.raises(ValueError, match=match):
            planner.allocate(CENTRE, **wish)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_the_quadratic_program_agrees_with_another_solver(seed):
    rng = np.random.default_rng(seed)
    rows, wanted = rng.standard_normal((6, 8)), 5 * rng.standard_normal(6)
    low, high = -rng.uniform(0.1, 2, 8), rng.uniform(0.1, 2, 8)
    low[0] = high[0] = 0.05
    got = box_least_squares(rows, wanted, 1e-4, low, high)
    stacked = np.vstack([rows, 1e-2 * np.eye(8)])
    other = lsq_linear(
        stacked[:, 1:],
        np.r_[wanted, np.zeros(8)] - stacked[:, 0] * 0.05,
        (low[1:], high[1:]),
        tol=1e-14,
    )
    assert np.all((got >= low) & (got <= high))
    cost = np.sum((stacked @ got - np.r_[wanted, np.zeros(8)]) ** 2)
    assert cost == pytest.approx(2 * other.cost, rel=1e-6, abs=1e-9)


def test_the_power_multiplier_is_the_least_that_is_enough():
    """Minimise |x - w|^2 with |x|^2 <= P: x is w, shrunk to the sphere."""
    wanted = np.array([3.0, 4.0])

    def solve(ridge):
        return box_least_squares(np.eye(2), wanted, 1e-9 + ridge, np.full(2, -9.0), np.full(2, 9))

    found, active = within_power(solve, lambda x: float(x @ x), 4.0)
    assert active
    np.testing.assert_allclose(found, 2.0 * wanted / 5.0, rtol=2e-3)
    assert found @ found <= 4.0
    assert not within_power(solve, lambda x: float(x @ x), 26.0)[1]


def test_weights_decide_what_is_given_up():
    coils = CoilArray.from_calibration('octomag_like')
    coils.limits = replace(coils.limits, current_max_a=5.0)
    wish = dict(field_t=[0.02, 0, 0], gradient_t_m=STRETCH)
    field_first = CoilAllocator(coils).allocate(CENTRE, **wish)
    even = AllocationWeights(field_first=0.05, direction_first=1.0)
    gradient_first = CoilAllocator(coils, even).allocate(CENTRE, **wish)
    assert gradient_first.gradient_t_m[0] > field_first.gradient_t_m[0]
    assert np.linalg.norm(gradient_first.field_residual_t) > 1e-3
