"""Magnet poses for wanted fields and forces, and the arm that takes them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthex_ros import magnetics
from synthex_ros.control.magnetic.arm_allocation import ArmAllocator
from synthex_ros.control.magnetic.arm_allocation_step import aim, reach_pose
from synthex_ros.control.magnetic.magnet_fields import field_errors, field_slopes, magnet_for_field
from synthex_ros.devices.magnetic.arm_kinematics import ArmKinematics
from synthex_ros.devices.magnetic.dipole import Dipole
from synthex_ros.devices.magnetic.magnet_arm import HOME_RAD, MagnetArm

HOME = np.array(HOME_RAD)
DEVICE = np.array([0.0, 0.0, 0.05])
part = st.floats(-1.0, 1.0)
direction = st.tuples(part, part, part).filter(lambda v: np.linalg.norm(v) > 0.1)
ARM = ArmKinematics()


def unit(values):
    return np.array(values) / np.linalg.norm(values)


@settings(max_examples=80, deadline=None)
@given(direction, direction)
def test_the_closed_form_places_a_dipole_that_makes_the_field(field, away):
    field, away = 0.01 * np.array(field), unit(away)
    distance, axis = magnet_for_field(field, away, 150.0)
    made = Dipole(DEVICE + distance * away, 150.0 * axis).field_t(DEVICE[None])[0]
    np.testing.assert_allclose(made, field, atol=1e-12)


@settings(max_examples=80, deadline=None)
@given(direction, direction)
def test_aim_turns_one_direction_into_the_other(start, goal):
    start, goal = unit(start), unit(goal)
    turn, feel = aim(start, goal)
    angle = np.linalg.norm(turn)
    across = np.cross(turn / max(angle, 1e-12), start)
    np.testing.assert_allclose(np.cos(angle) * start + np.sin(angle) * across, goal, atol=1e-7)
    np.testing.assert_allclose(feel @ start, 0, atol=1e-12)


def test_inverse_kinematics_find_poses_that_the_arm_can_take():
    rng, found = np.random.default_rng(0), 0
    for _ in range(30):
        joints = HOME + rng.uniform(-0.5, 0.5, 7)
        if ARM.clearance(joints)[0].min() < 0.02:
            continue
        position, axis = ARM.magnet(joints)
        solved, off_m, off_rad = reach_pose(ARM, position, axis, HOME)
        assert ARM.limits.contains(solved)
        assert ARM.clearance(solved)[0].min() > 0
        found += off_m < 1e-4 and off_rad < 1e-3
    assert found >= 20


def test_out_of_reach_the_arm_comes_as_near_as_it_can():
    solved, off_m, _ = reach_pose(ARM, [0.9, 0.0, 0.5], [1.0, 0, 0], HOME)
    shoulder = np.array([-0.6, 0.0, 0.39])
    assert off_m > 0.1
    assert np.linalg.norm(ARM.magnet(solved)[0] - shoulder) > 0.9
    assert ARM.limits.contains(solved)


@pytest.mark.parametrize('field_mt', [[5, 0, 0], [0, 5, 0], [0, 0, 8], [-4, 3, 2], [2, -1, -5]])
def test_a_planned_pose_makes_the_field_and_keeps_clear(field_mt):
    wanted = 1e-3 * np.array(field_mt)
    plan = ArmAllocator(ARM).plan(DEVICE, wanted, HOME)
    assert plan.status == 'reached', plan.reason
    np.testing.assert_allclose(plan.field_t, wanted, atol=0.02 * np.linalg.norm(wanted))
    assert plan.clearance_m >= 0
    assert ARM.limits.contains(plan.joints)
    position, axis = ARM.magnet(plan.joints)
    np.testing.assert_allclose(position, plan.magnet_position_m)
    made = ARM.magnet_field(position, axis, DEVICE[None])[0]
    np.testing.assert_allclose(np.r_[plan.field_t, plan.gradient_t_m], made)


def test_a_field_that_needs_the_magnet_inside_the_patient_is_unreachable():
    plan = ArmAllocator(ARM).plan(DEVICE, [0.0, 0.05, 0.0], HOME)
    assert plan.status == 'unreachable'
    assert 'distance limit' in plan.reason
    assert plan.clearance_m >= 0
    np.testing.assert_allclose(plan.field_residual_t, [0, 0.05, 0] - plan.field_t)


def test_a_force_is_had_as_far_as_the_field_allows():
    """Towards a magnet above, a device that points along the field is pulled upwards."""
    planner, moment = ArmAllocator(ARM), np.array([1e-3, 0, 0])
    field = np.array([4e-3, 0, 0])
    up = planner.plan(DEVICE, field, HOME, force_n=[0, 0, 8e-5], moment_a_m2=moment)
    assert up.status == 'reached', up.reason
    pull = magnetics.force_n(moment, up.gradient_t_m)
    np.testing.assert_allclose(pull, [0, 0, 8e-5], atol=1e-5)
    down = planner.plan(DEVICE, field, HOME, force_n=[0, 0, -8e-5], moment_a_m2=moment)
    assert down.status != 'reached'
    np.testing.assert_allclose(down.force_residual_n, [0, 0, -8e-5] - magnetics.force_n(
        moment, down.gradient_t_m))  # fmt: skip


def test_following_a_turning_field_holds_field_speeds_and_distance():
    planner, strength, period_s = ArmAllocator(ARM), 5e-3, 0.02
    joints = planner.plan(DEVICE, [strength, 0, 0], HOME).joints
    errors = []
    for n in range(250):
        angle = 0.6 * np.sin(2 * np.pi * 0.2 * n * period_s)
        wanted = strength * np.array([np.cos(angle), np.sin(angle), 0])
        after = planner.follow(DEVICE, wanted, joints, period_s)
        assert np.all(np.abs(after.joints - joints) <= ARM.limits.rate * period_s + 1e-9)
        assert after.clearance_m >= 0
        errors.append(np.linalg.norm(after.field_residual_t) / strength)
        joints = after.joints
    assert np.percentile(errors, 95) < 0.02


def test_following_too_fast_a_field_is_limited_and_says_so():
    planner = ArmAllocator(ARM)
    joints = planner.plan(DEVICE, [5e-3, 0, 0], HOME).joints
    result = planner.follow(DEVICE, [-5e-3, 0, 0], joints, 0.02)
    assert result.status == 'limited'
    assert 'field missed' in result.reason


def test_no_field_makes_the_magnet_retreat():
    planner = ArmAllocator(ARM)
    joints = planner.plan(DEVICE, [5e-3, 0, 0], HOME).joints
    fields = []
    for _ in range(100):
        result = planner.follow(DEVICE, [0, 0, 0], joints, 0.02)
        joints = result.joints
        fields.append(np.linalg.norm(result.field_t))
    assert fields[-1] < 0.25 * fields[0]
    assert np.all(np.diff(fields) <= 1e-9)


def test_the_simulated_arm_makes_the_planned_field():
    arm, wanted = MagnetArm(), np.array([3e-3, 0, 4e-3])
    plan = ArmAllocator(arm.kinematics).plan(DEVICE, wanted, HOME)
    arm.command(plan.joints)
    state = arm.step(4.0)
    assert not state.stopped
    made = arm.field_t(DEVICE[None])[0]
    np.testing.assert_allclose(made, plan.field_t, atol=2e-5)


def test_nonsense_is_refused():
    planner = ArmAllocator(ARM)
    with pytest.raises(ValueError, match='must not be zero'):
        planner.plan(DEVICE, [0, 0, 0], HOME)
    with pytest.raises(ValueError, match='go together'):
        planner.follow(DEVICE, [1e-3, 0, 0], HOME, 0.02, force_n=[0, 0, 0])
    with pytest.raises(ValueError, match='field_t'):
        planner.follow(DEVICE, [np.inf, 0, 0], HOME, 0.02)


@pytest.mark.parametrize('off_rad', [0.02, 0.5, 1.5, 3.0])
def test_an_arm_that_is_behind_does_not_gain_by_a_weaker_field(off_rad):
    wanted = np.array([1e-3, 0.0, 0.0])
    behind = 1e-3 * np.array([np.cos(off_rad), np.sin(off_rad), 0.0])
    costs = [np.sum(field_errors(wanted, share * behind, 1e-3) ** 2) for share in (1, 0.7, 0.1)]
    assert costs[0] < costs[1] < costs[2]


def test_small_errors_of_a_field_are_relative_and_their_slopes_are_the_derivative():
    rng = np.random.default_rng(2)
    wanted = np.array([1e-3, -2e-3, 0.5e-3])
    made = wanted + 1e-5 * rng.standard_normal(3)
    errors = field_errors(wanted, made, 1.0)
    relative = np.linalg.norm(made - wanted) / np.linalg.norm(wanted)
    assert np.linalg.norm(errors) == pytest.approx(relative, rel=0.02)
    far = np.array([-1e-3, 1e-3, 2e-3])
    slopes = field_slopes(wanted, far, 1.0)
    for axis, row in zip(np.eye(3), slopes.T, strict=True):
        ends = [field_errors(wanted, far + sign * 1e-9 * axis, 1.0) for sign in (1, -1)]
        np.testing.assert_allclose((ends[1] - ends[0]) / 2e-9, row, rtol=1e-4, atol=1e-2)


def test_no_wanted_field_pulls_the_strength_itself_down():
    errors = field_errors(np.zeros(3), np.array([0.0, 2e-3, 0.0]), 1e-3)
    np.testing.assert_allclose(errors, [0, -2, 0, 0])
