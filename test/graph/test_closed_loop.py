"""The whole loop in four processes: it reaches, it repeats to the byte, it survives kills."""

import os
import signal
import time

import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy')

from geometry_msgs.msg import PoseStamped  # noqa: E402
from rclpy.context import Context  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402

from synthex_ros.evaluation.bag_reader import payload_hashes  # noqa: E402
from synthex_ros.evaluation.tasks import TASKS, Task, reach_task  # noqa: E402
from synthex_ros.geometry import make_pose  # noqa: E402
from synthex_ros.ros import messages, qos, task_run, topics  # noqa: E402
from synthex_ros.ros.bringup import load_scenario  # noqa: E402
from synthex_ros.ros.graph import Graph  # noqa: E402
from synthex_ros.ros.spin import make_executor  # noqa: E402

pytestmark = pytest.mark.graph

SMALL = ['anatomy:=phantom', 'sim.anatomy_px:=64']


@pytest.fixture
def two_targets(monkeypatch):
    """A task short enough for a test."""

    def make(kinematics, world_from_device_base, seed) -> Task:
        return reach_task(kinematics, world_from_device_base, seed, count=2)

    monkeypatch.setitem(TASKS, 'short', make)
    return 'short'


def run(task, out, *overrides):
    prepared = task_run.prepare(task, out, overrides=[*SMALL, *overrides])
    seen, lines = [], []
    task_run.execute(prepared, seen.append, lambda _: None, lambda *line: lines.append(line))
    assert seen[-1].time_s > 0
    return prepared


@pytest.mark.timeout(300)
def test_loop_reaches_targets_and_repeats_every_payload(two_targets, tmp_path):
    first = run(
        two_targets, tmp_path / 'a', 'seed:=3', 'sim.latency_s:=0.1', 'sim.drop_rate:=0.05'
    )
    report = task_run.score(first, tmp_path / 'a').values
    assert report['targets'] == 2
    assert report['targets_reached'] == 2
    assert report['tip_error_p95_mm'] <= 2.0
    assert report['frames_lost'] > 0
    assert report['seed'] == 3
    assert (tmp_path / 'a' / 'report.html').stat().st_size > 10_000
    again = run(
        two_targets, tmp_path / 'b', 'seed:=3', 'sim.latency_s:=0.1', 'sim.drop_rate:=0.05'
    )
    hashes = payload_hashes(first.bag)
    assert len(hashes) > 10
    assert payload_hashes(again.bag) == hashes


class Watcher:
    """Reads commands and joints of a running graph and sends a target."""

    def __init__(self, domain_id):
        self._context = Context()
        rclpy.init(args=[], context=self._context, domain_id=domain_id)
        self._node = rclpy.create_node('watcher', context=self._context)
        self._executor = make_executor(self._context)
        self._executor.add_node(self._node)
        self.joints, self.commands = [], []
        listen = self._node.create_subscription
        listen(JointState, topics.MEASURED_JS, self._on_joints, qos.STATE)
        listen(JointState, topics.SERVO_JP, self.commands.append, qos.STATE)
        self._target = self._node.create_publisher(PoseStamped, topics.TARGET, qos.GOALS)

    def _on_joints(self, message):
        # By the stamp: what waited in a queue on a busy machine is not what the device does now.
        stamp_s = messages.stamp_ns(message.header.stamp) * 1e-9
        self.joints.append((stamp_s, np.array(message.position)))

    def after(self, time_s):
        """Return the joints stamped after a time [s], shape (N, 4)."""
        return np.array([q for t, q in self.joints if t > time_s])

    def target(self, position):
        header = messages.make_header(0, 'world')
        pose = make_pose(translation_m=position)
        self._target.publish(messages.to_pose_stamped(pose, header))

    def until(self, graph, condition, deadline_s=90.0):
        end = time.monotonic() + deadline_s
        while not condition():
            assert time.monotonic() < end, f'not met after {deadline_s:g} s: {told(graph)}'
            self._executor.spin_once(timeout_sec=0.05)
            graph.poll()

    def moving(self):
        """Tell whether the joints have moved within the last quarter of a second."""
        recent = [q for t, q in self.joints if t > self.joints[-1][0] - 0.25]
        return np.ptp(np.array(recent), axis=0).max() > 1e-5

    def close(self):
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.shutdown(context=self._context)


def told(graph):
    """Return the state, the number of starts and the last lines of every node."""
    return '\n'.join(
        f'{section}: {graph.state(section)}, {process.starts} starts\n{process.last_lines()}'
        for section, process in graph.processes.items()
    )


TARGETS = ([0.010, 0.0, 0.012], [-0.012, 0.0, -0.006])


@pytest.mark.timeout(300)
@pytest.mark.parametrize('victim', ['tracker', 'control', 'recorder'])
def test_killed_node_leaves_the_device_at_rest_and_the_loop_recovers(
    victim, tmp_path, free_domain
):
    overrides = [*SMALL, 'time_mode:=real_time', f'bag_dir:={tmp_path / "bag"}', 'record:=true']
    respawn = f'respawn:=[{victim}]'
    scenario = load_scenario('chest_cm.yaml', [*overrides, respawn])
    with Graph(scenario.nodes(), free_domain()) as graph:
        graph.wait_active(200.0)
        watcher = Watcher(graph.domain_id)
        try:
            watcher.until(graph, lambda: len(watcher.joints) > 20)
            watcher.target(TARGETS[0])
            watcher.until(graph, watcher.moving)
            os.kill(graph.processes[victim].pid, signal.SIGKILL)
            killed_s = time.time()
            if victim == 'recorder':
                count = len(watcher.commands)
                watcher.until(graph, lambda: len(watcher.commands) > count + 10)
            else:
                watcher.until(graph, lambda: len(watcher.after(killed_s + 0.5)) >= 10)
                late = watcher.after(killed_s + 0.5)
                assert np.ptp(late, axis=0).max() < 1e-6, 'device moved 0.5 s after the kill'
            watcher.until(graph, lambda: graph.state(victim) == 'active')
            watcher.target(TARGETS[1])
            watcher.until(graph, watcher.moving)
            assert graph.poll() == {}
        finally:
            watcher.close()
