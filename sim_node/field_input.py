"""Commands of a magnetic device: field, force, point and joints, joined by their stamp."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from geometry_msgs.msg import PointStamped, WrenchStamped
from sensor_msgs.msg import JointState, MagneticField

from synthex_ros.control.magnetic.field_guard import FieldCommand
from synthex_ros.ros import field_messages, messages, qos, topics
from synthex_ros.ros.managed_node import ManagedNode
from synthex_ros.simulation.driven_magnetic import DrivenMagnetic

TOPICS: dict[str, tuple[type, str]] = {
    'field': (MagneticField, topics.SERVO_FIELD),
    'point': (PointStamped, topics.SERVO_POINT),
    'force': (WrenchStamped, topics.SERVO_WRENCH),
    'joints': (JointState, topics.SERVO_JP),
}
_IN_FRAME = ('field', 'point', 'force')
_KEPT = 16

Follow = Callable[[float], 'str | None']
"""Follows a command at a time [s]; returns why it does not."""


class FieldInput:
    """Joins the parts of a command and hands it on when it is complete.

    A part that nobody publishes is not waited for: without a point the field is meant for the
    middle of the workspace, without a force gradients are free.

    Args:
        node: owner of the subscriptions.
        device: what is commanded.
        take: called with the stamp [ns] of a complete command and what follows it.
    """

    def __init__(
        self,
        node: ManagedNode,
        device: DrivenMagnetic,
        take: Callable[[int, Follow], None],
    ) -> None:
        self._node, self._device, self._take = node, device, take
        self._parts: dict[int, dict[str, Any]] = {}
        self.incomplete = 0
        for kind, (message_type, topic) in TOPICS.items():
            node.subscribe(message_type, topic, self._keeper(kind), qos.CONTROL)

    @property
    def expected(self) -> list[str]:
        """Topics that a controller of this device publishes."""
        last = 'joints' if len(self._device.names) else 'force'
        return [TOPICS[kind][1] for kind in ('field', 'point', last)]

    @property
    def connected(self) -> bool:
        """Tell whether all of them have a publisher."""
        return all(self._node.count_publishers(topic) > 0 for topic in self.expected)

    def _keeper(self, kind: str) -> Callable[[Any], None]:
        def keep(message: Any) -> None:
            stamp_ns = messages.stamp_ns(message.header.stamp)
            self._parts.setdefault(stamp_ns, {})[kind] = message
            self._hand_on(stamp_ns)
            while len(self._parts) > _KEPT:
                del self._parts[next(iter(self._parts))]
                self.incomplete += 1

        return keep

    def _hand_on(self, stamp_ns: int) -> None:
        parts = self._parts[stamp_ns]
        wanted = {kind for kind, (_, topic) in TOPICS.items() if topic in self.expected}
        missing = [kind for kind in wanted - parts.keys() if self._is_published(kind)]
        if missing:
            return
        del self._parts[stamp_ns]
        self._take(stamp_ns, self._follower(parts, stamp_ns * 1e-9))

    def _is_published(self, kind: str) -> bool:
        return self._node.count_publishers(TOPICS[kind][1]) > 0

    def _follower(self, parts: dict[str, Any], stamp_s: float) -> Follow:
        joints = parts.get('joints')

        def follow(now_s: float) -> str | None:
            names = None if joints is None else (joints.name, joints.position)
            return self._device.servo_all(self._command(parts, stamp_s), names, stamp_s, now_s)

        return follow

    def _command(self, parts: dict[str, Any], stamp_s: float) -> FieldCommand | None:
        """Return the wanted field; parts in different frames make a frame that none accepts."""
        if 'field' not in parts:
            return None
        point, force = parts.get('point'), parts.get('force')
        frames = {part.header.frame_id for kind, part in parts.items() if kind in _IN_FRAME}
        centre = self._device.drive.centre_m
        return FieldCommand(
            frame=' and '.join(sorted(frames)),
            field_t=field_messages.from_field(parts['field']),
            point_m=centre if point is None else field_messages.from_point(point),
            force_n=None if force is None else field_messages.from_force(force),
            stamp_s=stamp_s,
        )
