"""Training of the tracker network on the CPU: resumable, with averaged weights."""

from __future__ import annotations

import copy
import itertools
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from synthex_ros.learning.batches import RandomizedFrames, epoch_loader
from synthex_ros.learning.dataset import FrameSet, training_sets
from synthex_ros.learning.geometry_transforms import Placement
from synthex_ros.learning.losses import heatmap_loss, mask_loss
from synthex_ros.learning.measure import score_frames, summarise
from synthex_ros.learning.networks.exported import ExportedNetwork
from synthex_ros.learning.networks.registry import (
    HEATMAP_STRIDE,
    LANDMARK_NETWORKS,
    build_network,
)
from synthex_ros.learning.randomization import Randomization
from synthex_ros.settings import as_plain
from synthex_ros.tracking.metadata import ModelMetadata
from synthex_ros.tracking.model import Prediction, normalise


@dataclass(frozen=True)
class TrainingSettings:
    """How a network is trained.

    Attributes:
        train: folder of training frames.
        validation: folder of validation frames, made with another seed; empty keeps the last
            tenth of the training frames.
        frames: how many training frames to use; 0 is all.
        epochs: passes over the frames.
        batch_size: crops a step.
        learning_rate: greatest rate; it rises over the first steps and falls as a cosine.
        warmup_share: part of all steps in which the rate rises.
        weight_decay: of AdamW.
        average_decay: decay a step of the averaged weights that are validated and exported.
        heatmap_weight: weight of the landmark loss against the mask loss.
        heatmap_sigma_px: deviation of a landmark's Gaussian [input px].
        crop_px: side of training crops [px]; the exported network takes whole frames.
        strong_probability: chance of strong randomization.
        superpose_probability: chance that a frame without device is put behind another.
        bfloat16: train in mixed precision; only faster on processors with bfloat16 arithmetic.
        workers: loader processes.
        threads: torch threads.
        seed: seed of weights, order and randomization.
        start_from: checkpoint whose averaged weights to start from, to train on; empty for none.
        network: which network; see `synthex_ros.learning.networks.registry`.
    """

    train: str = 'data/cm/train'
    validation: str = 'data/cm/val'
    frames: int = 0
    epochs: int = 16
    batch_size: int = 16
    learning_rate: float = 3e-3
    warmup_share: float = 0.1
    weight_decay: float = 1e-3
    average_decay: float = 0.998
    heatmap_weight: float = 2.0
    heatmap_sigma_px: float = 7.0
    crop_px: int = 256
    strong_probability: float = 0.3
    superpose_probability: float = 0.3
    bfloat16: bool = False
    workers: int = 1
    threads: int = 2
    seed: int = 0
    start_from: str = ''
    network: str = 'compact'

    def __post_init__(self):
        if min(self.epochs, self.batch_size, self.threads) < 1 or self.workers < 0:
            raise ValueError('epochs, batch_size and threads must be positive, workers >= 0')
        if self.crop_px % 32 or self.crop_px < 64:
            raise ValueError(f'crop_px must be a multiple of 32, at least 64, got {self.crop_px}')
        if not 0 < self.average_decay < 1:
            raise ValueError(f'average_decay must be in (0, 1), got {self.average_decay}')
        if self.network not in LANDMARK_NETWORKS:
            raise ValueError(f'network must be one of {LANDMARK_NETWORKS}, got {self.network!r}')


