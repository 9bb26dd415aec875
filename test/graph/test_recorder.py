"""The recorder on a private domain: what is published is in the bag, byte for byte."""

import time

import pytest

rclpy = pytest.importorskip('rclpy')

from geometry_msgs.msg import PoseStamped  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy  # noqa: E402
from rclpy.serialization import serialize_message  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402
from std_msgs.msg import String  # noqa: E402

from synthex_ros.evaluation.bag_reader import BagReader  # noqa: E402
from synthex_ros.evaluation.errors import BagError  # noqa: E402
from synthex_ros.ros.recorder import RecorderNode  # noqa: E402

pytestmark = pytest.mark.graph


def spin_until(executor, condition, deadline_s=20.0):
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, 'condition not met before the deadline'
        executor.spin_once(timeout_sec=0.05)


@pytest.fixture
def recorder(domain, tmp_path):
    """Make a recorder with parameters; it is shut down at the end."""
    context, executor = domain
    made = []

    def make(**values):
        values = {'output': str(tmp_path / 'run'), **values}
        node = RecorderNode(
            context=context,
            parameter_overrides=[Parameter(key, value=value) for key, value in values.items()],
        )
        made.append(node)
        executor.add_node(node)
        spin_until(executor, lambda: node.state == 'active' or node.failed)
        return node

    yield make
    for node in made:
        node.shut_down()
        node.destroy_node()


def contents(path, *names):
    with BagReader(path) as bag:
        return {name: [r.message for r in bag.records(name)] for name in names}


def test_records_known_late_latched_and_best_effort_topics(domain, recorder, tmp_path):
    context, executor = domain
    talker = rclpy.create_node('talker', context=context)
    executor.add_node(talker)
    latched = QoSProfile(depth=64, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    target = talker.create_publisher(PoseStamped, 'control/target', latched)
    for x in range(5):
        goal = PoseStamped()
        goal.pose.position.x = float(x)
        target.publish(goal)
    node = recorder(topics=['control/target', '/late', '/driver/loose', 'carm/pose'], seed=7)
    late = talker.create_publisher(String, '/late', 10)
    loose = talker.create_publisher(
        String, '/driver/loose', QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
    )
    pose = talker.create_publisher(PoseStamped, 'carm/pose', 10)
    publishers = (target, late, loose, pose)
    spin_until(executor, lambda: all(p.get_subscription_count() == 1 for p in publishers))
    for index in range(3):
        late.publish(String(data=f'late {index}'))
        loose.publish(String(data=f'loose {index}'))
        pose.publish(PoseStamped())
    spin_until(executor, lambda: node._bag.message_count >= 14)
    node.shut_down()
    found = contents(tmp_path / 'run', 'control/target', 'late', 'driver/loose', 'carm/pose')
    assert [m.pose.position.x for m in found['control/target']] == [0, 1, 2, 3, 4]
    assert [m.data for m in found['late']] == ['late 0', 'late 1', 'late 2']
    assert [m.data for m in found['driver/loose']] == ['loose 0', 'loose 1', 'loose 2']
    assert len(found['carm/pose']) == 3
    with BagReader(tmp_path / 'run') as bag:
        assert bag.custom['seed'] == '7'
        assert bag.custom['time_mode'] == 'real_time'
        assert 'numpy' in bag.custom['versions']
    talker.destroy_node()


def test_simulated_time_is_the_log_time(domain, recorder, tmp_path):
    context, executor = domain
    talker = rclpy.create_node('talker', context=context)
    executor.add_node(talker)
    node = recorder(topics=['/clock', 'carm/pose'], time_mode='lockstep')
    clock = talker.create_publisher(Clock, '/clock', 10)
    pose = talker.create_publisher(PoseStamped, 'carm/pose', 10)
    spin_until(executor, lambda: clock.get_subscription_count() == 1)
    spin_until(executor, lambda: pose.get_subscription_count() == 1)
    for index in range(3):
        tick = Clock()
        tick.clock.sec = index
        tick.clock.nanosec = 500
        for _ in range(3):  # a waiting simulator repeats its time; it is recorded once
            clock.publish(tick)
        spin_until(executor, lambda n=2 * index + 1: node._bag.message_count >= n)
        pose.publish(PoseStamped())
        spin_until(executor, lambda n=2 * index + 2: node._bag.message_count >= n)
    node.shut_down()
    with BagReader(tmp_path / 'run') as bag:
        times = [r.log_time_ns for r in bag.records('carm/pose')]
        ticks = [r.log_time_ns for r in bag.records('clock')]
    assert ticks == times
    assert times == [500, 1_000_000_500, 2_000_000_500]
    talker.destroy_node()


def test_bytes_are_the_publishers(domain, recorder, tmp_path):
    from mcap.reader import make_reader

    context, executor = domain
    talker = rclpy.create_node('talker', context=context)
    executor.add_node(talker)
    node = recorder(topics=['carm/pose'], compression='zstd')
    publisher = talker.create_publisher(PoseStamped, 'carm/pose', 10)
    spin_until(executor, lambda: publisher.get_subscription_count() == 1)
    message = PoseStamped()
    message.header.frame_id = 'world'
    message.pose.position.z = 0.125
    publisher.publish(message)
    spin_until(executor, lambda: node._bag.message_count == 1)
    node.shut_down()
    with (tmp_path / 'run' / 'run_0.mcap').open('rb') as stream:
        ((_, _, recorded),) = make_reader(stream).iter_messages()
    assert recorded.data == serialize_message(message)
    talker.destroy_node()


def test_existing_folder_fails_the_start(recorder, tmp_path):
    (tmp_path / 'run').mkdir()
    node = recorder()
    assert node.failed
    assert node.state == 'unconfigured'


def test_existing_folder_gives_way_where_asked(recorder, tmp_path):
    (tmp_path / 'run').mkdir()
    node = recorder(if_exists='next')
    assert node.state == 'active'
    assert (tmp_path / 'run_2' / 'run_2_0.mcap').exists()


def test_activating_again_records_to_a_second_bag(recorder, tmp_path):
    node = recorder()
    node.trigger_deactivate()
    node.trigger_activate()
    node.shut_down()
    for name in ('run', 'run_2'):
        with BagReader(tmp_path / name) as bag, pytest.raises(BagError, match='no topic'):
            bag.require('nothing')
