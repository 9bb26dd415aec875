"""The controller node over DDS on a private domain; a test rig plays imager, tracker and drive."""

import re
import time
from pathlib import Path

import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy')

from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402
from geometry_msgs.msg import (  # noqa: E402
    PoseStamped,
    PoseWithCovarianceStamped,
    TwistStamped,
)
from nav_msgs.msg import Path as PathMessage  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from sensor_msgs.msg import CameraInfo, JointState, PointCloud2  # noqa: E402

from control_node.node import ControlNode  # noqa: E402
from synthex_ros.control.tip_model import JOINT_NAMES  # noqa: E402
from synthex_ros.devices.continuum.kinematics import ContinuumKinematics  # noqa: E402
from synthex_ros.geometry import CArm, make_pose, transform_points  # noqa: E402
from synthex_ros.ros import messages, qos, topics  # noqa: E402

pytestmark = pytest.mark.graph

BASE = make_pose(None, (0.0, 0.0, -0.06))
HOME = np.array([0.02, 0.1, 1e-3, -1e-3])
KINEMATICS = ContinuumKinematics()
FRAME_NS = 10**9 // 15


def tip_of(joints):
    return transform_points(BASE, KINEMATICS.tip(joints))


class Rig:
    """Publishes frames as imager, tracker and drive do, and collects the answers."""

    def __init__(self, node, spin):
        self.node, self.spin = node, spin
        make = node.create_publisher
        self.info = make(CameraInfo, topics.CAMERA_INFO, qos.FRAME_LOCKSTEP)
        self.pose = make(PoseStamped, topics.CARM_POSE, qos.FRAME_LOCKSTEP)
        self.exposure = make(DiagnosticArray, topics.EXPOSURE, qos.FRAME_LOCKSTEP)
        self.joints = make(JointState, topics.MEASURED_JS, qos.STATE)
        self.measured = make(PoseWithCovarianceStamped, topics.MEASURED_CP, qos.STATE)
        self.landmarks = make(PointCloud2, topics.LANDMARKS, qos.STATE)
        self.target = make(PoseStamped, topics.TARGET, qos.GOALS)
        self.path = make(PathMessage, topics.PATH, qos.GOALS)
        self.teleop = make(TwistStamped, topics.TELEOP, qos.CONTROL)
        self.answers, self.reports = [], []
        node.create_subscription(JointState, topics.SERVO_JP, self.answers.append, qos.STATE)
        node.create_subscription(
            DiagnosticArray, topics.DIAGNOSTICS, self.reports.append, qos.EVENTS
        )
        self.view = CArm().view()

    def connected(self):
        senders = [self.info, self.pose, self.exposure, self.joints, self.measured]
        senders += [self.landmarks, self.target, self.path, self.teleop]
        return all(p.get_subscription_count() for p in senders) and self.node.count_publishers(
            topics.SERVO_JP
        )

    def frame(self, stamp_ns, joints=HOME, *, score=0.9, measured=True, names=JOINT_NAMES):
        optical = messages.make_header(stamp_ns, 'carm_source_optical')
        world = messages.make_header(stamp_ns, 'world')
        tip = tip_of(joints)
        self.joints.publish(messages.to_joint_state(names, joints, optical))
        self.pose.publish(messages.to_pose_stamped(self.view.world_from_source, world))
        self.exposure.publish(messages.to_exposure({'source_to_detector_m': 1.02}, optical))
        self.info.publish(messages.to_camera_info(self.view.geometry, optical))
        if measured:
            pose, covariance = make_pose(None, tip), 1e-7 * np.eye(3)
            self.measured.publish(messages.to_pose_with_covariance(pose, covariance, world))
        pixels = self.view.project(np.array([BASE[:3, 3], tip]))
        self.landmarks.publish(messages.to_landmarks(pixels, [score, score], optical))

    def answered(self, stamp_ns, joints=HOME, **kwargs):
        """Send a frame and return its answer."""
        count = len(self.answers)
        self.frame(stamp_ns, joints, **kwargs)
        self.spin(lambda: len(self.answers) > count)
        return self.answers[-1]

    def aim(self, position, stamp_ns=0, frame_id='world'):
        header = messages.make_header(stamp_ns, frame_id)
        message = PoseStamped(header=header)
        point = message.pose.position
        point.x, point.y, point.z = map(float, position)
        self.target.publish(message)

    def report(self, key):
        """Return the newest value of a diagnostics key, None without one."""
        for message in reversed(self.reports):
            for status in message.status:
                for pair in status.values:
                    if pair.key == key:
                        return pair.value
        return None


