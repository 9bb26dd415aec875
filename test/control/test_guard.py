"""The guard lets good commands through and names every bad one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthex_ros.control.guard import KINDS, CommandGuard
from synthex_ros.joints import JointLimits

NAMES = ('insertion', 'roll', 'tendon_1', 'tendon_2')
LIMITS = JointLimits(
    NAMES,
    (0.0, -np.pi, -0.005, -0.005),
    (0.060, np.pi, 0.005, 0.005),
    (0.020, 1.5, 0.004, 0.004),
)
REST = [0.01, 0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ('change', 'kind'),
    [
        ({'enabled': False}, 'disabled'),
        ({'positions': [0.01, np.nan, 0, 0]}, 'not_finite'),
        ({'positions': [0.01, np.inf, 0, 0]}, 'not_finite'),
        ({'stamp_s': np.nan}, 'not_finite'),
        ({'names': ('roll', 'insertion', 'tendon_1', 'tendon_2')}, 'names'),
        ({'names': NAMES[:3], 'positions': REST[:3]}, 'names'),
        ({'positions': REST[:3]}, 'names'),
        ({'stamp_s': 0.0}, 'stamp_zero'),
        ({'stamp_s': 10.2}, 'stamp_future'),
        ({'stamp_s': 9.4}, 'stamp_stale'),
        ({'positions': [-0.001, 0, 0, 0]}, 'position_limit'),
        ({'positions': [0.061, 0, 0, 0]}, 'position_limit'),
        ({'positions': [0.01, 0, 0.004, 0]}, 'rate_limit'),
    ],
)
def test_each_fault_is_rejected_under_its_own_name(change, kind):
    guard = CommandGuard(LIMITS)
    command = {'names': NAMES, 'positions': REST, 'stamp_s': 10.0, 'now_s': 10.0, 'measured': REST}
    assert guard.rejection(**command) is None
    reason = guard.rejection(**{**command, **change})
    assert reason
    assert guard.last_rejection == reason
    assert dict(guard.counts) == {kind: 1}
    assert kind in KINDS


def test_first_failure_wins_in_the_order_of_the_questions():
    guard = CommandGuard(LIMITS)
    guard.rejection(['x'], [np.nan], 0.0, 99.0, enabled=False)
    guard.rejection(['x'], [np.nan], 0.0, 99.0)
    guard.rejection(['x'], [9.0], 0.0, 99.0)
    guard.rejection(NAMES, [9.0] * 4, 0.0, 99.0)
    assert list(guard.counts) == ['disabled', 'not_finite', 'names', 'stamp_zero']


def test_older_command_after_a_newer_one_is_rejected_until_reset():
    guard = CommandGuard(LIMITS)
    assert guard.rejection(NAMES, REST, 10.0, 10.0) is None
    assert 'before the last accepted' in guard.rejection(NAMES, REST, 9.9, 10.0)
    guard.reset()
    assert guard.rejection(NAMES, REST, 9.9, 10.0) is None


def test_moving_at_exactly_the_rate_limit_passes_and_twice_as_fast_does_not():
    guard = CommandGuard(LIMITS)
    dt = 1 / 15
    for k in range(10):
        position = [0.01 + 0.020 * dt * k, 0, 0, 0]
        assert guard.rejection(NAMES, position, 1 + dt * k, 1 + dt * k) is None
    fast = [0.01 + 0.020 * dt * 11.5, 0, 0, 0]
    assert 'insertion moves' in guard.rejection(NAMES, fast, 1 + dt * 10, 1 + dt * 10)


def test_after_silence_the_allowed_jump_does_not_keep_growing():
    guard = CommandGuard(LIMITS, max_interval_s=0.25)
    assert guard.rejection(NAMES, REST, 1.0, 1.0) is None
    assert guard.rejection(NAMES, [0.05, 0, 0, 0], 60.0, 60.0) is not None
    assert guard.rejection(NAMES, [0.015, 0, 0, 0], 60.0, 60.0) is None


@given(
    last=st.lists(st.floats(0, 1), min_size=4, max_size=4),
    here=st.lists(st.floats(0, 1), min_size=4, max_size=4),
)
def test_holding_the_measured_joints_always_passes(last, here):
    span = np.subtract(LIMITS.upper, LIMITS.lower)
    guard = CommandGuard(LIMITS)
    last_q, here_q = LIMITS.lower + span * last, LIMITS.lower + span * here
    assert guard.rejection(NAMES, last_q, 1.0, 1.0) is None
    assert guard.rejection(NAMES, here_q, 1.0, 1.0, measured=here_q) is None


@pytest.mark.parametrize(
    'bad',
    [
        {'lower': (0.0,)},
        {'upper': (0.060, np.nan, 1, 1)},
        {'upper': (-1.0, 1, 1, 1)},
        {'rate': (0.0, 1, 1, 1)},
        {'names': ('a', 'a', 'b', 'c')},
    ],
)
def test_impossible_limits_are_refused(bad):
    good = {'names': NAMES, 'lower': LIMITS.lower, 'upper': LIMITS.upper, 'rate': LIMITS.rate}
    with pytest.raises(ValueError, match=next(iter(bad))):
        JointLimits(**{**good, **bad})


def test_impossible_guard_settings_are_refused():
    with pytest.raises(ValueError, match='max_age_s'):
        CommandGuard(LIMITS, max_age_s=0)
    with pytest.raises(ValueError, match='max_skew_s'):
        CommandGuard(LIMITS, max_skew_s=-1)
