"""The controller answers every frame, and holds with the right reason."""

from dataclasses import replace

import numpy as np
import pytest

from synthex_ros.control.controller import Controller
from synthex_ros.control.delay import LoopDelay
from synthex_ros.control.frame import FrameRules, TrackedFrame
from synthex_ros.control.guard import CommandGuard
from synthex_ros.control.reference import TargetGoal
from synthex_ros.control.servo import Servo
from synthex_ros.control.tip_model import TipModel
from synthex_ros.geometry import CArm

from .control_loop import NOMINAL, WORLD_FROM_BASE, joint_limits, make_tip

HOME = np.array([0.02, 0.1, 1e-3, -1e-3])
VIEW = CArm().view()
NS = 10**9


@pytest.fixture
def controller():
    limits = joint_limits(NOMINAL.parameters)
    made = Controller(
        Servo(TipModel(NOMINAL, WORLD_FROM_BASE), limits),
        limits,
        FrameRules(),
        CommandGuard(limits),
        LoopDelay(0.0),
    )
    made.measured(NS, HOME)
    return made


def good_frame(stamp_ns=NS, joints=HOME):
    tip = make_tip(WORLD_FROM_BASE, joints)
    return TrackedFrame(stamp_ns, '', VIEW, VIEW.project(tip), 0.95, tip, np.diag([1e-7] * 3))


def goal(joints=(0.03, 0.1, 1e-3, -1e-3)):
    return TargetGoal(make_tip(WORLD_FROM_BASE, joints))


def test_without_a_goal_it_holds_and_nothing_is_counted(controller):
    answer = controller.answer(good_frame(), NS)
    assert answer.held
    assert answer.kind == 'idle'
    assert np.array_equal(answer.joints, HOME)
    assert not controller.rejections


def test_with_a_goal_it_moves_towards_it(controller):
    controller.goals.add(goal())
    answer = controller.answer(good_frame(), NS)
    assert not answer.held
    assert answer.joints[0] > HOME[0]
    assert answer.error_m == pytest.approx(0.01, abs=1e-3)


def far_covariance():
    return np.diag([1e-4, 1e-7, 1e-4])


@pytest.mark.parametrize(
    ('kind', 'change'),
    [
        ('lost', {'problem': 'lost'}),
        ('incomplete', {'tip_world_m': None}),
        ('not_finite', {'tip_px': np.array([np.nan, 1.0])}),
        ('not_finite', {'covariance_m2': np.full((3, 3), np.inf)}),
        ('low_score', {'score': 0.2}),
        ('outside_image', {'tip_px': np.array([-40.0, 100.0])}),
        ('depth', {'tip_world_m': np.array([0.0, -5.0, 0.0])}),
        ('covariance', {'covariance_m2': far_covariance()}),
    ],
)
def test_unusable_frame_holds_at_once_and_is_counted(controller, kind, change):
    controller.goals.add(goal())
    answer = controller.answer(replace(good_frame(), **change), NS)
    assert answer.held
    assert answer.kind == kind
    assert np.array_equal(answer.joints, HOME)
    assert dict(controller.rejections) == {kind: 1}


def test_large_uncertainty_along_the_ray_alone_is_no_reason_to_hold(controller):
    controller.goals.add(goal())
    along = VIEW.world_from_source[:3, 2]
    covariance = 1e-7 * np.eye(3) + 4e-4 * np.outer(along, along)
    assert not controller.answer(replace(good_frame(), covariance_m2=covariance), NS).held


def test_target_out_of_reach_holds(controller):
    controller.goals.add(TargetGoal([0.5, 0.0, 0.0]))
    assert controller.answer(good_frame(), NS).kind == 'unreachable'


def test_answer_that_comes_too_late_holds(controller):
    controller.goals.add(goal())
    answer = controller.answer(good_frame(), NS + 2 * NS)
    assert answer.kind == 'guard'
    assert 'old' in answer.reason


def test_hold_does_not_creep_with_a_drive_that_settles_below_its_set_point(controller):
    for k in range(20):
        joints = HOME - [1e-6 * k, 0, 0, 0]
        controller.measured(NS + k * NS // 15, joints)
        answer = controller.answer(TrackedFrame(NS + k * NS // 15, 'lost'), NS + k * NS // 15)
        assert np.array_equal(answer.joints, HOME)


def test_hold_outside_the_limits_is_brought_inside(controller):
    controller.measured(NS, [0.0601, 0, 0, 0])
    assert controller.hold('lost', stamp_ns=NS).joints[0] == 0.060


def frames(controller, count, follows=True):
    """Yield frames of a device that follows its commands, or stays at home; take the answers."""
    joints = HOME
    for k in range(count):
        stamp = NS + k * NS // 15
        controller.measured(stamp, joints)
        answer = yield good_frame(stamp, joints)
        joints = answer.joints if follows else HOME


def test_tip_that_stays_where_it_cannot_be_holds_then_is_believed(controller):
    controller.goals.add(goal())
    kinds, seen = [], frames(controller, 40)
    frame = next(seen)
    while frame is not None:
        shift = 30.0 if len(kinds) >= 20 else 0.0
        shifted = replace(frame, tip_px=frame.tip_px + [0, shift])
        answer = controller.answer(shifted, frame.stamp_ns)
        kinds.append(answer.kind)
        frame = next_frame(seen, answer)
    assert kinds[:22] == [''] * 22
    assert kinds[22] == 'motion_residual'
    assert kinds[-1] == ''


def next_frame(seen, answer):
    try:
        return seen.send(answer)
    except StopIteration:
        return None


def test_a_device_that_does_not_follow_is_held_and_not_led_on(controller):
    """Set-points never get farther off than half a second of motion; each hold starts anew."""
    controller.goals.add(goal())
    answers, seen = [], frames(controller, 60, follows=False)
    frame = next(seen)
    while frame is not None:
        answers.append(controller.answer(frame, frame.stamp_ns))
        frame = next_frame(seen, answers[-1])
    held = [k for k, answer in enumerate(answers) if answer.held]
    assert 7 < held[0] < 12
    assert len(held) >= 4
    assert set(controller.rejections) == {'not_followed'}
    assert 'insertion' in controller.last_reason
    for k in held:
        assert np.array_equal(answers[k].joints, HOME)
    leads = np.array([answer.joints[0] - HOME[0] for answer in answers])
    assert leads.max() <= 0.020 * 0.75
    assert np.all(leads[np.array(held[:-1]) + 1] <= 0.020 / 15 + 1e-9)


def test_a_device_that_is_moved_by_others_while_it_is_held_is_only_idle(controller):
    for k in range(60):
        stamp = NS + k * NS // 15
        joints = HOME + [0.020 * k / 15 * 0.5, 0, 0, 0]
        controller.measured(stamp, joints)
        assert controller.answer(good_frame(stamp, joints), stamp).kind == 'idle'


def test_after_a_hold_motion_starts_from_the_present_joints(controller):
    controller.goals.add(goal())
    controller.answer(TrackedFrame(NS, 'lost'), NS)
    stamp = NS + NS // 15
    moved = HOME + [0.001, 0, 0, 0]
    controller.measured(stamp, moved)
    answer = controller.answer(good_frame(stamp, moved), stamp)
    assert not answer.held
    assert 0 < answer.joints[0] - moved[0] <= 0.020 / 15 + 1e-9


def test_joints_that_are_not_numbers_are_refused_and_nothing_is_held_before_any(controller):
    with pytest.raises(ValueError, match='finite'):
        controller.measured(NS, [np.nan, 0, 0, 0])
    controller.reset()
    with pytest.raises(LookupError):
        controller.hold('lost')
