"""Scores against cases whose answer is known in closed form."""

import numpy as np
import pytest

from synthex_ros.evaluation.goals import PathGoal, TargetGoal, TargetRules, score_goals
from synthex_ros.evaluation.limits import all_passed, check_limits, limits_for
from synthex_ros.evaluation.metrics import (
    count_lost,
    dice,
    distance_to_polyline,
    landmark_errors,
    percentile,
    rms,
    summarize,
)

S = 1_000_000_000


def test_summary_of_two_values_and_a_nan():
    s = summarize([1.0, np.nan, 3.0])
    assert (s.count, s.mean, s.std, s.median) == (2, 2.0, 1.0, 2.0)
    assert s.ci95 == pytest.approx(1.96 / np.sqrt(2))


def test_nothing_measured_is_nan_not_zero():
    assert summarize([]).count == 0
    assert np.isnan(summarize([np.nan]).mean)
    assert np.isnan(percentile([], 50))
    assert np.isnan(rms([np.nan]))


def test_dice_of_shifted_squares():
    a, b = np.zeros((20, 20), np.uint8), np.zeros((20, 20), np.uint8)
    a[0:10, 0:10], b[0:10, 5:15] = 1, 255
    assert dice(a, b) == 0.5
    assert dice(a, a) == 1.0
    assert dice(np.zeros((4, 4)), np.zeros((4, 4))) == 1.0
    with pytest.raises(ValueError, match='equal shapes'):
        dice(a, a[:5])


def test_landmark_error_scales_with_pitch_and_magnification():
    truth = np.array([[[100.0, 100.0], [200.0, 200.0]]])
    found = np.array([[[103.0, 104.0, 0.95], [200.0, 210.0, 0.5]]])
    e = landmark_errors(found, truth, 0.5e-3, 2.0, (512, 512))
    assert e.pixels.tolist() == [[5.0, 10.0]]
    assert e.detector_mm.tolist() == [[2.5, 5.0]]
    assert e.object_mm.tolist() == [[1.25, 2.5]]
    assert e.detection_rate == 0.5
    assert summarize(e.gated(e.detector_mm)).mean == 2.5
    assert summarize(e.detector_mm).mean == 3.75


def test_landmark_outside_the_image_is_nobodys_miss():
    truth = np.array([[[-3.0, 10.0], [10.0, 10.0]], [[10.0, 10.0], [np.nan, np.nan]]])
    found = np.full((2, 2, 3), np.nan)
    found[0, 1] = [10, 10, 0.99]
    e = landmark_errors(found, truth, 1e-3, np.nan, (64, 64))
    assert e.visible.tolist() == [[False, True], [True, False]]
    assert e.detection_rate == 0.5
    assert np.isnan(e.object_mm).all()


def test_lost_frames_are_gaps_and_a_restart_is_none():
    assert count_lost([3, 4, 7, 8]) == 2
    assert count_lost([5, 6, 0, 1, 3]) == 1
    assert count_lost([]) == 0


def test_distance_to_polyline_at_corner_and_edge():
    corners = np.array([[0.0, 0, 0], [2, 0, 0], [2, 2, 0]])
    points = np.array([[1.0, 1, 0], [3, 3, 0], [0, 0, 4]])
    assert distance_to_polyline(points, corners) == pytest.approx([1, np.sqrt(2), 4])


def approach(goal_m, stamps, tau_s, start_s, offset_m):
    """A tip that nears the goal exponentially from `offset_m` away."""
    decay = np.exp(-np.maximum(stamps / S - start_s, 0) / tau_s)
    return goal_m + offset_m * decay[:, None]


def test_target_is_reached_when_the_exponential_says_so():
    stamps = np.arange(0, 6 * S, S // 100)
    goal = TargetGoal(1 * S, np.array([0.01, 0.0, 0.0]))
    tips = approach(goal.point_m, stamps, 0.5, 1.0, np.array([0.0, 0.010, 0.0]))
    result = score_goals([goal], stamps, tips, TargetRules()).targets[0]
    assert result.start_error_m == pytest.approx(0.010)
    assert result.reached
    assert result.reach_s == pytest.approx(0.5 * np.log(10 / 1.5), abs=0.01)
    late = 0.010 * np.exp(-np.arange(3.5, 4.0, 0.01) / 0.5).mean()
    assert result.final_error_m == pytest.approx(late, rel=0.05)


def test_target_too_slow_is_not_reached_even_if_it_comes_later():
    stamps = np.arange(0, 12 * S, S // 100)
    goal = TargetGoal(0, np.zeros(3))
    tips = approach(goal.point_m, stamps, 3.0, 0.0, np.array([0.010, 0.0, 0.0]))
    result = score_goals([goal], stamps, tips, TargetRules()).targets[0]
    assert not result.reached
    assert result.reach_s is None


def test_next_target_ends_the_one_before():
    stamps = np.arange(0, 4 * S, S // 10)
    goals = [TargetGoal(2 * S, np.ones(3)), TargetGoal(0, np.zeros(3))]
    tips = np.where(stamps[:, None] < 2 * S, 0.0, 1.0) * np.ones(3)
    score = score_goals(goals, stamps, tips, TargetRules())
    assert [t.final_error_m for t in score.targets] == [0.0, 0.0]
    assert np.all(score.error_m == 0)


def test_path_rms_of_a_constant_lag():
    stamps = np.arange(0, 10 * S, S // 20)
    times = np.array([1, 9]) * S
    path = PathGoal(1 * S, times, np.array([[0.0, 0, 0], [0.016, 0, 0]]))
    speed, lag_s = 0.002, 0.3
    tips = np.zeros((len(stamps), 3))
    tips[:, 0] = speed * (stamps / S - 1 - lag_s)
    score = score_goals([path], stamps, tips, TargetRules())
    assert score.path_rms_m == pytest.approx(speed * lag_s)
    assert np.isfinite(score.error_m[stamps >= S]).all()


def test_path_without_times_is_scored_by_its_line():
    stamps = np.arange(0, 5 * S, S // 10)
    path = PathGoal(0, None, np.array([[0.0, 0, 0], [1, 0, 0]]))
    tips = np.tile([0.5, 0.002, 0.0], (len(stamps), 1))
    score = score_goals([path], stamps, tips, TargetRules())
    assert score.path_rms_m == pytest.approx(0.002)
    end_m = np.linalg.norm(tips[-1] - path.points_m[-1])
    assert score.path_end_m == pytest.approx(end_m)


def test_truth_with_gaps_does_not_score_what_it_does_not_know():
    stamps = np.arange(0, 3 * S, S // 10)
    goal = TargetGoal(0, np.zeros(3))
    result = score_goals([goal], stamps, np.full((len(stamps), 3), np.nan), TargetRules())
    assert not result.targets[0].reached
    assert np.isnan(result.targets[0].final_error_m)


def test_rules_in_millimetres_are_refused():
    with pytest.raises(ValueError, match='tolerance_m'):
        TargetRules(1.5)


def test_limits_know_their_direction_and_missing_values_do_not_pass():
    limits = limits_for('lockstep', 20, None)
    assert limits['targets_reached'] == 20
    assert 'latency_p99_ms' not in limits
    assert 'latency_p99_ms' in limits_for('real_time', 0, None)
    good = {'tip_error_median_mm': 0.5, 'targets_reached': 20, 'dice_mean': 0.95}
    assert all_passed(check_limits(good, limits))
    assert not all_passed(check_limits({**good, 'dice_mean': 0.5}, limits))
    assert not all_passed(check_limits({'dice_mean': 0.95}, limits))
    assert not all_passed(check_limits({}, limits))
