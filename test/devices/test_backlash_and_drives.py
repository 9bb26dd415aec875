import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthex_ros.devices.continuum.backlash import Play
from synthex_ros.devices.continuum.drives import RateLimitedDrives
from synthex_ros.joints import JointLimits

positions = st.floats(-10, 10)
half_widths = st.floats(0, 2)


@settings(deadline=None)
@given(half_widths, st.lists(positions, min_size=1))
def test_play_stays_within_its_band_and_moves_only_at_the_edge(half_width, inputs):
    play = Play(half_width)
    for drive in inputs:
        before = play.output
        after = play(drive)
        assert abs(after - drive) <= half_width + 1e-12
        if after != before:
            assert abs(after - drive) == pytest.approx(half_width, abs=1e-12)


@settings(deadline=None)
@given(half_widths, st.lists(positions, min_size=1), st.integers(2, 7))
def test_play_does_not_depend_on_rate(half_width, inputs, pieces):
    coarse, fine = Play(half_width), Play(half_width)
    start = 0.0
    for drive in inputs:
        coarse(drive)
        for fraction in np.arange(1, pieces) / pieces:
            fine(start + fraction * (drive - start))
        fine(drive)
        start = drive
        assert fine.output == pytest.approx(coarse.output, abs=1e-12)


@settings(deadline=None)
@given(st.lists(positions, min_size=1))
def test_no_play_is_the_identity(inputs):
    play = Play(0.0)
    assert [play(drive) for drive in inputs] == inputs


@settings(deadline=None)
@given(half_widths, positions, positions)
def test_reversal_costs_the_full_width_before_it_moves_back(half_width, start, travel):
    play = Play(half_width)
    far = play(start + abs(travel) + 2 * half_width + 1)
    turning = far + half_width
    assert play(turning - 1.99 * half_width) == pytest.approx(far)
    assert play(turning - 2 * half_width - 0.5) == pytest.approx(far - 0.5)


@pytest.mark.parametrize('half_width', [-1e-3, float('nan'), float('inf')])
def test_impossible_play_is_refused(half_width):
    with pytest.raises(ValueError, match='half_width'):
        Play(half_width)


LIMITS = JointLimits(('a', 'b'), np.array([-1.0, 0.0]), np.array([1.0, 0.5]), np.array([2.0, 0.1]))


@settings(deadline=None)
@given(st.lists(st.tuples(positions, positions, st.floats(1e-3, 1.0)), min_size=1, max_size=30))
def test_drives_never_exceed_rate_or_travel(commands):
    drives = RateLimitedDrives(LIMITS)
    for first, second, duration_s in commands:
        before = np.array(drives.positions)
        drives.command([first, second])
        after = np.array(drives.step(duration_s))
        assert LIMITS.contains(after)
        assert np.all(np.abs(after - before) <= LIMITS.rate * duration_s + 1e-12)
        np.testing.assert_allclose(
            drives.velocities, (after - before) / duration_s, rtol=0, atol=1e-9
        )


def test_drives_arrive_exactly_and_report_what_was_accepted():
    drives = RateLimitedDrives(LIMITS)
    np.testing.assert_array_equal(drives.command([0.3, 0.9]), [0.3, 0.5])
    drives.step(10.0)
    assert drives.positions == [0.3, 0.5]


@pytest.mark.parametrize('bad', [[np.nan, 0], [0, np.inf], [0], [0, 0, 0]])
def test_bad_commands_change_nothing(bad):
    drives = RateLimitedDrives(LIMITS)
    drives.command([0.5, 0.25])
    with pytest.raises(ValueError, match='joints'):
        drives.command(bad)
    drives.step(10.0)
    assert drives.positions == [0.5, 0.25]


def test_drives_cannot_start_outside_their_travel():
    with pytest.raises(ValueError, match='travel'):
        RateLimitedDrives(LIMITS).reset([2.0, 0.1])


@pytest.mark.parametrize(
    ('lower', 'upper', 'rate'),
    [([0, 0], [1, 0], [1, 1]), ([0, 0], [1, 1], [1, 0]), ([0], [1], [1])],
)
def test_inconsistent_limits_are_refused(lower, upper, rate):
    with pytest.raises(ValueError, match='limits|lower'):
        JointLimits(('a', 'b'), *(np.array(values, float) for values in (lower, upper, rate)))
