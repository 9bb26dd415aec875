"""From a training run to the model file of foreign objects, with a manifest beside it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from synthex_ros.evaluation.object_evaluation import ObjectFinder, run_finder
from synthex_ros.evaluation.object_report import object_values
from synthex_ros.learning.coco import CocoFolder
from synthex_ros.learning.export import TOLERANCE, write_graph
from synthex_ros.learning.manifest import (
    LICENCE,
    data_entries,
    file_entries,
    software,
    write_manifest,
)
from synthex_ros.learning.networks.objects import ExportedObjects, ObjectNetwork
from synthex_ros.learning.networks.registry import parameter_count
from synthex_ros.learning.object_training import ObjectSettings, finder, make_object_metadata
from synthex_ros.learning.run_state import load_checkpoint
from synthex_ros.tracking.objects import ObjectMetadata

_COMPARED = 4


def restore_objects(state: dict[str, Any]) -> tuple[nn.Module, ObjectMetadata]:
    """Return the averaged network of a checkpoint and its metadata.

    Raises:
        FileNotFoundError: the frames that it was trained on are missing.
    """
    settings = ObjectSettings(**state['settings'])
    network = ObjectNetwork()
    network.load_state_dict(state['average'])
    training = {
        'epochs': state['epoch'],
        'steps': state['step'],
        'frames': state['train_frames'],
        'seed': settings.seed,
        'data_seed': state['train_data'].get('seed'),
        'software': software(),
    }
    metadata = make_object_metadata(settings)
    return network.eval(), dataclasses.replace(metadata, training=training, licence=LICENCE)


def export_objects(
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
        RuntimeError: the ONNX file does not agree with the network.
    """
    state, path = load_checkpoint(checkpoint), Path(path)
    network, metadata = restore_objects(state)
    write_graph(ExportedObjects(network).eval(), metadata, path, True)
    find = ObjectFinder(path)
    used = state['settings']
    worst = difference(network, find, CocoFolder(used['validation'] or used['train']))
    if worst > TOLERANCE:
        raise RuntimeError(
            f'{path} differs from the network by {worst:.2g}, allowed {TOLERANCE:g}; '
            'the exporter does not fit this torch version'
        )
    manifest = {
        **file_entries(path, metadata.version, parameter_count(network), commands),
        'settings': used,
        **data_entries(state),
        'epochs': state['epoch'],
        'training_seconds': round(state['seconds']),
        'validation': state['validation'],
        'onnx_difference': worst,
    }
    if test is not None:
        held_out = CocoFolder(test)
        frames = run_finder(find, held_out)
        manifest['test_data'] = held_out.info | {'frames': len(frames)}
        manifest['test'] = object_values(held_out, frames, metadata.min_score)
    write_manifest(manifest, path)
    return manifest


def difference(network: nn.Module, find: ObjectFinder, folder: CocoFolder) -> float:
    """Return the greatest difference of scores between network and file, 1 if they see others."""
    ours, worst = finder(network), 0.0
    for row in range(min(_COMPARED, len(folder.images))):
        counts = folder.counts(row)
        theirs = find(counts, find.model.metadata.pixel_pitch_mm)
        mine = ours(counts)
        if len(mine) != len(theirs):
            return 1.0
        gaps = [abs(a.score - b.score) for a, b in zip(mine, theirs, strict=True)]
        worst = max([worst, *gaps])
    return float(np.round(worst, 9))
