"""From a training run to the model file of a tiny-device detector, with a manifest beside it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from synthex_ros import __version__
from synthex_ros.learning.coco import CocoFolder
from synthex_ros.learning.export import DATA_LICENCE, LICENCE, write_graph
from synthex_ros.learning.networks.detector import STRIDE, DetectorNetwork, ExportedDetector
from synthex_ros.learning.networks.registry import parameter_count
from synthex_ros.learning.run_state import load_checkpoint
from synthex_ros.learning.tiny_scores import scores_of
from synthex_ros.tracking.detector import DetectorMetadata, DetectorModel


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
    folder = CocoFolder(state['settings']['train'])
    network = DetectorNetwork(len(folder.classes))
    network.load_state_dict(state['average'])
    training = {
        'epochs': state['epoch'],
        'frames': state['train_frames'],
        'seconds': round(state['seconds']),
        'settings': state['settings'],
        'validation': state['validation'],
        'software': f'synthex_ros {__version__}, torch {torch.__version__}',
    }
    pitch_mm = folder.images[0]['pixel_pitch_mm']
    metadata = DetectorMetadata(
        '1', pitch_mm, folder.classes, STRIDE, training=training, licence=LICENCE
    )
    write_graph(ExportedDetector(network).eval(), metadata, path, True)
    model = DetectorModel(path, threads=2)
    manifest = {
        'file': path.name,
        'sha256': hashlib.sha256(path.read_bytes()).hexdigest(),
        'version': metadata.version,
        'licence': LICENCE,
        'data_licence': DATA_LICENCE,
        'parameters': parameter_count(network),
        'commands': list(commands),
        'train_data': state['train_data'] | {'frames': state['train_frames']},
        'validation_data': state.get('validation_data', {}),
        **training,
    }
    if test is not None:
        held_out = CocoFolder(test)
        manifest['test_data'] = held_out.info
        manifest['test'] = scores_of(model, held_out)
    path.with_suffix('.json').write_text(json.dumps(manifest, indent=1) + '\n', encoding='utf-8')
    return manifest
