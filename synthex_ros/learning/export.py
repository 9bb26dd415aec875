"""From a checkpoint to an ONNX file that describes itself, with a manifest beside it."""

from __future__ import annotations

import dataclasses
import io
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx
import torch
from torch import nn

from synthex_ros.learning.dataset import FrameSet
from synthex_ros.learning.manifest import (
    LICENCE,
    data_entries,
    file_entries,
    software,
    write_manifest,
)
from synthex_ros.learning.measure import Summary, score_frames, summarise
from synthex_ros.learning.networks.exported import ExportedNetwork
from synthex_ros.learning.networks.registry import build_network, parameter_count
from synthex_ros.learning.operating_point import operating_point
from synthex_ros.learning.run_state import load_checkpoint
from synthex_ros.learning.training import TrainingSettings, make_metadata, predictor
from synthex_ros.tracking.mask_parts import without_weak_parts
from synthex_ros.tracking.metadata import KEY, ModelMetadata
from synthex_ros.tracking.model import TrackerModel

OPSET = 17
TOLERANCE = 1e-3
_TIMED_RUNS = 30


class Metadata(Protocol):
    """What a model file says about itself, as far as writing it goes."""

    @property
    def input_name(self) -> str:
        """Name of the input tensor."""

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """Shape of the input."""

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the outputs, in the network's order."""

    def to_json(self) -> str:
        """Return the JSON text stored in the file."""


def restore(state: dict[str, Any]) -> tuple[nn.Module, ModelMetadata]:
    """Return the averaged network of a checkpoint and its metadata."""
    settings = TrainingSettings(**state['settings'])
    metadata = make_metadata(settings)
    network = build_network(settings.network, len(metadata.landmarks), len(metadata.classes))
    network.load_state_dict(state['average'])
    training = {
        'epochs': state['epoch'],
        'steps': state['step'],
        'frames': state['train_frames'],
        'seed': settings.seed,
        'data_seed': state['train_data'].get('seed'),
        'software': software(),
    }
    return network.eval(), dataclasses.replace(metadata, training=training, licence=LICENCE)


def write_onnx(network: nn.Module, metadata: ModelMetadata, path: Path) -> None:
    """Write the network with its metadata to `path`.

    A fully convolutional network is written with free rows and columns, so that the tracker may
    give it a region of the frame.
    """
    exported = ExportedNetwork(network, metadata.overlapping).eval()
    write_graph(exported, metadata, path, bool(network.fully_convolutional))


def write_graph(
    network: nn.Module,
    metadata: Metadata,
    path: Path,
    any_size: bool,
    free_axes: Mapping[str, Mapping[int, str]] | None = None,
) -> None:
    """Write a module, in the form in which it is used, with its metadata to `path`.

    Args:
        network: the module.
        metadata: of its input and outputs.
        path: the file.
        any_size: leave rows and columns of all inputs and outputs free.
        free_axes: for a module that asks for sizes: which axes of which inputs and outputs are
            free, with their names; instead of `any_size`.
    """
    model = graph_of(
        network,
        (torch.zeros(metadata.input_shape),),
        [metadata.input_name],
        list(metadata.output_names),
        free_axes,
    )
    if any_size and free_axes is None:
        free_size(model)
    save_described(model, metadata, path)


def graph_of(
    network: nn.Module,
    examples: tuple[torch.Tensor, ...],
    inputs: list[str],
    outputs: list[str],
    free_axes: Mapping[str, Mapping[int, str]] | None,
) -> onnx.ModelProto:
    """Return the graph of a module.

    Args:
        network: the module, in the form in which it is used.
        examples: what it may be given.
        inputs: names of these.
        outputs: names of what it gives.
        free_axes: which axes of which of them are free, with their names.
    """
    written = io.BytesIO()
    with warnings.catch_warnings():
        # The exporter that torch prefers needs another package and gives the same graph here.
        warnings.simplefilter('ignore', DeprecationWarning)
        # A TransUNet asks for the number of its tokens, which a file of one size fixes.
        warnings.simplefilter('ignore', torch.jit.TracerWarning)
        torch.onnx.export(
            network,
            examples,
            written,
            dynamo=False,
            opset_version=OPSET,
            input_names=inputs,
            output_names=outputs,
            dynamic_axes=free_axes,
        )
    return onnx.load_from_string(written.getvalue())


