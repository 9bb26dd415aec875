"""The tracker alone, out of a model file that also holds a closer look."""

from __future__ import annotations

import onnx
from onnx.utils import Extractor

from synthex_ros.tracking.metadata import CLOSER_LOOK


def without_closer_look(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the tracker's part of a model; the model itself if that is all."""
    if not any(node.name.startswith(CLOSER_LOOK) for node in model.graph.node):
        return model
    inputs = [item.name for item in model.graph.input]
    own = [item.name for item in model.graph.output if not item.name.startswith(CLOSER_LOOK)]
    return Extractor(model).extract_model(inputs, own)
