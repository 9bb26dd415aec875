"""What a magnetic device reports of its field."""

from __future__ import annotations

import numpy as np
from sensor_msgs.msg import JointState, MagneticField

from synthex_ros.ros import field_messages, messages, qos, topics
from synthex_ros.ros.managed_node import ManagedNode
from synthex_ros.simulation.driven_magnetic import DrivenMagnetic


class FieldOutput:
    """Publishes the field at the commanded point, and currents or the joints of the arm.

    Args:
        node: owner of the publishers.
        device: the device and its drive.
        frame: frame of the field.
    """

    def __init__(self, node: ManagedNode, device: DrivenMagnetic, frame: str) -> None:
        self._device, self._frame = device, frame
        self._field = node.advertise(MagneticField, topics.MEASURED_FIELD, qos.STATE)
        self._currents = node.advertise(JointState, topics.COIL_CURRENTS, qos.STATE)

    def publish(self, now_ns: int) -> None:
        """Publish what the drivers measure at `now_ns` [ns]."""
        device = self._device
        header = messages.make_header(now_ns, self._frame)
        field_t = device.drive.modelled_field_t(device.point_m)
        self._field.publish(field_messages.to_field(field_t, header))
        state = device.drive.state
        positions = np.zeros(len(state.names)) if state.positions is None else state.positions
        self._currents.publish(
            messages.to_joint_state(state.names, positions, header, efforts=state.currents_a)
        )
