"""Smaller numbers for a model file: 8-bit integers or 16-bit floats, with the same metadata.

Whether they are faster depends on the processor; `benchmark/inference.py` tells, with their error.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)

from synthex_ros.learning.tracker_part import without_closer_look
from synthex_ros.tracking.metadata import CLOSER_LOOK, KEY
from synthex_ros.tracking.model import TrackerModel, normalise


class _Radiographs(CalibrationDataReader):
    """Normalised radiographs, from which the ranges of activations are taken."""

    def __init__(self, name: str, counts: Iterable[NDArray]) -> None:
        self._feeds = iter([{name: normalise(image)[None, None]} for image in counts])

    def get_next(self) -> dict[str, NDArray] | None:
        return next(self._feeds, None)


def to_int8(path: str | Path, target: str | Path, counts: Iterable[NDArray]) -> None:
    """Write a model with 8-bit convolutions; the layers that give the outputs keep floats.

    Args:
        path: the tracker model.
        target: where the new one goes.
        counts: typical radiographs, a few dozen.

    Raises:
        ModelMismatch: not a tracker model.
    """
    metadata = TrackerModel(path).metadata
    kept = _kept_layers(onnx.load(str(path)))
    with _without_advice():
        quantize_static(
            str(path),
            str(target),
            _Radiographs(metadata.input_name, counts),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            op_types_to_quantize=['Conv', 'Add', 'Concat'],
            nodes_to_exclude=kept,
        )
    write_metadata(Path(target), metadata.to_json())


def to_float16(path: str | Path, target: str | Path) -> None:
    """Write a model with 16-bit floats inside; inputs and outputs stay 32-bit.

    A closer look is left out: between 256 and 512 px a 16-bit place is a quarter of a pixel wide.

    Raises:
        ModelMismatch: not a tracker model.
    """
    from onnxruntime.transformers.float16 import convert_float_to_float16

    metadata = dataclasses.replace(TrackerModel(path).metadata, places_name='')
    alone = without_closer_look(onnx.load(str(path)))
    onnx.save(convert_float_to_float16(alone, keep_io_types=True), str(target))
    write_metadata(Path(target), metadata.to_json())


@contextmanager
def _without_advice() -> Iterator[None]:
    """Keep the quantizer's advice, which it gives through the root logger, to itself."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(before)


def _kept_layers(model: onnx.ModelProto) -> list[str]:
    """Return the names of the last convolution before each output, and all of a closer look."""
    makers = {name: node for node in model.graph.node for name in node.output}
    found = []
    for output in model.graph.output:
        if output.name.startswith(CLOSER_LOOK):
            continue
        node = makers[output.name]
        while node.op_type != 'Conv':
            node = makers[node.input[-1]]
        found.append(node.name)
    return found + [node.name for node in model.graph.node if node.name.startswith(CLOSER_LOOK)]


def write_metadata(path: Path, text: str) -> None:
    """Write the JSON text of a model's metadata into its file."""
    model = onnx.load(str(path))
    onnx.helper.set_model_props(model, {KEY: text})
    onnx.save(model, str(path))
