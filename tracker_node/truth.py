"""The comparison back end: the simulator's truth, repeated under the tracker's names."""

from __future__ import annotations

import numpy as np
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Path
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from synthex_ros.devices.registry import device_kind
from synthex_ros.geometry import View
from synthex_ros.ros import messages, qos, topics
from tracker_node.frame_parts import FrameParts
from tracker_node.wiring import Wiring

Array = NDArray[np.float64]

_SIGMA_M = 1e-6
_ANY_DISTANCE_M = 1.0
"""Where a pixel lies does not depend on the source-to-detector distance, given the intrinsics."""


def class_names(device: str) -> tuple[str, str]:
    """Return the names of the class ids in the mask."""
    return 'background', 'continuum_manipulator' if device == 'continuum' else device


class TruthBackend:
    """Answer each delivered frame with the truth of its exposure, or truth with noise.

    The noise moves tip and last landmark alike, as one wrong finding would; of a device without
    tether it moves all landmarks.

    Args:
        wiring: how the graph is reached.
    """

    def __init__(self, wiring: Wiring) -> None:
        params = wiring.params
        self._publisher, self._statistics = wiring.publisher, wiring.statistics
        self._sigma_m = params.truth_sigma_m
        self._rng = np.random.default_rng(params.seed)
        frame = qos.frame_subscription(params.time_mode)
        sources = {
            'tip': (PoseStamped, topics.TRUTH_TIP, qos.STATE),
            'landmarks': (PointCloud2, topics.TRUTH_LANDMARKS, qos.STATE),
            'centerline': (Path, topics.TRUTH_CENTERLINE, qos.STATE),
            'mask': (Image, topics.TRUTH_MASK, frame),
            'image': (Image, topics.IMAGE_RAW, frame),
        }
        if self._sigma_m > 0:
            sources['camera_info'] = (CameraInfo, topics.CAMERA_INFO, qos.STATE)
            sources['pose'] = (PoseStamped, topics.CARM_POSE, qos.STATE)
        self._parts = FrameParts(tuple(sources))
        for kind, (message_type, topic, profile) in sources.items():
            wiring.node.subscribe(message_type, topic, self._keeper(kind), profile)
        known = device_kind(params.device)
        self._moved = slice(None) if known.in_fluid else slice(-1, None)
        self._publisher.names(class_names(params.device), known.landmark_names)

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
        if self._sigma_m > 0:
            pose, pixels[self._moved] = self._disturbed(pose, pixels[self._moved], parts)
        sigma_m = max(self._sigma_m, _SIGMA_M)
        self._publisher.tip(stamp_ns, pose, sigma_m**2 * np.eye(3))
        self._publisher.landmarks(stamp_ns, pixels, landmarks['score'])
        self._statistics.answer(False, '', 0.0, 0.0)

    def _disturbed(self, pose: Array, pixels: Array, parts: dict) -> tuple[Array, Array]:
        """Return the tip's pose and its pixels, (N, 2), all moved by the same random vector."""
        view = View(
            messages.geometry_from_camera_info(parts['camera_info'], _ANY_DISTANCE_M),
            messages.pose_matrix(parts['pose'].pose),
        )
        moved = pose.copy()
        moved[:3, 3] += self._sigma_m * self._rng.standard_normal(3)
        return moved, pixels + view.project(moved[:3, 3]) - view.project(pose[:3, 3])
