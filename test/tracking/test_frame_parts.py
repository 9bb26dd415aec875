"""Parts of a frame are joined by stamp, joints are read between their measurements."""

import dataclasses

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from synthex_ros import resources

pytest.importorskip('rclpy')

from synthex_ros.ros.parameters import build, defaults  # noqa: E402
from tracker_node.build import build_kinematics  # noqa: E402
from tracker_node.frame_parts import FrameParts, JointHistory  # noqa: E402
from tracker_node.params import TrackerParams  # noqa: E402
from tracker_node.statistics import TrackerStatistics  # noqa: E402

KINDS = ('pose', 'info')


@given(st.permutations([(kind, stamp) for kind in KINDS for stamp in range(5)]))
def test_a_frame_is_complete_once_all_its_parts_are_there(order):
    parts, put = FrameParts(KINDS), set()
    for kind, stamp in order:
        parts.put(kind, stamp, (kind, stamp))
        put.add((kind, stamp))
        for other in range(5):
            assert parts.missing(other) == [k for k in KINDS if (k, other) not in put]
    assert parts.take(3) == {kind: (kind, 3) for kind in KINDS}
    assert parts.missing(2) == list(KINDS)
    assert parts.missing(4) == []


def test_old_parts_are_forgotten():
    parts = FrameParts(KINDS)
    for stamp in range(1000):
        parts.put('pose', stamp, None)
    assert 'pose' in parts.missing(0)
    assert 'pose' not in parts.missing(999)


@given(order=st.permutations(range(6)), at=st.floats(0, 5))
def test_joints_moving_evenly_are_interpolated_exactly(order, at):
    history = JointHistory()
    for k in order:
        history.put(k * 10**9, np.array([k, -2.0 * k]))
    found = history.at(round(at * 1e9), gap_s=1.0)
    np.testing.assert_allclose(found, [at, -2 * at], atol=1e-6)


def test_joints_far_from_the_exposure_are_not_used():
    history = JointHistory()
    history.put(10**9, np.array([1.0]))
    assert history.at(10**9 + 50_000_000, gap_s=0.1) == [1.0]
    assert history.at(10**9 + 200_000_000, gap_s=0.1) is None
    assert history.knows(10**9, exactly=True)
    assert not history.knows(10**9 + 1, exactly=False)
    assert JointHistory().at(0, gap_s=1.0) is None


def test_joint_history_is_bounded_and_can_be_cleared():
    history = JointHistory(length=4)
    for k in range(10):
        history.put(k, np.array([k]))
    assert not history.knows(5, exactly=True)
    assert history.knows(6, exactly=True)
    history.clear()
    assert not history.knows(9, exactly=True)


def test_config_file_holds_every_default():
    content = yaml.safe_load(resources.find('config', 'tracker.yaml').read_text(encoding='utf-8'))
    values = content['tracker_node']['ros__parameters']
    assert values.pop('autostart') is True
    assert values == defaults(TrackerParams)
    build(TrackerParams, values)


def test_device_of_the_parameters_has_their_length():
    params = dataclasses.replace(TrackerParams(), device_length_m=0.05)
    tip = build_kinematics(params).centerline(np.zeros(5))[-1]
    np.testing.assert_allclose(tip, [0, 0, 0.05])


def test_statistics_count_spells_of_loss_and_reasons():
    now = iter(np.arange(0, 100, 0.1))
    statistics = TrackerStatistics('onnx', lambda: float(next(now)))
    for lost, reason in ((False, ''), (True, 'tip_score'), (True, 'tip_score'), (False, '')):
        statistics.answer(lost, reason, 0.010, 0.002)
    statistics.answer(True, 'gate', 0.030, 0.002)
    values = statistics.report().values
    assert (values['lost_count'], values['frames_lost_track'], values['frames']) == (2, 3, 5)
    assert (values['unused_tip_score'], values['unused_gate']) == (2, 1)
    assert float(values['inference_p50_ms']) == pytest.approx(10)
    assert float(values['inference_p99_ms']) > 20
    statistics.reject('size', 'wrong')
    assert 'size' in statistics.report().message
