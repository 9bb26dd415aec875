import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import CubicSpline

from synthex_ros.devices.continuum.kinematics import ContinuumKinematics
from synthex_ros.devices.continuum.parameters import ContinuumParameters
from synthex_ros.geometry import make_pose, rotation

KINEMATICS = ContinuumKinematics()
LENGTH_M = KINEMATICS.parameters.length_m
LIMITS = KINEMATICS.parameters.limits

joints_within_limits = st.tuples(
    *(
        st.floats(low, high, allow_nan=False)
        for low, high in zip(LIMITS.lower, LIMITS.upper, strict=True)
    )
)
control_points = st.lists(st.floats(-0.1, 0.1), min_size=5, max_size=5)


def constant_curvature_tip(bend_rad, length_m):
    """Tip of an arc: Webster and Jones, IJRR 2010, equation 2, in the bending plane."""
    return length_m / bend_rad * np.array([1 - np.cos(bend_rad), 0.0, np.sin(bend_rad)])


def test_control_points_are_hit_and_continued_linearly():
    parameters = ContinuumParameters(notch_count=31)
    control = np.array([0.01, -0.02, 0.05, 0.03, 0.0])
    angles = ContinuumKinematics(parameters).notch_angles(control)
    np.testing.assert_allclose(angles[[4, 9, 14, 19, 24]], control, atol=1e-15)
    np.testing.assert_allclose(np.diff(angles[:5], 2), 0, atol=1e-15)
    np.testing.assert_allclose(np.diff(angles[24:], 2), 0, atol=1e-15)


def test_notch_angles_are_the_natural_spline_over_the_notch_index():
    control = np.array([0.02, 0.05, 0.01, -0.03, 0.04])
    knots = 26 * np.arange(1, 6) / 6
    inside = np.arange(5, 22)
    expected = CubicSpline(knots, control, bc_type='natural')(inside)
    np.testing.assert_allclose(KINEMATICS.notch_angles(control)[inside - 1], expected, atol=1e-15)


def test_straight_manipulator_lies_on_its_axis():
    line = KINEMATICS.centerline(np.zeros(5))
    assert line.shape == (29, 3)
    np.testing.assert_allclose(line[:, :2], 0)
    assert line[-1, 2] == pytest.approx(LENGTH_M)


@pytest.mark.parametrize('bend_rad', [-1.8, -0.4, 0.3, 1.0, 2.0])
def test_many_notches_approach_the_constant_curvature_arc(bend_rad):
    errors = []
    for notches in (25, 100):
        kinematics = ContinuumKinematics(ContinuumParameters(notch_count=notches))
        tip = kinematics.centerline(np.full(5, bend_rad / notches))[-1]
        errors.append(np.linalg.norm(tip - constant_curvature_tip(bend_rad, LENGTH_M)))
    assert errors[0] < 2e-3 * LENGTH_M
    assert errors[1] == pytest.approx(errors[0] / 16, rel=0.05)


@settings(deadline=None)
@given(control_points)
def test_poses_chain_and_line_keeps_its_length(control):
    angles = KINEMATICS.notch_angles(control)
    poses, line = KINEMATICS.segment_poses(angles), KINEMATICS.centerline(control)
    pitch = KINEMATICS.parameters.notch_pitch_m
    pose = make_pose(None, [0, 0, pitch / 2])
    for notch, angle in enumerate(angles, start=1):
        pose = pose @ make_pose(rotation('y', angle))
        np.testing.assert_allclose(poses[notch], pose, atol=1e-12)
        pose = pose @ make_pose(None, [0, 0, pitch])
    np.testing.assert_allclose(line[1:-1], poses[1:, :3, 3], atol=1e-15)
    assert np.sum(np.linalg.norm(np.diff(line, axis=0), axis=1)) == pytest.approx(LENGTH_M)


@settings(deadline=None)
@given(joints_within_limits)
def test_tip_of_joints_is_the_end_of_the_centerline(joints):
    insertion, roll, *tendons = joints
    control = KINEMATICS.control_of_tendons(*tendons)
    angles = KINEMATICS.notch_angles(control)
    base, tip = KINEMATICS.landmarks(angles, insertion, roll)
    np.testing.assert_allclose(KINEMATICS.tip(joints), tip, atol=1e-12)
    np.testing.assert_allclose(base, [0, 0, insertion], atol=1e-15)
    pose = KINEMATICS.tip_pose(angles, insertion, roll)
    np.testing.assert_allclose(pose[:3, 3], tip, atol=1e-12)
    bend = KINEMATICS.bend_of_tendons(*tendons)
    assert pose[2, 2] == pytest.approx(np.cos(bend), abs=1e-12)


def test_pulling_tendon_1_bends_towards_plus_x():
    assert KINEMATICS.tip([0, 0, 0.001, -0.001])[0] > 1e-3
    assert KINEMATICS.tip([0, 0, -0.001, 0.001])[0] < -1e-3
    assert KINEMATICS.tip([0, np.pi / 2, 0.001, -0.001])[1] > 1e-3


def test_only_the_difference_of_the_tendons_bends():
    np.testing.assert_allclose(
        KINEMATICS.tip([0, 0, 0.003, 0.001]), KINEMATICS.tip([0, 0, 0.001, -0.001]), atol=1e-15
    )


@settings(deadline=None)
@given(joints_within_limits)
def test_jacobian_matches_central_differences(joints):
    joints, step = np.array(joints), 1e-6
    differences = np.column_stack(
        [
            (KINEMATICS.tip(joints + delta) - KINEMATICS.tip(joints - delta)) / (2 * step)
            for delta in step * np.eye(4)
        ]
    )
    np.testing.assert_allclose(KINEMATICS.jacobian(joints), differences, atol=2e-7)


@settings(deadline=None)
@given(joints_within_limits, st.floats(-np.pi, np.pi))
def test_inverse_reaches_every_tip_that_joints_reach(joints, near_roll_rad):
    target = KINEMATICS.tip(joints)
    found = KINEMATICS.joints_for_tip(target, near_roll_rad)
    assert LIMITS.contains(found)
    np.testing.assert_allclose(KINEMATICS.tip(found), target, atol=1e-8)
    assert found[2] == -found[3]


def test_inverse_takes_the_solution_with_the_nearer_roll():
    target = KINEMATICS.tip([0.02, 0.4, 0.002, -0.002])
    near = KINEMATICS.joints_for_tip(target, 0.4)
    turned = KINEMATICS.joints_for_tip(target, 0.4 - np.pi)
    np.testing.assert_allclose(near, [0.02, 0.4, 0.002, -0.002], atol=1e-9)
    np.testing.assert_allclose(turned, [0.02, 0.4 - np.pi, -0.002, 0.002], atol=1e-9)


@pytest.mark.parametrize(
    'point', [[0.05, 0, 0.05], [0, 0, 0.0], [0, 0, 0.2], [0.01, 0.01, -0.01], [0, np.nan, 0.05]]
)
def test_points_out_of_reach_are_refused(point):
    with pytest.raises(ValueError, match='reach|axis'):
        KINEMATICS.joints_for_tip(point)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'length_m': 35.0}, 'millimetres'),
        ({'tendon_offset_m': 0.0035}, 'wall'),
        ({'notch_count': 2}, 'notch_count'),
        ({'pretension_n': 80.0}, 'pretension_n'),
        ({'tendon_range_m': (-0.012, 0.012)}, 'closes'),
        ({'insertion_range_m': (0.01, 0.06)}, 'zero'),
        ({'backlash_m': float('nan')}, 'backlash_m'),
    ],
)
def test_impossible_parameters_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        ContinuumParameters(**change)
