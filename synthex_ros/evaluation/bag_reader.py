"""Read a ROS 2 bag, ours or anyone's; a torn one is repaired first."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from mcap.exceptions import McapError
from mcap.reader import make_reader
from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.typesys import Stores, get_typestore

from synthex_ros.evaluation import bag_format
from synthex_ros.evaluation.bag_repair import RepairResult, is_torn, repair_bag
from synthex_ros.evaluation.errors import BagError


@dataclass(frozen=True)
class BagRecord:
    """One message: its topic, when it was logged [ns] and its content."""

    topic: str
    log_time_ns: int
    message: Any


class BagReader:
    """A bag open for reading; use it as a context manager.

    Args:
        path: bag folder (rosbag2 layout, MCAP or SQLite) or a lone MCAP file.

    Attributes:
        repair: what had to be repaired on opening, or None.
        topics: message type by absolute topic name.
        custom: run metadata (seed, hashes, versions) as text.

    Raises:
        BagError: no bag there, not readable, or still being recorded.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.exists():
            raise BagError(f'{self.path} does not exist; give a bag folder or an .mcap file')
        self.repair: RepairResult | None = repair_bag(self.path) if is_torn(self.path) else None
        try:
            self._reader = AnyReader(
                [self.path], default_typestore=get_typestore(Stores.ROS2_JAZZY)
            )
            self._reader.open()
        except (AnyReaderError, OSError, AssertionError) as error:
            raise BagError(f'{self.path} cannot be read as a ROS 2 bag: {error}') from None
        self.topics = {c.topic: c.msgtype for c in self._reader.connections}
        self.custom = self._read_custom()

    def find(self, name: str) -> str | None:
        """Return the recorded topic that is `name` or ends with '/' + `name`, else None.

        Raises:
            BagError: several topics end so, as when two set-ups are in one bag.
        """
        name = name.lstrip('/')
        found = [topic for topic in self.topics if topic.endswith('/' + name)]
        if '/' + name in found:
            return '/' + name
        if len(found) > 1:
            raise BagError(f'{name} is ambiguous in {self.path}: {", ".join(sorted(found))}')
        return found[0] if found else None

    def require(self, name: str) -> str:
        """Return the recorded topic of that name.

        Raises:
            BagError: it was not recorded; the text lists what was.
        """
        topic = self.find(name)
        if topic is None:
            listed = ', '.join(sorted(self.topics)) or 'nothing'
            raise BagError(f'{self.path} has no topic {name}; it holds {listed}')
        return topic

    def records(self, *names: str) -> Iterator[BagRecord]:
        """Yield the messages of the named topics, those that were recorded, by log time."""
        wanted = {self.find(name) for name in names}
        connections = [c for c in self._reader.connections if c.topic in wanted]
        if not connections:
            return
        for connection, log_ns, data in self._reader.messages(connections):
            try:
                message = self._reader.deserialize(data, connection.msgtype)
            except (AnyReaderError, ValueError, IndexError) as error:
                raise BagError(
                    f'{connection.topic} holds a message that is no {connection.msgtype}: {error}'
                ) from None
            yield BagRecord(connection.topic, log_ns, message)

    def _read_custom(self) -> dict[str, str]:
        if self.path.is_dir():
            information = bag_format.read_metadata_file(self.path) or {}
            custom = information.get('custom_data') or {}
            return {str(key): str(value) for key, value in custom.items()}
        if self.path.suffix != '.mcap':
            return {}
        with self.path.open('rb') as stream:
            records = make_reader(stream).iter_metadata()
            return next((r.metadata for r in records if r.name == bag_format.RUN_RECORD), {})

    def close(self) -> None:
        """Close the files."""
        self._reader.close()

    def __enter__(self) -> BagReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def payload_hashes(path: str | Path) -> dict[str, str]:
    """Return the SHA-256 of each topic's sequence of CDR payloads, in the order recorded.

    Log times do not enter: two lockstep runs of one seed have equal hashes on every topic.
    Each payload is preceded by its length (u64, little endian), so that borders count.

    Raises:
        BagError: not an MCAP bag.
    """
    path = Path(path)
    if is_torn(path):
        repair_bag(path)
    files = [path] if path.is_file() else sorted(path.glob('*.mcap'))
    if not files or files[0].suffix != '.mcap':
        raise BagError(f'{path} holds no .mcap file; payload hashes are defined for MCAP bags')
    digests: dict[str, Any] = {}
    for file in files:
        with file.open('rb') as stream:
            try:
                for _, channel, message in make_reader(stream).iter_messages(log_time_order=False):
                    digest = digests.setdefault(channel.topic, hashlib.sha256())
                    digest.update(len(message.data).to_bytes(8, 'little'))
                    digest.update(message.data)
            except McapError as error:
                raise BagError(f'{file}: {error}') from None
    return {topic: digests[topic].hexdigest() for topic in sorted(digests)}
