"""What every back end that looks at radiographs does: join the parts of a frame, check them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, Image

from synthex_ros.geometry import View
from synthex_ros.ros import messages, qos, topics
from synthex_ros.tracking.tip_result import TipResult
from tracker_node.errors import FrameRejected
from tracker_node.frame_parts import FrameParts
from tracker_node.wiring import Wiring


class FrameBackend(ABC):
    """Answer each frame once, with what is seen in it or with nothing.

    The newest image waits for its other parts, no longer than `pair_timeout_s`; a newer image
    ends the wait.

    Args:
        wiring: how the graph is reached.
    """

    def __init__(self, wiring: Wiring) -> None:
        self._node, self._params = wiring.node, wiring.params
        self._publisher, self._statistics = wiring.publisher, wiring.statistics
        self._clock, self._landmark_count = wiring.clock, wiring.landmark_count
        self._parts = FrameParts(('camera_info', 'pose', 'exposure'))
        self._waiting: tuple[int, Image, float] | None = None
        self._newest_ns: int | None = None
        self._origin_ns = 0
        self._subscribe()
        self._node.every(self._params.pair_timeout_s / 4, self._check_wait)

    @abstractmethod
    def look(self, stamp_ns: int, time_s: float, counts: NDArray, view: View) -> None:
        """Answer a frame.

        Args:
            stamp_ns: of its exposure [ns].
            time_s: the same since the first frame [s].
            counts: detector counts, shape (rows, columns), uint16.
            view: geometry and pose of the exposure.

        Raises:
            FrameRejected: something that belongs to it does not fit.
            ValueError: it makes no sense.
        """

    def answer(self, stamp_ns: int, result: TipResult) -> None:
        """Publish what a tracker says of a frame, and count it."""
        self._statistics.answer(result.lost, result.reason, result.inference_s, result.fit_s)
        publisher = self._publisher
        publisher.mask(stamp_ns, result.labels)
        if result.centerline_world_m is not None:
            publisher.centerline(stamp_ns, result.centerline_world_m)
        if result.world_from_tip is not None:
            publisher.tip(stamp_ns, result.world_from_tip, result.covariance_m2)
        pixels = np.array([(one.u, one.v) for one in result.landmarks])
        publisher.landmarks(stamp_ns, pixels, [one.score for one in result.landmarks])

    @abstractmethod
    def start_anew(self) -> None:
        """Forget the track."""

    def _ready(self, stamp_ns: int) -> bool:
        """Tell whether all that does not carry the frame's stamp is there."""
        return True

    def _subscribe(self) -> None:
        node = self._node
        for kind, message_type, topic in (
            ('pose', PoseStamped, topics.CARM_POSE),
            ('exposure', DiagnosticArray, topics.EXPOSURE),
            ('camera_info', CameraInfo, topics.CAMERA_INFO),
        ):
            node.subscribe(message_type, topic, self._keeper(kind), qos.STATE)
        profile = qos.frame_subscription(self._params.time_mode)
        node.subscribe(Image, topics.IMAGE_RAW, self._on_image, profile)

    def _keeper(self, kind: str) -> Callable[[Any], None]:
        def keep(message: Any) -> None:
            self._parts.put(kind, messages.stamp_ns(message.header.stamp), message)
            self._try()

        return keep

    def _on_image(self, message: Image) -> None:
        if self._waiting is not None:
            self._give_up('a newer frame came first')
        stamp_ns = messages.stamp_ns(message.header.stamp)
        self._notice_time_set_back(stamp_ns)
        self._newest_ns = stamp_ns
        self._waiting = (stamp_ns, message, self._clock())
        self._try()

    def _notice_time_set_back(self, stamp_ns: int) -> None:
        if self._newest_ns is None:
            self._origin_ns = stamp_ns
        elif stamp_ns < self._newest_ns - self._params.horizon_s * 1e9:
            self._node.get_logger().warning('time was set back: the track starts anew')
            self.start_anew()
            self._origin_ns = stamp_ns

    def _try(self) -> None:
        """Process the waiting frame if it is complete."""
        if self._waiting is None:
            return
        stamp_ns, image, _ = self._waiting
        if not self._parts.missing(stamp_ns) and self._ready(stamp_ns):
            self._process(stamp_ns, image)

    def _check_wait(self) -> None:
        if self._waiting is None:
            return
        if self._clock() - self._waiting[2] > self._params.pair_timeout_s:
            self._give_up(f'waited {self._params.pair_timeout_s:g} s')

    def _give_up(self, why: str) -> None:
        """End the wait: go on if all with its stamp are there, else reject."""
        if self._waiting is None:
            return
        stamp_ns, image, _ = self._waiting
        missing = self._parts.missing(stamp_ns)
        if not missing:
            self._process(stamp_ns, image)
            return
        self._waiting = None
        self._reject('missing_' + '_'.join(missing), f'no part with its stamp: {missing}; {why}')
        self._publisher.nothing(stamp_ns, self._landmark_count)

    def _process(self, stamp_ns: int, image: Image) -> None:
        self._waiting = None
        try:
            counts, view = self._checked(stamp_ns, image)
            self.look(stamp_ns, (stamp_ns - self._origin_ns) * 1e-9, counts, view)
        except FrameRejected as error:
            self._reject(error.kind, str(error))
            self._publisher.nothing(stamp_ns, self._landmark_count)
        except ValueError as error:
            self._reject('does_not_fit', str(error))
            self._publisher.nothing(stamp_ns, self._landmark_count)

    def _checked(self, stamp_ns: int, image: Image) -> tuple[NDArray, View]:
        """Return counts and view of a frame.

        Raises:
            FrameRejected: encoding, size, frame names, calibration or pose do not fit.
        """
        parts = self._parts.take(stamp_ns)
        self._check_names(image, parts)
        if image.encoding != 'mono16':
            raise FrameRejected('encoding', f'image must be mono16, got {image.encoding!r}')
        counts = _part('image', messages.from_image, image)
        exposure = _part('exposure', messages.from_exposure, parts['exposure'])
        if 'source_to_detector_m' not in exposure:
            raise FrameRejected('exposure', f'no source_to_detector_m in {sorted(exposure)}')
        distance = exposure['source_to_detector_m']
        geometry = _part(
            'camera_info', messages.geometry_from_camera_info, parts['camera_info'], distance
        )
        if counts.shape != geometry.shape_px:
            raise FrameRejected(
                'size', f'image is {counts.shape}, camera_info describes {geometry.shape_px}'
            )
        pose = _part('pose', messages.pose_matrix, parts['pose'].pose)
        return counts, View(geometry, pose)

    def _check_names(self, image: Image, parts: dict[str, Any]) -> None:
        expected = {
            'image': (image, self._params.source_frame),
            'camera_info': (parts['camera_info'], self._params.source_frame),
            'pose': (parts['pose'], self._params.world_frame),
        }
        for name, (message, frame) in expected.items():
            if message.header.frame_id != frame:
                raise FrameRejected(
                    'frame_id', f'{name} must be in {frame!r}, got {message.header.frame_id!r}'
                )

    def _reject(self, kind: str, detail: str) -> None:
        self._statistics.reject(kind, detail)
        self._node.get_logger().error(
            f'frame rejected, {kind}: {detail}', throttle_duration_sec=1.0
        )


def _part(kind: str, read: Callable[..., Any], *arguments: Any) -> Any:
    """Return what `read` makes of a part, or reject the frame for it."""
    try:
        return read(*arguments)
    except ValueError as error:
        raise FrameRejected(kind, str(error)) from error
