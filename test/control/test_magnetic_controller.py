"""The magnetic controller: what it holds for and never commands; closed loops with delay."""

from dataclasses import replace

import numpy as np
import pytest

from synthex_ros.control.frame import TrackedFrame
from synthex_ros.control.magnetic.build import magnetic_controller
from synthex_ros.control.magnetic.law import Wish
from synthex_ros.control.magnetic.limits import MagneticLimits
from synthex_ros.control.magnetic.untethered import UntetheredSettings, usual_settings
from synthex_ros.control.reference import TargetGoal
from synthex_ros.devices.magnetic.droplet import DropletParameters
from synthex_ros.devices.magnetic.guidewire_parameters import GuidewireParameters
from synthex_ros.devices.magnetic.numbers import swimmer_numbers, wire_numbers
from synthex_ros.devices.magnetic.untethered import NO_JOINTS
from synthex_ros.evaluation.magnetic_loop import ImagerModel
from synthex_ros.evaluation.magnetic_scenes import swimmer_scene
from synthex_ros.geometry import CArm

VIEW = CArm().view()
FRAME_NS = 66_666_667
LATE_NS = 150_000_000


def frame(stamp_ns, tip=(0.0, 0.0, 0.0), score=0.95, problem=''):
    tip = np.array(tip, float)
    if problem:
        return TrackedFrame(stamp_ns, problem=problem)
    spread = np.diag([3e-4, 1.5e-3, 3e-4]) ** 2
    pixel = VIEW.project(tip) if np.all(np.isfinite(tip)) else np.full(2, np.nan)
    return TrackedFrame(stamp_ns, '', VIEW, pixel, score, tip, spread)


def droplet(**changes):
    numbers = swimmer_numbers(DropletParameters(), field_t=0.02)
    settings = UntetheredSettings(field_t=0.02, force_max_n=5e-5)
    return magnetic_controller('droplet', numbers, NO_JOINTS, settings=settings, **changes)


def guidewire(**changes):
    known = GuidewireParameters()
    changes = {'world_from_base': np.eye(4)} | changes
    return magnetic_controller('guidewire', wire_numbers(known), known.limits, **changes)


def moving(controller, joints=None, frames=8):
    """Run frames towards a target a centimetre off; return the last answer and its stamp."""
    controller.goals.add(TargetGoal([0.01, 0.0, 0.0]))
    for k in range(1, frames + 1):
        stamp = k * FRAME_NS
        if joints is not None:
            controller.measured(stamp, joints)
        answer = controller.answer(frame(stamp), stamp + LATE_NS)
    return answer, stamp


def test_a_pulled_body_is_pulled_towards_its_target_within_the_limits():
    answer, _ = moving(droplet())
    assert not answer.held
    assert answer.joints is None
    assert np.linalg.norm(answer.field_t) == pytest.approx(0.02)
    assert answer.force_n[0] > 5 * abs(answer.force_n[2])
    assert np.linalg.norm(answer.force_n) <= 5e-5


def test_of_two_frames_that_come_together_both_are_learned_and_one_is_answered():
    """The one command lasts as long as both would; what is known of the tip is the same."""
    both, one = guidewire(), guidewire()
    for controller in (both, one):
        _, stamp = moving(controller, joints=[0.05, 0.0])
    first, second = (frame(stamp + k * FRAME_NS, tip=(1e-3 * k, 0, 0)) for k in (1, 2))
    now_ns = second.stamp_ns + LATE_NS
    for controller in (both, one):
        controller.measured(second.stamp_ns, [0.05, 0.0])
    before = both.answer(first, now_ns).joints
    after = both.answer(second, now_ns).joints
    assert one.learn(first, now_ns) is None
    answer = one.answer(second, now_ns)
    assert one.law.tip_world_m() == pytest.approx(both.law.tip_world_m(), abs=1e-4)
    assert before[0] < after[0]
    assert answer.joints[0] == pytest.approx(after[0], rel=0.02)


def test_a_frame_that_is_only_learned_is_refused_for_the_same_reasons():
    controller = droplet()
    _, stamp = moving(controller)
    refused = controller.learn(frame(stamp + FRAME_NS, problem='lost'), stamp + FRAME_NS)
    assert refused.held
    assert refused.kind == 'lost'
    assert controller.rejections['lost'] == 1


