"""Droplet and soft robot over DDS, in lockstep: they hold against flow, and fail safely."""

from dataclasses import dataclass

import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy')

from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402
from geometry_msgs.msg import PoseStamped, WrenchStamped  # noqa: E402
from rclpy.context import Context  # noqa: E402
from sensor_msgs.msg import MagneticField, PointCloud2  # noqa: E402

from synthex_ros.evaluation.flow_task import place_in_tube  # noqa: E402
from synthex_ros.evaluation.tasks import Goal, Task  # noqa: E402
from synthex_ros.geometry import pose_from_parameters  # noqa: E402
from synthex_ros.ros import field_messages, messages, qos, topics  # noqa: E402
from synthex_ros.ros.bringup import load_scenario  # noqa: E402
from synthex_ros.ros.conductor import Conductor  # noqa: E402
from synthex_ros.ros.graph import Graph  # noqa: E402
from synthex_ros.ros.spin import make_executor  # noqa: E402

pytestmark = [pytest.mark.graph, pytest.mark.timeout(300)]

START_S = 1.0
TRUTH = ('tracker:=ground_truth', 'control.landmark_std_px:=2.3')
"""The truth with 0.3 mm of noise stands in for the tracker."""
DROPLET_ROOM_M, ROBOT_ROOM_M = 2.25e-3, 2.2e-3
"""Radius of the vessel less that of the body."""


@dataclass
class Row:
    """A message: time of its stamp since the start [s], and what it says."""

    time_s: float
    value: object


class Witness:
    """Keeps what a running graph says."""

    def __init__(self, domain_id):
        self._context = Context()
        rclpy.init(args=[], context=self._context, domain_id=domain_id)
        self.node = rclpy.create_node('witness', context=self._context)
        self._executor = make_executor(self._context)
        self._executor.add_node(self.node)
        self.statuses = []
        self.tips = self._keep(PoseStamped, topics.TRUTH_TIP, _position)
        self.made = self._keep(MagneticField, topics.MEASURED_FIELD, field_messages.from_field)
        self.fields = self._keep(MagneticField, topics.SERVO_FIELD, field_messages.from_field)
        self.forces = self._keep(WrenchStamped, topics.SERVO_WRENCH, field_messages.from_force)
        self.scores = self._keep(PointCloud2, topics.LANDMARKS, _score)
        self.found = self._keep(PointCloud2, topics.LANDMARKS, _pixels)
        self.true = self._keep(PointCloud2, topics.TRUTH_LANDMARKS, _pixels)
        self.node.create_subscription(
            DiagnosticArray, topics.DIAGNOSTICS, self._on_diagnostics, qos.EVENTS
        )

    def _keep(self, kind, topic, read):
        rows = []

        def take(message):
            stamp_s = messages.stamp_ns(message.header.stamp) * 1e-9
            rows.append(Row(stamp_s - START_S, read(message)))

        self.node.create_subscription(kind, topic, take, qos.FRAME_RECORD)
        return rows

    def _on_diagnostics(self, message):
        self.statuses += message.status

    def status(self, name):
        """Return the newest status whose name begins so: its level and message, and its values."""
        found = next(s for s in reversed(self.statuses) if s.name.startswith(name))
        return found, {pair.key: pair.value for pair in found.values}

    def landmark_errors_px(self):
        """Return how far landmarks that were found are off, shape (frames, landmarks).

        Both ends of a robot look alike: of its two orders the better one counts.
        """
        true = {row.time_s: row.value for row in self.true}
        pairs = [(row.value, true[row.time_s]) for row in self.found if row.time_s in true]
        orders = [[np.linalg.norm(a - b[::way], axis=1) for a, b in pairs] for way in (1, -1)]
        as_is, swapped = np.array(orders)
        better = as_is.sum(axis=1, keepdims=True) <= swapped.sum(axis=1, keepdims=True)
        off = np.where(better, as_is, swapped)
        return off[np.isfinite(off).all(axis=1)]

    def look(self):
        for _ in range(20):
            self._executor.spin_once(timeout_sec=0)

    def until(self, graph, condition):
        for _ in range(1200):
            if condition():
                return
            self._executor.spin_once(timeout_sec=0.05)
            assert graph.poll() == {}
        raise AssertionError('condition not met before the deadline')

    def close(self):
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self._context)


