"""Runs a task on a live graph: sends the goals, starts time, watches, and stops at the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import rclpy
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Path
from rclpy.context import Context
from rclpy.duration import Duration
from rosgraph_msgs.msg import Clock
from std_srvs.srv import SetBool

from synthex_ros.evaluation.tasks import Task
from synthex_ros.geometry import make_pose
from synthex_ros.ros import messages, qos, topics
from synthex_ros.ros.spin import make_executor

_MATCH_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Progress:
    """Where a task stands.

    Attributes:
        time_s: task time [s].
        error_m: distance of the true tip from the present goal [m], NaN before the first.
    """

    time_s: float
    error_m: float


class Conductor:
    """Send the goals of a task, let time run, report progress.

    Args:
        task: what the tip is asked to do.
        simulated_start_s: simulated time at start [s]; None where the wall clock is the time.
        domain_id: ROS domain of the graph.
        world_frame: frame of the goals.
    """

    def __init__(
        self,
        task: Task,
        simulated_start_s: float | None,
        domain_id: int,
        world_frame: str = 'world',
    ) -> None:
        self._task, self._start_s, self._frame = task, simulated_start_s, world_frame
        self._context = Context()
        rclpy.init(args=[], context=self._context, domain_id=domain_id)
        self._node = rclpy.create_node('conductor', context=self._context)
        self._executor = make_executor(self._context)
        self._executor.add_node(self._node)
        self._now_s = 0.0
        self._tip = np.full(3, np.nan)
        make = self._node.create_publisher
        self._targets = make(PoseStamped, topics.TARGET, qos.GOALS)
        self._path = make(Path, topics.PATH, qos.GOALS)
        self._pause = self._node.create_client(SetBool, topics.PAUSE)
        self._node.create_subscription(PoseStamped, topics.TRUTH_TIP, self._on_tip, qos.STATE)
        self._node.create_subscription(Clock, topics.CLOCK, self._on_clock, qos.CLOCK)

    def close(self) -> None:
        """Leave the graph."""
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.shutdown(context=self._context)

    def __enter__(self) -> Conductor:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def run(
        self, watch: Callable[[Progress], None], still_alive: Callable[[], None], timeout_s: float
    ) -> None:
        """Run the task from its first goal to its end.

        Args:
            watch: told the progress about ten times a second.
            still_alive: called as often; raises if the graph is broken.
            timeout_s: longest time on the steady clock without any simulated progress [s].

        Raises:
            TimeoutError: nobody listens to the goals, or time stands still.
        """
        self._wait(self._listened, _MATCH_TIMEOUT_S, 'nobody listens to the goals', still_alive)
        if self._start_s is None:
            self._start_s = self._node.get_clock().now().nanoseconds * 1e-9
        self._send_goals()
        self._set_paused(False, still_alive)
        self._follow(watch, still_alive, timeout_s)
        self._set_paused(True, still_alive)

    def _listened(self) -> bool:
        heard = all(
            publisher.get_subscription_count() > 0 for publisher in (self._targets, self._path)
        )
        return heard and self._pause.service_is_ready()

    def _send_goals(self) -> None:
        for goal in self._task.targets:
            header = messages.make_header(self._stamp_ns(goal.time_s), self._frame)
            pose = make_pose(translation_m=goal.position_world_m)
            self._targets.publish(messages.to_pose_stamped(pose, header))
        if self._task.path and not self._task.timed:
            points = [goal.position_world_m for goal in self._task.path]
            header = messages.make_header(self._stamp_ns(0.0), self._frame)
            self._path.publish(messages.to_path(points, header))
        elif self._task.path:
            stamps = [self._stamp_ns(goal.time_s) for goal in self._task.path]
            points = [goal.position_world_m for goal in self._task.path]
            # The path takes over before its first point, so that the tip can come to its start.
            last_target_s = self._task.targets[-1].time_s if self._task.targets else 0.0
            approach_s = (last_target_s + 4.0) if self._task.targets else 0.0
            header = messages.make_header(self._stamp_ns(approach_s), self._frame)
            self._path.publish(messages.to_path(points, header, stamps))
        for publisher in (self._targets, self._path):
            publisher.wait_for_all_acked(Duration(seconds=5.0))

    def _stamp_ns(self, task_time_s: float) -> int:
        return round(((self._start_s or 0.0) + task_time_s) * 1e9)

    def _follow(self, watch, still_alive, timeout_s: float) -> None:
        moved_s, last_s = time.monotonic(), -1.0
        while (task_s := self._task_time_s()) < self._task.duration_s - 1e-6:
            self._executor.spin_once(timeout_sec=0.05)
            still_alive()
            watch(Progress(max(task_s, 0.0), self._error_m(task_s)))
            if task_s > last_s:
                moved_s, last_s = time.monotonic(), task_s
            if time.monotonic() - moved_s > timeout_s:
                raise TimeoutError(
                    f'time stands still at {task_s:.2f} s for {timeout_s:g} s: '
                    'see the messages of sim_node, tracker_node and control_node above'
                )

    def _task_time_s(self) -> float:
        return self._now_s - (self._start_s or 0.0)

    def _error_m(self, task_s: float) -> float:
        goals = [g for g in (*self._task.targets, *self._task.path) if g.time_s <= task_s]
        if not self._task.timed:
            goals = list(self._task.path)
        return float(np.linalg.norm(self._tip - goals[-1].position_world_m)) if goals else np.nan

    def _set_paused(self, paused: bool, still_alive) -> None:
        answer = self._pause.call_async(SetBool.Request(data=paused))
        self._wait(answer.done, _MATCH_TIMEOUT_S, 'sim/pause does not answer', still_alive)

    def _wait(self, done: Callable[[], bool], timeout_s: float, what: str, still_alive) -> None:
        deadline_s = time.monotonic() + timeout_s
        while not done():
            still_alive()
            self._executor.spin_once(timeout_sec=0.05)
            if time.monotonic() > deadline_s:
                raise TimeoutError(f'{what} after {timeout_s:g} s: is the whole graph active?')

    def _on_tip(self, message: PoseStamped) -> None:
        self._tip = messages.pose_matrix(message.pose)[:3, 3]
        self._now_s = max(self._now_s, messages.stamp_ns(message.header.stamp) * 1e-9)

    def _on_clock(self, message: Clock) -> None:
        self._now_s = max(self._now_s, messages.stamp_ns(message.clock) * 1e-9)
