"""The rosbag2 folder layout: topics with their quality of service, and `metadata.yaml`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from synthex_ros.evaluation.errors import BagError

MCAP_MAGIC = b'\x89MCAP0\r\n'
METADATA_FILE = 'metadata.yaml'
RUN_RECORD = 'synthex'
"""Name of the MCAP metadata record that holds what `custom_data` of metadata.yaml holds."""

_VERSION = 9
_DISTRO = 'jazzy'
_FOREVER = {'sec': 9223372036, 'nsec': 854775807}


@dataclass(frozen=True)
class OfferedQos:
    """Quality of service that a publisher offers; `ros2 bag play` offers the same again.

    Attributes:
        reliability: 'reliable' or 'best_effort'.
        durability: 'volatile' or 'transient_local'.
        depth: messages kept, >= 1.
    """

    reliability: str = 'reliable'
    durability: str = 'volatile'
    depth: int = 10

    def __post_init__(self):
        if self.reliability not in ('reliable', 'best_effort'):
            raise BagError(f"reliability must be 'reliable' or 'best_effort', {self.reliability=}")
        if self.durability not in ('volatile', 'transient_local'):
            raise BagError(f"durability must be 'volatile' or 'transient_local', {self=}")
        if self.depth < 1:
            raise BagError(f'depth must be >= 1, got {self.depth}')

    def as_mapping(self) -> dict:
        """Return the keys and spelling of rosbag2 metadata version 9."""
        return {
            'history': 'keep_last',
            'depth': self.depth,
            'reliability': self.reliability,
            'durability': self.durability,
            'deadline': dict(_FOREVER),
            'lifespan': dict(_FOREVER),
            'liveliness': 'automatic',
            'liveliness_lease_duration': dict(_FOREVER),
            'avoid_ros_namespace_conventions': False,
        }


@dataclass(frozen=True)
class BagTopic:
    """One recorded topic.

    Attributes:
        name: absolute name, such as '/carm/image_raw'.
        type_name: full message type, such as 'sensor_msgs/msg/Image'.
        qos: what its publisher offered.
        type_hash: RIHS01 hash of the type, or '' when unknown.
    """

    name: str
    type_name: str
    qos: OfferedQos = OfferedQos()
    type_hash: str = ''

    def __post_init__(self):
        if not self.name.startswith('/'):
            raise BagError(f"topic names in a bag are absolute, got {self.name!r}; prefix '/'")

    def channel_metadata(self) -> dict[str, str]:
        """Return the metadata of the MCAP channel, as rosbag2 writes and reads it."""
        return {
            'offered_qos_profiles': _dump([self.qos.as_mapping()]),
            'topic_type_hash': self.type_hash,
        }


@dataclass
class TopicCount:
    """A topic and the number of its messages in the bag."""

    topic: BagTopic
    messages: int = 0


@dataclass
class Extent:
    """First and last log time of the messages of a bag [ns] and their number."""

    start_ns: int = 0
    end_ns: int = 0
    messages: int = 0

    def add(self, log_time_ns: int) -> None:
        """Count one message logged at `log_time_ns` [ns]."""
        first = self.messages == 0
        self.start_ns = log_time_ns if first else min(self.start_ns, log_time_ns)
        self.end_ns = log_time_ns if first else max(self.end_ns, log_time_ns)
        self.messages += 1


def bag_information(
    file_name: str, topics: Sequence[TopicCount], extent: Extent, custom: Mapping[str, str]
) -> dict:
    """Return the content of `rosbag2_bagfile_information` (metadata version 9, Jazzy)."""
    times = {
        'starting_time': {'nanoseconds_since_epoch': extent.start_ns},
        'duration': {'nanoseconds': extent.end_ns - extent.start_ns},
        'message_count': extent.messages,
    }
    return {
        'version': _VERSION,
        'storage_identifier': 'mcap',
        **times,
        'topics_with_message_count': [_topic_entry(entry) for entry in topics],
        'compression_format': '',
        'compression_mode': '',
        'relative_file_paths': [file_name],
        'files': [{'path': file_name, **times}],
        'custom_data': dict(custom) or None,
        'ros_distro': _DISTRO,
    }


def _topic_entry(entry: TopicCount) -> dict:
    topic = entry.topic
    return {
        'topic_metadata': {
            'name': topic.name,
            'type': topic.type_name,
            'serialization_format': 'cdr',
            'offered_qos_profiles': [topic.qos.as_mapping()],
            'type_description_hash': topic.type_hash,
        },
        'message_count': entry.messages,
    }


def rosbag2_record(information: Mapping) -> dict[str, str]:
    """Return the MCAP metadata record 'rosbag2', from which rosbag2 reads a lone file."""
    return {'serialized_metadata': _dump(information), 'ROS_DISTRO': _DISTRO}


def write_metadata_file(folder: Path, information: Mapping) -> None:
    """Write `metadata.yaml`, complete or not at all."""
    target = folder / METADATA_FILE
    draft = target.with_suffix('.yaml.part')
    draft.write_text(_dump({'rosbag2_bagfile_information': information}), encoding='utf-8')
    draft.replace(target)


def read_metadata_file(folder: Path) -> dict | None:
    """Return `rosbag2_bagfile_information`, or None when it is absent or damaged."""
    try:
        content = yaml.safe_load((folder / METADATA_FILE).read_text(encoding='utf-8'))
        information = content['rosbag2_bagfile_information']
        return information if information['relative_file_paths'] else None
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError):
        return None


def _dump(content: object) -> str:
    return yaml.dump(content, Dumper=_PlainDumper, sort_keys=False, default_flow_style=False)


class _PlainDumper(yaml.SafeDumper):
    """Never writes anchors: yaml-cpp reads them, people stumble."""

    def ignore_aliases(self, data: object) -> bool:
        return True
