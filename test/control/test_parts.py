"""Backlash, delay, least squares, features, inverse: each against what it must obey."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthex_ros.control.backlash import PlayOperator
from synthex_ros.control.delay import JointHistory, LoopDelay
from synthex_ros.control.features import features_of, interaction_matrix
from synthex_ros.control.inverse import Inverse, coordinate_limits
from synthex_ros.control.least_squares import box_step
from synthex_ros.control.pairing import StampPairs
from synthex_ros.control.tip_model import Correction, TipModel
from synthex_ros.geometry import CArm

from .control_loop import NOMINAL, WORLD_FROM_BASE, joint_limits

LIMITS = joint_limits(NOMINAL.parameters)
MODEL = TipModel(NOMINAL, WORLD_FROM_BASE)
BENT = Correction(0.8, 1e-4, 0.1, np.array([1e-3, -2e-3, 5e-4]))
inside = st.lists(st.floats(0.05, 0.95), min_size=3, max_size=3)


def coordinates(shares):
    box = coordinate_limits(LIMITS, 0.0)
    return np.array(box.lower) + np.subtract(box.upper, box.lower) * shares


# Backlash.


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=30), st.floats(0, 2))
def test_play_never_leaves_the_dead_band_and_is_rate_independent(inputs, width):
    coarse, fine = PlayOperator(width), PlayOperator(width)
    last = 0.0
    for position in inputs:
        for part in np.linspace(last, position, 7)[1:]:
            fine.move(float(part))
        coarse.move(position)
        assert abs(coarse.output - position) <= width + 1e-12
        assert coarse.output == pytest.approx(fine.output, abs=1e-9)
        last = position


@given(st.floats(-5, 5), st.floats(-5, 5), st.floats(0, 1))
def test_inverse_of_the_play_brings_the_output_where_it_is_wanted(start, wanted, width):
    play = PlayOperator(width, start)
    play.move(play.input_for(wanted, start, dead_band=0.0))
    assert play.output == pytest.approx(wanted, abs=1e-9)


def test_reversal_drives_through_the_dead_band_and_no_further():
    play = PlayOperator(0.15, 1.0)
    assert play.edge_towards(1.15, 0.2) == pytest.approx(0.85)
    assert play.after(0.85) == pytest.approx(1.0)
    assert play.input_for(1.01, 1.15, dead_band=0.02) == 1.15


def test_negative_play_is_refused():
    with pytest.raises(ValueError, match='half_width'):
        PlayOperator(-1.0)


# Delay.


def test_history_interpolates_and_prediction_follows_commands_at_the_rate_limit():
    history = JointHistory(LIMITS)
    history.measured(0, [0.01, 0, 0, 0])
    history.measured(100_000_000, [0.02, 0.1, 0, 0])
    assert history.at(50_000_000) == pytest.approx([0.015, 0.05, 0, 0])
    assert history.covers(100_000_000)
    assert not history.covers(100_000_001)
    history.commanded(200_000_000, [0.03, 0.1, 0, 0])
    here = history.predict(100_000_000, 300_000_000)[-1]
    assert here[0] == pytest.approx(0.02 + 0.020 * 0.1)
    assert history.predict(100_000_000, 2_000_000_000)[-1][0] == pytest.approx(0.03)


def test_prediction_ignores_measurements_after_the_exposure():
    history = JointHistory(LIMITS)
    history.measured(1, [0.01, 0, 0, 0])
    before = history.predict(1, 10**8)[-1]
    history.measured(10**8, [0.05, 1, 0, 0])
    assert np.array_equal(history.predict(1, 10**8)[-1], before)


def test_history_forgets_what_is_older_than_its_span():
    history = JointHistory(LIMITS, span_s=1.0)
    for k in range(5):
        history.measured(k * 10**9, [0.01 * k, 0, 0, 0])
    assert history.at(0)[0] == pytest.approx(0.03)
    history.clear()
    with pytest.raises(LookupError):
        history.at(0)


def test_loop_delay_is_a_median_unless_fixed():
    delay = LoopDelay()
    for late_ms in (100, 100, 900, 100):
        delay.saw(10**9, 10**9 + late_ms * 10**6)
    assert delay.value_s() == pytest.approx(0.1)
    assert LoopDelay(0.25).value_s() == 0.25


# Least squares.


@settings(max_examples=50)
@given(st.integers(0, 10**6))
def test_box_step_is_inside_and_no_feasible_neighbour_is_better(seed):
    rng = np.random.default_rng(seed)
    jacobian, error = rng.standard_normal((3, 3)), 3 * rng.standard_normal(3)
    damping, box = rng.uniform(0, 0.5, 3), rng.uniform(0.05, 1, 3)
    step = box_step(jacobian, error, damping, -box, box)
    assert np.all(np.abs(step) <= box + 1e-12)

    def cost(x):
        return np.sum((jacobian @ x - error) ** 2) + np.sum((damping * x) ** 2)

    for _ in range(30):
        neighbour = np.clip(step + 1e-3 * rng.standard_normal(3), -box, box)
        assert cost(step) <= cost(neighbour) + 1e-9


def test_box_step_refuses_what_is_not_finite():
    with pytest.raises(ValueError, match='finite'):
        box_step(np.full((3, 3), np.nan), np.zeros(3), np.ones(3), -np.ones(3), np.ones(3))
    with pytest.raises(ValueError, match='lower'):
        box_step(np.eye(3), np.zeros(3), np.ones(3), np.ones(3), -np.ones(3))


# Features and Jacobians against differences.


@given(inside, st.floats(-1.0, 1.0), st.floats(-0.5, 0.5))
def test_image_jacobian_is_the_slope_of_the_projection(shares, orbital, angulation):
    view, q = CArm().view(orbital, angulation), coordinates(shares)
    slope = interaction_matrix(view, features_of(view, MODEL.tip(q, BENT)))
    slope = slope @ MODEL.jacobian(q, BENT)
    for k, step in enumerate((1e-6, 1e-5, 1e-7)):
        delta = np.zeros(3)
        delta[k] = step
        high, low = (features_of(view, MODEL.tip(q + s * delta, BENT)) for s in (1, -1))
        numeric = (high - low) / (2 * step)
        assert slope[:, k] == pytest.approx(
            numeric, rel=1e-4, abs=1e-3 * abs(numeric).max() + 1e-3
        )


# Inverse.


@settings(max_examples=40)
@given(inside)
def test_reachable_tip_is_reached_within_limits(shares):
    box = coordinate_limits(LIMITS, 0.0)
    inverse = Inverse(MODEL, box)
    target = MODEL.tip(coordinates(shares) * [1, 1, 0.8], BENT)
    found = inverse.solve(target, [0.02, 0.0, 0.0], BENT)
    assert np.all(found >= box.lower)
    assert np.all(found <= box.upper)
    assert inverse.miss_m(found, target, BENT) < 1e-4


def test_target_on_the_other_side_is_reached_by_negative_bend_without_turning():
    inverse = Inverse(MODEL, coordinate_limits(LIMITS, 0.0))
    other_side = MODEL.tip([0.03, 0.2, -2e-3], Correction())
    found = inverse.solve(other_side, [0.03, 0.2, 2e-3], Correction())
    assert found == pytest.approx([0.03, 0.2, -2e-3], abs=1e-4)


def test_straight_device_turns_towards_its_target_before_bending_far():
    inverse = Inverse(MODEL, coordinate_limits(LIMITS, 0.0))
    aside = MODEL.tip([0.03, 0.7, 1.5e-3], Correction())
    found = inverse.solve(aside, [0.03, 0.0, 0.0], Correction())
    assert found[1] == pytest.approx(0.7, abs=0.01)


def test_co_contraction_narrows_the_bend():
    box = coordinate_limits(LIMITS, 0.001)
    assert box.upper[2] == pytest.approx(0.004)
    assert box.lower[2] == pytest.approx(-0.004)


# Pairing.


def test_frame_is_complete_when_every_part_has_come_and_late_parts_are_dropped():
    pairs = StampPairs(('a', 'b'), capacity=3)
    assert pairs.put('b', 1, 'B')
    assert pairs.missing(1) == ['a']
    assert pairs.put('a', 1, 'A')
    assert pairs.missing(1) == []
    assert pairs.stamps_with('a') == [1]
    pairs.done(1)
    assert not pairs.put('a', 1, 'late')
    for stamp in range(2, 8):
        pairs.put('a', stamp, stamp)
    assert pairs.stamps_with('a') == [5, 6, 7]
    with pytest.raises(KeyError):
        pairs.put('c', 9, None)
