import hashlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcap.reader import make_reader
from rosbags.highlevel import AnyReader

from synthex_ros.evaluation.bag_format import BagTopic
from synthex_ros.evaluation.bag_reader import BagReader, payload_hashes
from synthex_ros.evaluation.bag_repair import repair_bag
from synthex_ros.evaluation.bag_writer import BagWriter
from synthex_ros.evaluation.definitions import message_definition
from synthex_ros.evaluation.errors import BagError

from .bags import point_stamped, serialize, write_points

HEADER_END = 8 + 9 + 4 + len('ros2') + 4 + len('synthex_ros')
POINT = 'geometry_msgs/msg/PointStamped'


def indices(bag):
    with BagReader(bag) as reader:
        return [int(record.message.point.x) for record in reader.records('tip')]


@pytest.mark.parametrize('compression', ['none', 'zstd'])
def test_mcap_rosbags_and_rclpy_read_equal_content(tmp_path, compression):
    serialization = pytest.importorskip('rclpy.serialization')
    messages = pytest.importorskip('geometry_msgs.msg')
    bag = write_points(tmp_path / 'run', 50, compression=compression, custom={'seed': '7'})
    with (bag / 'run_0.mcap').open('rb') as stream:
        reader = make_reader(stream)
        raw = [(m.log_time, m.data, s, c) for s, c, m in reader.iter_messages()]
        assert reader.get_header().profile == 'ros2'
    with AnyReader([bag]) as reader:
        ours = [(t, reader.deserialize(d, c.msgtype)) for c, t, d in reader.messages()]
    assert len(raw) == len(ours) == 50
    for (log_ns, data, schema, channel), (rosbags_ns, point) in zip(raw, ours, strict=True):
        theirs = serialization.deserialize_message(data, messages.PointStamped)
        assert log_ns == rosbags_ns
        assert (theirs.point.x, theirs.header.frame_id) == (point.point.x, point.header.frame_id)
        assert theirs.header.stamp.nanosec == point.header.stamp.nanosec
        assert (schema.name, schema.encoding, channel.message_encoding) == (
            POINT,
            'ros2msg',
            'cdr',
        )
        assert yaml.safe_load(channel.metadata['offered_qos_profiles'])[0]['depth'] == 1


def test_metadata_file_is_what_rosbag2_version_9_writes(tmp_path):
    bag = write_points(tmp_path / 'run', 11, custom={'seed': '7'})
    information = yaml.safe_load((bag / 'metadata.yaml').read_text(encoding='utf-8'))[
        'rosbag2_bagfile_information'
    ]
    topic = information['topics_with_message_count'][0]
    assert information['version'] == 9
    assert information['relative_file_paths'] == ['run_0.mcap']
    assert information['duration']['nanoseconds'] == 100_000_000
    assert information['custom_data'] == {'seed': '7'}
    assert topic['message_count'] == 11
    assert topic['topic_metadata']['type_description_hash'].startswith('RIHS01_')
    assert topic['topic_metadata']['offered_qos_profiles'][0]['reliability'] == 'reliable'


def test_definition_holds_every_dependency_once():
    text = message_definition('nav_msgs/msg/Path')
    for name in ('std_msgs/Header', 'builtin_interfaces/Time', 'geometry_msgs/Quaternion'):
        assert text.count(f'MSG: {name}\n') == 1


@pytest.mark.parametrize(
    ('name', 'words'), [('Image', 'must look like'), ('no_such_pkg/msg/X', 'install the package')]
)
def test_unknown_definition_says_what_to_do(name, words):
    with pytest.raises(BagError, match=words):
        message_definition(name)


def test_writer_refuses_slips(tmp_path):
    with BagWriter(tmp_path / 'run') as bag:
        with pytest.raises(BagError, match='not announced'):
            bag.write('/tip', b'', 0)
        bag.add_topic(BagTopic('/tip', POINT))
        with pytest.raises(BagError, match='one topic has one type'):
            bag.add_topic(BagTopic('/tip', 'std_msgs/msg/String'))
        with pytest.raises(BagError, match='>= 0'):
            bag.write('/tip', b'', -1)
    with pytest.raises(BagError, match='exists'):
        BagWriter(tmp_path / 'run')
    with pytest.raises(BagError, match='absolute'):
        BagTopic('tip', POINT)


def test_empty_bag_opens(tmp_path):
    with BagWriter(tmp_path / 'run') as bag:
        bag.add_topic(BagTopic('/tip', POINT))
    assert indices(tmp_path / 'run') == []


def test_missing_topic_lists_what_there_is(tmp_path):
    with (
        BagReader(write_points(tmp_path / 'run', 1)) as reader,
        pytest.raises(BagError, match='no topic carm/pose; it holds /tip'),
    ):
        reader.require('carm/pose')


def test_bag_being_recorded_is_left_alone(tmp_path):
    with BagWriter(tmp_path / 'run') as bag:
        bag.add_topic(BagTopic('/tip', POINT))
        bag.write('/tip', serialize(point_stamped(0, (0.0, 0.0, 0.0))), 0)
        bag.flush()
        with pytest.raises(BagError, match='being recorded'):
            BagReader(tmp_path / 'run')
    assert indices(tmp_path / 'run') == [0]