@pytest.mark.parametrize(
    ('bad', 'kind'),
    [
        ({'problem': 'lost'}, 'lost'),
        ({'score': 0.2}, 'low_score'),
        ({'tip': (np.nan, 0, 0)}, 'not_finite'),
        ({'tip': (0.5, 0, 0)}, 'outside_image'),
    ],
)
def test_bad_frames_hold_the_last_command_then_let_go(bad, kind):
    """First as it was, after half a second without force, after one and a half without field."""
    controller = droplet()
    last, stamp = moving(controller)
    for age_s, share, forced in (
        (0.1, 1, True),
        (0.7, 1, False),
        (1.65, 0.5, False),
        (2, 0, False),
    ):
        at = stamp + round(age_s * 1e9)
        answer = controller.answer(frame(at, **bad), at + LATE_NS)
        assert answer.held
        assert answer.kind == kind
        assert answer.field_t == pytest.approx(share * last.field_t, abs=1e-9)
        assert np.any(answer.force_n) == forced
        assert controller.tick(at + LATE_NS) is None
    assert controller.rejections[kind] == 4


def test_a_stale_frame_and_one_from_the_future_hold():
    controller = droplet()
    _, stamp = moving(controller)
    assert controller.answer(frame(stamp + 1), stamp + 700_000_000).kind == 'stamp_stale'
    assert controller.answer(frame(stamp + 10**9), stamp + 2).kind == 'stamp_future'


def test_without_a_goal_nothing_pulls():
    controller = droplet()
    answer = controller.answer(frame(FRAME_NS), FRAME_NS + LATE_NS)
    assert answer.held
    assert answer.kind == 'idle'
    assert not np.any(answer.force_n)
    assert controller.rejections.total() == 0


def test_between_frames_the_command_goes_on_only_while_the_last_frame_is_fresh():
    controller = droplet()
    _, stamp = moving(controller)
    assert controller.tick(stamp + LATE_NS + 10_000_000) is not None
    assert controller.tick(stamp + 600_000_000) is None


@pytest.mark.parametrize(
    ('wish', 'kind'),
    [
        (Wish(np.array([0.06, 0, 0])), 'field_limit'),
        (Wish(np.array([np.nan, 0, 0])), 'not_finite'),
        (Wish(np.array([0.02, 0, 0]), np.array([0, 0, 2e-3])), 'force_limit'),
        (Wish(np.array([0.02, 0, 0]), None, np.array([np.inf, 0])), 'not_finite'),
    ],
)
def test_commands_outside_the_limits_are_found(wish, kind):
    assert MagneticLimits().finding(wish)[0] == kind


def test_a_law_that_asks_for_too_much_is_held():
    controller = droplet(limits=MagneticLimits(field_max_t=0.01))
    answer, _ = moving(controller)
    assert answer.held
    assert answer.kind == 'field_limit'
    assert not np.any(answer.field_t)


def test_a_pressed_wall_warns_then_stops_all_but_drawing_back():
    controller = guidewire()
    _, stamp = moving(controller, [0.02, 0.0])
    controller.pressed(0.4)
    stamp += FRAME_NS
    controller.measured(stamp, [0.02, 0.0])
    assert '0.40 N' in controller.answer(frame(stamp), stamp + LATE_NS).warning
    controller.pressed(0.8)
    controller.goals.add(TargetGoal([0.0, 0.0, 0.05]))
    stamp += FRAME_NS
    controller.measured(stamp, [0.02, 0.0])
    held = controller.answer(frame(stamp), stamp + LATE_NS)
    assert held.held
    assert held.kind == 'wall_force'
    assert held.joints == pytest.approx([0.02, 0.0])
    controller.goals.add(TargetGoal([0.0, 0.0, -0.05]))
    stamp += FRAME_NS
    controller.measured(stamp, [0.02, 0.0])
    back = controller.answer(frame(stamp), stamp + LATE_NS)
    assert not back.held
    assert back.joints[0] < 0.02


