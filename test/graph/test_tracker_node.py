"""The tracker over real DDS: it answers every frame, and refuses rather than guesses."""

import json

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('domain_coordinator')
pytest.importorskip('onnx')

from diagnostic_msgs.msg import DiagnosticStatus  # noqa: E402
from geometry_msgs.msg import PoseStamped  # noqa: E402
from nav_msgs.msg import Path  # noqa: E402
from sensor_msgs.msg import Image, PointCloud2  # noqa: E402

from synthex_ros.devices.continuum.kinematics import ContinuumKinematics  # noqa: E402
from synthex_ros.geometry import make_pose, transform_points  # noqa: E402
from synthex_ros.ros import messages, qos, topics  # noqa: E402

from .tracker_bench import JOINTS, PERIOD_NS, VIEW, radiograph  # noqa: E402
from .tracker_model import PITCH_MM, SIZE, write_model  # noqa: E402

pytestmark = pytest.mark.graph

KINEMATICS = ContinuumKinematics()
BASE = make_pose(translation_m=(0, 0, -0.06))
CONTROL = KINEMATICS.control_of_tendons(*JOINTS[2:]) + 0.003
CURVE = transform_points(
    BASE @ KINEMATICS.base_from_cm(*JOINTS[:2]), KINEMATICS.centerline(CONTROL)
)
CURVE_PX = VIEW.project(CURVE)
WIDTH_PX = 0.006 * 1.457 / (PITCH_MM * 1e-3)


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    return str(write_model(tmp_path_factory.mktemp('model') / 'm.onnx', CURVE_PX, WIDTH_PX))


@pytest.fixture
def bench(make_bench, model):
    made = make_bench(model=model)
    made.match()
    return made


def test_frame_is_answered_in_order_with_its_stamp(bench):
    landmarks, stamp = bench.answer()
    expected = [topics.MASK, topics.CENTERLINE, topics.MEASURED_CP, topics.LANDMARKS]
    bench.until(lambda: len(bench.topics_of(stamp)) == 4)
    assert sorted(bench.topics_of(stamp)) == sorted(expected)
    np.testing.assert_allclose(landmarks['u'], CURVE_PX[[0, -1], 0], atol=0.1)
    np.testing.assert_allclose(landmarks['v'], CURVE_PX[[0, -1], 1], atol=0.1)
    assert np.all(landmarks['score'] > 0.95)
    np.testing.assert_array_equal(landmarks['id'], [0, 1])


def test_tip_is_where_it_is_and_its_covariance_says_so(bench):
    for _ in range(3):
        bench.answer()
    message = bench.heard[topics.MEASURED_CP][-1]
    pose, covariance = messages.from_pose_with_covariance(message)
    assert message.header.frame_id == 'world'
    error = pose[:3, 3] - CURVE[-1]
    assert np.linalg.norm(error) < 1e-3
    assert error @ np.linalg.solve(covariance, error) < 11.3
    leaving = CURVE[-1] - CURVE[-2]
    assert pose[:3, 2] @ leaving / np.linalg.norm(leaving) > 0.99
    points, _ = messages.from_path(bench.heard[topics.CENTERLINE][-1])
    assert np.linalg.norm(points - CURVE, axis=1).max() < 1e-3
    mask = messages.from_image(bench.heard[topics.MASK][-1])
    assert set(np.unique(mask)) == {0, 1}


def test_names_are_latched(bench):
    bench.until(lambda: len(bench.names) == 3)
    assert json.loads(bench.names[topics.LANDMARK_NAMES]) == ['base', 'tip']
    assert json.loads(bench.names[topics.CLASS_NAMES]) == ['background', 'continuum_manipulator']
    assert bench.names[topics.SCORE_GATE] == 0.9


@pytest.mark.parametrize(
    ('frame', 'reason'),
    [
        ({'counts': radiograph()[:128]}, 'size'),
        ({'frame_id': 'camera'}, 'frame_id'),
        ({'counts': (radiograph() >> 8).astype(np.uint8)}, 'encoding'),
        ({'step': 3}, 'image'),
        ({'view': VIEW.resized((128, 128)), 'counts': radiograph()[::2, ::2]}, 'does_not_fit'),
        ({'skip': ('camera_info',)}, 'missing_camera_info'),
        ({'skip': ('pose', 'exposure')}, 'missing_pose_exposure'),
    ],
)
def test_frame_that_does_not_fit_is_answered_with_nothing(bench, frame, reason):
    landmarks, stamp = bench.answer(**frame)
    np.testing.assert_array_equal(landmarks['score'], [0, 0])
    assert bench.topics_of(stamp) == [topics.LANDMARKS]
    status, values = bench.report()
    assert status.level == DiagnosticStatus.ERROR
    assert values[f'rejected_{reason}'] == '1'
    good, _ = bench.answer()
    assert np.all(good['score'] > 0.95)


def test_frame_without_joints_is_refused(bench):
    landmarks, stamp = bench.answer(skip=('joints',))
    np.testing.assert_array_equal(landmarks['score'], [0, 0])
    assert bench.topics_of(stamp) == [topics.LANDMARKS]
    assert bench.report()[1]['rejected_missing_joints'] == '1'


