"""The back end of a guidewire: its tip, its marker and the end of its line, in the vessels."""

from __future__ import annotations

from numpy.typing import NDArray

from synthex_ros.devices.magnetic.guidewire_parameters import JOINT_NAMES
from synthex_ros.geometry import View
from synthex_ros.tracking.wire_tracker import WireFrame, WireTracker
from tracker_node.jointed_backend import JointedBackend
from tracker_node.wiring import Wiring


class WireBackend(JointedBackend):
    """Answer each frame with the wire's landmarks, line and tip.

    Args:
        wiring: how the graph is reached.
        tracker: from radiograph to tip.
        parked_m: length of wire beyond the entry at insertion 0 [m].
    """

    def __init__(self, wiring: Wiring, tracker: WireTracker, parked_m: float) -> None:
        self._tracker, self._parked_m = tracker, parked_m
        super().__init__(wiring, tracker, JOINT_NAMES)

    def look(self, stamp_ns: int, time_s: float, counts: NDArray, view: View) -> None:
        """Answer a frame; see `FrameBackend.look`."""
        insertion, _ = self._joints.at(stamp_ns).tolist()
        frame = WireFrame(counts, view, self._parked_m + insertion, time_s)
        self.answer(stamp_ns, self._tracker.track(frame))
