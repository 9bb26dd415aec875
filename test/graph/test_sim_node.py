"""The simulator over real DDS: consistent frames, truth, guarded motion, beam, lockstep."""

import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy')

import time  # noqa: E402

from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402
from geometry_msgs.msg import PoseStamped  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from sensor_msgs.msg import CameraInfo, Image, JointState, PointCloud2  # noqa: E402
from std_srvs.srv import SetBool, Trigger  # noqa: E402

from sim_node.node import SimNode  # noqa: E402
from synthex_ros.geometry import View  # noqa: E402
from synthex_ros.ros import messages, qos, topics  # noqa: E402

pytestmark = pytest.mark.graph

NAMES = ['insertion', 'roll', 'tendon_1', 'tendon_2']
SMALL = {
    'anatomy': 'phantom',
    'anatomy_px': 64,
    'detector_px': 128,
    'pixel_pitch_m': 2.4e-3,
    'binning': 1,
}


class Listener:
    """Collects what the simulator says, by topic."""

    def __init__(self, node):
        self.heard = {}
        for kind, topic, profile in (
            (Image, topics.IMAGE_RAW, qos.FRAME_LOCKSTEP),
            (CameraInfo, topics.CAMERA_INFO, qos.FRAME_LOCKSTEP),
            (PoseStamped, topics.CARM_POSE, qos.FRAME_LOCKSTEP),
            (DiagnosticArray, topics.EXPOSURE, qos.FRAME_LOCKSTEP),
            (JointState, topics.MEASURED_JS, qos.STATE),
            (PoseStamped, topics.TRUTH_TIP, qos.STATE),
            (PointCloud2, topics.TRUTH_LANDMARKS, qos.STATE),
        ):
            self.heard[topic] = []
            node.create_subscription(kind, topic, self.heard[topic].append, profile)

    def stamps(self, topic):
        return [messages.stamp_ns(m.header.stamp) for m in self.heard[topic]]

    def joints(self):
        return np.array(self.heard[topics.MEASURED_JS][-1].position)


class Bench:
    """A simulator, a listener and a commander in one process."""

    def __init__(self, context, executor, **values):
        overrides = [Parameter(key, value=value) for key, value in {**SMALL, **values}.items()]
        self.executor = executor
        self.sim = SimNode(context=context, parameter_overrides=overrides)
        self.node = rclpy.create_node('bench', context=context)
        self.listener = Listener(self.node)
        self.servo = self.node.create_publisher(JointState, topics.SERVO_JP, qos.CONTROL)
        executor.add_node(self.sim)
        executor.add_node(self.node)
        self.until(lambda: self.sim.state == 'active' or self.sim.failed, deadline_s=120.0)
        assert not self.sim.failed

    def until(self, condition, deadline_s=30.0):
        end = time.monotonic() + deadline_s
        while not condition():
            assert time.monotonic() < end, 'condition not met before the deadline'
            self.executor.spin_once(timeout_sec=0.02)

    def frames(self, count):
        heard = self.listener.heard[topics.IMAGE_RAW]
        wanted = len(heard) + count
        self.until(lambda: len(heard) >= wanted)

    def command(self, positions, stamp_ns):
        header = messages.make_header(stamp_ns, 'device_base')
        self.servo.publish(messages.to_joint_state(NAMES, positions, header))

    def call(self, kind, topic, request):
        client = self.node.create_client(kind, topic)
        self.until(client.service_is_ready)
        answer = client.call_async(request)
        self.until(answer.done)
        return answer.result()

    def rejected(self):
        return sum(self.sim.device.rejections.values())


@pytest.fixture
def make_bench(domain):
    context, executor = domain
    benches = []

    def make(**values):
        benches.append(Bench(context, executor, **values))
        return benches[-1]

    yield make
    for bench in benches:
        bench.sim.shut_down()
        for node in (bench.node, bench.sim):
            executor.remove_node(node)
            node.destroy_node()


def newest_view(listener, stamp_ns):
    at = {topic: listener.stamps(topic).index(stamp_ns) for topic in listener.heard}
    got = {topic: listener.heard[topic][k] for topic, k in at.items()}
    exposure = messages.from_exposure(got[topics.EXPOSURE])
    geometry = messages.geometry_from_camera_info(
        got[topics.CAMERA_INFO], exposure['source_to_detector_m']
    )
    return View(geometry, messages.pose_matrix(got[topics.CARM_POSE].pose)), got


def test_frames_carry_one_stamp_and_a_geometry_that_projects_the_true_tip(make_bench):
    bench = make_bench(frame_rate_hz=10.0)
    bench.frames(3)
    stamp_ns = bench.listener.stamps(topics.IMAGE_RAW)[-2]  # truth comes behind the frame
    view, got = newest_view(bench.listener, stamp_ns)
    tip_world = messages.pose_matrix(got[topics.TRUTH_TIP].pose)[:3, 3]
    marks = messages.from_landmarks(got[topics.TRUTH_LANDMARKS])
    assert np.allclose(view.project(tip_world), [marks['u'][1], marks['v'][1]], atol=1e-3)
    pixels = messages.from_image(got[topics.IMAGE_RAW])
    assert pixels.shape == view.geometry.shape_px == (128, 128)
    assert pixels.dtype == np.uint16
    assert pixels.std() > 0


