"""One model file of a tracker and a closer look at what it finds.

The tracker's graph is taken as it is, so that any network and any precision will do.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx.compose import merge_graphs

from synthex_ros.learning.export import graph_of, save_described
from synthex_ros.learning.networks.closer_look import SIDE_PX, CloserLook, ExportedCloserLook
from synthex_ros.learning.tracker_part import without_closer_look
from synthex_ros.tracking.metadata import CLOSER_LOOK, ModelMetadata, ModelMismatch

PLACES = 'places'


def closer_metadata(tracker: ModelMetadata, **changes: Any) -> ModelMetadata:
    """Return the metadata of a tracker with a closer look.

    Raises:
        ModelMismatch: the tracker is one of several devices, or its network takes frames that are
            smaller than what is looked at.
    """
    if tracker.several_devices or min(tracker.input_shape[2:]) < SIDE_PX:
        raise ModelMismatch(
            'a closer look is for trackers of one device with frames of at least '
            f'{SIDE_PX} px; this model has outputs {list(tracker.output_names)} and takes '
            f'{list(tracker.input_shape)}'
        )
    return dataclasses.replace(tracker, places_name=CLOSER_LOOK + PLACES, **changes)


def write_with_closer_look(
    tracker: str | Path, look: CloserLook, metadata: ModelMetadata, path: Path
) -> None:
    """Write a tracker's model file with a closer look in it.

    Args:
        tracker: model file, whose own closer look, if it has one, is left out.
        look: trained for it.
        metadata: of both, `closer_metadata` of the tracker's.
        path: the file.
    """
    first = without_closer_look(onnx.load(str(tracker)))
    second = _closer_graph(look, metadata)
    shared = [(metadata.heatmaps_name, CLOSER_LOOK + metadata.heatmaps_name)]
    second = onnx.compose.add_prefix(second, CLOSER_LOOK)
    graph = merge_graphs(first.graph, second.graph, shared, outputs=list(metadata.output_names))
    _join_input(graph, metadata.input_name)
    graph.name = 'tracker'
    model = onnx.helper.make_model(
        graph, opset_imports=first.opset_import, ir_version=first.ir_version
    )
    save_described(model, metadata, path)


def _closer_graph(look: CloserLook, metadata: ModelMetadata) -> onnx.ModelProto:
    """Return the graph of a closer look alone: from radiograph and heat maps to places."""
    rows, columns = metadata.input_shape[2:]
    stride = metadata.heatmap_stride
    cells = (1, len(metadata.landmarks), rows // stride, columns // stride)
    exported = ExportedCloserLook(look, metadata.heatmap_sigma_px, stride).eval()
    return graph_of(
        exported,
        (torch.zeros(metadata.input_shape), torch.rand(cells)),
        [metadata.input_name, metadata.heatmaps_name],
        [PLACES],
        {
            metadata.input_name: {2: 'rows', 3: 'columns'},
            metadata.heatmaps_name: {2: 'cell_rows', 3: 'cell_columns'},
        },
    )


def _join_input(graph: onnx.GraphProto, name: str) -> None:
    """Give both parts of a graph the one radiograph."""
    other = CLOSER_LOOK + name
    for node in graph.node:
        node.input[:] = [name if item == other else item for item in node.input]
    kept = [item for item in graph.input if item.name != other]
    del graph.input[:]
    graph.input.extend(kept)
