"""Rebuild `metadata.yaml` of a bag folder from the MCAP files in it."""

from __future__ import annotations

import logging
import mmap
from pathlib import Path

import yaml
from mcap.records import Channel, Message, Metadata, Schema

from synthex_ros.evaluation import bag_format
from synthex_ros.evaluation.bag_format import BagTopic, Extent, OfferedQos, TopicCount
from synthex_ros.evaluation.mcap_salvage import SalvageCount, salvage

_LOG = logging.getLogger(__name__)


def mapped(file: Path) -> memoryview:
    """Return the bytes of a file without reading it whole; they live as long as the view."""
    if file.stat().st_size == 0:
        return memoryview(b'')
    with file.open('rb') as stream:
        return memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))


def rebuild_metadata_file(folder: Path, files: list[Path]) -> None:
    """Write `metadata.yaml` from the topics, messages and run metadata in `files`."""
    index = _Index()
    entries = []
    for file in files:
        extent = index.add_file(mapped(file))
        entries += bag_format.bag_information(file.name, [], extent, {})['files']
    information = bag_format.bag_information(
        files[0].name, list(index.topics.values()), index.extent, index.custom
    )
    information['relative_file_paths'] = [file.name for file in files]
    information['files'] = entries
    bag_format.write_metadata_file(folder, information)


class _Index:
    """Topics, message counts, times and run metadata of several files together."""

    def __init__(self) -> None:
        self.topics: dict[str, TopicCount] = {}
        self.extent = Extent()
        self.custom: dict[str, str] = {}

    def add_file(self, data: memoryview) -> Extent:
        """Read one file and return its own extent."""
        extent = Extent()
        schemas: dict[int, str] = {}
        counts: dict[int, TopicCount] = {}
        for record in salvage(data, SalvageCount()):
            if isinstance(record, Schema):
                schemas[record.id] = record.name
            elif isinstance(record, Channel):
                topic = _topic(record, schemas)
                counts[record.id] = self.topics.setdefault(topic.name, TopicCount(topic))
            elif isinstance(record, Message):
                counts[record.channel_id].messages += 1
                extent.add(record.log_time)
                self.extent.add(record.log_time)
            elif isinstance(record, Metadata) and record.name == bag_format.RUN_RECORD:
                self.custom.update(record.metadata)
        return extent


def _topic(channel: Channel, schemas: dict[int, str]) -> BagTopic:
    qos = OfferedQos()
    try:
        offered = yaml.safe_load(channel.metadata.get('offered_qos_profiles', ''))[0]
        qos = OfferedQos(offered['reliability'], offered['durability'], int(offered['depth']))
    except (yaml.YAMLError, KeyError, IndexError, TypeError, ValueError):
        _LOG.warning('%s: offered quality of service unreadable, default used', channel.topic)
    type_hash = channel.metadata.get('topic_type_hash', '')
    return BagTopic(channel.topic, schemas[channel.schema_id], qos, type_hash)