def test_fresh_commands_move_the_device_and_silence_holds_it(make_bench):
    bench = make_bench()
    bench.frames(1)
    start = bench.listener.joints()
    for k in range(1, 6):
        bench.frames(1)
        bench.command(start + [2e-4 * k, 0, 0, 0], bench.listener.stamps(topics.IMAGE_RAW)[-1])
    bench.until(lambda: bench.listener.joints()[0] > start[0] + 0.0005)
    bench.until(lambda: bench.sim._silences == 1)
    held = bench.listener.joints()
    bench.frames(4)
    assert np.allclose(bench.listener.joints(), held, atol=1e-9)
    assert bench.rejected() == 0


@pytest.mark.parametrize(
    ('positions', 'age_ns', 'kind'),
    [
        ([np.nan, 0, 0, 0], 0, 'not_finite'),
        ([0.5, 0, 0, 0], 0, 'position_limit'),
        ([0.03, 0, 0, 0], 5_000_000_000, 'stamp_stale'),
        ([0.03, 0, 0, 0], -5_000_000_000, 'stamp_future'),
    ],
)
def test_bad_commands_move_nothing_and_are_counted(make_bench, positions, age_ns, kind):
    bench = make_bench()
    bench.frames(1)
    start = bench.listener.joints()
    bench.command(positions, bench.listener.stamps(topics.IMAGE_RAW)[-1] - age_ns)
    bench.until(lambda: bench.sim.device.rejections.get(kind) == 1)
    bench.frames(2)
    assert np.allclose(bench.listener.joints(), start)


def test_room_slower_than_time_still_hears_commands_and_says_so(make_bench):
    bench = make_bench()
    step, said = bench.sim.device.step, []

    def slow_step(duration_s):
        step(duration_s)
        time.sleep(2 * duration_s)

    def heard():
        bench.command(bench.listener.joints() + [0.001, 0, 0, 0], time.time_ns())
        return bench.sim.device.accepted > 20

    def on_diagnostics(message):
        said.extend(status.message for status in message.status)

    bench.sim.device.step = slow_step
    bench.node.create_subscription(DiagnosticArray, topics.DIAGNOSTICS, on_diagnostics, qos.EVENTS)
    bench.frames(5)
    bench.until(heard)
    bench.until(lambda: any(text.startswith('too slow for real_time') for text in said))
    assert bench.sim.simulator.left_out_s > 0


def test_beam_gate_single_pulse_and_enable(make_bench):
    bench = make_bench()
    bench.frames(1)
    assert bench.call(SetBool, topics.BEAM_ON, SetBool.Request(data=False)).success
    exposures = bench.sim.room.exposures
    heard = len(bench.listener.heard[topics.MEASURED_JS])
    bench.until(lambda: len(bench.listener.heard[topics.MEASURED_JS]) > heard + 15)
    assert bench.sim.room.exposures == exposures
    bench.call(Trigger, topics.PULSE, Trigger.Request())
    bench.until(lambda: bench.sim.room.exposures == exposures + 1)
    bench.call(SetBool, topics.ENABLE, SetBool.Request(data=False))
    stamp_ns = bench.listener.stamps(topics.MEASURED_JS)[-1]
    bench.command(bench.listener.joints(), stamp_ns)
    bench.until(lambda: bench.sim.device.rejections.get('disabled') == 1)


def test_lockstep_waits_for_the_answer_to_each_frame(make_bench):
    bench = make_bench(time_mode='lockstep', frame_rate_hz=10.0, latency_s=0.15)
    bench.frames(1)
    stamps = bench.listener.stamps(topics.IMAGE_RAW)
    assert stamps == [1_000_000_000]
    assert bench.sim.simulator.now_ns == 1_150_000_000
    start = bench.listener.joints()
    bench.command(start, 999)
    heard = len(bench.listener.heard[topics.IMAGE_RAW])
    for k in range(5):
        bench.command(start, stamps[-1])
        bench.frames(1)
        stamps = bench.listener.stamps(topics.IMAGE_RAW)
        assert stamps[-1] == 1_000_000_000 + 100_000_000 * (k + 1)
    assert len(bench.listener.heard[topics.IMAGE_RAW]) == heard + 5
    assert bench.rejected() == 0


def test_unanswered_frame_holds_or_fails_as_told(make_bench):
    bench = make_bench(
        time_mode='lockstep', answer_timeout_s=0.2, first_answer_timeout_s=0.2,
        answer_policy='fail', frame_rate_hz=10.0,
    )  # fmt: skip
    bench.until(lambda: bench.sim.device.fault != '')
    assert 'is a controller running' in bench.sim.device.fault
    assert bench.sim.clockwork.paused
    assert bench.call(Trigger, topics.RESET_FAULT, Trigger.Request()).success
    assert bench.sim.device.fault == ''


def test_pause_step_and_reset_repeat_the_same_frames(make_bench):
    bench = make_bench(
        time_mode='lockstep', start_paused=True, answer_timeout_s=0.1,
        first_answer_timeout_s=0.1, frame_rate_hz=10.0,
    )  # fmt: skip

    def first_two():
        seen = len(bench.listener.heard[topics.IMAGE_RAW])
        for k in (1, 2):
            assert bench.call(Trigger, topics.STEP, Trigger.Request()).success
            bench.until(lambda k=k: len(bench.listener.heard[topics.IMAGE_RAW]) >= seen + k)
        return [bytes(m.data) for m in bench.listener.heard[topics.IMAGE_RAW][seen:]]

    once = first_two()
    bench.call(Trigger, topics.RESET, Trigger.Request())
    again = first_two()
    assert once == again
    assert once[0] != once[1]


def test_missing_ct_fails_at_configure_with_a_reason(make_bench):
    with pytest.raises(AssertionError):
        make_bench(anatomy='no_such_scan.nii.gz')
