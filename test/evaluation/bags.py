"""Small bags for the tests: messages of the default type store, serialized with rosbags."""

from pathlib import Path

from rosbags.typesys import Stores, get_typestore

from synthex_ros.evaluation.bag_format import BagTopic, OfferedQos
from synthex_ros.evaluation.bag_writer import BagWriter

STORE = get_typestore(Stores.ROS2_JAZZY)
TYPES = STORE.types


def time_of(stamp_ns: int):
    return TYPES['builtin_interfaces/msg/Time'](sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)


def header(stamp_ns: int, frame: str = 'world'):
    return TYPES['std_msgs/msg/Header'](stamp=time_of(stamp_ns), frame_id=frame)


def point_stamped(stamp_ns: int, xyz):
    point = TYPES['geometry_msgs/msg/Point'](x=xyz[0], y=xyz[1], z=xyz[2])
    return TYPES['geometry_msgs/msg/PointStamped'](header=header(stamp_ns), point=point)


def serialize(message) -> bytes:
    return bytes(STORE.serialize_cdr(message, message.__msgtype__))


def write_points(folder: Path, count: int, period_ns: int = 10_000_000, **options) -> Path:
    """Write `count` PointStamped messages to /tip, x = index, one each period."""
    with BagWriter(folder, **options) as bag:
        bag.add_topic(
            BagTopic(
                '/tip', 'geometry_msgs/msg/PointStamped', OfferedQos('reliable', 'volatile', 1)
            )
        )
        for index in range(count):
            stamp = index * period_ns
            bag.write('/tip', serialize(point_stamped(stamp, (float(index), 0.0, 0.0))), stamp)
    return folder