class Training:
    """One training run in a folder: checkpoint.pt after every epoch, best.pt, history.jsonl.

    Args:
        settings: how to train.
        root: folder of the run.
        resume: continue from the folder's checkpoint.

    Raises:
        FileNotFoundError: nothing to resume, or no data.
    """

    def __init__(self, settings: TrainingSettings, root: str | Path, resume: bool = False) -> None:
        self.settings, self.root = settings, Path(root)
        self.root.mkdir(parents=True, exist_ok=True)
        torch.set_num_threads(settings.threads)
        torch.manual_seed(settings.seed)
        self._frames, self._validation = training_sets(
            settings.train, settings.validation, settings.frames
        )
        self.metadata = make_metadata(settings)
        network = build_network(
            settings.network, len(self.metadata.landmarks), len(self.metadata.classes)
        )
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if settings.start_from:
            self.network.load_state_dict(load_checkpoint(settings.start_from)['average'])
        self.average = copy.deepcopy(self.network).eval()
        self._optimizer = torch.optim.AdamW(
            self.network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.epoch, self._step, self.seconds, self._best = 0, 0, 0.0, math.inf
        if resume:
            self._load()

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in an epoch."""
        return len(self._frames) // self.settings.batch_size

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
        randomization = Randomization(
            Placement(self.settings.crop_px),
            strong_probability=self.settings.strong_probability,
            superpose_probability=self.settings.superpose_probability,
        )
        crops = RandomizedFrames(
            self._frames, randomization, self.settings.seed, self.settings.heatmap_sigma_px
        )
        while self.epoch < self.settings.epochs:
            started = time.monotonic()
            losses = self._train_epoch(crops, progress)
            self.epoch += 1
            record = {'epoch': self.epoch, 'mask_loss': losses[0], 'heatmap_loss': losses[1]}
            record |= self.validate()
            self.seconds += time.monotonic() - started
            record['seconds'] = round(self.seconds, 1)
            self._save(record)
            report(record)

    def _train_epoch(
        self, crops: RandomizedFrames, progress: Callable[[int, int, float], None]
    ) -> tuple[float, float]:
        settings, sums = self.settings, np.zeros(2)
        self.network.train()
        loader = epoch_loader(
            crops, settings.seed, self.epoch, settings.batch_size, settings.workers
        )
        for index, batch in enumerate(loader):
            losses = self._train_step(*batch)
            sums += losses
            progress(self.epoch, index + 1, sum(losses))
        return sums[0] / len(loader), sums[1] / len(loader)

    def _train_step(
        self, image: torch.Tensor, mask: torch.Tensor, target: torch.Tensor
    ) -> tuple[float, float]:
        settings = self.settings
        for group in self._optimizer.param_groups:
            group['lr'] = self._learning_rate()
        image = image.to(memory_format=torch.channels_last)
        with torch.autocast('cpu', torch.bfloat16, enabled=settings.bfloat16):
            logits, heatmaps, *_ = self.network(image)
        first = mask_loss(logits.float(), mask)
        sigma = settings.heatmap_sigma_px / HEATMAP_STRIDE
        second = heatmap_loss(heatmaps.float(), target, sigma)
        self._optimizer.zero_grad(set_to_none=True)
        (first + settings.heatmap_weight * second).backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self._optimizer.step()
        self._step += 1
        self._average()
        return first.item(), second.item()

    def _learning_rate(self) -> float:
        total = max(self.steps_per_epoch * self.settings.epochs, 1)
        warm = max(self.settings.warmup_share * total, 1)
        if self._step < warm:
            return self.settings.learning_rate * (self._step + 1) / warm
        done = (self._step - warm) / max(total - warm, 1)
        return self.settings.learning_rate * (0.005 + 0.995 * 0.5 * (1 + math.cos(math.pi * done)))

    def _average(self) -> None:
        """Move the averaged weights; early on faster, so that they forget the start."""
        decay = min(self.settings.average_decay, (1 + self._step) / (10 + self._step))
        with torch.no_grad():
            mean, now = self.average.state_dict(), self.network.state_dict()
            for name, value in mean.items():
                if value.is_floating_point():
                    value.lerp_(now[name], 1 - decay)
                else:
                    value.copy_(now[name])

    def validate(self) -> dict[str, Any]:
        """Return the validation numbers of the averaged weights, decoded as the tracker does."""
        infer = predictor(self.average)
        scores = score_frames(infer, self.metadata, self._validation)
        return summarise(scores, self.metadata.pixel_pitch_mm).plain()

    def _save(self, record: dict[str, Any]) -> None:
        record = json.loads(json.dumps(record))  # plain numbers: checkpoints hold no code
        # The mean of a few hundred frames hangs on one or two that are lost; the median does not.
        loss = record['landmark_error_median_mm'] + (1 - record['dice_mean'])
        better = loss < self._best
        if better:
            self._best = loss
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
            'train_data': self._frames.info,
            'train_frames': len(self._frames),
            'validation_data': self._validation.info,
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


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Return a checkpoint.

    Raises:
        FileNotFoundError: there is none.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'no checkpoint {path}; run `synthex train` first')
    return torch.load(path, map_location='cpu', weights_only=True)


def make_metadata(settings: TrainingSettings) -> ModelMetadata:
    """Return the metadata of the network that these settings train on their data.

    Raises:
        FileNotFoundError: no training data.
        ValueError: its images have no pixel pitch.
    """
    frames = FrameSet(settings.train)
    first = frames.image(0)
    if 'pixel_pitch_mm' not in first:
        raise ValueError(f'{settings.train}: images need pixel_pitch_mm to train a tracker')
    return ModelMetadata(
        version='1',
        input_name='image',
        input_shape=(1, 1, int(first['height']), int(first['width'])),
        pixel_pitch_mm=first['pixel_pitch_mm'],
        mask_name='mask',
        heatmaps_name='heatmaps',
        classes=frames.classes,
        landmarks=frames.landmark_names,
        heatmap_sigma_px=settings.heatmap_sigma_px,
        heatmap_stride=HEATMAP_STRIDE,
        mask_stride=1,
        max_separation_px=_separation_px(frames),
    )


def _separation_px(frames: FrameSet) -> float | None:
    """Return the greatest distance of two visible landmarks of a frame, and a tenth more [px]."""
    greatest = 0.0
    for row in range(len(frames)):
        seen = [(u, v) for u, v, visible in frames.landmarks(row) if visible]
        greatest = max([greatest, *(math.dist(a, b) for a, b in itertools.combinations(seen, 2))])
    return round(1.1 * greatest, 1) or None


def predictor(network: nn.Module) -> Callable[[np.ndarray], Prediction]:
    """Return a function from detector counts to the network's prediction, as the tracker's."""
    exported = ExportedNetwork(network).eval()

    def infer(counts: np.ndarray) -> Prediction:
        with torch.inference_mode():
            classes, heatmaps, *_ = exported(torch.from_numpy(normalise(counts))[None, None])
        return Prediction(classes[0].numpy(), heatmaps[0].numpy())

    return infer