@pytest.fixture
def graph(domain):
    context, executor = domain
    made = []

    def spin(condition, deadline_s=20.0):
        end = time.monotonic() + deadline_s
        while not condition():
            assert time.monotonic() < end, 'condition not met before the deadline'
            executor.spin_once(timeout_sec=0.02)

    def start(**values):
        node = ControlNode(
            context=context,
            parameter_overrides=[Parameter(key, value=value) for key, value in values.items()],
        )
        made.append(node)
        executor.add_node(node)
        rig_node = rclpy.create_node('rig', context=context)
        made.append(rig_node)
        executor.add_node(rig_node)
        rig = Rig(rig_node, spin)
        spin(lambda: node.state == 'active' and rig.connected())
        return node, rig

    yield start
    for node in made:
        if isinstance(node, ControlNode):
            node.shut_down()
        executor.remove_node(node)
        node.destroy_node()


@pytest.fixture
def lockstep(graph):
    """Controller with the rig's stamps as the only time."""
    return graph(time_mode='lockstep', use_sim_time=True)


def stamp_of(message):
    return messages.stamp_ns(message.header.stamp)


def test_every_frame_is_answered_once_with_its_stamp(lockstep):
    node, rig = lockstep
    rig.aim(tip_of([0.03, 0.1, 1e-3, -1e-3]))
    rig.spin(lambda: node.controller.goals.mode == 'target' or node.controller.goals.waiting)
    stamps = [10**9 + k * FRAME_NS for k in range(30)]
    joints = HOME
    for k, stamp in enumerate(stamps):
        answer = rig.answered(stamp, joints, score=0.0 if k % 10 == 3 else 0.9)
        joints = np.array(answer.position)
        assert list(answer.name) == list(JOINT_NAMES)
    assert [stamp_of(answer) for answer in rig.answers] == stamps
    assert np.linalg.norm(tip_of(joints) - tip_of([0.03, 0.1, 1e-3, -1e-3])) < 1e-3


def test_idle_lost_and_unsure_frames_hold_the_measured_joints(lockstep):
    node, rig = lockstep
    assert np.allclose(rig.answered(10**9).position, HOME)
    rig.aim(tip_of([0.03, 0.1, 1e-3, -1e-3]))
    rig.spin(lambda: node.controller.goals.waiting)
    moving = rig.answered(10**9 + FRAME_NS)
    assert moving.position[0] > HOME[0]
    here = HOME + [0.001, 0, 0, 0]
    lost = rig.answered(10**9 + 2 * FRAME_NS, here, score=0.0, measured=False)
    assert np.allclose(lost.position, here)
    unsure = rig.answered(10**9 + 3 * FRAME_NS, here, score=0.2, measured=False)
    assert np.allclose(unsure.position, here)
    assert node.controller.rejections == {'lost': 1, 'low_score': 1}


def test_device_is_held_where_first_seen_where_that_is_asked_for(graph):
    node, rig = graph(time_mode='lockstep', use_sim_time=True, hold_at_start=True)
    rig.answered(10**9)
    rig.answered(10**9 + FRAME_NS)
    assert node.controller.goals.mode == 'target'
    start = tip_of(HOME)
    assert np.linalg.norm(node.controller.goals.active.at(10**9, start)[0] - start) < 1e-3
    rig.aim(tip_of([0.03, 0.1, 1e-3, -1e-3]))
    rig.spin(lambda: node.controller.goals.waiting)
    assert rig.answered(10**9 + 2 * FRAME_NS).position[0] > HOME[0]


def test_frame_whose_tip_never_comes_is_answered_with_a_hold(lockstep):
    node, rig = lockstep
    answer = rig.answered(10**9, score=0.9, measured=False)
    assert np.allclose(answer.position, HOME)
    assert node.controller.rejections == {'incomplete': 1}


def test_target_that_is_not_a_number_or_in_another_frame_is_refused(lockstep):
    node, rig = lockstep
    rig.aim([np.nan, 0, 0])
    rig.aim([0, 0, 0], frame_id='carm_detector')
    rig.spin(lambda: node.inputs.refused['target'] == 2)
    assert np.allclose(rig.answered(10**9).position, HOME)
    assert node.controller.goals.mode == 'idle'
    rig.spin(lambda: rig.report('refused_target') == '2')


def test_joints_with_wrong_names_or_values_are_refused(lockstep):
    node, rig = lockstep
    rig.answered(10**9)
    wrong = ('insertion', 'roll', 'left', 'right')
    header = messages.make_header(10**9 + FRAME_NS, 'device_base')
    rig.joints.publish(messages.to_joint_state(wrong, HOME, header))
    rig.spin(lambda: node.controller.rejections['joints'] == 1)
    rig.joints.publish(messages.to_joint_state(JOINT_NAMES, [np.nan] * 4, header))
    rig.spin(lambda: node.controller.rejections['joints'] == 2)
    assert node.controller.history.newest()[0] == 10**9


