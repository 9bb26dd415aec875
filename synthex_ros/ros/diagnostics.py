"""Diagnostics of a node: 1 Hz on the steady clock, named `node: subject` (REP 107)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from synthex_ros.ros import qos, topics

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


@dataclass
class Report:
    """What one subject has to say.

    Attributes:
        message: one line for people.
        values: numbers and texts by key; keys carry units.
        level: OK, WARN or ERROR.
    """

    message: str = 'ok'
    values: Mapping[str, Any] = field(default_factory=dict)
    level: bytes = OK


class Diagnostics:
    """Collects reports of a node and publishes them once a second, whatever drives ROS time.

    Args:
        node: a node with a `steady_clock`.
        period_s: time between publications [s].
    """

    def __init__(self, node: Any, period_s: float = 1.0) -> None:
        self._node = node
        self.hardware_id = ''
        self._sources: dict[str, Callable[[], Report]] = {}
        self._errors: dict[str, Report] = {}
        self._publisher = node.create_publisher(DiagnosticArray, topics.DIAGNOSTICS, qos.EVENTS)
        self._timer = node.create_timer(period_s, self.publish, clock=node.steady_clock)

    def add(self, subject: str, source: Callable[[], Report]) -> None:
        """Ask `source` for a report on `subject` each second; replaces an earlier one."""
        self._sources[subject] = source

    def remove(self, subject: str) -> None:
        """Stop reporting on `subject`; an unknown one is no error."""
        self._sources.pop(subject, None)
        self._errors.pop(subject, None)

    def error(self, subject: str, message: str) -> None:
        """Report an error on `subject` from now on, and at once."""
        self._errors[subject] = Report(message, level=ERROR)
        self.publish()

    def publish(self) -> None:
        """Publish all reports now."""
        reports = {**{name: source() for name, source in self._sources.items()}, **self._errors}
        message = DiagnosticArray()
        message.header.stamp = self._node.get_clock().now().to_msg()
        message.status = [self._status(name, report) for name, report in reports.items()]
        self._publisher.publish(message)

    def _status(self, subject: str, report: Report) -> DiagnosticStatus:
        return DiagnosticStatus(
            level=report.level,
            name=f'{self._node.get_name()}: {subject}',
            message=report.message,
            hardware_id=self.hardware_id,
            values=[KeyValue(key=key, value=str(value)) for key, value in report.values.items()],
        )