WRITE_FOREVER = """
import sys, time
from synthex_ros.evaluation.bag_format import BagTopic
from synthex_ros.evaluation.bag_writer import BagWriter
from evaluation.bags import point_stamped, serialize
bag = BagWriter(sys.argv[1], compression=sys.argv[2], custom={'seed': '7'})
bag.add_topic(BagTopic('/tip', 'geometry_msgs/msg/PointStamped'))
start, index = time.monotonic(), 0
while True:
    bag.write('/tip', serialize(point_stamped(index, (float(index), 0., 0.))), index * 10_000_000)
    sys.stdout.write(f'{index}\\n')
    sys.stdout.flush()
    index += 1
    time.sleep(max(0.0, start + index / 100 - time.monotonic()))
"""


@pytest.mark.parametrize('compression', ['none', 'zstd'])
def test_kill_9_loses_at_most_a_fifth_of_a_second(tmp_path, request, compression):
    process = subprocess.Popen(
        [sys.executable, '-c', WRITE_FOREVER, str(tmp_path / 'run'), compression],
        stdout=subprocess.PIPE, text=True, cwd=request.config.rootpath / 'test',
    )  # fmt: skip
    with process:
        written = [int(process.stdout.readline()) for _ in range(150)]
        process.send_signal(signal.SIGKILL)
        written += [int(line) for line in process.stdout.read().split()]
    kept = indices(tmp_path / 'run')
    assert kept == list(range(len(kept)))
    assert len(written) - len(kept) <= 20
    with BagReader(tmp_path / 'run') as reader:
        assert reader.repair is None
        assert reader.custom == {'seed': '7'}


@pytest.fixture(scope='module', params=['none', 'zstd'])
def torn(request, tmp_path_factory):
    """A whole bag's bytes, and for each byte count the number of messages surely before it."""
    folder = tmp_path_factory.mktemp('torn') / 'run'
    sizes = [0]
    with BagWriter(folder, request.param, flush_period_s=1e9) as bag:
        bag.add_topic(BagTopic('/tip', POINT))
        for index in range(60):
            data = serialize(point_stamped(index, (float(index), 0.0, 0.0)))
            bag.write('/tip', data, index * 10_000_000)
            if index % 7 == 6:
                bag.flush()
                sizes.append((folder / 'run_0.mcap').stat().st_size)
    return (folder / 'run_0.mcap').read_bytes(), np.array(sizes)


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(share=st.floats(0.0, 1.0))
def test_a_cut_anywhere_keeps_every_whole_chunk(torn, tmp_path_factory, share):
    data, sizes = torn
    cut = int(share * len(data))
    folder = tmp_path_factory.mktemp('cut') / 'run'
    folder.mkdir()
    (folder / 'run_0.mcap').write_bytes(data[:cut])
    if cut < HEADER_END:
        with pytest.raises(BagError, match='nothing to recover'):
            indices(folder)
        return
    kept = indices(folder)
    flushed = int(np.searchsorted(sizes, cut, side='right')) - 1
    assert kept == list(range(len(kept)))
    assert len(kept) >= 7 * flushed
    assert len(kept) <= 60
    assert not repair_bag(folder).repaired


def test_torn_uncompressed_chunk_is_opened(tmp_path):
    folder = write_points(tmp_path / 'run', 60, flush_period_s=1e9)
    file = folder / 'run_0.mcap'
    data = file.read_bytes()
    last = serialize(point_stamped(590_000_000, (59.0, 0.0, 0.0)))
    file.write_bytes(data[: data.index(last) + 5])
    result = repair_bag(folder)
    assert result.messages == 59
    assert result.torn_bytes > 0
    assert indices(folder) == list(range(59))


def test_rubbish_is_refused_with_reason(tmp_path):
    (tmp_path / 'run').mkdir()
    with pytest.raises(BagError, match='not a bag'):
        BagReader(tmp_path / 'run')
    (tmp_path / 'run' / 'x.mcap').write_bytes(b'rubbish' * 100)
    with pytest.raises(BagError, match='not an MCAP file'):
        BagReader(tmp_path / 'run')
    with pytest.raises(BagError, match='does not exist'):
        BagReader(tmp_path / 'nothing')


def test_payload_hashes_follow_content_not_log_time(tmp_path):
    a = payload_hashes(write_points(tmp_path / 'a', 5))
    b = payload_hashes(write_points(tmp_path / 'b', 5, compression='zstd'))
    c = payload_hashes(write_points(tmp_path / 'c', 6))
    assert a == b != c
    digest = hashlib.sha256()
    for index in range(5):
        data = serialize(point_stamped(index * 10_000_000, (float(index), 0.0, 0.0)))
        digest.update(len(data).to_bytes(8, 'little') + data)
    assert a == {'/tip': digest.hexdigest()}


def test_sqlite_bag_of_another_writer_is_read(tmp_path):
    rosbag2 = pytest.importorskip('rosbags.rosbag2')
    from .bags import STORE

    with rosbag2.Writer(
        tmp_path / 'other', version=9, storage_plugin=rosbag2.StoragePlugin.SQLITE3
    ) as writer:
        connection = writer.add_connection('/ns/tip', POINT, typestore=STORE)
        writer.write(connection, 5, serialize(point_stamped(5, (3.0, 0.0, 0.0))))
    assert indices(tmp_path / 'other') == [3]
    with pytest.raises(BagError, match='MCAP'):
        payload_hashes(tmp_path / 'other')


def test_time_is_not_read_from_the_wall(tmp_path):
    before = time.time_ns()
    bag = write_points(tmp_path / 'run', 2)
    with BagReader(bag) as reader:
        assert max(r.log_time_ns for r in reader.records('tip')) < before
