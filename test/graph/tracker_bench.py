"""A tracker node in this process, an imager that says what it is told, and a listener."""

import time

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped, PoseWithCovarianceStamped
from nav_msgs.msg import Path
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, Image, JointState, PointCloud2
from std_msgs.msg import Float64, String

from synthex_ros.devices.continuum.parameters import JOINT_NAMES
from synthex_ros.geometry import CArm
from synthex_ros.ros import messages, qos, topics
from tracker_node.node import TrackerNode

from .tracker_model import PITCH_MM, SIZE

VIEW = CArm(pixel_pitch_m=PITCH_MM * 1e-3, detector_px=SIZE, binning=1).view(0.1)
JOINTS = np.array([0.03, 0.2, 0.0010, -0.0010])
PERIOD_NS = 66_666_667


def radiograph():
    """Noise of a flat field; the model reports the known scene for it."""
    return np.random.default_rng(0).normal(20000, 300, (SIZE, SIZE)).astype(np.uint16)


class Bench:
    """A tracker with its surroundings; `joints` are names and values of the device's."""

    HEARD = (
        (Image, topics.MASK),
        (Path, topics.CENTERLINE),
        (PoseWithCovarianceStamped, topics.MEASURED_CP),
        (PointCloud2, topics.LANDMARKS),
    )

    def __init__(self, context, executor, joints=(JOINT_NAMES, JOINTS), **values):
        self.measured = joints
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
        for kind, topic in (
            (String, topics.CLASS_NAMES),
            (String, topics.LANDMARK_NAMES),
            (Float64, topics.SCORE_GATE),
        ):
            self.node.create_subscription(
                kind, topic, lambda m, t=topic: self.names.update({t: m.data}), qos.LATCHED
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
            'joints': (self.joints, messages.to_joint_state(*self.measured, optical)),
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

    def configure_error(self):
        """The reason for the failed start, as diagnostics report it."""

        def errors():
            return [
                s.message
                for d in self.diagnostics
                for s in d.status
                if s.name.endswith(': configure')
            ]

        self.tracker.diagnostics.publish()
        self.until(errors)
        return errors()[-1]
