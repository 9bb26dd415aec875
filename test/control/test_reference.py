"""Goals: activation, interpolation, feed-forward, jumps, hand control."""

import numpy as np
import pytest

from synthex_ros.control.reference import (
    GoalSchedule,
    SpeedPath,
    TargetGoal,
    TeleopGoal,
    TimedPath,
)

SECOND = 10**9
TIP = np.zeros(3)


def test_schedule_is_idle_then_follows_the_newest_activated_goal():
    schedule = GoalSchedule()
    assert schedule.at(SECOND, TIP) is None
    assert schedule.mode == 'idle'
    schedule.add(TargetGoal([3, 0, 0]), 3 * SECOND)
    schedule.add(TargetGoal([2, 0, 0]), 2 * SECOND)
    assert schedule.at(SECOND, TIP) is None
    assert schedule.at(2 * SECOND, TIP).position_m[0] == 2
    assert schedule.at(3 * SECOND, TIP).position_m[0] == 3
    assert schedule.at(9 * SECOND, TIP).position_m[0] == 3


def test_target_without_stamp_counts_from_the_next_frame():
    schedule = GoalSchedule()
    schedule.add(TargetGoal([1, 0, 0]), 4 * SECOND)
    schedule.add(TargetGoal([2, 0, 0]), 0)
    assert schedule.at(SECOND, TIP).position_m[0] == 2
    assert schedule.at(4 * SECOND, TIP).position_m[0] == 1
    schedule.add(TargetGoal([5, 0, 0]), 0)
    assert schedule.at(5 * SECOND, TIP).position_m[0] == 5
    schedule.clear()
    assert schedule.at(6 * SECOND, TIP) is None


def test_two_goals_without_stamp_the_later_one_wins():
    schedule = GoalSchedule()
    schedule.add(TargetGoal([1, 0, 0]))
    schedule.add(TargetGoal([2, 0, 0]))
    assert schedule.at(SECOND, TIP).position_m[0] == 2


def test_timed_path_interpolates_with_its_slope_and_holds_outside():
    path = TimedPath([SECOND, 2 * SECOND, 3 * SECOND], [[0, 0, 0], [0.01, 0, 0], [0.01, 0.01, 0]])
    position, velocity, _ = path.at(0, TIP)
    assert position.tolist() == [0, 0, 0]
    assert velocity.tolist() == [0, 0, 0]
    position, velocity, _ = path.at(3 * SECOND // 2, TIP)
    assert position == pytest.approx([0.005, 0, 0])
    assert velocity == pytest.approx([0.01, 0, 0])
    position, velocity, _ = path.at(9 * SECOND, TIP)
    assert position == pytest.approx([0.01, 0.01, 0])
    assert velocity.tolist() == [0, 0, 0]


def test_feed_forward_stops_at_a_corner_but_not_inside_a_smooth_path():
    schedule = GoalSchedule()
    schedule.add(TimedPath([SECOND, 2 * SECOND, 3 * SECOND], [[0, 0, 0], [0.01, 0, 0], [0, 0, 0]]))
    corner = schedule.at(19 * SECOND // 10, TIP)
    assert corner.ahead(0.5) == pytest.approx([0.01, 0, 0])
    straight = TimedPath([0, SECOND, 2 * SECOND], [[0, 0, 0], [0.01, 0, 0], [0.02, 0, 0]])
    schedule.add(straight)
    assert schedule.at(29 * SECOND // 10, TIP).position_m == pytest.approx([0.02, 0, 0])
    assert straight.at(9 * SECOND // 10, TIP)[2] == np.inf


def test_jump_in_a_path_has_no_feed_forward_and_no_interpolation():
    path = TimedPath([0, SECOND, SECOND, 2 * SECOND], [[0, 0, 0], [0, 0, 0], [1, 0, 0], [2, 0, 0]])
    assert path.at(SECOND // 2, TIP)[0].tolist() == [0, 0, 0]
    assert path.at(SECOND, TIP)[0].tolist() == [1, 0, 0]
    position, velocity, _ = path.at(3 * SECOND // 2, TIP)
    assert position.tolist() == [1, 0, 0]
    assert velocity.tolist() == [0, 0, 0]


def test_path_without_times_waits_for_the_tip_then_keeps_its_speed():
    path = SpeedPath([[0, 0, 0], [0.01, 0, 0]], speed_m_s=0.002)
    far = np.array([0.05, 0, 0])
    assert path.at(SECOND, far)[0].tolist() == [0, 0, 0]
    assert path.at(2 * SECOND, np.zeros(3))[1] == pytest.approx([0.002, 0, 0])
    assert path.at(4 * SECOND, far)[0] == pytest.approx([0.004, 0, 0])
    assert path.at(60 * SECOND, far)[0] == pytest.approx([0.01, 0, 0])


def test_hand_control_moves_the_reference_only_while_it_speaks():
    goal = TeleopGoal(timeout_s=0.3, max_speed_m_s=0.01, leash_m=0.1)
    start = np.array([0.1, 0.2, 0.3])
    goal.move([0.005, 0, 0], SECOND)
    assert goal.at(SECOND, start)[0] == pytest.approx(start)
    moved = goal.at(SECOND + SECOND // 5, start)
    assert moved[0] == pytest.approx(start + [0.001, 0, 0])
    assert moved[1] == pytest.approx([0.005, 0, 0])
    silent = goal.at(2 * SECOND, start)
    assert silent[0] == pytest.approx(moved[0])
    assert silent[1].tolist() == [0, 0, 0]


def test_hand_control_is_slowed_to_its_limit_and_kept_on_its_leash():
    goal = TeleopGoal(timeout_s=10.0, max_speed_m_s=0.01, leash_m=0.002)
    goal.move([1.0, 0, 0], SECOND)
    goal.at(SECOND, TIP)
    for k in range(1, 100):
        position, velocity, _ = goal.at(SECOND + k * SECOND // 15, TIP)
        assert np.linalg.norm(velocity) <= 0.01 + 1e-12
    assert 0.001 < np.linalg.norm(position) <= 0.002 + 1e-12


@pytest.mark.parametrize(
    'make',
    [
        lambda: TargetGoal([np.nan, 0, 0]),
        lambda: TargetGoal([0, 0]),
        lambda: TimedPath([], np.zeros((0, 3))),
        lambda: TimedPath([2, 1], np.zeros((2, 3))),
        lambda: TimedPath([1, 2], [[0, 0, 0], [np.inf, 0, 0]]),
        lambda: SpeedPath([[0, 0, 0]], 0.0),
        lambda: TeleopGoal().move([0, np.nan, 0], 1),
    ],
)
def test_goals_that_make_no_sense_are_refused(make):
    with pytest.raises(ValueError, match='must|needs'):
        make()
