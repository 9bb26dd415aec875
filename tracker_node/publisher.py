"""What the tracker tells the graph about one frame, in the order that readers rely on."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
from geometry_msgs.msg import PoseWithCovarianceStamped
from nav_msgs.msg import Path
from numpy.typing import ArrayLike, NDArray
from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import Float64, String

from synthex_ros.ros import messages, qos, topics
from synthex_ros.ros.managed_node import ManagedNode
from synthex_ros.tracking.landmarks import NCC_GATE
from tracker_node.params import TrackerParams


class TrackerPublisher:
    """Mask, centre line, tip and, last, landmarks; all with the frame's stamp.

    Args:
        node: owner of the publishers.
        params: frames and time mode.
    """

    def __init__(self, node: ManagedNode, params: TrackerParams) -> None:
        self._params = params
        frame = qos.frame_publication(params.time_mode)
        self._mask = node.advertise(Image, topics.MASK, frame)
        self._centerline = node.advertise(Path, topics.CENTERLINE, qos.STATE)
        self._tip = node.advertise(PoseWithCovarianceStamped, topics.MEASURED_CP, qos.STATE)
        self._landmarks = node.advertise(PointCloud2, topics.LANDMARKS, qos.STATE)
        self._class_names = node.advertise(String, topics.CLASS_NAMES, qos.LATCHED)
        self._landmark_names = node.advertise(String, topics.LANDMARK_NAMES, qos.LATCHED)
        self._score_gate = node.advertise(Float64, topics.SCORE_GATE, qos.LATCHED)

    def names(
        self, classes: Sequence[str], landmarks: Sequence[str], score_gate: float = NCC_GATE
    ) -> None:
        """Publish, latched, what class ids and landmark ids are called and when one is found.

        Args:
            classes: names of the classes, background first.
            landmarks: names of the landmarks.
            score_gate: score above which reports count a landmark as found.
        """
        self._class_names.publish(String(data=json.dumps(list(classes))))
        self._landmark_names.publish(String(data=json.dumps(list(landmarks))))
        self._score_gate.publish(Float64(data=float(score_gate)))

    def mask(self, stamp_ns: int, labels: NDArray[np.uint8]) -> None:
        """Publish class ids, shape (rows, columns)."""
        self._mask.publish(messages.to_image(labels, self._optical(stamp_ns)))

    def centerline(self, stamp_ns: int, points_world_m: ArrayLike) -> None:
        """Publish the device's shape in `world`, shape (N, 3) [m]."""
        self._centerline.publish(messages.to_path(points_world_m, self._world(stamp_ns)))

    def tip(self, stamp_ns: int, world_from_tip: ArrayLike, covariance_m2: ArrayLike) -> None:
        """Publish the tip frame, shape (4, 4) [m], and its covariance, shape (3, 3) [m^2]."""
        self._tip.publish(
            messages.to_pose_with_covariance(world_from_tip, covariance_m2, self._world(stamp_ns))
        )

    def landmarks(self, stamp_ns: int, points_px: ArrayLike, scores: ArrayLike) -> None:
        """Publish pixels, shape (L, 2), and scores, shape (L,); the last message of a frame."""
        self._landmarks.publish(messages.to_landmarks(points_px, scores, self._optical(stamp_ns)))

    def nothing(self, stamp_ns: int, count: int) -> None:
        """Answer a frame that could not be used: landmarks without position, score 0."""
        self.landmarks(stamp_ns, np.full((count, 2), np.nan), np.zeros(count))

    def _optical(self, stamp_ns: int):
        return messages.make_header(stamp_ns, self._params.source_frame)

    def _world(self, stamp_ns: int):
        return messages.make_header(stamp_ns, self._params.world_frame)
