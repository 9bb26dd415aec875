"""A guidewire in four processes over DDS: the loop closes, silence and bad commands are safe."""

import time

import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy')

from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402
from geometry_msgs.msg import PoseStamped  # noqa: E402
from nav_msgs.msg import Path  # noqa: E402
from rclpy.context import Context  # noqa: E402
from sensor_msgs.msg import JointState, MagneticField  # noqa: E402

from synthex_ros.ros import field_messages, messages, qos, topics  # noqa: E402
from synthex_ros.ros.bringup import load_scenario  # noqa: E402
from synthex_ros.ros.graph import Graph  # noqa: E402
from synthex_ros.ros.spin import make_executor  # noqa: E402

pytestmark = pytest.mark.graph

SMALL = [
    'tracker:=ground_truth',
    'sim.anatomy:=vessel_phantom',
    'sim.anatomy_px:=64',
    'vessels:=tube',
    'vessel_radius_m:=0.006',
    'vessel_pose:=[0, 0, -0.06, 0, 0, 0]',
    'device_base_pose:=[0, 0, -0.055, 0, 0, 0]',
    'sim.device_start:=[0.0, 0.0, 0.0, 0.0]',
    'sim.isocenter_patient_m:=[0, 0, 0]',
    'control.feed_speed_m_s:=0.01',
]


class Watcher:
    """Reads a running graph and sends goals and commands."""

    def __init__(self, domain_id):
        self._context = Context()
        rclpy.init(args=[], context=self._context, domain_id=domain_id)
        self.node = rclpy.create_node('watcher', context=self._context)
        self._executor = make_executor(self._context)
        self._executor.add_node(self.node)
        self.tips, self.fields, self.joints, self.reports = [], [], [], []
        listen = self.node.create_subscription
        listen(PoseStamped, topics.TRUTH_TIP, self.tips.append, qos.STATE)
        listen(MagneticField, topics.MEASURED_FIELD, self.fields.append, qos.STATE)
        listen(JointState, topics.MEASURED_JS, self.joints.append, qos.STATE)
        listen(DiagnosticArray, topics.DIAGNOSTICS, self.reports.append, qos.EVENTS)
        self._path = self.node.create_publisher(Path, topics.PATH, qos.GOALS)
        self._target = self.node.create_publisher(PoseStamped, topics.TARGET, qos.GOALS)
        self.servo_field = self.node.create_publisher(
            MagneticField, topics.SERVO_FIELD, qos.CONTROL
        )

    def path(self, points_m):
        header = messages.make_header(0, 'world')
        self._path.publish(messages.to_path(points_m, header))

    def tip(self):
        return messages.pose_matrix(self.tips[-1].pose)[:3, 3]

    def field_t(self):
        return np.linalg.norm(field_messages.from_field(self.fields[-1]))

    def report(self, key):
        for message in reversed(self.reports):
            for status in message.status:
                for pair in status.values:
                    if pair.key == key:
                        return pair.value
        return None

    def until(self, graph, condition, deadline_s=60.0):
        end = time.monotonic() + deadline_s
        while not condition():
            assert time.monotonic() < end, 'condition not met before the deadline'
            self._executor.spin_once(timeout_sec=0.05)
            assert graph.poll() == {}

    def close(self):
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self._context)


@pytest.fixture
def running(free_domain):
    """Start a scenario of a device with a watcher beside it."""
    opened = []

    def start(*overrides):
        scenario = load_scenario('chest_cm.yaml', [*SMALL, *overrides])
        graph = Graph(scenario.nodes(), free_domain())
        graph.__enter__()
        opened.append(graph)
        graph.wait_active(200.0)
        watcher = Watcher(graph.domain_id)
        opened.append(watcher)
        watcher.until(graph, lambda: watcher.tips and watcher.fields)
        return graph, watcher

    yield start
    for item in reversed(opened):
        item.close() if isinstance(item, Watcher) else item.__exit__(None, None, None)


@pytest.mark.timeout(300)
def test_guidewire_follows_a_path_and_silence_takes_its_field_away(running):
    graph, watcher = running('device:=guidewire', 'controller:=magnetic')
    start = watcher.tip()
    goal = np.array([0.0, 0.0, start[2] + 0.02])
    watcher.path(np.linspace([0, 0, -0.055], goal, 30))
    watcher.until(graph, lambda: np.linalg.norm(watcher.tip() - goal) < 3e-3)
    watcher.until(graph, lambda: watcher.field_t() > 2e-3)
    graph.stop_node('control')
    watcher.until(graph, lambda: watcher.field_t() < 1e-4)
    held = watcher.joints[-1].position[0]
    count = len(watcher.joints)
    watcher.until(graph, lambda: len(watcher.joints) > count + 20)
    assert watcher.joints[-1].position[0] == pytest.approx(held, abs=1e-6)


@pytest.mark.timeout(300)
def test_bad_fields_are_refused_and_counted(running):
    graph, watcher = running('device:=droplet', 'controller:=none')

    def send(field_t, frame, seen):
        """Send until it is seen: on a busy machine one comes too old, or before it is heard."""

        def sent():
            header = messages.make_header(time.time_ns(), frame)
            watcher.servo_field.publish(field_messages.to_field(field_t, header))
            return seen()

        watcher.until(graph, sent)

    for kind, field_t, frame in (
        ('field_limit', (0.5, 0, 0), 'world'),
        ('names', (0.01, 0, 0), 'camera'),
        ('not_finite', (np.nan,) * 3, 'world'),
    ):
        send(field_t, frame, lambda k=kind: int(watcher.report(f'rejected_{k}') or 0) > 0)
    assert watcher.field_t() == 0.0
    send((0.0, 0.0, 0.005), 'world', lambda: watcher.field_t() > 2e-3)
