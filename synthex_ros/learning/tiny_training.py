"""Training of the detector of tiny devices on patches: resumable, with averaged weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from synthex_ros.learning.batches import EpochOrder
from synthex_ros.learning.export import write_graph
from synthex_ros.learning.losses import mask_loss
from synthex_ros.learning.networks.detector import (
    STRIDE,
    WIDTHS,
    DetectorNetwork,
    ExportedDetector,
)
from synthex_ros.learning.patches import PatchSet
from synthex_ros.learning.run_state import CosineRate
from synthex_ros.learning.tiny_losses import box_loss, centre_loss
from synthex_ros.learning.tiny_run import TinyRun
from synthex_ros.learning.warm_start import start_weights_of
from synthex_ros.settings import as_plain
from synthex_ros.tracking.detector import DetectorMetadata

_TYPICAL_AREA_PX = 200.0
_WARMUP_SHARE = 0.05
_BATCHES_AVERAGED = 100
_SOME_FRAMES = 16


@dataclass(frozen=True)
class TinySettings:
    """How a detector is trained.

    Attributes:
        train: COCO folder of training frames.
        validation: COCO folder of validation frames, made with another seed.
        frames: how many training frames to use; 0 is all.
        validation_frames: how many validation frames are scored an epoch; 0 is all.
        epochs: passes over the frames.
        frames_per_batch: frames whose patches make a step.
        patches_per_frame: patches that a frame gives an epoch.
        patch_px: side of a patch.
        device_share: part of the patches around a device, where there is one.
        learning_rate: greatest rate; it rises over a twentieth of the steps and falls as a cosine.
        weight_decay: of AdamW.
        average_decay: decay a step of the averaged weights that are validated and exported.
        settled_share: last part of the steps in which batch normalisation takes its averages, as
            the exported network does; patches with an edge of metal or of a blade differ so much
            from others that those of a batch do not stand for all.
        box_weight: weight of the boxes' loss against that of the centres.
        mask_weight: weight of the masks' loss.
        bfloat16: train in mixed precision: faster on processors with matrix tiles (AMX), ten times
            slower on those without bfloat16 arithmetic.
        workers: loader processes.
        threads: torch threads.
        seed: seed of weights, order and randomization.
        start_from: checkpoint whose averaged weights to start from, or a model file, such as the
            shipped one; empty for none.
        widths: channels of the network at 1/2, 1/4, 1/8 and 1/16 of the input size; multiples of
            16 are what convolutions on processors are fastest with.
    """

    train: str = 'data/tiny/train'
    validation: str = 'data/tiny/val'
    frames: int = 0
    validation_frames: int = 40
    epochs: int = 28
    frames_per_batch: int = 8
    patches_per_frame: int = 3
    patch_px: int = 128
    device_share: float = 0.5
    learning_rate: float = 3e-3
    weight_decay: float = 1e-3
    average_decay: float = 0.998
    settled_share: float = 0.3
    box_weight: float = 1.0
    mask_weight: float = 0.25
    bfloat16: bool = False
    workers: int = 1
    threads: int = 2
    seed: int = 0
    start_from: str = ''
    widths: tuple[int, ...] = WIDTHS

    def __post_init__(self):
        counts = (self.epochs, self.frames_per_batch, self.patches_per_frame, self.threads)
        if min(counts) < 1 or self.workers < 0:
            raise ValueError('epochs, batches, patches and threads must be positive, workers >= 0')
        if self.patch_px % 16 or self.patch_px < 32:
            raise ValueError(
                f'patch_px must be a multiple of 16, at least 32, got {self.patch_px}'
            )
        if len(self.widths) != len(WIDTHS) or min(self.widths) < 1:
            raise ValueError(f'widths must be {len(WIDTHS)} positive numbers, got {self.widths}')
        for name in ('device_share', 'settled_share'):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f'{name} must be 0..1, got {getattr(self, name):g}')


class TinyTraining(TinyRun):
    """Training of a detector in a folder.

    Args:
        settings: how to train.
        root: folder of the run.
        resume: continue from the folder's checkpoint.

    Raises:
        FileNotFoundError: nothing to resume, or no data.
    """

    losses = ('centre_loss', 'box_loss', 'mask_loss')

    def __init__(self, settings: TinySettings, root: str | Path, resume: bool = False) -> None:
        self.settings = settings
        torch.set_num_threads(settings.threads)
        torch.manual_seed(settings.seed)
        self._patches = PatchSet(
            settings.train,
            settings.patches_per_frame,
            settings.patch_px,
            settings.device_share,
            settings.seed,
            settings.frames,
        )
        folder = self._patches.folder
        self.metadata = DetectorMetadata(
            '1', folder.images[0]['pixel_pitch_mm'], folder.classes, STRIDE
        )
        network = DetectorNetwork(len(folder.classes), settings.widths)
        if settings.start_from:
            kinds = [DetectorNetwork(len(folder.classes), settings.widths)]
            network.load_state_dict(
                start_weights_of(settings.start_from, kinds, self._some_patches, more=True)
            )
        for layer in _normalisations(network):
            layer.momentum = 1 / _BATCHES_AVERAGED
        super().__init__(network, root, settings, resume)
        self._rate = CosineRate(settings.learning_rate, self.steps, _WARMUP_SHARE)

    def _some_patches(self) -> Tensor:
        rows = range(min(_SOME_FRAMES, len(self._patches)))
        return torch.cat([self._patches[0, row][0] for row in rows])

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in an epoch."""
        return max(len(self._patches) // self.settings.frames_per_batch, 1)

    def _loader(self) -> DataLoader:
        settings = self.settings
        return DataLoader(
            self._patches,
            min(settings.frames_per_batch, len(self._patches)),
            sampler=EpochOrder(len(self._patches), settings.seed, self.state.epoch),
            num_workers=settings.workers,
            drop_last=True,
        )

    def _learn(self, batch: list[Tensor]) -> tuple[float, ...]:
        """Take one optimizer step and return its losses of centres, boxes and masks."""
        image, centres, boxes, mask = (part.flatten(0, 1) for part in batch)
        self._set_mode()
        with torch.autocast('cpu', torch.bfloat16, enabled=self.settings.bfloat16):
            outputs = self.state.network(image.to(memory_format=torch.channels_last))
        found, placed, logits = (part.float() for part in outputs)
        losses = (
            centre_loss(found, centres),
            self.settings.box_weight * box_loss(placed, boxes),
            self.settings.mask_weight * mask_loss(logits, mask, _TYPICAL_AREA_PX),
        )
        self.state.descend(torch.stack(losses).sum(), self._rate.at(self.state.step))
        return tuple(float(loss.item()) for loss in losses)

    def _set_mode(self) -> None:
        """Train the layers; those of normalisation not any more in the last part of the steps."""
        network, settings = self.state.network.train(), self.settings
        if self.state.step >= (1 - settings.settled_share) * self.steps:
            for layer in _normalisations(network):
                layer.eval()

    def _write(self, path: Path) -> None:
        write_graph(ExportedDetector(self.state.average).eval(), self.metadata, path, True)

    def _about(self) -> dict[str, Any]:
        return {
            'settings': as_plain(self.settings),
            'train_data': self._patches.folder.info,
            'train_frames': len(self._patches),
            'validation_data': self._validation.info,
        }


def _normalisations(network: nn.Module) -> list[nn.BatchNorm2d]:
    return [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
