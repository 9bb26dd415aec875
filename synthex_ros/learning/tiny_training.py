"""Training of the detector of tiny devices on patches: resumable, with averaged weights."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from synthex_ros import __version__
from synthex_ros.evaluation.detection_scores import Found, truths_of
from synthex_ros.learning.batches import EpochOrder
from synthex_ros.learning.coco import CocoFolder
from synthex_ros.learning.export import LICENCE, write_graph
from synthex_ros.learning.losses import mask_loss
from synthex_ros.learning.networks.detector import STRIDE, DetectorNetwork, ExportedDetector
from synthex_ros.learning.patches import PatchSet
from synthex_ros.learning.training import load_checkpoint
from synthex_ros.settings import as_plain
from synthex_ros.tracking.detector import DetectorMetadata, DetectorModel

_CENTRE_POWER, _AWAY_POWER = 2.0, 4.0


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
        box_weight: weight of the boxes' loss against that of the centres.
        mask_weight: weight of the masks' loss.
        workers: loader processes.
        threads: torch threads.
        seed: seed of weights, order and randomization.
    """

    train: str = 'data/tiny/train'
    validation: str = 'data/tiny/val'
    frames: int = 0
    validation_frames: int = 100
    epochs: int = 12
    frames_per_batch: int = 4
    patches_per_frame: int = 8
    patch_px: int = 128
    device_share: float = 0.75
    learning_rate: float = 2e-3
    weight_decay: float = 1e-3
    average_decay: float = 0.998
    box_weight: float = 0.5
    mask_weight: float = 0.5
    workers: int = 1
    threads: int = 2
    seed: int = 0

    def __post_init__(self):
        counts = (self.epochs, self.frames_per_batch, self.patches_per_frame, self.threads)
        if min(counts) < 1 or self.workers < 0:
            raise ValueError('epochs, batches, patches and threads must be positive, workers >= 0')
        if self.patch_px % 16 or self.patch_px < 32:
            raise ValueError(
                f'patch_px must be a multiple of 16, at least 32, got {self.patch_px}'
            )
        if not 0 <= self.device_share <= 1:
            raise ValueError(f'device_share must be 0..1, got {self.device_share:g}')