@pytest.mark.parametrize('value', [0, 65535, 1000])
def test_blank_frames_lose_the_track_and_give_no_pose(bench, value):
    bench.answer()
    blank = np.full((SIZE, SIZE), value, np.uint16)
    for _ in range(3):
        landmarks, stamp = bench.answer(counts=blank)
        np.testing.assert_array_equal(landmarks['score'], [0, 0])
    assert topics.MEASURED_CP not in bench.topics_of(stamp)
    assert bench.report()[1]['lost_count'] == '1'
    bench.answer()
    landmarks, stamp = bench.answer()
    bench.until(lambda: topics.MEASURED_CP in bench.topics_of(stamp))
    assert np.all(landmarks['score'] > 0.95)


def test_same_frames_give_the_same_answers(make_bench, model):
    payloads = []
    for _ in range(2):
        bench = make_bench(model=model)
        bench.match()
        stamps = [bench.answer()[1] for _ in range(4)]
        bench.until(lambda b=bench, s=stamps: all(len(b.topics_of(one)) == 4 for one in s))
        payloads.append([str(m) for m in bench.heard[topics.MEASURED_CP]])
        bench.tracker.trigger_deactivate()
    assert payloads[0] == payloads[1]


def test_real_time_mode_answers_too(make_bench, model):
    bench = make_bench(model=model, time_mode='real_time')
    bench.match()
    landmarks, _ = bench.answer()
    assert np.all(landmarks['score'] > 0.95)


def test_mixed_motion_answers_too(make_bench, model):
    bench = make_bench(model=model, motion='mixed')
    bench.match()
    for _ in range(4):
        landmarks, stamp = bench.answer()
    assert np.all(landmarks['score'] > 0.95)
    bench.until(lambda: topics.MEASURED_CP in bench.topics_of(stamp))
    pose, covariance = messages.from_pose_with_covariance(bench.heard[topics.MEASURED_CP][-1])
    error = pose[:3, 3] - CURVE[-1]
    assert np.linalg.norm(error) < 1e-3
    assert error @ np.linalg.solve(covariance, error) < 11.3


@pytest.mark.parametrize(
    ('changes', 'parameters', 'reason'),
    [
        ({'landmarks': ('base', 'end')}, {}, "does not know landmark ['tip']"),
        ({'pixel_pitch_mm': 0.582}, {}, 'was trained at 0.582 mm'),
        ({'heatmap_stride': 4}, {}, 'the graph has'),
        ({}, {'frame_px': 512}, '512 x 512 px'),
        ({}, {'model': 'no_such_model'}, 'no_such_model'),
        ({}, {'roi_mode': True}, 'takes whole frames of'),
        ({}, {'device': 'guidewire'}, "does not know class ['guidewire']"),
        ({}, {'device': 'droplet'}, 'synthex tiny export'),
        (
            {},
            {'device': 'droplet', 'model': 'tiny_detector', 'frame_pitch_m': 2e-3},
            'do not fit a detector of 0.291 mm',
        ),
    ],
)
def test_model_that_does_not_fit_is_refused_before_activation(
    make_bench, tmp_path, changes, parameters, reason
):
    path = write_model(tmp_path / 'm.onnx', CURVE_PX, WIDTH_PX, **changes)
    bench = make_bench(**{'model': str(path), **parameters})
    assert bench.tracker.failed
    assert bench.tracker.state == 'unconfigured'
    assert reason in bench.configure_error()


def test_ground_truth_is_repeated_under_the_trackers_names(make_bench):
    bench = make_bench(backend='ground_truth')
    make = bench.node.create_publisher
    truth = {
        'tip': make(PoseStamped, topics.TRUTH_TIP, qos.STATE),
        'landmarks': make(PointCloud2, topics.TRUTH_LANDMARKS, qos.STATE),
        'mask': make(Image, topics.TRUTH_MASK, qos.FRAME_LOCKSTEP),
        'centerline': make(Path, topics.TRUTH_CENTERLINE, qos.STATE),
    }
    bench.until(
        lambda: all(p.get_subscription_count() > 0 for p in (*truth.values(), bench.image))
    )
    stamp = PERIOD_NS
    optical = messages.make_header(stamp, 'carm_source_optical')
    world = messages.make_header(stamp, 'world')
    mask = np.eye(SIZE, dtype=np.uint8)
    truth['tip'].publish(messages.to_pose_stamped(make_pose(translation_m=CURVE[-1]), world))
    truth['landmarks'].publish(messages.to_landmarks(CURVE_PX[[0, -1]], [1, 1], optical))
    truth['mask'].publish(messages.to_image(mask, optical))
    truth['centerline'].publish(messages.to_path(CURVE, world))
    landmarks, _ = bench.answer()
    bench.until(lambda: len(bench.topics_of(stamp)) == 4)
    np.testing.assert_allclose(landmarks['u'], CURVE_PX[[0, -1], 0], atol=1e-3)
    pose, _ = messages.from_pose_with_covariance(bench.heard[topics.MEASURED_CP][-1])
    np.testing.assert_allclose(pose[:3, 3], CURVE[-1])
    np.testing.assert_array_equal(messages.from_image(bench.heard[topics.MASK][-1]), mask)
    status, values = bench.report()
    assert values['backend'] == 'ground_truth'
    assert 'GROUND TRUTH' in status.message
