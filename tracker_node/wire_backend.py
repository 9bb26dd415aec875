"""The back end of a guidewire: its tip, its marker and the end of its line, in the vessels."""

from __future__ import annotations

from numpy.typing import NDArray

from synthex_ros.devices.magnetic.guidewire_parameters import JOINT_NAMES
from synthex_ros.geometry import View
from synthex_ros.tracking.wire_tracker import WireFrame, WireTracker
from tracker_node.frame_backend import FrameBackend
from tracker_node.joint_input import JointInput
from tracker_node.wiring import Wiring


class WireBackend(FrameBackend):
    """Answer each frame with the wire's landmarks, line and tip.

    Where only the joints are late at the end of the wait, the nearest ones are taken.

    Args:
        wiring: how the graph is reached.
        tracker: from radiograph to tip.
        parked_m: length of wire beyond the entry at insertion 0 [m].
    """

    def __init__(self, wiring: Wiring, tracker: WireTracker, parked_m: float) -> None:
        self._tracker, self._parked_m = tracker, parked_m
        self._joints = JointInput(wiring, JOINT_NAMES, self._reject, self._try)
        super().__init__(wiring)

    def start_anew(self) -> None:
        """Forget the track."""
        self._tracker.reset()

    def _ready(self, stamp_ns: int) -> bool:
        return self._joints.ready(stamp_ns)

    def look(self, stamp_ns: int, time_s: float, counts: NDArray, view: View) -> None:
        """Answer a frame; see `FrameBackend.look`."""
        insertion, _ = self._joints.at(stamp_ns).tolist()
        frame = WireFrame(counts, view, self._parked_m + insertion, time_s)
        self.answer(stamp_ns, self._tracker.track(frame))
