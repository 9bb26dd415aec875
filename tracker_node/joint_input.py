"""The measured joints of a device, as they were at the exposure of a frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import JointState

from synthex_ros.ros import messages, qos, topics
from tracker_node.errors import FrameRejected
from tracker_node.frame_parts import JointHistory
from tracker_node.wiring import Wiring

Array = NDArray[np.float64]


class JointInput:
    """Listens to `device/measured_js`.

    Args:
        wiring: how the graph is reached.
        names: joints, in order.
        refuse: called with kind and reason for a message that cannot be used.
        notify: called after every one that can.
    """

    def __init__(
        self,
        wiring: Wiring,
        names: Sequence[str],
        refuse: Callable[[str, str], None],
        notify: Callable[[], None],
    ) -> None:
        self._names, self._refuse, self._notify = names, refuse, notify
        self._exactly = wiring.params.time_mode == 'lockstep'
        self._gap_s = wiring.params.joint_gap_s
        self._history = JointHistory()
        wiring.node.subscribe(JointState, topics.MEASURED_JS, self._on_joints, qos.STATE)

    def ready(self, stamp_ns: int) -> bool:
        """Tell whether the joints at a stamp are known: measured then, or before and after."""
        return self._history.knows(stamp_ns, self._exactly)

    def at(self, stamp_ns: int) -> Array:
        """Return the joints at a stamp, or else the nearest ones, shape (J,).

        Raises:
            FrameRejected: there are none near enough.
        """
        joints = self._history.at(stamp_ns, self._gap_s)
        if joints is None:
            raise FrameRejected(
                'missing_joints',
                f'no device/measured_js within {self._gap_s:g} s of the exposure',
            )
        return joints

    def _on_joints(self, message: JointState) -> None:
        try:
            joints = messages.from_joint_state(message, self._names)
        except ValueError as error:
            self._refuse('joints', str(error))
            return
        if not np.all(np.isfinite(joints)):
            self._refuse('joints', f'positions must be finite, got {joints}')
            return
        self._history.put(messages.stamp_ns(message.header.stamp), joints)
        self._notify()
