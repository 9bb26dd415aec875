"""The back end of devices without tether: one detection a frame, gated by its track."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from synthex_ros.geometry import View, make_pose, pose_from_parameters
from synthex_ros.tracking.body_ends import ends_of, mask_of
from synthex_ros.tracking.depth import place_at_depth
from synthex_ros.tracking.detections import Detection
from synthex_ros.tracking.pitched_detector import PitchedDetector
from synthex_ros.tracking.tiny_tracker import TinyTracker
from tracker_node.errors import FrameRejected
from tracker_node.frame_backend import FrameBackend
from tracker_node.wiring import Wiring

Array = NDArray[np.float64]


class DetectorBackend(FrameBackend):
    """Answer each frame with the centre of one device, or with its ends, and its place.

    One view does not show how deep a device lies: it is taken to be as deep as `device_base_pose`,
    and the covariance says so with `depth_sigma_m` along the ray.

    Args:
        wiring: how the graph is reached; 1 landmark for the centre, 2 for back and front.
        detector: finds devices.
        name: class of the device.
    """

    def __init__(self, wiring: Wiring, detector: PitchedDetector, name: str) -> None:
        self._detector, self._name = detector, name
        pose = wiring.params.device_base_pose
        self._anchor = pose_from_parameters(pose[:3], pose[3:])
        self.start_anew()
        super().__init__(wiring)

    def start_anew(self) -> None:
        """Forget the track."""
        self._tracker = TinyTracker(self._detector, self._name)
        self._forwards: Array | None = None

    def look(self, stamp_ns: int, time_s: float, counts: NDArray, view: View) -> None:
        """Answer a frame; see `FrameBackend.look`."""
        self._check_pitch(view)
        begin = time.perf_counter()
        result = self._tracker.track(counts, time_s)
        spent_s = time.perf_counter() - begin
        one, lost = result.detection, result.state.lost
        reason = '' if one is not None else 'no_device'
        self._statistics.answer(lost, reason, spent_s, 0.0)
        if one is None or lost or one.score < self._params.min_score:
            self._publisher.mask(stamp_ns, np.zeros(counts.shape, np.uint8))
            self._publisher.nothing(stamp_ns, self._landmark_count)
            return
        mask = mask_of(result.labels, one)
        self._publisher.mask(stamp_ns, mask.astype(np.uint8))
        tip, covariance = place_at_depth(
            view,
            np.array([one.u, one.v]),
            self._anchor[:3, 3],
            self._tracker.settings.sigma_px / np.sqrt(one.score),
            self._params.depth_sigma_m,
        )
        self._publisher.tip(stamp_ns, make_pose(None, tip), covariance)
        points = self._landmarks(mask, one, view)
        self._publisher.landmarks(stamp_ns, points, np.full(len(points), one.score))

    def _check_pitch(self, view: View) -> None:
        expected, got = self._params.frame_pitch_m, view.geometry.pixel_pitch_m
        if not np.allclose(got, expected, rtol=0.02):
            raise FrameRejected(
                'pitch',
                f'pixels of the frames are {1e3 * got[1]:.3f} mm by camera_info, frame_pitch_m is '
                f'{1e3 * expected:.3f} mm; set frame_pitch_m to that of the imager',
            )

    def _landmarks(self, mask: NDArray[np.bool_], one: Detection, view: View) -> Array:
        """Return the centre, (1, 2), or back and front, (2, 2) [px].

        Ends look alike: at first the front is the one to the z axis of `device_base_pose`, then
        the one near the last front.
        """
        centre = np.array([one.u, one.v])
        if self._landmark_count == 1:
            return centre[None]
        if self._forwards is None:
            middle, ahead = self._anchor[:3, 3], self._anchor[:3, 2]
            self._forwards = view.project(middle + 1e-3 * ahead) - view.project(middle)
        ends = ends_of(mask, centre, self._forwards)
        if np.any(ends[0] != ends[1]):
            self._forwards = ends[1] - ends[0]
        return ends
