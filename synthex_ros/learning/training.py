"""Training of the tracker network on the CPU: resumable, with averaged weights."""

from __future__ import annotations

import itertools
import json
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from synthex_ros.learning.batches import RandomizedFrames, epoch_loader
from synthex_ros.learning.dataset import FrameSet, check_disjoint, training_sets
from synthex_ros.learning.geometry_transforms import Placement, WholeFrame
from synthex_ros.learning.joined_frames import JoinedFrames
from synthex_ros.learning.losses import (
    heatmap_loss,
    mask_loss,
    overlapping_mask_loss,
    position_loss,
)
from synthex_ros.learning.measure import score_frames, summarise
from synthex_ros.learning.networks.exported import ExportedNetwork
from synthex_ros.learning.networks.registry import (
    HEATMAP_STRIDE,
    LANDMARK_NETWORKS,
    build_network,
)
from synthex_ros.learning.randomization import Randomization
from synthex_ros.learning.run_state import CosineRate, RunState, steps_of
from synthex_ros.learning.tracker_start import start_tracker
from synthex_ros.settings import as_plain
from synthex_ros.tracking.metadata import ModelMetadata
from synthex_ros.tracking.model import Prediction, normalise

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingSettings:
    """How a network is trained.

    Attributes:
        train: folder of training frames.
        also_train: more folders of them, with the same labels.
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
        position_weight: weight of a landmark's distance [cells of 4 px] against the mask loss.
        crop_px: side of training crops [px]; the exported network takes whole frames.
        strong_probability: chance of strong randomization.
        superpose_probability: chance that a frame without device is put behind another.
        bfloat16: train in mixed precision: faster on processors with matrix tiles (AMX), ten times
            slower on those without bfloat16 arithmetic.
        workers: loader processes.
        threads: torch threads.
        seed: seed of weights, order and randomization.
        start_from: checkpoint whose averaged weights to start from, or a model file that was
            exported, such as a shipped one, by its name; its landmarks and classes may be others
            (`tracker_start`); empty for none.
        network: which network; see `synthex_ros.learning.networks.registry`.
        whole_frames: train on whole frames, moved a little and never mirrored, instead of crops
            of any orientation: for anatomy, which has a left and right and needs its surroundings.
        overlapping: classes share pixels, as structures in a projection do; each is learnt by
            itself.
    """

    train: str = 'data/cm/train'
    also_train: tuple[str, ...] = ()
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
    position_weight: float = 0.0
    crop_px: int = 256
    strong_probability: float = 0.3
    superpose_probability: float = 0.3
    bfloat16: bool = False
    workers: int = 1
    threads: int = 2
    seed: int = 0
    start_from: str = ''
    network: str = 'compact'
    whole_frames: bool = False
    overlapping: bool = False

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
        ValueError: fewer frames than a batch, or training and validation share views.
    """

    def __init__(self, settings: TrainingSettings, root: str | Path, resume: bool = False) -> None:
        self.settings = settings
        torch.set_num_threads(settings.threads)
        torch.manual_seed(settings.seed)
        first, self._validation = training_sets(
            settings.train, settings.validation, settings.frames, settings.overlapping
        )
        more = [
            FrameSet(folder, kept=True, overlapping=settings.overlapping)
            for folder in settings.also_train
        ]
        for part in more:
            check_disjoint(part, self._validation)
        self._frames = JoinedFrames([first, *more])
        self.metadata = make_metadata(settings)
        network = build_network(
            settings.network, len(self.metadata.landmarks), len(self.metadata.classes)
        )
        self._crops = self._randomized()
        if settings.start_from:
            lacking = start_tracker(
                network, settings.start_from, lambda: next(iter(self._loader(0)))[0]
            )
            _log.info('all of %s but %s', settings.start_from, lacking or 'nothing')
        self._state = RunState(
            network, root, settings.learning_rate, settings.weight_decay, settings.average_decay
        )
        self._rate = CosineRate(
            settings.learning_rate, self.steps_per_epoch * settings.epochs, settings.warmup_share
        )
        if resume:
            self._state.resume()

    @property
    def network(self) -> nn.Module:
        """The network that learns."""
        return self._state.network

    @property
    def epoch(self) -> int:
        """Finished epochs."""
        return self._state.epoch

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in an epoch."""
        return steps_of(len(self._frames), self.settings.batch_size)

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
            started = time.monotonic()
            losses = self._train_epoch(progress)
            self._state.epoch += 1
            record = {'epoch': self.epoch, 'mask_loss': losses[0], 'heatmap_loss': losses[1]}
            record |= self.validate()
            self._state.seconds += time.monotonic() - started
            record['seconds'] = round(self._state.seconds, 1)
            self._save(record)
            report(record)

    def _randomized(self) -> RandomizedFrames:
        settings = self.settings
        placed = WholeFrame if settings.whole_frames else Placement
        randomization = Randomization(
            placed(settings.crop_px),
            strong_probability=settings.strong_probability,
            superpose_probability=settings.superpose_probability,
        )
        return RandomizedFrames(
            self._frames, randomization, settings.seed, settings.heatmap_sigma_px
        )

    def _loader(self, epoch: int) -> DataLoader:
        settings = self.settings
        return epoch_loader(
            self._crops, settings.seed, epoch, settings.batch_size, settings.workers
        )

    def _train_epoch(self, progress: Callable[[int, int, float], None]) -> tuple[float, float]:
        sums, loader = np.zeros(2), self._loader(self.epoch)
        self.network.train()
        for index, batch in enumerate(loader):
            losses = self._train_step(*batch)
            sums += losses
            progress(self.epoch, index + 1, sum(losses))
        return sums[0] / len(loader), sums[1] / len(loader)

    def _train_step(
        self, image: torch.Tensor, mask: torch.Tensor, target: torch.Tensor
    ) -> tuple[float, float]:
        settings = self.settings
        image = image.to(memory_format=torch.channels_last)
        with torch.autocast('cpu', torch.bfloat16, enabled=settings.bfloat16):
            logits, heatmaps, *_ = self.network(image)
        first = (overlapping_mask_loss if settings.overlapping else mask_loss)(
            logits.float(), mask
        )
        sigma = settings.heatmap_sigma_px / HEATMAP_STRIDE
        second = heatmap_loss(heatmaps.float(), target, sigma)
        loss = first + settings.heatmap_weight * second
        if settings.position_weight:
            away = position_loss(heatmaps.float(), target, sigma)
            loss = loss + settings.position_weight * away
        self._state.descend(loss, self._rate.at(self._state.step))
        return first.item(), second.item()

    def validate(self) -> dict[str, Any]:
        """Return the validation numbers of the averaged weights, decoded as the tracker does."""
        infer = predictor(self._state.average, self.settings.overlapping)
        scores = score_frames(infer, self.metadata, self._validation)
        return summarise(scores, self.metadata.pixel_pitch_mm).plain()

    def _save(self, record: dict[str, Any]) -> None:
        record = json.loads(json.dumps(record))  # plain numbers: checkpoints hold no code
        # The mean of a few hundred frames hangs on one or two that are lost; the median does not.
        loss = record['landmark_error_median_mm'] + (1 - record['dice_mean'])
        better = loss < self._state.best
        if better:
            self._state.best = loss
        about = {
            'settings': as_plain(self.settings),
            'train_data': self._frames.info,
            'train_frames': len(self._frames),
            'validation_data': self._validation.info,
        }
        self._state.save(record, better, about)


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
        overlapping=settings.overlapping,
    )


def _separation_px(frames: FrameSet) -> float | None:
    """Return the greatest distance of two visible landmarks of a frame, and a tenth more [px]."""
    greatest = 0.0
    for row in range(len(frames)):
        seen = [(u, v) for u, v, visible in frames.landmarks(row) if visible]
        greatest = max([greatest, *(math.dist(a, b) for a, b in itertools.combinations(seen, 2))])
    return round(1.1 * greatest, 1) or None


def predictor(network: nn.Module, overlapping: bool = False) -> Callable[[np.ndarray], Prediction]:
    """Return a function from detector counts to the network's prediction, as the tracker's.

    Args:
        network: maps normalised images to logits and heat maps.
        overlapping: its classes may share pixels.
    """
    exported = ExportedNetwork(network, overlapping).eval()

    def infer(counts: np.ndarray) -> Prediction:
        with torch.inference_mode():
            classes, heatmaps, *_ = exported(torch.from_numpy(normalise(counts))[None, None])
        return Prediction(classes[0].numpy(), heatmaps[0].numpy())

    return infer