def centre_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Return the focal loss of centre maps, a scalar; 0 is perfect.

    Cells near a centre count less as background (CornerNet, Law and Deng, ECCV 2018).

    Args:
        logits: shape (N, K, h, w).
        target: Gaussians with 1 at the centres' cells, same shape.
    """
    probability = torch.sigmoid(logits)
    here = (target == 1).to(logits.dtype)
    seen = functional.logsigmoid(logits) * (1 - probability) ** _CENTRE_POWER * here
    away = (1 - target) ** _AWAY_POWER * (1 - here)
    missed = functional.logsigmoid(-logits) * probability**_CENTRE_POWER * away
    return -(seen + missed).sum() / here.sum().clamp(min=1)


def box_loss(boxes: Tensor, target: Tensor) -> Tensor:
    """Return the mean absolute error of boxes (N, 4, h, w) where the fifth target map is 1."""
    here = target[:, 4:]
    return ((boxes - target[:, :4]).abs() * here).sum() / here.sum().clamp(min=1)


class TinyTraining:
    """One training run in a folder: checkpoint.pt after every epoch, best.pt, history.jsonl.

    Args:
        settings: how to train.
        root: folder of the run.
        resume: continue from the folder's checkpoint.

    Raises:
        FileNotFoundError: nothing to resume, or no data.
    """

    def __init__(self, settings: TinySettings, root: str | Path, resume: bool = False) -> None:
        self.settings, self.root = settings, Path(root)
        self.root.mkdir(parents=True, exist_ok=True)
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
        self._validation = CocoFolder(settings.validation)
        folder = self._patches.folder
        self.metadata = DetectorMetadata(
            '1', folder.images[0]['pixel_pitch_mm'], folder.classes, STRIDE
        )
        self.network = DetectorNetwork(len(folder.classes))
        self.average = copy.deepcopy(self.network).eval()
        self._optimizer = torch.optim.AdamW(
            self.network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.epoch, self._step, self.seconds, self._best = 0, 0, 0.0, -math.inf
        if resume:
            self._load()

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in an epoch."""
        return max(len(self._patches) // self.settings.frames_per_batch, 1)

    def run(
        self,
        progress: Callable[[int, int, float], None] = lambda *_: None,
        report: Callable[[dict[str, Any]], None] = lambda _: None,
    ) -> None:
        """Train to the last epoch.

        Args:
            progress: called with (epoch, step, loss) every step.
            report: called with the numbers of every finished epoch.
        """
        while self.epoch < self.settings.epochs:
            started, losses = time.monotonic(), []
            for step, batch in enumerate(self._loader(), start=1):
                losses.append(self._learn(batch))
                progress(self.epoch, step, losses[-1])
            self.epoch += 1
            self.seconds += time.monotonic() - started
            record = {
                'epoch': self.epoch,
                'loss': sum(losses) / len(losses),
                'seconds': round(self.seconds, 1),
                **self.validate(),
            }
            self._save(record)
            report(record)

    def _loader(self) -> DataLoader:
        settings = self.settings
        return DataLoader(
            self._patches,
            min(settings.frames_per_batch, len(self._patches)),
            sampler=EpochOrder(len(self._patches), settings.seed, self.epoch),
            num_workers=settings.workers,
            drop_last=True,
        )

    def _learn(self, batch: list[Tensor]) -> float:
        """Take one optimizer step and return its loss."""
        image, centres, boxes, mask = (part.flatten(0, 1) for part in batch)
        self.network.train()
        for group in self._optimizer.param_groups:
            group['lr'] = self._learning_rate()
        found, placed, logits = self.network(image)
        loss = (
            centre_loss(found, centres)
            + self.settings.box_weight * box_loss(placed, boxes)
            + self.settings.mask_weight * mask_loss(logits, mask)
        )
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self._optimizer.step()
        self._step += 1
        self._mean()
        return float(loss.item())

    def _learning_rate(self) -> float:
        total = self.steps_per_epoch * self.settings.epochs
        warm = max(total / 20, 1)
        if self._step < warm:
            return self.settings.learning_rate * (self._step + 1) / warm
        done = (self._step - warm) / max(total - warm, 1)
        return self.settings.learning_rate * (0.005 + 0.995 * 0.5 * (1 + math.cos(math.pi * done)))

    def _mean(self) -> None:
        decay = min(self.settings.average_decay, (1 + self._step) / (10 + self._step))
        with torch.no_grad():
            mean, now = self.average.state_dict(), self.network.state_dict()
            for name, value in mean.items():
                if value.is_floating_point():
                    value.lerp_(now[name], 1 - decay)
                else:
                    value.copy_(now[name])

    def validate(self) -> dict[str, Any]:
        """Return AP50 and centre error of the averaged weights, used as the tracker would."""
        path = self.root / 'epoch.onnx'
        write_graph(ExportedDetector(self.average).eval(), self.metadata, path, True)
        limit = self.settings.validation_frames or len(self._validation.images)
        found = score_detector(DetectorModel(path, self.settings.threads), self._validation, limit)
        return {'detection': found.by_contrast(), 'false_alarms': found.false_alarms_per_frame}

    def _save(self, record: dict[str, Any]) -> None:
        record = json.loads(json.dumps(record))
        quality = record['detection']['all']['ap50']
        better = quality > self._best or not math.isfinite(self._best)
        self._best = max(quality, self._best)
        state = {
            'settings': as_plain(self.settings),
            'network': self.network.state_dict(),
            'average': self.average.state_dict(),
            'optimizer': self._optimizer.state_dict(),
            'epoch': self.epoch,
            'step': self._step,
            'seconds': self.seconds,
            'best': self._best,
            'validation': record,
            'train_data': self._patches.folder.info,
            'train_frames': len(self._patches),
        }
        with (self.root / 'history.jsonl').open('a', encoding='utf-8') as file:
            file.write(json.dumps(record) + '\n')
        for name in ('checkpoint.pt', 'best.pt')[: 1 + better]:
            torch.save(state, self.root / 'part')
            (self.root / 'part').replace(self.root / name)

    def _load(self) -> None:
        state = load_checkpoint(self.root / 'checkpoint.pt')
        self.network.load_state_dict(state['network'])
        self.average.load_state_dict(state['average'])
        self._optimizer.load_state_dict(state['optimizer'])
        self.epoch, self._step = state['epoch'], state['step']
        self.seconds, self._best = state['seconds'], state['best']


def score_detector(model: DetectorModel, folder: CocoFolder, limit: int) -> Found:
    """Return what a detector finds in the first frames of a folder."""
    names, found = folder.classes[1:], Found()
    for row in range(min(limit, len(folder.images))):
        truths = truths_of(folder.images[row], folder.annotations(row), names)
        found.add(model.detect(folder.counts(row), min_score=0.05), truths)
    return found


def export_detector(checkpoint: str | Path, path: str | Path) -> DetectorMetadata:
    """Write the ONNX file of a training run; return its metadata.

    Raises:
        FileNotFoundError: no such checkpoint.
    """
    state = load_checkpoint(checkpoint)
    folder = CocoFolder(state['settings']['train'])
    network = DetectorNetwork(len(folder.classes))
    network.load_state_dict(state['average'])
    metadata = DetectorMetadata(
        '1',
        folder.images[0]['pixel_pitch_mm'],
        folder.classes,
        STRIDE,
        training={
            'epochs': state['epoch'],
            'frames': state['train_frames'],
            'seconds': round(state['seconds']),
            'settings': state['settings'],
            'validation': state['validation'],
            'software': f'synthex_ros {__version__}, torch {torch.__version__}',
        },
        licence=LICENCE,
    )
    write_graph(ExportedDetector(network).eval(), metadata, Path(path), True)
    DetectorModel(path)
    return metadata