def _position(message):
    return messages.pose_matrix(message.pose)[:3, 3]


def _pixels(message):
    rows = messages.from_landmarks(message)
    return np.column_stack([rows['u'], rows['v']])


def _score(message):
    return float(messages.from_landmarks(message)['score'].min())


def since(rows, time_s, until_s=np.inf):
    """Return the values of rows of a span of time, shape (N, ...)."""
    return np.array([row.value for row in rows if time_s <= row.time_s < until_s])


def where(scenario, room_m):
    """Return where the body of a scenario lies at first, and the way against the flow."""
    sim = scenario.node('sim').parameters
    entry = pose_from_parameters(sim['vessel_pose'][:3], sim['vessel_pose'][3:])
    return place_in_tube(entry, sim['device_base_pose'][:3], room_m, sim['flow_m_s'])


@pytest.fixture
def play(free_domain):
    """Run a scenario with goals for a simulated time; return what was seen of it."""
    opened = []

    def run(name, room_m, steps_m, duration_s, *overrides):
        asked = ['time_mode:=lockstep', 'sim.start_paused:=true']
        asked += [f'sim.end_time_s:={START_S + duration_s}', *TRUTH, *overrides]
        scenario = load_scenario(name, asked)
        start, upstream = where(scenario, room_m)
        goals = tuple(Goal(time_s, start + step * upstream) for time_s, step in steps_m)
        task = Task('test', '', duration_s, targets=goals)
        graph = Graph(scenario.nodes(), free_domain())
        graph.__enter__()
        opened.append(lambda: graph.__exit__(None, None, None))
        graph.wait_active(200.0)
        witness = Witness(graph.domain_id)
        opened.append(witness.close)
        witness.until(graph, lambda: len({s.name for s in witness.statuses}) >= 3)

        def alive():
            assert graph.poll() == {}
            witness.look()

        with Conductor(task, START_S, graph.domain_id) as conductor:
            conductor.run(lambda _progress: None, alive, 60.0)
        said = len(witness.statuses)  # and then what is said of the end
        witness.until(graph, lambda: len({s.name for s in witness.statuses[said:]}) >= 3)
        return witness, goals, upstream

    yield run
    for close in reversed(opened):
        close()


def test_droplet_in_eight_coils_reaches_a_target_against_flow_and_stays(play):
    witness, goals, upstream = play(
        'droplet_coils.yaml', DROPLET_ROOM_M, [(0.5, 0.0), (2.5, 5e-3)], 8.0
    )
    for goal, until_s in ((goals[0], 2.5), (goals[1], 8.0)):
        error = since(witness.tips, until_s - 1.0, until_s) - goal.position_world_m
        assert len(error) > 10
        assert np.linalg.norm(error, axis=1).max() < 0.7e-3
    held = since(witness.tips, 5.0) - goals[1].position_world_m
    assert np.sqrt(np.mean(np.sum(held**2, axis=1))) < 0.4e-3
    assert np.mean(since(witness.forces, 5.0) @ upstream) > 0.3e-6  # it would be swept away
    status, values = witness.status('sim_node: simulation')
    assert (status.level, status.message) == (b'\0', 'running')
    assert values['allocation'] == 'reached'
    assert witness.status('control_node: control')[0].message == 'target'


