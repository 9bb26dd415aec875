"""The filter's physics: order of arrival does not matter, no lag, honest covariance, loss."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthex_ros.tracking.covariance import mahalanobis_squared
from synthex_ros.tracking.filter import FilterSettings, Measurement, PointFilter
from synthex_ros.tracking.motion import WhiteAcceleration

RATE_HZ = 15.0
SIGMA_M = 3e-4
NOISE = SIGMA_M**2 * np.eye(3)


def seen(k, position, covariance=NOISE, bias=None):
    bias = np.zeros((3, 3)) if bias is None else bias
    return Measurement(k / RATE_HZ, np.asarray(position, float), covariance, bias)


def line(k, speed=(0.01, 0.0, -0.005)):
    return np.array(speed) * k / RATE_HZ


def track(rng, count, **extra):
    return [seen(k, line(k) + SIGMA_M * rng.standard_normal(3), **extra) for k in range(count)]


@settings(max_examples=30, deadline=None)
@given(order=st.permutations(range(12)), missed=st.sets(st.integers(0, 11), max_size=4))
def test_any_order_of_arrival_within_the_history_gives_the_same_track(order, missed):
    measurements = track(np.random.default_rng(1), 12)
    for k in missed:
        measurements[k] = Measurement(k / RATE_HZ)
    ordered, shuffled = PointFilter(), PointFilter()
    for k in range(12):
        ordered.add(measurements[k])
    for k in order:
        shuffled.add(measurements[k])
    np.testing.assert_array_equal(shuffled.state.belief.mean, ordered.state.belief.mean)
    np.testing.assert_array_equal(shuffled.state.covariance, ordered.state.covariance)
    assert shuffled.state.lost == ordered.state.lost


def test_late_measurement_equals_one_in_time():
    measurements = track(np.random.default_rng(2), 58)
    ordered, late = PointFilter(), PointFilter()
    for measurement in measurements:
        ordered.add(measurement)
    for k in range(58):
        if k % 7 == 3:
            continue
        late.add(measurements[k])
        if k >= 4 and (k - 4) % 7 == 3:
            late.add(measurements[k - 4])
    np.testing.assert_array_equal(
        late.predict(57 / RATE_HZ).belief.mean, ordered.predict(57 / RATE_HZ).belief.mean
    )


def test_constant_velocity_is_followed_without_lag():
    track_filter = PointFilter()
    for k in range(60):
        state = track_filter.add(seen(k, line(k)))
    np.testing.assert_allclose(state.position, line(59), atol=1e-6)
    ahead = track_filter.predict(62 / RATE_HZ)
    np.testing.assert_allclose(ahead.position, line(62), atol=1e-5)
    assert np.trace(ahead.covariance) > np.trace(state.covariance)


def test_prediction_at_an_old_time_uses_what_was_known_then():
    whole, half = PointFilter(), PointFilter()
    for measurement in (measurements := track(np.random.default_rng(3), 14)):
        whole.add(measurement)
    for measurement in measurements[:8]:
        half.add(measurement)
    np.testing.assert_array_equal(whole.predict(7 / RATE_HZ).belief.mean, half.state.belief.mean)


@pytest.mark.parametrize('bias_m', [0.0, 2e-3])
def test_normalised_errors_are_chi_square(bias_m):
    """A target that obeys the motion model; part of the error the same in all frames."""
    rng, distances = np.random.default_rng(5), []
    # The gate is opened: it would cut the tail of the distribution that is tested here.
    options = FilterSettings(gate_chi2=60.0)
    motion = WhiteAcceleration()
    dt = 1 / RATE_HZ
    block = np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]])
    shake = np.linalg.cholesky(motion.acceleration_density**2 * np.kron(block, np.eye(3)))
    bias_cov = np.diag([0.0, bias_m**2, 0.0])
    for _ in range(60):
        track_filter, bias = PointFilter(options), np.array([0, bias_m, 0]) * rng.standard_normal()
        truth = np.concatenate([np.zeros(3), motion.start_velocity_sigma * rng.standard_normal(3)])
        for k in range(25):
            noisy = truth[:3] + SIGMA_M * rng.standard_normal(3) + bias
            state = track_filter.add(seen(k, noisy, NOISE + bias_cov, bias_cov))
            distances.append(mahalanobis_squared(state.position - truth[:3], state.covariance))
            truth = np.concatenate(
                [truth[:3] + dt * truth[3:], truth[3:]]
            ) + shake @ rng.standard_normal(6)
        assert not state.lost
    assert 2.5 < np.mean(distances) < 3.5


def test_shared_error_is_not_averaged_away():
    track_filter, bias = PointFilter(), np.diag([0.0, 0.0, 4e-6])
    for k in range(100):
        state = track_filter.add(seen(k, np.zeros(3), NOISE + bias, bias))
    assert state.covariance[2, 2] >= 4e-6


def test_outlier_is_rejected_and_leaves_the_track_alone():
    track_filter = PointFilter()
    for measurement in track(np.random.default_rng(6), 20):
        track_filter.add(measurement)
    expected = track_filter.predict(20 / RATE_HZ)
    state = track_filter.add(seen(20, line(20) + [0.03, 0, 0]))
    assert not state.accepted
    assert not state.lost
    np.testing.assert_array_equal(state.belief.mean, expected.belief.mean)


ELSEWHERE = np.array([0.02, 0.01, 0.0])
FAR, FARTHER = ELSEWHERE + [0.05, 0, 0], ELSEWHERE - [0, 0.07, 0]


@pytest.mark.parametrize(
    ('places', 'lost'),
    [
        ([ELSEWHERE, ELSEWHERE], [True, False]),
        ([FAR, ELSEWHERE, ELSEWHERE], [True, True, False]),
        ([ELSEWHERE, FAR, ELSEWHERE], [True, True, False]),
        ([ELSEWHERE, FAR, FARTHER, ELSEWHERE], [True] * 4),
        ([ELSEWHERE, None, ELSEWHERE], [True] * 3),
        ([FAR, FARTHER, ELSEWHERE, FAR], [True] * 4),
    ],
    ids=['two', 'a false one first', 'one between', 'two between', 'a miss between', 'none agree'],
)
def test_lost_after_misses_then_found_again_where_two_of_three_agree(places, lost):
    track_filter = PointFilter(FilterSettings(lost_after=3, recover_after=2))
    for measurement in track(np.random.default_rng(7), 10):
        track_filter.add(measurement)
    missed = [track_filter.add(Measurement(k / RATE_HZ)).lost for k in range(10, 13)]
    assert missed == [False, False, True]
    for k, (place, expected) in enumerate(zip(places, lost, strict=True), 13):
        shown = Measurement(k / RATE_HZ) if place is None else seen(k, place)
        state = track_filter.add(shown)
        assert state.lost == expected
    if not state.lost:
        np.testing.assert_allclose(state.position, ELSEWHERE, atol=1e-4)
        assert state.rival is None


def test_three_must_agree_and_a_false_one_between_does_not_start_anew():
    track_filter = PointFilter(FilterSettings(lost_after=1, recover_after=3))
    track_filter.add(seen(0, FAR))
    track_filter.add(Measurement(1 / RATE_HZ))
    places = [ELSEWHERE, ELSEWHERE, FARTHER, ELSEWHERE]
    states = [track_filter.add(seen(k, place)) for k, place in enumerate(places, 2)]
    assert [state.lost for state in states] == [True, True, True, False]


def test_what_could_be_reached_in_two_intervals_alone_does_not_agree():
    """At such a speed any false place and a true one would make a track."""
    motion = WhiteAcceleration()
    off = ELSEWHERE + [5.5 * motion.start_velocity_sigma / RATE_HZ, 0, 0]
    track_filter = PointFilter(FilterSettings(lost_after=1, recover_after=2), motion)
    track_filter.add(seen(0, FAR))
    track_filter.add(Measurement(1 / RATE_HZ))
    assert track_filter.add(seen(2, off)).lost
    assert track_filter.add(seen(3, FARTHER)).lost
    assert track_filter.add(seen(4, ELSEWHERE)).lost


def test_a_place_from_before_a_silence_does_not_agree_with_one_after_it():
    track_filter = PointFilter(FilterSettings(lost_after=3, recover_after=2, lost_timeout_s=0.5))
    track_filter.add(seen(0, FAR))
    for k in range(1, 4):
        track_filter.add(Measurement(k / RATE_HZ))
    assert not [track_filter.add(seen(k, ELSEWHERE)) for k in (4, 5)][-1].lost
    quiet = 5 + int(RATE_HZ)
    assert track_filter.add(seen(quiet, FAR)).lost
    assert track_filter.add(seen(quiet + 1, ELSEWHERE)).lost


def test_first_measurement_starts_the_track_and_nothing_before_it_does():
    track_filter = PointFilter()
    assert track_filter.add(Measurement(0.0)).lost
    assert track_filter.predict(0.05).lost
    state = track_filter.add(seen(1, [0.01, 0.02, 0.03]))
    assert not state.lost
    np.testing.assert_array_equal(state.position, [0.01, 0.02, 0.03])


def test_silence_is_loss():
    track_filter = PointFilter(FilterSettings(lost_timeout_s=0.5))
    track_filter.add(seen(0, np.zeros(3)))
    assert not track_filter.predict(0.4).lost
    assert track_filter.predict(0.6).lost
    assert track_filter.add(Measurement(0.6, np.zeros(3), NOISE)).lost


def test_too_old_measurement_is_refused_and_counted():
    track_filter = PointFilter(FilterSettings(horizon_s=1.0))
    for measurement in track(np.random.default_rng(8), 40):
        track_filter.add(measurement)
    before = track_filter.state
    assert track_filter.add(seen(2, line(2))) is None
    assert track_filter.late == 1
    assert track_filter.state is before


def test_reset_forgets():
    track_filter = PointFilter()
    track_filter.add(seen(0, np.zeros(3)))
    track_filter.reset()
    assert track_filter.state.lost
    assert not track_filter.state.started


@pytest.mark.parametrize(
    ('bad', 'message'),
    [
        (Measurement(np.nan), 'time_s'),
        (Measurement(0.0, np.array([np.inf, 0, 0]), NOISE), 'position'),
        (Measurement(0.0, np.zeros(3), NOISE[:2]), 'covariance'),
        (Measurement(0.0, np.zeros(3), NOISE, 2 * NOISE), 'exceed'),
    ],
)
def test_bad_measurements_are_refused(bad, message):
    with pytest.raises(ValueError, match=message):
        PointFilter().add(bad)
