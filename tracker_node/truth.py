"""The comparison back end: the simulator's truth, repeated under the tracker's names."""

from __future__ import annotations

import numpy as np
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Path
from sensor_msgs.msg import Image, PointCloud2

from synthex_ros.ros import messages, qos, topics
from synthex_ros.ros.managed_node import ManagedNode
from tracker_node.frame_parts import FrameParts
from tracker_node.params import TrackerParams
from tracker_node.publisher import TrackerPublisher
from tracker_node.statistics import TrackerStatistics

CLASSES = ('background', 'continuum_manipulator')
LANDMARKS = ('base', 'tip')

_SIGMA_M = 1e-6


class TruthBackend:
    """Answer each delivered frame with the truth of its exposure.

    Args:
        node: owner of the subscriptions.
        params: time mode.
        publisher: where the truth goes.
        statistics: what is counted.
    """

    def __init__(
        self,
        node: ManagedNode,
        params: TrackerParams,
        publisher: TrackerPublisher,
        statistics: TrackerStatistics,
    ) -> None:
        self._publisher, self._statistics = publisher, statistics
        frame = qos.frame_subscription(params.time_mode)
        sources = {
            'tip': (PoseStamped, topics.TRUTH_TIP, qos.STATE),
            'landmarks': (PointCloud2, topics.TRUTH_LANDMARKS, qos.STATE),
            'centerline': (Path, topics.TRUTH_CENTERLINE, qos.STATE),
            'mask': (Image, topics.TRUTH_MASK, frame),
            'image': (Image, topics.IMAGE_RAW, frame),
        }
        self._parts = FrameParts(tuple(sources))
        for kind, (message_type, topic, profile) in sources.items():
            node.subscribe(message_type, topic, self._keeper(kind), profile)
        publisher.names(CLASSES, LANDMARKS)

    def _keeper(self, kind: str):
        def keep(message) -> None:
            stamp_ns = messages.stamp_ns(message.header.stamp)
            self._parts.put(kind, stamp_ns, message)
            if not self._parts.missing(stamp_ns):
                self._answer(stamp_ns, self._parts.take(stamp_ns))

        return keep

    def _answer(self, stamp_ns: int, parts: dict) -> None:
        landmarks = messages.from_landmarks(parts['landmarks'])
        pixels = np.column_stack([landmarks['u'], landmarks['v']])
        self._publisher.mask(stamp_ns, messages.from_image(parts['mask']))
        self._publisher.centerline(stamp_ns, messages.from_path(parts['centerline'])[0])
        pose = messages.pose_matrix(parts['tip'].pose)
        self._publisher.tip(stamp_ns, pose, _SIGMA_M**2 * np.eye(3))
        self._publisher.landmarks(stamp_ns, pixels, landmarks['score'])
        self._statistics.answer(False, '', 0.0, 0.0)
