"""Walk the records of an MCAP file that may end anywhere, into the last torn chunk as well.

Record layout: MCAP specification, section "Records" (opcode u8, length u64, content).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import zstandard
from mcap.data_stream import ReadDataStream
from mcap.opcode import Opcode
from mcap.records import Attachment, Channel, Header, Message, Metadata, Schema

from synthex_ros.evaluation.bag_format import MCAP_MAGIC
from synthex_ros.evaluation.errors import BagError

_RECORD_HEAD = struct.Struct('<BQ')
_CHUNK_HEAD = struct.Struct('<QQQII')
_FOOTER_SIZE = 20
_KEPT: dict[int, Any] = {
    Opcode.SCHEMA: Schema,
    Opcode.CHANNEL: Channel,
    Opcode.ATTACHMENT: Attachment,
    Opcode.METADATA: Metadata,
}

Kept = Schema | Channel | Message | Attachment | Metadata


@dataclass
class SalvageCount:
    """What a walk met: bytes after the last whole record, and chunks that could not be opened."""

    torn_bytes: int = 0
    damaged_chunks: int = 0


def is_complete(data: memoryview) -> bool:
    """Tell whether an MCAP file, given whole, ends with a footer that points into the file."""
    tail = _RECORD_HEAD.size + _FOOTER_SIZE + len(MCAP_MAGIC)
    if len(data) < len(MCAP_MAGIC) + tail or bytes(data[-len(MCAP_MAGIC) :]) != MCAP_MAGIC:
        return False
    opcode, length, summary_start = struct.unpack_from('<BQQ', data, len(data) - tail)
    return opcode == Opcode.FOOTER and length == _FOOTER_SIZE and summary_start < len(data)


def read_profile(data: memoryview) -> str:
    """Return the profile in the file's header.

    Raises:
        BagError: the data do not start with an MCAP header.
    """
    start = len(MCAP_MAGIC)
    if bytes(data[:start]) != MCAP_MAGIC:
        raise BagError('not an MCAP file, or cut before its first record: nothing to recover')
    for opcode, body, whole in _records(data[start:]):
        if opcode == Opcode.HEADER and whole:
            return Header.read(ReadDataStream(BytesIO(body))).profile
        break
    raise BagError('the MCAP header is cut or missing: nothing to recover')


def salvage(data: memoryview, count: SalvageCount) -> Iterator[Kept]:
    """Yield every whole schema, channel, message, attachment and metadata record in file order.

    Args:
        data: the whole file.
        count: filled in while walking.
    """
    for opcode, body, whole in _records(data[len(MCAP_MAGIC) :]):
        if opcode == Opcode.DATA_END:
            return
        if opcode == Opcode.CHUNK:
            yield from _salvage_chunk(body, count)
        elif whole:
            record = _parse(opcode, body)
            if record is not None:
                yield record
        if not whole:
            count.torn_bytes = len(body) + _RECORD_HEAD.size


def _records(data: memoryview) -> Iterator[tuple[int, memoryview, bool]]:
    """Yield (opcode, content, whole) until the data end; only the last can be not whole."""
    position = 0
    while position + _RECORD_HEAD.size <= len(data):
        opcode, length = _RECORD_HEAD.unpack_from(data, position)
        position += _RECORD_HEAD.size
        body = data[position : position + length]
        yield opcode, body, len(body) == length
        position += length


def _salvage_chunk(body: memoryview, count: SalvageCount) -> Iterator[Kept]:
    """Yield the whole records of a chunk, whole or torn."""
    try:
        *_, name_length = _CHUNK_HEAD.unpack_from(body)
        start = _CHUNK_HEAD.size
        compression = bytes(body[start : start + name_length]).decode()
        start += name_length + 8
        content = _decompress(compression, body[start:])
    except (struct.error, UnicodeDecodeError, zstandard.ZstdError, RuntimeError):
        count.damaged_chunks += 1
        return
    for opcode, inner, whole in _records(memoryview(content)):
        record = _parse(opcode, inner) if whole else None
        if record is not None:
            yield record


def _decompress(compression: str, data: memoryview) -> bytes | memoryview:
    """Return what can be decompressed of `data`, which may end early."""
    if compression == 'zstd':
        return zstandard.ZstdDecompressor().decompressobj().decompress(data)
    if compression == 'lz4':
        from lz4.frame import LZ4FrameDecompressor

        return LZ4FrameDecompressor().decompress(data)
    return data


def _parse(opcode: int, body: memoryview) -> Kept | None:
    """Return the record, or None for kinds that a new file gets anew and for damaged ones."""
    stream = ReadDataStream(BytesIO(body))
    try:
        if opcode == Opcode.MESSAGE:
            return Message.read(stream, len(body))
        kind = _KEPT.get(opcode)
        return None if kind is None else kind.read(stream)
    except Exception:  # mcap raises many kinds on damaged content; the record is not whole
        return None