def test_a_wall_force_that_is_not_a_number_counts_as_too_much():
    controller = guidewire()
    controller.pressed(float('nan'))
    assert controller.wall_force_n == controller.limits.stop_force_n


def test_lost_tracking_freezes_a_guidewire_where_it_is():
    controller = guidewire()
    moving(controller, [0.02, 0.0])
    stamp = 20 * FRAME_NS
    controller.measured(stamp, [0.0201, 0.0])
    answer = controller.answer(frame(stamp, problem='lost'), stamp + LATE_NS)
    assert answer.held
    assert answer.joints == pytest.approx([0.0201, 0.0])


def test_a_wire_that_is_not_fed_as_commanded_is_held_and_not_led_on():
    controller, home = guidewire(), [0.02, 0.0]
    controller.goals.add(TargetGoal([0.0, 0.0, 0.02]))
    answers = []
    for k in range(1, 200):
        controller.measured(k * FRAME_NS, home)
        answers.append(controller.answer(frame(k * FRAME_NS), k * FRAME_NS + LATE_NS))
    held = [k for k, answer in enumerate(answers) if answer.kind == 'not_followed']
    assert len(held) >= 2
    leads = np.abs([answer.joints - home for answer in answers])
    assert np.all(leads <= 0.75 * np.array(GuidewireParameters().limits.rate))
    for k in held:
        assert answers[k].joints == pytest.approx(home)


def test_a_device_that_jumps_about_is_held_after_three_frames():
    controller = droplet()
    _, stamp = moving(controller)
    kinds = []
    for k in range(1, 4):
        at = stamp + k * FRAME_NS
        kinds.append(controller.answer(frame(at, (0.03, 0, 0)), at + LATE_NS).kind)
    assert kinds[-1] == 'motion_residual'


def test_wrong_devices_and_settings_are_named():
    with pytest.raises(ValueError, match='device must be guidewire'):
        magnetic_controller('magnet', {}, NO_JOINTS)
    with pytest.raises(ValueError, match='pose of its entry'):
        guidewire(world_from_base=None)
    with pytest.raises(ValueError, match='needs GuidewireSettings'):
        guidewire(settings=UntetheredSettings())


@pytest.mark.parametrize('device', ['soft_robot', 'droplet'])
def test_the_loop_is_stable_with_a_delay_of_a_fifth_of_a_second(device):
    """Held at a point of the wall with every error on, it settles and stays near."""
    scene = swimmer_scene(device, 5, 0.0, ImagerModel(latency_s=(0.2, 0.2)))
    goal = scene.loop.tip_m() + [0.0, 0.0, 2e-3]
    scene.loop.controller.goals.add(TargetGoal(goal))
    scene.loop.run(6.0)
    late = np.array(scene.loop.log.tip_m)[-200:]
    off = np.hypot(late[:, 0] - goal[0], late[:, 2] - goal[2])
    assert off.max() < 1.2e-3
    assert np.sqrt(np.mean(off**2)) < 0.6e-3


def test_a_stronger_pull_has_a_stronger_field_and_a_firmer_press():
    """B = B_most sqrt(F / F_most), between the least and the greatest strength."""
    settings = usual_settings('droplet')
    numbers = swimmer_numbers(DropletParameters(), field_t=settings.field_t)
    found = []
    for gain_hz in (0.05, 1.0, 5.0):
        own = replace(settings, gain_hz=gain_hz, speed_max_m_s=0.3, press_n=1e-7)
        answer, _ = moving(magnetic_controller('droplet', numbers, NO_JOINTS, settings=own))
        found.append((np.linalg.norm(answer.force_n), np.linalg.norm(answer.field_t), answer))
    for force, strength, answer in found:
        share = min(force / settings.field_most_at_n, 1.0)
        wanted = max(settings.field_t * np.sqrt(share), settings.field_least_t)
        assert strength == pytest.approx(wanted)
        pull = np.hypot(answer.force_n[0], answer.force_n[2])
        assert answer.force_n[1] == pytest.approx(1e-7 + 0.3 * pull, rel=1e-3)
    assert found[0][1] == pytest.approx(settings.field_least_t)
    assert found[1][1] < found[2][1]
