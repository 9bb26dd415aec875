"""The tracker over real DDS: it answers every frame, and refuses rather than guesses."""

import json

import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy')
domain_coordinator = pytest.importorskip('domain_coordinator')
pytest.importorskip('onnx')

import time  # noqa: E402

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402
from geometry_msgs.msg import PoseStamped, PoseWithCovarianceStamped  # noqa: E402
from nav_msgs.msg import Path  # noqa: E402
from rclpy.context import Context  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from sensor_msgs.msg import CameraInfo, Image, JointState, PointCloud2  # noqa: E402
from std_msgs.msg import String  # noqa: E402

from synthex_ros.devices.continuum.kinematics import ContinuumKinematics  # noqa: E402
from synthex_ros.devices.continuum.parameters import JOINT_NAMES  # noqa: E402
from synthex_ros.geometry import CArm, make_pose, transform_points  # noqa: E402
from synthex_ros.ros import messages, qos, topics  # noqa: E402
from synthex_ros.ros.spin import make_executor  # noqa: E402
from tracker_node.node import TrackerNode  # noqa: E402

from .tracker_model import PITCH_MM, SIZE, write_model  # noqa: E402

pytestmark = pytest.mark.graph

KINEMATICS = ContinuumKinematics()
BASE = make_pose(translation_m=(0, 0, -0.06))
JOINTS = np.array([0.03, 0.2, 0.0010, -0.0010])
VIEW = CArm(pixel_pitch_m=PITCH_MM * 1e-3, detector_px=SIZE, binning=1).view(0.1)
CONTROL = KINEMATICS.control_of_tendons(*JOINTS[2:]) + 0.003
CURVE = transform_points(
    BASE @ KINEMATICS.base_from_cm(*JOINTS[:2]), KINEMATICS.centerline(CONTROL)
)
CURVE_PX = VIEW.project(CURVE)
WIDTH_PX = 0.006 * 1.457 / (PITCH_MM * 1e-3)
PERIOD_NS = 66_666_667


def radiograph():
    """Noise of a flat field; the model reports the known scene for it."""
    return np.random.default_rng(0).normal(20000, 300, (SIZE, SIZE)).astype(np.uint16)


