"""Mixing motions: a Markov chain, honest covariances, and the motion that explains the path."""

import numpy as np
import pytest

from synthex_ros.tracking.covariance import mahalanobis_squared
from synthex_ros.tracking.filter import CHI2_2_DOF_999, FilterSettings, Measurement, PointFilter
from synthex_ros.tracking.mixed_motion import MixedMotion, _singer
from synthex_ros.tracking.motion import WhiteAcceleration

RATE_HZ = 15.0
SIGMA = 3e-4
OPEN = FilterSettings(gate_chi2=1e6)


def noise(axes=3):
    return SIGMA**2 * np.eye(axes)


def follow(point_filter, path, rng, axes=3, start=0):
    """Feed positions of a function of time with noise; return the states."""
    states = []
    for k in range(start, start + 45):
        seen = path(k / RATE_HZ) + SIGMA * rng.standard_normal(axes)
        blank = np.zeros((axes, axes))
        states.append(point_filter.add(Measurement(k / RATE_HZ, seen, noise(axes), blank)))
    return states


def test_chance_of_change_composes():
    """A chain in continuous time: two steps are one of their length, and rows are chances."""
    motion = MixedMotion()
    one, two = motion.transition(0.1), motion.transition(0.05)
    np.testing.assert_allclose(two @ two, one, atol=1e-14)
    np.testing.assert_allclose(one.sum(axis=1), 1)
    np.testing.assert_array_equal(motion.transition(0.0), np.eye(3))
    leaving = (1 - motion.transition(1e-6)[0, 0]) / 1e-6
    assert leaving == pytest.approx(1 / motion.sojourn_s, rel=1e-4)


def test_singer_noise_composes_and_keeps_the_accelerations_size():
    sigma, lasting = 0.4, 0.25
    half, noise_half = _singer(sigma, lasting, 0.05)
    whole, noise_whole = _singer(sigma, lasting, 0.1)
    np.testing.assert_allclose(half @ half, whole, atol=1e-12)
    np.testing.assert_allclose(half @ noise_half @ half.T + noise_half, noise_whole, atol=1e-12)
    stationary = np.diag([0, 0, sigma**2])
    kept = whole @ stationary @ whole.T + noise_whole
    assert kept[2, 2] == pytest.approx(sigma**2)


def test_singers_limits_are_white_acceleration_and_white_jerk():
    """Of a short-lived one sigma^2 2 tau is the density of the acceleration, of a long-lived one
    sigma^2 2 / tau that of the jerk."""
    lasting, dt, density = 1e-4, 0.1, 0.02
    _, spread = _singer(density / np.sqrt(2 * lasting), lasting, dt)
    expected = density**2 * np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]])
    np.testing.assert_allclose(spread[:2, :2], expected, rtol=0.01)
    for share in (0.009, 0.011):
        _, spread = _singer(0.4, dt / share, dt)
        jerk = 2 * share / dt * 0.4**2
        assert spread[0, 0] == pytest.approx(jerk * dt**5 / 20, rel=0.02)
        assert spread[2, 2] == pytest.approx(jerk * dt, rel=0.02)


def test_long_silence_leaves_a_finite_belief():
    point_filter = PointFilter(OPEN, MixedMotion())
    follow(point_filter, lambda t: np.zeros(3), np.random.default_rng(1))
    later = point_filter.predict(3600.0)
    assert later.lost
    assert np.all(np.isfinite(later.belief.covariance))
    assert np.all(np.linalg.eigvalsh(later.covariance) > 0)


@pytest.mark.parametrize(
    ('path', 'likeliest'),
    [
        (lambda t: np.zeros(3), 0),
        (lambda t: np.array([0.02, 0.01, 0.0]) * t, 1),
        (lambda t: np.array([0.01 * np.cos(6 * t), 0.01 * np.sin(6 * t), 0.0]), 2),
    ],
    ids=['at rest', 'steady', 'turning'],
)
def test_motion_that_explains_the_path_wins(path, likeliest):
    """The turn: 0.36 m/s^2 on a radius of 10 mm."""
    states = follow(PointFilter(OPEN, MixedMotion()), path, np.random.default_rng(3))
    weights = np.mean(
        [[mode.probability for mode in state.belief.modes] for state in states[15:]], axis=0
    )
    assert int(np.argmax(weights)) == likeliest
    assert weights.sum() == pytest.approx(1)


