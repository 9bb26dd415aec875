"""From the training of a closer look to a tracker's model file that holds it, with a manifest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from synthex_ros.learning.closer_graph import closer_metadata, write_with_closer_look
from synthex_ros.learning.closer_training import CloserSettings
from synthex_ros.learning.dataset import FrameSet
from synthex_ros.learning.export import TOLERANCE, evaluate, inference_ms
from synthex_ros.learning.manifest import (
    LICENCE,
    data_entries,
    file_entries,
    software,
    write_manifest,
)
from synthex_ros.learning.networks.closer_look import CloserLook, ExportedCloserLook
from synthex_ros.learning.networks.registry import parameter_count
from synthex_ros.learning.run_state import load_checkpoint
from synthex_ros.resources import find
from synthex_ros.tracking.model import TrackerModel, normalise

_COMPARED = 8


def export_closer(
    checkpoint: str | Path,
    path: str | Path,
    test: str | Path | None = None,
    commands: Sequence[str] = (),
) -> dict[str, Any]:
    """Write the tracker with its closer look and a manifest (same name, .json); return it.

    Args:
        checkpoint: best.pt or checkpoint.pt of a training of a closer look.
        path: where the ONNX file goes.
        test: folder of held-out frames to score the file on.
        commands: command lines that made the model, for the manifest.

    Raises:
        FileNotFoundError: checkpoint, tracker or data are missing.
        RuntimeError: the ONNX file does not agree with the network.
    """
    state, path = load_checkpoint(checkpoint), Path(path)
    settings = CloserSettings(**state['settings'])
    source = find('models', settings.tracker)
    # The new file may take the tracker's place.
    tracker, known = TrackerModel(source).metadata, tracker_manifest(source)
    training = {
        **tracker.training,
        'closer_look': {
            'epochs': state['epoch'],
            'steps': state['step'],
            'frames': state['train_frames'],
            'seed': settings.seed,
            'data_seed': state['train_data'].get('seed'),
            'software': software(),
        },
    }
    look = CloserLook(len(tracker.landmarks))
    look.load_state_dict(state['average'])
    metadata = closer_metadata(tracker, training=training, licence=LICENCE)
    write_with_closer_look(source, look.eval(), metadata, path)
    model = TrackerModel(path, threads=2)
    frames = FrameSet(settings.validation, _COMPARED)
    worst = difference(look, model, frames)
    if worst > TOLERANCE:
        raise RuntimeError(
            f'{path} differs from the network by {worst:.2g} px, allowed {TOLERANCE:g}; '
            'the exporter does not fit this torch version'
        )
    manifest = {
        **file_entries(path, metadata.version, _parameters(known, look), commands),
        'tracker': known,
        'settings': state['settings'],
        **data_entries(state),
        'epochs': state['epoch'],
        'training_seconds': round(state['seconds']),
        'validation': state['validation'],
        'onnx_difference_px': worst,
        'least_peak': metadata.least_peak,
        'least_mask_px': metadata.least_mask_px,
        'inference_ms': {str(n): inference_ms(path, n, frames.counts(0)) for n in (1, 2)},
    }
    if test is not None:
        held_out = FrameSet(test, overlapping=metadata.overlapping)
        manifest['test_data'] = held_out.info | {'frames': len(held_out)}
        manifest['test'] = evaluate(model, held_out).plain()
    write_manifest(manifest, path)
    return manifest


def _parameters(tracker: dict[str, Any], look: nn.Module) -> int | None:
    """Return how many parameters a tracker has, by its manifest, and its closer look."""
    own = tracker.get('parameters')
    return None if own is None else own + parameter_count(look)


def tracker_manifest(path: Path) -> dict[str, Any]:
    """Return the manifest of a tracker's file, without a closer look; its hash if it has none."""
    digest, beside = hashlib.sha256(path.read_bytes()).hexdigest(), path.with_suffix('.json')
    if beside.is_file():
        manifest = json.loads(beside.read_text(encoding='utf-8'))
        if manifest.get('sha256') == digest:
            return manifest.get('tracker', manifest)
    return {'sha256': digest}


def difference(look: nn.Module, model: TrackerModel, frames: FrameSet) -> float:
    """Return the greatest distance of places by the network and by its file [px]."""
    meta, worst = model.metadata, 0.0
    exported = ExportedCloserLook(look, meta.heatmap_sigma_px, meta.heatmap_stride).eval()
    for row in range(len(frames)):
        counts = frames.counts(row)
        found = model.infer(counts)
        with torch.inference_mode():
            ours = exported(
                torch.from_numpy(normalise(counts))[None, None],
                torch.from_numpy(found.heatmaps)[None],
            )
        theirs = torch.from_numpy(found.places)
        worst = max(worst, float(torch.linalg.vector_norm(ours[0] - theirs, dim=1).max()))
    return worst
