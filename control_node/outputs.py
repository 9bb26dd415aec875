"""Where answers go: joint set-points, and for magnetic devices field, point and force."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from geometry_msgs.msg import PointStamped, WrenchStamped
from numpy.typing import NDArray
from sensor_msgs.msg import JointState, MagneticField

from control_node.params import ControlParams
from synthex_ros.control.controller import Answer
from synthex_ros.control.magnetic.controller import MagneticAnswer
from synthex_ros.ros import field_messages, messages, qos, topics
from synthex_ros.ros.managed_node import ManagedNode

Array = NDArray[np.float64]


class JointOutput:
    """Publishes joint set-points.

    Args:
        node: owner of the publisher.
        names: joint names.
    """

    def __init__(self, node: ManagedNode, names: Sequence[str]) -> None:
        self._names = names
        self._joints = node.advertise(JointState, topics.SERVO_JP, qos.CONTROL)

    def send(self, answer: Answer | MagneticAnswer, stamp_ns: int, point_m: Array) -> None:
        """Publish the set-points of an answer to the frame of `stamp_ns` [ns]."""
        if answer.joints is not None:
            header = messages.make_header(stamp_ns, 'device_base')
            self._joints.publish(messages.to_joint_state(self._names, answer.joints, header))


class FieldOutput:
    """Publishes field and point, joints where the device has some, else the force.

    Args:
        node: owner of the publishers.
        params: world frame.
        names: joint names, none for a device without tether.
    """

    def __init__(self, node: ManagedNode, params: ControlParams, names: Sequence[str]) -> None:
        self._frame = params.world_frame
        self._joints = JointOutput(node, names) if names else None
        self._force = None
        if not names:
            self._force = node.advertise(WrenchStamped, topics.SERVO_WRENCH, qos.CONTROL)
        self._point = node.advertise(PointStamped, topics.SERVO_POINT, qos.CONTROL)
        self._field = node.advertise(MagneticField, topics.SERVO_FIELD, qos.CONTROL)

    def send(self, answer: Answer | MagneticAnswer, stamp_ns: int, point_m: Array) -> None:
        """Publish an answer to the frame of `stamp_ns` [ns], for a device at a point (3,) [m].

        Raises:
            TypeError: the answer has no field.
        """
        if not isinstance(answer, MagneticAnswer):
            raise TypeError(f'a magnetic device needs an answer with a field, got {answer}')
        if self._joints is not None:
            self._joints.send(answer, stamp_ns, point_m)
        header = messages.make_header(stamp_ns, self._frame)
        if self._force is not None:
            force_n = np.zeros(3) if answer.force_n is None else answer.force_n
            self._force.publish(field_messages.to_force(force_n, header))
        self._point.publish(field_messages.to_point(point_m, header))
        self._field.publish(field_messages.to_field(answer.field_t, header))
