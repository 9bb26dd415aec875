"""Run one managed node as a process: executor loop, signals, exit code."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import rclpy
from rclpy.context import Context
from rclpy.executors import Executor, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from synthex_ros.ros.lifeline import follow_supervisor
from synthex_ros.ros.transport import description, ensure_transport

_POLL_S = 0.1
"""Longest wait before a signal is seen: the executor blocks in native code."""

_STOP_LIMIT_S = 15
"""A node that has not stopped by then is ended by SIGALRM."""


def make_executor(context: Context | None = None) -> Executor:
    """Return the fastest executor this rclpy has; use it through `spin_until`.

    Its own `spin()` must not be called: with the Jazzy wheels it burns a core and calls nothing.
    """
    try:
        from rclpy.experimental.events_executor import EventsExecutor
    except ImportError:
        return SingleThreadedExecutor(context=context)
    return EventsExecutor(context=context)


def spin_until(executor: Executor, done: Callable[[], bool]) -> None:
    """Call back until `done()`."""
    while not done():
        executor.spin_once(timeout_sec=_POLL_S)


class _StopSignal:
    """Remember SIGINT and SIGTERM, so that an active node can send its safe command.

    A node that is still loading is interrupted at once.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self.node: Any = None
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._remember)

    def _remember(self, number: int, _frame: Any) -> None:
        first, self.number = self.number is None, number
        signal.alarm(_STOP_LIMIT_S)
        if first and (self.node is None or self.node.state in ('unconfigured', 'configuring')):
            raise KeyboardInterrupt


def run(node_class: Callable[[], Any], argv: Sequence[str] | None = None) -> int:
    """Run a `ManagedNode` class as this process until it is told to stop.

    Args:
        node_class: called without arguments once rclpy is ready.
        argv: command line with ROS arguments; default `sys.argv`.

    Returns:
        Exit code: 0 after a clean stop, 1 where the node failed.
    """
    ensure_transport()
    follow_supervisor()
    stop = _StopSignal()
    try:
        rclpy.init(
            args=list(sys.argv if argv is None else argv),
            signal_handler_options=SignalHandlerOptions.NO,
        )
        return _run_node(node_class, stop)
    except KeyboardInterrupt:  # before the node was active: nothing to make safe
        return 0
    finally:
        rclpy.try_shutdown()


def _run_node(node_class: Callable[[], Any], stop: _StopSignal) -> int:
    log = rclpy.logging.get_logger(getattr(node_class, '__name__', 'node'))
    try:
        node = node_class()
    except Exception as error:  # any failure of a constructor ends the process, with its reason
        log.fatal(f'cannot start: {error}\n{traceback.format_exc()}')
        return 1
    stop.node = node
    log = node.get_logger()
    log.info(description(os.environ))
    executor = make_executor()
    executor.add_node(node)
    failed = False
    try:
        spin_until(executor, lambda: node.finished or stop.number is not None)
    except Exception as error:  # a callback failed: stop safely, then end with an error
        log.fatal(f'callback failed, stopping: {error}\n{traceback.format_exc()}')
        failed = True
    node.shut_down()
    executor.remove_node(node)
    executor.shutdown()
    node.destroy_node()
    return 1 if failed or node.failed else 0
