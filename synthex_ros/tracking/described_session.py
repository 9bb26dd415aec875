"""Model files that describe themselves: the session, and the metadata that its file holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

import onnxruntime as ort

from synthex_ros.tracking.metadata import KEY, ModelMismatch
from synthex_ros.tracking.model import open_session

_REMEDY = 'export it again with `synthex export`'


class Described(Protocol):
    """Metadata that name the outputs of their network."""

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the outputs, in the network's order."""
        ...


MetadataT = TypeVar('MetadataT', bound=Described)


def open_described(
    path: str | Path, threads: int, read: Callable[[str], MetadataT]
) -> tuple[ort.InferenceSession, MetadataT]:
    """Return the session of a model file and its metadata.

    Args:
        path: the ONNX file.
        threads: CPU threads for one inference.
        read: makes metadata of the JSON text in the file.

    Raises:
        FileNotFoundError: no such file.
        ModelMismatch: no metadata, of another kind, or of outputs that the graph does not have.
    """
    session = open_session(path, threads)
    stored = session.get_modelmeta().custom_metadata_map
    if KEY not in stored:
        raise ModelMismatch(f'{path} has no {KEY!r} metadata; {_REMEDY}')
    try:
        metadata = read(stored[KEY])
    except ModelMismatch as error:
        raise ModelMismatch(f'{path}: {error}') from error
    names = {tensor.name for tensor in session.get_outputs()}
    if not set(metadata.output_names) <= names:
        raise ModelMismatch(
            f'{path}: metadata describe outputs {metadata.output_names}, the graph has '
            f'{sorted(names)}; {_REMEDY}'
        )
    return session, metadata