@pytest.mark.parametrize(
    ('scenario', 'room_m', 'names'),
    [
        ('droplet_coils.yaml', DROPLET_ROOM_M, ['centre']),
        ('soft_robot_in_vessel.yaml', ROBOT_ROOM_M, ['back', 'front']),
    ],
)
def test_what_the_shipped_detector_sees_closes_the_loop(play, scenario, room_m, names):
    onnx = ('tracker:=onnx', 'control.landmark_std_px:=1.0')
    witness, goals, _ = play(scenario, room_m, [(0.5, 0.0), (2.0, 3e-3)], 7.0, *onnx)
    held = since(witness.tips, 5.5) - goals[1].position_world_m
    assert len(held) > 15
    assert np.linalg.norm(held, axis=1).max() < 0.7e-3
    scores = since(witness.scores, 0.5)
    assert np.mean(scores > 0.3) > 0.95
    off_px = witness.landmark_errors_px()
    assert off_px.shape[1] == len(names)
    assert np.median(off_px) < 4.0  # half a millimetre at the device
    status, values = witness.status('tracker_node: tracking')
    assert status.message == 'tracking'
    assert values['backend'] == 'onnx'


def test_soft_robot_rolled_by_a_magnet_on_an_arm_reaches_a_target_against_flow(play):
    witness, goals, _ = play(
        'soft_robot_in_vessel.yaml', ROBOT_ROOM_M, [(0.5, 0.0), (2.0, 3e-3)], 8.0
    )
    first = since(witness.tips, 1.5, 2.0) - goals[0].position_world_m
    assert np.linalg.norm(first, axis=1).max() < 1e-3
    held = since(witness.tips, 6.0) - goals[1].position_world_m
    assert len(held) > 20
    assert np.linalg.norm(held, axis=1).max() < 0.8e-3
    made = np.linalg.norm(since(witness.made, 3.0), axis=1)
    assert np.all((made > 0.5e-3) & (made < 2.5e-3))
    assert witness.status('sim_node: simulation')[1]['arm_stopped'] == 'False'


def test_droplet_out_of_sight_is_held_then_let_go_in_two_steps(play):
    """It is sent out of a narrow view; the force goes after 0.5 s, the field after 1.5 s."""
    narrow = ['sim.detector_px:=192', 'device_base_pose:=[0, 0, 0.009, 0, 0, 0]']
    witness, _, _ = play(
        'droplet_coils.yaml', DROPLET_ROOM_M, [(0.5, 0.0), (2.0, -0.02)], 6.0, *narrow
    )
    seen = [row.time_s for row in witness.scores if row.value > 0]
    blind = [row.time_s for row in witness.scores if row.value == 0]
    assert len(seen) > 20
    assert len(blind) > 40
    assert blind[0] > seen[-1]
    last_s = seen[-1]
    held = since(witness.fields, last_s + 0.01, last_s + 1.5)
    assert np.linalg.norm(held[0]) > 5e-3
    assert np.allclose(held, held[0])
    pulled = since(witness.forces, last_s + 0.01, last_s + 0.5)
    assert np.linalg.norm(pulled[0]) > 1e-6
    assert np.allclose(pulled, pulled[0])
    assert np.all(since(witness.forces, last_s + 0.51) == 0)
    assert np.all(since(witness.fields, last_s + 1.81) == 0)
    assert np.linalg.norm(since(witness.made, last_s + 2.5), axis=1).max() < 0.1e-3
    status, values = witness.status('control_node: control')
    assert status.level == b'\1'
    assert status.message == 'target: held, lost: the tracker does not see the device'
    assert int(values['held_lost']) == len(blind)


def test_coil_that_fails_is_named_and_done_without(play):
    witness, goals, _ = play(
        'droplet_coils.yaml', DROPLET_ROOM_M, [(0.5, 0.0)], 5.0, 'sim.lost_coil:=coil_3'
    )
    status, values = witness.status('sim_node: simulation')
    assert status.level == b'\1'
    assert status.message.startswith('done without: coil_3 makes ')
    assert values['lost_coils'] == 'coil_3'
    assert values['fault'] == ''
    error = since(witness.tips, 3.5) - goals[0].position_world_m
    assert np.linalg.norm(error, axis=1).max() < 0.8e-3