def test_scheduled_target_waits_for_its_time(lockstep):
    node, rig = lockstep
    rig.aim(tip_of([0.03, 0.1, 1e-3, -1e-3]), stamp_ns=10**9 + 5 * FRAME_NS)
    rig.spin(lambda: node.controller.goals.waiting)
    positions = [rig.answered(10**9 + k * FRAME_NS).position[0] for k in range(8)]
    assert positions[:5] == [HOME[0]] * 5
    assert positions[7] > positions[5] > HOME[0]


def test_path_and_hand_control_take_over_from_one_another(lockstep):
    node, rig = lockstep
    points = np.array([tip_of(HOME), tip_of(HOME) + [0, 0, 0.01]])
    header = messages.make_header(10**9, 'world')
    rig.path.publish(messages.to_path(points, header, [10**9, 6 * 10**9]))
    rig.spin(lambda: node.controller.goals.waiting)
    rig.answered(10**9)
    assert node.controller.goals.mode == 'path'
    rig.answered(10**9 + FRAME_NS)
    twist = TwistStamped(header=messages.make_header(10**9 + FRAME_NS, 'world'))
    twist.twist.linear.z = 0.005
    rig.teleop.publish(twist)
    rig.spin(lambda: node.controller.goals.waiting)
    rig.answered(10**9 + 2 * FRAME_NS)
    assert node.controller.goals.mode == 'teleop'
    stale = TwistStamped(header=messages.make_header(10, 'world'))
    rig.teleop.publish(stale)
    rig.spin(lambda: node.inputs.refused['teleop'] == 1)


def test_clock_set_back_starts_anew(lockstep):
    node, rig = lockstep
    rig.answered(50 * 10**9)
    answer = rig.answered(10**9)
    assert stamp_of(answer) == 10**9
    assert stamp_of(rig.answered(10**9 + FRAME_NS)) == 10**9 + FRAME_NS


def test_no_usable_frame_in_real_time_sends_one_hold_then_silence(graph):
    node, rig = graph(stale_after_s=0.3)
    rig.aim(tip_of([0.03, 0.1, 1e-3, -1e-3]))
    rig.spin(lambda: node.controller.goals.waiting)
    rig.answered(node.get_clock().now().nanoseconds)
    rig.answered(node.get_clock().now().nanoseconds)
    assert rig.answers[-1].position[0] > HOME[0]
    rig.spin(lambda: node.controller.rejections['stale'] == 1)
    rig.spin(lambda: len(rig.answers) == 3)
    assert np.allclose(rig.answers[-1].position, HOME)
    rig.spin(lambda: rig.report('held_stale') == '1')
    assert len(rig.answers) == 3
    assert node.controller.rejections['stale'] == 1
    rig.answered(node.get_clock().now().nanoseconds)
    assert rig.answers[-1].position[0] > HOME[0]


def test_deactivation_sends_a_hold_first(lockstep):
    node, rig = lockstep
    rig.aim(tip_of([0.03, 0.1, 1e-3, -1e-3]))
    rig.spin(lambda: node.controller.goals.waiting)
    assert rig.answered(10**9).position[0] > HOME[0]
    node.trigger_deactivate()
    rig.spin(lambda: len(rig.answers) == 2)
    assert np.allclose(rig.answers[-1].position, HOME)


def test_diagnostics_tell_mode_age_and_error(lockstep):
    node, rig = lockstep
    rig.aim(tip_of([0.03, 0.1, 1e-3, -1e-3]))
    rig.spin(lambda: node.controller.goals.waiting)
    rig.answered(10**9)
    rig.spin(lambda: rig.report('mode') == 'target')
    assert float(rig.report('error_mm')) == pytest.approx(10.0, abs=1.0)
    assert float(rig.report('age_p50_ms')) >= 0
    assert float(rig.report('age_p99_ms')) >= float(rig.report('age_p50_ms'))


def test_controller_never_reads_the_ground_truth(lockstep):
    node, rig = lockstep
    rig.answered(10**9)
    names = [subscription.topic_name for subscription in node.subscriptions]
    assert '/tracker/landmarks' in names
    assert not [name for name in names if topics.TRUTH in name]
    truths = [topics.TRUTH_TIP, topics.TRUTH_LANDMARKS, topics.TRUTH_MASK, topics.TRUTH_CENTERLINE]
    assert rig.node.count_subscribers(topics.LANDMARKS) == 1
    assert [rig.node.count_subscribers(topic) for topic in truths] == [0, 0, 0, 0]
    root = Path(__file__).parents[2]
    files = [*root.glob('control_node/*.py'), *root.glob('synthex_ros/control/*.py')]
    assert len(files) > 10
    for file in files:
        assert not re.search(r'ground_truth|TRUTH', file.read_text(encoding='utf-8')), file
