"""Training of the second look at a detector's candidates: resumable, with averaged weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader

from synthex_ros.learning.batches import EpochOrder
from synthex_ros.learning.candidates import Candidates, CandidateSet, collect
from synthex_ros.learning.coco import CocoFolder
from synthex_ros.learning.networks.second_look import SecondLook
from synthex_ros.learning.run_state import CosineRate, load_checkpoint
from synthex_ros.learning.tiny_losses import each_box_loss
from synthex_ros.learning.tiny_run import TinyRun
from synthex_ros.learning.two_looks import first_look_of, write_two_looks
from synthex_ros.settings import as_plain
from synthex_ros.tracking.detector import DetectorModel

_WARMUP_SHARE = 0.05
_CANDIDATES = 'candidates.npz'


@dataclass(frozen=True)
class SecondLookSettings:
    """How a second look is trained.

    Attributes:
        detector: what gives the candidates: a model file, or best.pt of `synthex tiny train`.
        train: COCO folder of training frames, those of the detector or others.
        validation: COCO folder of validation frames, made with another seed.
        frames: how many training frames to use; 0 is all.
        validation_frames: how many validation frames are scored an epoch; 0 is all.
        others: candidates of a frame that are no devices and are kept.
        epochs: passes over the candidates.
        batch_size: candidates of a step.
        learning_rate: greatest rate; it rises over a twentieth of the steps and falls as a cosine.
        weight_decay: of AdamW.
        average_decay: decay a step of the averaged weights that are validated and exported.
        box_weight: weight of the boxes' loss against that of the classes.
        fading_share: part of the candidates that are faded, see `CandidateSet`.
        repeats: how often a device comes in an epoch.
        bfloat16: train in mixed precision: faster on processors with matrix tiles (AMX), slower on
            those without bfloat16 arithmetic.
        workers: loader processes.
        threads: torch threads.
        seed: seed of weights, candidates, order and randomization.
        start_from: checkpoint of another such training to start from; empty for none.
    """

    detector: str = 'runs/tiny/best.pt'
    train: str = 'data/tiny/train'
    validation: str = 'data/tiny/val'
    frames: int = 0
    validation_frames: int = 100
    others: int = 12
    epochs: int = 24
    batch_size: int = 128
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    average_decay: float = 0.999
    box_weight: float = 1.0
    fading_share: float = 0.5
    repeats: int = 3
    bfloat16: bool = False
    workers: int = 1
    threads: int = 2
    seed: int = 0
    start_from: str = ''

    def __post_init__(self):
        counts = (self.epochs, self.batch_size, self.repeats, self.threads)
        if min(counts) < 1 or self.workers < 0:
            raise ValueError(
                'epochs, batch_size, repeats and threads must be positive, workers >= 0'
            )
        if not 0 <= self.fading_share <= 1:
            raise ValueError(f'fading_share must be 0..1, got {self.fading_share:g}')
        if self.others < 2:
            raise ValueError(f'others must be at least 2, got {self.others}')


class SecondLookTraining(TinyRun):
    """Training of a second look in a folder.

    The candidates are collected at first, into candidates.npz of the folder, from which a run is
    resumed.

    Args:
        settings: how to train.
        root: folder of the run.
        resume: continue from the folder's checkpoint.
        collecting: called with the number of frames whose candidates have been collected.

    Raises:
        FileNotFoundError: nothing to resume, no detector, or no data.
        ModelMismatch: the detector is none.
    """

    losses = ('kind_loss', 'box_loss')

    def __init__(
        self,
        settings: SecondLookSettings,
        root: str | Path,
        resume: bool = False,
        collecting: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.settings = settings
        torch.set_num_threads(settings.threads)
        torch.manual_seed(settings.seed)
        self._folder = CocoFolder(settings.train)
        self._first = first_look_of(settings.detector, self._folder)
        network = SecondLook(len(self._first.metadata.classes))
        if settings.start_from:
            network.load_state_dict(load_checkpoint(settings.start_from)['average'])
        super().__init__(network, root, settings, resume)
        candidates = self._candidates(resume, collecting)
        self._examples = CandidateSet(
            candidates, settings.seed, settings.fading_share, settings.repeats
        )
        self._rate = CosineRate(settings.learning_rate, self.steps, _WARMUP_SHARE)

    def _candidates(self, again: bool, collecting: Callable[[int], None]) -> Candidates:
        path = self.state.root / _CANDIDATES
        if again and path.is_file():
            return Candidates.load(path)
        settings = self.settings
        alone = self._first.write(self.state.root / 'first.onnx')
        model = DetectorModel(alone, settings.threads)
        found = collect(
            model, self._folder, settings.frames, settings.others, settings.seed, collecting
        )
        found.save(path)
        return found

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in an epoch."""
        return max(len(self._examples) // self.settings.batch_size, 1)

    def _loader(self) -> DataLoader:
        settings = self.settings
        return DataLoader(
            self._examples,
            min(settings.batch_size, len(self._examples)),
            sampler=EpochOrder(len(self._examples), settings.seed, self.state.epoch),
            num_workers=settings.workers,
            drop_last=True,
        )

    def _learn(self, batch: list[Tensor]) -> tuple[float, ...]:
        """Take one optimizer step and return its losses of classes and boxes."""
        pictures, kinds, boxes, weights = batch
        network = self.state.network.train()
        with torch.autocast('cpu', torch.bfloat16, enabled=self.settings.bfloat16):
            outputs = network(pictures.to(memory_format=torch.channels_last))
        logits, placed = (part.float() for part in outputs)
        each = functional.cross_entropy(logits, kinds, reduction='none')
        shown = kinds > 0
        losses = (
            (each * weights).sum() / weights.sum(),
            self.settings.box_weight * _mean(each_box_loss(placed[shown], boxes[shown])),
        )
        self.state.descend(torch.stack(losses).sum(), self._rate.at(self.state.step))
        return tuple(float(loss.item()) for loss in losses)

    def _write(self, path: Path) -> None:
        write_two_looks(self._first, self.state.average, path)

    def _about(self) -> dict[str, Any]:
        return {
            'settings': as_plain(self.settings),
            'first': self._first.state(),
            'train_data': self._folder.info,
            'train_frames': self.settings.frames or len(self._folder.images),
            'validation_data': self._validation.info,
        }


def _mean(values: Tensor) -> Tensor:
    return values.sum() / max(len(values), 1)
