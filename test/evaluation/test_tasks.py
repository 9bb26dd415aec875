"""Tasks ask only for what the device can do, and for the same thing for the same seed."""

import numpy as np
import pytest

from synthex_ros.devices.continuum.kinematics import ContinuumKinematics
from synthex_ros.evaluation.flow_task import flow_task, place_in_tube
from synthex_ros.evaluation.tasks import TASKS, circle
from synthex_ros.geometry import invert_pose, pose_from_parameters, transform_points

BASE = pose_from_parameters((0.01, -0.02, 0.03), (0.1, -0.2, 0.3))


@pytest.mark.parametrize('name', sorted(TASKS))
def test_every_goal_can_be_reached_with_margin_to_the_end_stops(name):
    kinematics = ContinuumKinematics()
    limits = kinematics.parameters.limits
    task = TASKS[name](kinematics, BASE, 3)
    for goal in (*task.targets, *task.path):
        tip = transform_points(invert_pose(BASE), goal.position_world_m)
        joints = kinematics.joints_for_tip(tip)
        assert np.allclose(kinematics.tip(joints), tip, atol=1e-6)
        assert limits.contains(joints * [1.02, 1.0, 1.1, 1.1])


@pytest.mark.parametrize('name', sorted(TASKS))
def test_goals_follow_one_another_and_end_before_the_task(name):
    task = TASKS[name](ContinuumKinematics(), BASE, 3)
    times = [goal.time_s for goal in (*task.targets, *task.path)]
    assert np.all(np.diff(times) > 0)
    assert times[-1] < task.duration_s


def test_targets_depend_on_the_seed_alone():
    kinematics = ContinuumKinematics()
    first, again, other = (TASKS['CM-1'](kinematics, BASE, seed) for seed in (1, 1, 2))
    stack = [np.array([g.position_world_m for g in t.targets]) for t in (first, again, other)]
    assert np.array_equal(stack[0], stack[1])
    assert not np.allclose(stack[0], stack[2])
    assert len(first.targets) == 20
    assert np.all(np.linalg.norm(np.diff(stack[0], axis=0), axis=1) >= 0.005)


def test_circle_has_its_radius_speed_and_plane():
    x, y = np.eye(3)[:2]
    goals = circle(np.array([1.0, 2, 3]), x, y, 0.010, 0.002, start_s=1.0)
    points = np.array([g.position_world_m for g in goals])
    times = np.array([g.time_s for g in goals])
    assert np.allclose(np.linalg.norm(points - [1, 2, 3], axis=1), 0.010)
    assert np.allclose(points[:, 2], 3)
    speed = np.linalg.norm(np.diff(points, axis=0), axis=1) / np.diff(times)
    assert np.allclose(speed, 0.002, rtol=1e-3)


@pytest.mark.parametrize('speed_m_s', [0.0012, 0.02])
def test_flow_task_goes_against_the_flow_at_a_speed_that_the_controller_may_ask_for(speed_m_s):
    start, upstream = np.array([1.0, 2.0, 3.0]), np.array([0.0, 0.0, -1.0])
    task = flow_task('soft_robot', start, upstream, speed_m_s)
    goals = (*task.targets, *task.path)
    times = np.array([goal.time_s for goal in goals])
    points = np.array([goal.position_world_m for goal in goals])
    assert np.all(np.diff(times) > 0)
    assert times[-1] < task.duration_s
    assert np.allclose(points[:, :2], start[:2])
    steps = -np.diff(points[:, 2])
    assert np.all(steps >= 0)
    assert steps[0] < speed_m_s * (times[1] - times[0])
    assert np.all(steps[2:] <= 0.71 * speed_m_s * np.diff(times)[2:] + 1e-12)
    assert 0.010 < points[0, 2] - points[-1, 2] < 0.020


def test_body_rests_on_the_posterior_wall_of_its_tube():
    entry = pose_from_parameters((0.0, 0.01, -0.06), (0.0, 0.0, 0.0))
    start, upstream = place_in_tube(entry, (0.001, 0.011, 0.015), 2e-3, 0.01)
    np.testing.assert_allclose(start, [0.0, 0.012, 0.015], atol=1e-12)
    np.testing.assert_allclose(upstream, [0, 0, -1])
    assert place_in_tube(entry, (0, 0, 0), 2e-3, -0.01)[1][2] == 1