class Bench:
    """A tracker, an imager that says what it is told, and a listener, in one process."""

    HEARD = (
        (Image, topics.MASK),
        (Path, topics.CENTERLINE),
        (PoseWithCovarianceStamped, topics.MEASURED_CP),
        (PointCloud2, topics.LANDMARKS),
    )

    def __init__(self, context, executor, **values):
        fitted = {'frame_px': SIZE, 'frame_pitch_m': PITCH_MM * 1e-3, 'time_mode': 'lockstep'}
        overrides = [Parameter(k, value=v) for k, v in {**fitted, **values}.items()]
        self.executor = executor
        self.tracker = TrackerNode(context=context, parameter_overrides=overrides)
        self.node = rclpy.create_node('bench', context=context)
        self.sent = 0
        self.order, self.heard = [], {}
        self.diagnostics, self.names = [], {}
        self._listen()
        self._talk()
        executor.add_node(self.tracker)
        executor.add_node(self.node)
        self.until(lambda: self.tracker.state == 'active' or self.tracker.failed)

    def _listen(self):
        for kind, topic in self.HEARD:
            self.heard[topic] = []
            self.node.create_subscription(kind, topic, self._keeper(topic), qos.STATE)
        self.node.create_subscription(
            DiagnosticArray, topics.DIAGNOSTICS, self.diagnostics.append, qos.EVENTS
        )
        for topic in (topics.CLASS_NAMES, topics.LANDMARK_NAMES):
            self.node.create_subscription(
                String, topic, lambda m, t=topic: self.names.update({t: m.data}), qos.LATCHED
            )

    def _keeper(self, topic):
        def keep(message):
            self.heard[topic].append(message)
            self.order.append((topic, messages.stamp_ns(message.header.stamp)))

        return keep

    def _talk(self):
        make = self.node.create_publisher
        self.joints = make(JointState, topics.MEASURED_JS, qos.STATE)
        self.pose = make(PoseStamped, topics.CARM_POSE, qos.FRAME_LOCKSTEP)
        self.exposure = make(DiagnosticArray, topics.EXPOSURE, qos.FRAME_LOCKSTEP)
        self.info = make(CameraInfo, topics.CAMERA_INFO, qos.FRAME_LOCKSTEP)
        self.image = make(Image, topics.IMAGE_RAW, qos.FRAME_LOCKSTEP)
        self.publishers = (self.joints, self.pose, self.exposure, self.info, self.image)

    def until(self, condition, deadline_s=30.0):
        end = time.monotonic() + deadline_s
        while not condition():
            assert time.monotonic() < end, 'condition not met before the deadline'
            self.executor.spin_once(timeout_sec=0.02)

    def match(self):
        self.until(lambda: all(p.get_subscription_count() > 0 for p in self.publishers))
        feeds = [p for p, _ in self.tracker_publishers()]
        self.until(lambda: all(p.get_subscription_count() > 0 for p in feeds))

    def tracker_publishers(self):
        return [(p, p.topic_name) for p in self.tracker.publishers if 'tracker/' in p.topic_name]

    def send(self, counts=None, skip=(), frame_id='carm_source_optical', view=VIEW, **image):
        """Send one frame, image last; return its stamp [ns]."""
        self.sent += 1
        stamp = self.sent * PERIOD_NS
        optical = messages.make_header(stamp, 'carm_source_optical')
        world = messages.make_header(stamp, 'world')
        picture = messages.to_image(radiograph() if counts is None else counts, optical)
        picture.header = messages.make_header(stamp, frame_id)
        for name, value in image.items():
            setattr(picture, name, value)
        parts = {
            'joints': (self.joints, messages.to_joint_state(JOINT_NAMES, JOINTS, optical)),
            'pose': (self.pose, messages.to_pose_stamped(view.world_from_source, world)),
            'exposure': (
                self.exposure,
                messages.to_exposure({'source_to_detector_m': 1.02}, optical),
            ),
            'camera_info': (self.info, messages.to_camera_info(view.geometry, optical)),
            'image': (self.image, picture),
        }
        for name, (publisher, message) in parts.items():
            if name not in skip:
                publisher.publish(message)
        return stamp

    def answer(self, **frame):
        """Send one frame and return its landmarks message."""
        stamp = self.send(**frame)
        self.until(lambda: (topics.LANDMARKS, stamp) in self.order)
        return messages.from_landmarks(self.heard[topics.LANDMARKS][-1]), stamp

    def topics_of(self, stamp):
        return [topic for topic, heard in self.order if heard == stamp]

    def report(self):
        """The newest tracking report, asked for now."""
        count = len(self.diagnostics)
        self.tracker.diagnostics.publish()
        self.until(lambda: len(self.diagnostics) > count)
        statuses = self.diagnostics[-1].status
        found = next(s for s in statuses if s.name == 'tracker_node: tracking')
        return found, {pair.key: pair.value for pair in found.values}


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    return str(write_model(tmp_path_factory.mktemp('model') / 'm.onnx', CURVE_PX, WIDTH_PX))


@pytest.fixture
def make_bench():
    with domain_coordinator.domain_id() as domain:
        context = Context()
        rclpy.init(context=context, domain_id=domain)
        executor = make_executor(context)
        benches = []

        def make(**values):
            benches.append(Bench(context, executor, **values))
            return benches[-1]

        yield make
        for bench in benches:
            bench.tracker.shut_down()
            executor.remove_node(bench.tracker)
            executor.remove_node(bench.node)
            bench.tracker.destroy_node()
            bench.node.destroy_node()
        executor.shutdown()
        rclpy.shutdown(context=context)


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
    bench.until(lambda: len(bench.names) == 2)
    assert json.loads(bench.names[topics.LANDMARK_NAMES]) == ['base', 'tip']
    assert json.loads(bench.names[topics.CLASS_NAMES]) == ['background', 'continuum_manipulator']


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
    assert reason in configure_error(bench)


def configure_error(bench):
    """The reason for the failed start, as diagnostics report it."""

    def errors():
        return [
            s.message
            for d in bench.diagnostics
            for s in d.status
            if s.name.endswith(': configure')
        ]

    bench.tracker.diagnostics.publish()
    bench.until(errors)
    return errors()[-1]


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