def save_described(model: onnx.ModelProto, metadata: Metadata, path: Path) -> None:
    """Write a graph with its metadata to `path`, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix('.part')
    onnx.helper.set_model_props(model, {KEY: metadata.to_json()})
    onnx.checker.check_model(model)
    onnx.save(model, str(part))
    part.replace(path)


def free_size(model: onnx.ModelProto) -> None:
    """Declare the rows and columns of all inputs and outputs of a model free, in place.

    Only right for graphs without shapes among their constants, such as convolutions, pooling and
    resizing by a factor.
    """
    for tensor in (*model.graph.input, *model.graph.output):
        for axis, name in ((2, 'rows'), (3, 'columns')):
            tensor.type.tensor_type.shape.dim[axis].dim_param = f'{tensor.name}_{name}'
    del model.graph.value_info[:]


def difference(network: nn.Module, model: TrackerModel, counts: Iterable[np.ndarray]) -> float:
    """Return the greatest difference between the network and its ONNX file on some images."""
    infer = predictor(network, model.metadata.overlapping)
    worst = 0.0
    for image in counts:
        ours, theirs = infer(image), model.infer(image)
        classes = without_weak_parts(ours.classes, model.metadata.least_mask_px)
        for a, b in ((classes, theirs.classes), (ours.heatmaps, theirs.heatmaps)):
            worst = max(worst, float(np.max(np.abs(a - b))))
    return worst


def export(
    checkpoint: str | Path,
    path: str | Path,
    test: str | Path | None = None,
    commands: Sequence[str] = (),
    empty: str | Path | None = None,
    false_alarms: float = 0.01,
) -> dict[str, Any]:
    """Write the ONNX file and its manifest (same name, .json); return the manifest.

    Args:
        checkpoint: best.pt or checkpoint.pt of a training run.
        path: where the ONNX file goes.
        test: folder of held-out frames to score the file on.
        commands: command lines that made the model, for the manifest.
        empty: folder whose frames without a device say how sure the model must be before it
            claims one; neither for training nor for the test. Default: it claims what it sees.
        false_alarms: greatest share of them in which it does.

    Raises:
        FileNotFoundError: checkpoint or data are missing.
        RuntimeError: the ONNX file does not agree with the network.
    """
    state, path = load_checkpoint(checkpoint), Path(path)
    network, metadata = restore(state)
    if empty is not None:
        infer = predictor(network, metadata.overlapping)
        metadata = operating_point(infer, metadata, FrameSet(empty), false_alarms)
    write_onnx(network, metadata, path)
    model = TrackerModel(path, threads=2)
    used = state['settings']
    samples = [counts for counts, _, _ in FrameSet(used['validation'] or used['train'], 8)]
    worst = difference(network, model, samples)
    if worst > TOLERANCE:
        raise RuntimeError(
            f'{path} differs from the network by {worst:.2g}, allowed {TOLERANCE:g}; '
            'the exporter does not fit this torch version'
        )
    manifest = {
        **file_entries(path, metadata.version, parameter_count(network), commands),
        'settings': state['settings'],
        **data_entries(state),
        'epochs': state['epoch'],
        'training_seconds': round(state['seconds']),
        'validation': state['validation'],
        'onnx_difference': worst,
        'least_peak': metadata.least_peak,
        'least_mask_px': metadata.least_mask_px,
        'inference_ms': {str(n): inference_ms(path, n, samples[0]) for n in (1, 2)},
    }
    if test is not None:
        frames = FrameSet(test, overlapping=metadata.overlapping)
        manifest['test_data'] = frames.info | {'frames': len(frames)}
        manifest['test'] = evaluate(model, frames).plain()
    write_manifest(manifest, path)
    return manifest


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
