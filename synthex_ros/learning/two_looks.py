"""A detector's first look, and the file that holds it together with a second one."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from synthex_ros.learning.candidates import LEAST_CHANCE
from synthex_ros.learning.coco import CocoFolder
from synthex_ros.learning.export import write_graph
from synthex_ros.learning.networks.detector import (
    STRIDE,
    WIDTHS,
    DetectorNetwork,
    ExportedDetector,
)
from synthex_ros.learning.networks.second_look import ExportedTwoLooks, SecondLook
from synthex_ros.learning.patches import PatchSet
from synthex_ros.learning.run_state import load_checkpoint
from synthex_ros.learning.warm_start import start_weights_of
from synthex_ros.tracking.detector import DetectorMetadata, DetectorModel

MOST = 32
"""Greatest number of candidates a tile."""

_SOME_FRAMES, _PATCH_PX = 8, 128


@dataclass(frozen=True, eq=False)
class FirstLook:
    """A trained detector without a second look.

    Attributes:
        network: its weights.
        widths: its channels.
        metadata: of its model file.
    """

    network: nn.Module
    widths: tuple[int, ...]
    metadata: DetectorMetadata

    def write(self, path: Path) -> Path:
        """Write the model file of the first look alone and return its path."""
        write_graph(ExportedDetector(self.network).eval(), self.metadata, path, True)
        return path

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint needs to have it again, plain."""
        weights: dict[str, Tensor] = self.network.state_dict()
        return {
            'weights': weights,
            'widths': list(self.widths),
            'pixel_pitch_mm': self.metadata.pixel_pitch_mm,
            'classes': list(self.metadata.classes),
            'training': dict(self.metadata.training),
        }

    @classmethod
    def of_state(cls, state: dict[str, Any]) -> FirstLook:
        """Return the one of a checkpoint."""
        classes, widths = tuple(state['classes']), tuple(state['widths'])
        network = DetectorNetwork(len(classes), widths)
        network.load_state_dict(state['weights'])
        metadata = DetectorMetadata(
            '1', state['pixel_pitch_mm'], classes, STRIDE, training=state['training']
        )
        return cls(network.eval(), widths, metadata)


def first_look_of(path: str | Path, folder: CocoFolder) -> FirstLook:
    """Return the first look of a model file, or of a checkpoint of `synthex tiny train`.

    Args:
        path: the file; a second look in it is left out.
        folder: frames as it was trained on: a checkpoint is told its classes and pitch by them,
            and a model file what its features are like.

    Raises:
        FileNotFoundError: no such file.
        ModelMismatch: the file holds no detector.
    """
    classes = folder.classes
    if Path(path).suffix == '.onnx':
        training = dict(DetectorModel(path).metadata.training)
    else:
        state = load_checkpoint(path)
        if 'first' in state:
            return FirstLook.of_state(state['first'])
        training = {'epochs': state['epoch'], 'frames': state['train_frames'],
                    'seconds': round(state['seconds']), 'settings': state['settings']}  # fmt: skip
    training = training.get('first', training)
    widths = tuple(training.get('settings', {}).get('widths', WIDTHS))

    def some() -> Tensor:
        patches = PatchSet(str(folder.root), 2, _PATCH_PX, 0.5, 0, _SOME_FRAMES)
        return torch.cat([patches[0, row][0] for row in range(len(patches))])

    network = DetectorNetwork(len(classes), widths)
    kinds = [DetectorNetwork(len(classes), widths)]
    network.load_state_dict(start_weights_of(path, kinds, some, more=True))
    pitch_mm = folder.images[0]['pixel_pitch_mm']
    metadata = DetectorMetadata('1', pitch_mm, classes, STRIDE, training=training)
    return FirstLook(network.eval(), widths, metadata)


def two_looks_metadata(first: FirstLook, **changes: Any) -> DetectorMetadata:
    """Return the metadata of a file with both looks."""
    return dataclasses.replace(first.metadata, devices_name='devices', **changes)


def write_two_looks(
    first: FirstLook, second: SecondLook, path: Path, metadata: DetectorMetadata | None = None
) -> None:
    """Write the model file of a first and a second look."""
    meta = metadata or two_looks_metadata(first)
    network = ExportedTwoLooks(
        ExportedDetector(first.network), second, meta.stride, meta.overlap_px, MOST, LEAST_CHANCE
    )
    picture = {2: 'rows', 3: 'columns'}
    cells = {2: 'cell_rows', 3: 'cell_columns'}
    axes = {
        meta.input_name: picture, meta.centres_name: cells, meta.boxes_name: cells,
        meta.mask_name: picture, meta.devices_name: {0: 'devices'},
    }  # fmt: skip
    write_graph(network.eval(), meta, path, True, axes)
