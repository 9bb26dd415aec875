"""Make a torn bag whole: keep every complete message, write indexes and `metadata.yaml` anew."""

from __future__ import annotations

import contextlib
import fcntl
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mcap.records import Attachment, Channel, Message, Schema
from mcap.writer import CompressionType, Writer

from synthex_ros.evaluation import bag_format
from synthex_ros.evaluation.bag_format import Extent
from synthex_ros.evaluation.bag_index import mapped, rebuild_metadata_file
from synthex_ros.evaluation.errors import BagError
from synthex_ros.evaluation.mcap_salvage import SalvageCount, is_complete, read_profile, salvage

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class RepairResult:
    """What a repair did.

    Attributes:
        path: the bag.
        repaired: False when nothing was wrong.
        messages: messages in the bag now (counted only when repaired).
        torn_bytes: bytes at the end that belong to no whole record.
        damaged_chunks: chunks whose content could not be opened.
    """

    path: Path
    repaired: bool
    messages: int = 0
    torn_bytes: int = 0
    damaged_chunks: int = 0


def repair_bag(path: str | Path) -> RepairResult:
    """Repair a bag folder or a lone MCAP file in place; a whole bag is left as it is.

    Whole records are kept, those in a torn last chunk included. The new file replaces the old
    one only when it is complete. Bags in SQLite are not touched.

    Raises:
        BagError: no bag there, still being recorded, not writable, or nothing left to recover.
    """
    path = Path(path)
    if not path.exists():
        raise BagError(f'{path} does not exist; give a bag folder or an .mcap file')
    files = [path] if path.is_file() else _bag_files(path)
    files = [file for file in files if file.suffix == '.mcap']
    stale = path.is_dir() and bool(files) and bag_format.read_metadata_file(path) is None
    results = [_repair_file(file) for file in files]
    rewritten = any(result.repaired for result in results)
    if stale or (rewritten and path.is_dir()):
        rebuild_metadata_file(path, files)
    return RepairResult(
        path,
        stale or rewritten,
        sum(result.extent.messages for result in results),
        sum(result.count.torn_bytes for result in results),
        sum(result.count.damaged_chunks for result in results),
    )


def is_torn(path: Path) -> bool:
    """Tell whether a bag folder or MCAP file needs a repair before it can be read."""
    files = [path] if path.is_file() else _bag_files(path)
    mcap_files = [file for file in files if file.suffix == '.mcap']
    if mcap_files and path.is_dir() and bag_format.read_metadata_file(path) is None:
        return True
    return any(not _complete_file(file) for file in mcap_files)


def _complete_file(file: Path) -> bool:
    return is_complete(mapped(file))


@dataclass
class _Salvaged:
    """One file's outcome."""

    repaired: bool
    extent: Extent = field(default_factory=Extent)
    count: SalvageCount = field(default_factory=SalvageCount)


def _bag_files(folder: Path) -> list[Path]:
    information = bag_format.read_metadata_file(folder)
    if information is not None:
        named = [folder / Path(name).name for name in information['relative_file_paths']]
        if all(file.exists() for file in named):
            return named
    files = sorted(folder.glob('*.mcap')) or sorted(folder.glob('*.db3'))
    if not files:
        raise BagError(f'{folder} holds no .mcap or .db3 file, so it is not a bag')
    return files


def _repair_file(file: Path) -> _Salvaged:
    """Rewrite one MCAP file unless it is complete."""
    with _exclusive(file):
        data = mapped(file)
        if is_complete(data):
            return _Salvaged(False)
        try:
            profile = read_profile(data)
        except BagError as error:
            raise BagError(f'{file}: {error}') from None
        draft = file.with_suffix('.mcap.part')
        try:
            with draft.open('wb') as stream:
                outcome = _rewrite(data, profile, Writer(stream, compression=_compression(data)))
            draft.replace(file)
        except OSError as error:
            raise BagError(
                f'cannot repair {file}: {error}; copy the bag to a folder you can write to'
            ) from None
    _LOG.warning(
        'repaired %s: %d messages kept, %d torn bytes',
        file,
        outcome.extent.messages,
        outcome.count.torn_bytes,
    )
    return outcome


def _compression(data: memoryview) -> CompressionType:
    """Return the kind of compression to keep: that of the first chunk."""
    head = bytes(data[: 1 << 16])
    return CompressionType.ZSTD if b'\x04\x00\x00\x00zstd' in head else CompressionType.NONE


def _rewrite(data: memoryview, profile: str, writer: Writer) -> _Salvaged:
    """Write the salvaged records to a new file, ids mapped to new ones."""
    outcome = _Salvaged(True)
    schemas: dict[int, int] = {0: 0}
    channels: dict[int, int] = {}
    writer.start(profile=profile, library='synthex_ros repair')
    for record in salvage(data, outcome.count):
        if isinstance(record, Schema):
            if record.id not in schemas:
                schemas[record.id] = writer.register_schema(
                    record.name, record.encoding, record.data
                )
        elif isinstance(record, Channel):
            if record.id not in channels and record.schema_id in schemas:
                channels[record.id] = writer.register_channel(
                    record.topic,
                    record.message_encoding,
                    schemas[record.schema_id],
                    record.metadata,
                )
        elif isinstance(record, Message):
            if record.channel_id in channels:
                _copy_message(writer, record, channels[record.channel_id], outcome.extent)
        elif isinstance(record, Attachment):
            writer.add_attachment(
                record.create_time, record.log_time, record.name, record.media_type, record.data
            )
        elif record.name != 'rosbag2':
            writer.add_metadata(record.name, record.metadata)
    writer.finish()
    return outcome


def _copy_message(writer: Writer, message: Message, channel: int, extent: Extent) -> None:
    writer.add_message(
        channel, message.log_time, message.data, message.publish_time, message.sequence
    )
    extent.add(message.log_time)


@contextlib.contextmanager
def _exclusive(file: Path) -> Iterator[None]:
    """Hold the lock that a recorder holds while it writes.

    Raises:
        BagError: a recorder still writes the file.
    """
    with file.open('rb') as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BagError(f'{file} is being recorded; stop the recorder, then open it') from None
        yield
