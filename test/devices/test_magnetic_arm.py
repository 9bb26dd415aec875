from dataclasses import replace

import mujoco
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthex_ros.devices.magnetic.arm_kinematics import ArmKinematics
from synthex_ros.devices.magnetic.arm_parameters import ArmParameters, PatientBox
from synthex_ros.devices.magnetic.cylinder import CylinderMagnet
from synthex_ros.devices.magnetic.magnet_arm import HOME_RAD, MagnetArm, arm_xml
from synthex_ros.geometry import transform_points

HOME = np.array(HOME_RAD)
PARAMETERS = ArmParameters()


def any_joints(seed=0, count=20):
    limits = PARAMETERS.limits
    return np.random.default_rng(seed).uniform(limits.lower, limits.upper, (count, 7))


def test_the_model_in_mujoco_has_the_places_and_motions_of_the_kinematics():
    model = mujoco.MjModel.from_xml_string(arm_xml(PARAMETERS))
    data, kinematics = mujoco.MjData(model), ArmKinematics()
    base = PARAMETERS.world_from_arm_base
    jacobian = np.zeros((6, 7))
    for joints in any_joints():
        data.qpos[:] = joints
        mujoco.mj_forward(model, data)
        site = data.site('magnet')
        pose = kinematics.magnet_pose(joints)
        np.testing.assert_allclose(transform_points(base, site.xpos[None])[0], pose[:3, 3])
        np.testing.assert_allclose(base[:3, :3] @ site.xmat.reshape(3, 3), pose[:3, :3], atol=1e-9)
        mujoco.mj_jacSite(model, data, jacobian[:3], jacobian[3:], site.id)
        turned = np.kron(np.eye(2), base[:3, :3]) @ jacobian
        np.testing.assert_allclose(kinematics.jacobian(joints), turned, atol=1e-9)


def test_clearance_slopes_are_its_derivatives():
    kinematics, step = ArmKinematics(), 1e-6
    for joints in any_joints(1):
        room, slopes = kinematics.clearance(joints)
        for n, move in enumerate(step * np.eye(7)):
            near = [kinematics.clearance(joints * 0.99 + s * move)[0] for s in (1, -1)]
            _, slopes = kinematics.clearance(joints * 0.99)
            np.testing.assert_allclose(slopes[:, n], (near[0] - near[1]) / (2 * step), atol=1e-5)
        assert room.shape == (3,)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=3, max_size=3))
def test_the_distance_from_a_box_is_that_of_its_nearest_point(point):
    box = PatientBox((0.1, 0.0, -0.1), (0.2, 0.3, 0.1))
    offset = np.array(point) - box.centre_m
    nearest = np.clip(offset, -np.array(box.half_size_m), box.half_size_m)
    distance, normal = box.distance([point])
    if np.linalg.norm(offset - nearest) > 1e-9:
        assert distance[0] == pytest.approx(np.linalg.norm(offset - nearest))
    else:
        assert distance[0] == pytest.approx(-np.min(np.array(box.half_size_m) - np.abs(offset)))
    assert np.linalg.norm(normal) == pytest.approx(1.0)
    beyond, _ = box.distance([np.array(point) + 1e-6 * normal[0]])
    assert beyond[0] - distance[0] == pytest.approx(1e-6, rel=1e-3)


def test_the_arm_holds_its_own_weight():
    arm = MagnetArm()
    state = arm.step(2.0)
    np.testing.assert_allclose(state.joints, HOME, atol=1e-6)
    assert not state.stopped


def test_the_arm_reaches_its_set_point_within_its_speeds_without_overshoot():
    arm = MagnetArm()
    goal = HOME + np.array([0.3, -0.2, 0.3, 0.3, -0.4, 0.2, 1.0])
    arm.command(goal)
    seen = np.array([arm.step(0.01).joints for _ in range(200)])
    speeds = np.abs(np.diff(seen, axis=0)) / 0.01
    assert np.all(speeds.max(axis=0) <= 1.15 * arm.limits.rate)
    np.testing.assert_allclose(seen[-1], goal, atol=1e-3)
    way = np.abs(goal - HOME)
    assert np.all(np.abs(seen - HOME) <= way + 3e-3)


def test_set_points_stay_in_the_travel_limits():
    arm = MagnetArm()
    accepted = arm.command(HOME + np.array([10.0, 0, 0, 0, 0, 0, 0]))
    assert accepted[0] == PARAMETERS.upper_rad[0]
    with pytest.raises(ValueError, match='finite'):
        arm.command(np.full(7, np.nan))


@pytest.mark.parametrize('seed', range(4))
def test_the_guard_keeps_the_magnet_away_from_the_patient(seed):
    """Blind commands towards the patient, from rest and at full speed."""
    arm, rng = MagnetArm(), np.random.default_rng(seed)
    for _ in range(8):
        arm.command(HOME + rng.uniform(-1, 1, 7) * [0.5, 1.2, 0.5, 0.8, 0.5, 1.0, 2])
        for _ in range(10):
            assert arm.step(0.1).clearance_m > 0
        arm.release()


def test_a_stopped_arm_takes_no_command_until_released():
    arm = MagnetArm()
    down = HOME + np.array([0, 0.9, 0, 0, 0, 0, 0])
    arm.command(down)
    state = arm.step(3.0)
    assert state.stopped
    assert 0 < state.clearance_m < 0.05
    arm.command(HOME)
    np.testing.assert_allclose(arm.step(1.0).joints, state.joints, atol=1e-3)
    arm.release()
    arm.command(HOME)
    assert arm.step(2.0).clearance_m > 0.1


def test_the_field_is_that_of_the_magnet_in_the_hand():
    arm = MagnetArm()
    position, axis = arm.state.magnet_position_m, arm.state.magnet_axis
    np.testing.assert_allclose(axis, arm.magnet_pose[:3, 0])
    alone = CylinderMagnet(PARAMETERS.magnet, position, axis)
    points = np.array([[0.0, 0, 0.05], [0.05, 0.02, 0.0]])
    for got, expected in zip(
        arm.field_and_gradient(points), alone.field_and_gradient(points), strict=True
    ):
        np.testing.assert_array_equal(got, expected)
    kinematic = arm.kinematics.magnet_field(position, axis, points)
    np.testing.assert_allclose(kinematic[:, :3], arm.field_t(points), rtol=1e-12)


def test_the_field_moves_with_the_hand():
    arm, points = MagnetArm(), np.array([[0.1, 0.02, 0.05], [0.0, 0.0, 0.0]])
    fields = [arm.field_t(points)]
    arm.command(HOME + 0.2)
    arm.step(0.2)
    fields.append(arm.field_t(points))
    np.testing.assert_allclose(fields[1], arm.magnet.field_t(points), rtol=1e-12)
    assert np.abs(fields[1] - fields[0]).max() > 1e-5
    arm.reset()
    np.testing.assert_allclose(arm.field_t(points), fields[0], rtol=1e-12)


def test_starts_and_sizes_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match='inside the distance limit'):
        MagnetArm().reset(HOME + np.array([0, 1.2, 0, 0, 0, 0, 0]))
    with pytest.raises(ValueError, match='link_offsets_m'):
        replace(PARAMETERS, link_offsets_m=(0.1,))
    with pytest.raises(ValueError, match='distance_limit_m'):
        PatientBox(distance_limit_m=0.0)
