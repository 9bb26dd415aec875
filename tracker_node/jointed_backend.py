"""What back ends of devices with joints share: the joints at the exposure, a track to forget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tracker_node.frame_backend import FrameBackend
from tracker_node.joint_input import JointInput
from tracker_node.wiring import Wiring


class Track(Protocol):
    """What a tracker remembers from frame to frame."""

    def reset(self) -> None:
        """Forget the track."""


class JointedBackend(FrameBackend):
    """Answer each frame once its joints are known too.

    Where only the joints are late at the end of the wait, the nearest ones are taken.

    Args:
        wiring: how the graph is reached.
        track: of the tracker that looks at the frames.
        names: joints of the device, in order.
    """

    def __init__(self, wiring: Wiring, track: Track, names: Sequence[str]) -> None:
        self._track = track
        self._joints = JointInput(wiring, names, self._reject, self._try)
        super().__init__(wiring)

    def start_anew(self) -> None:
        """Forget the track."""
        self._track.reset()

    def _ready(self, stamp_ns: int) -> bool:
        return self._joints.ready(stamp_ns)
