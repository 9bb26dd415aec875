"""From a training run to the model file of a tiny-device detector, with a manifest beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from synthex_ros.learning.coco import CocoFolder
from synthex_ros.learning.export import write_graph
from synthex_ros.learning.manifest import (
    LICENCE,
    data_entries,
    file_entries,
    software,
    write_manifest,
)
from synthex_ros.learning.networks.detector import (
    STRIDE,
    WIDTHS,
    DetectorNetwork,
    ExportedDetector,
)
from synthex_ros.learning.networks.registry import parameter_count
from synthex_ros.learning.networks.second_look import SecondLook
from synthex_ros.learning.run_state import load_checkpoint
from synthex_ros.learning.tiny_scores import scores_of
from synthex_ros.learning.two_looks import FirstLook, two_looks_metadata, write_two_looks
from synthex_ros.tracking.detector import DetectorMetadata, DetectorModel


def write_checkpoint(state: dict[str, Any], path: Path) -> tuple[nn.Module, DetectorMetadata]:
    """Write the model file of a checkpoint; return what is in it and its metadata.

    Args:
        state: checkpoint of `synthex tiny train`, or of `synthex tiny train-second`, whose file
            holds both looks.
        path: where the file goes.

    Raises:
        FileNotFoundError: the frames that it was trained on are missing.
    """
    training = {
        'epochs': state['epoch'],
        'frames': state['train_frames'],
        'seconds': round(state['seconds']),
        'settings': state['settings'],
        'validation': state['validation'],
        'software': software(),
    }
    if 'first' in state:
        first = FirstLook.of_state(state['first'])
        second = SecondLook(len(first.metadata.classes))
        second.load_state_dict(state['average'])
        training['first'] = dict(first.metadata.training)
        metadata = two_looks_metadata(first, version='2', training=training, licence=LICENCE)
        write_two_looks(first, second, path, metadata)
        return nn.ModuleList([first.network, second]), metadata
    folder = CocoFolder(state['settings']['train'])
    network = DetectorNetwork(len(folder.classes), tuple(state['settings'].get('widths', WIDTHS)))
    network.load_state_dict(state['average'])
    pitch_mm = folder.images[0]['pixel_pitch_mm']
    metadata = DetectorMetadata(
        '1', pitch_mm, folder.classes, STRIDE, training=training, licence=LICENCE
    )
    write_graph(ExportedDetector(network).eval(), metadata, path, True)
    return network, metadata


def export_detector(
    checkpoint: str | Path,
    path: str | Path,
    test: str | Path | None = None,
    commands: Sequence[str] = (),
) -> dict[str, Any]:
    """Write the ONNX file and its manifest (same name, .json); return the manifest.

    Args:
        checkpoint: best.pt or checkpoint.pt of a training run.
        path: where the ONNX file goes.
        test: COCO folder of held-out frames to score the file on.
        commands: command lines that made the model, for the manifest.

    Raises:
        FileNotFoundError: checkpoint or data are missing.
    """
    state, path = load_checkpoint(checkpoint), Path(path)
    network, metadata = write_checkpoint(state, path)
    model = DetectorModel(path, threads=2)
    manifest = {
        **file_entries(path, metadata.version, parameter_count(network), commands),
        **data_entries(state),
        **metadata.training,
    }
    if test is not None:
        held_out = CocoFolder(test)
        manifest['test_data'] = held_out.info
        manifest['test'] = scores_of(model, held_out)
    write_manifest(manifest, path)
    return manifest