@pytest.mark.parametrize('axes', [2, 3])
def test_normalised_errors_and_gate_are_chi_square(axes):
    """Targets that obey the mixture: motions that change by its chain, D degrees of freedom."""
    motion, rng = MixedMotion(), np.random.default_rng(11)
    changes, dt = motion.transition(1 / RATE_HZ), 1 / RATE_HZ
    errors, innovations = [], []
    for _ in range(25):
        point_filter = PointFilter(OPEN, motion)
        kind, state = int(rng.integers(3)), np.zeros(3 * axes)
        for k in range(40):
            kind = int(rng.choice(3, p=changes[kind]))
            for order in range(kind + 1, 3):
                size = (0.0, motion.start_velocity_sigma, motion.acceleration_sigma)[order]
                part = slice(order * axes, (order + 1) * axes)
                state[part] = size * rng.standard_normal(axes)
            step, shake = motion._step(kind + 1, dt)
            factor = np.linalg.cholesky(shake + 1e-18 * np.eye(3))
            state = np.kron(step, np.eye(axes)) @ state + np.kron(
                factor, np.eye(axes)
            ) @ rng.standard_normal(3 * axes)
            seen = state[:axes] + SIGMA * rng.standard_normal(axes)
            if k:
                ahead = point_filter.predict(k * dt)
                spread = ahead.covariance + noise(axes)
                innovations.append(mahalanobis_squared(seen - ahead.position, spread))
            blank = np.zeros((axes, axes))
            now = point_filter.add(Measurement(k * dt, seen, noise(axes), blank))
            errors.append(mahalanobis_squared(now.position - state[:axes], now.covariance))
    assert 0.8 * axes < np.mean(errors) < 1.2 * axes
    gate = {2: CHI2_2_DOF_999, 3: FilterSettings().gate_chi2}[axes]
    assert np.mean(np.array(innovations) > gate) < 0.02


def test_resting_point_is_known_better_than_by_constant_velocity():
    """At rest the mixture averages longer; while turning it lags less than what rests."""
    at_rest = [
        follow(PointFilter(OPEN, motion), lambda t: np.zeros(3), np.random.default_rng(5))
        for motion in (MixedMotion(), WhiteAcceleration())
    ]
    mixed, velocity = (
        np.sqrt(np.mean([np.sum(s.position**2) for s in states[15:]])) for states in at_rest
    )
    assert mixed < 0.8 * velocity


def test_latency_is_made_up_for_by_prediction():
    point_filter = PointFilter(OPEN, MixedMotion())
    path = lambda t: np.array([0.03, -0.01, 0.0]) * t  # noqa: E731
    states = follow(point_filter, path, np.random.default_rng(6))
    now = 44 / RATE_HZ + 0.1
    ahead = point_filter.predict(now)
    late = np.linalg.norm(states[-1].position - path(now))
    assert np.linalg.norm(ahead.position - path(now)) < 0.25 * late
    assert np.trace(ahead.covariance) > np.trace(states[-1].covariance)


def test_order_of_arrival_does_not_matter():
    rng = np.random.default_rng(8)
    seen = [
        Measurement(k / RATE_HZ, 0.02 * rng.standard_normal(3) * (k > 5), noise())
        for k in range(9)
    ]
    ordered, late = (PointFilter(OPEN, MixedMotion()) for _ in range(2))
    for k in range(9):
        ordered.add(seen[k])
    for k in (0, 2, 1, 4, 3, 6, 5, 8, 7):
        late.add(seen[k])
    np.testing.assert_array_equal(late.state.belief.mean, ordered.state.belief.mean)


def test_unit_of_length_does_not_matter():
    """The same track in metres and in pixels of 0.5 mm."""
    scale, rng = 2000.0, np.random.default_rng(9)
    metres, pixels = PointFilter(OPEN, MixedMotion()), PointFilter(OPEN, MixedMotion().scaled(2e3))
    for k in range(20):
        seen = np.array([0.01, 0.02]) * k / RATE_HZ + SIGMA * rng.standard_normal(2)
        blank = np.zeros((2, 2))
        a = metres.add(Measurement(k / RATE_HZ, seen, noise(2), blank))
        b = pixels.add(Measurement(k / RATE_HZ, scale * seen, scale**2 * noise(2), blank))
    np.testing.assert_allclose(b.position, scale * a.position, rtol=1e-6)
    np.testing.assert_allclose(b.covariance, scale**2 * a.covariance, rtol=1e-6)


def test_size_that_makes_no_sense_is_named():
    with pytest.raises(ValueError, match='sojourn_s must be positive'):
        MixedMotion(sojourn_s=0.0)
