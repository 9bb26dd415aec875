"""Epochs of a training that is validated by how well its model file finds tiny devices."""

from __future__ import annotations

import json
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar, Protocol

from torch import Tensor, nn

from synthex_ros.learning.coco import CocoFolder
from synthex_ros.learning.run_state import RunState
from synthex_ros.learning.tiny_scores import coco_ap50, detect_all, found_in
from synthex_ros.tracking.detector import DetectorModel


class RunSettings(Protocol):
    """What the settings of both trainings say of a run."""

    @property
    def validation(self) -> str:
        """Folder of the frames that it is scored on."""

    @property
    def validation_frames(self) -> int:
        """How many of them; 0 is all."""

    @property
    def epochs(self) -> int:
        """Epochs to train."""

    @property
    def learning_rate(self) -> float:
        """Greatest rate."""

    @property
    def weight_decay(self) -> float:
        """Of AdamW."""

    @property
    def average_decay(self) -> float:
        """Decay a step of the averaged weights."""

    @property
    def threads(self) -> int:
        """Threads of torch and of the model that is scored."""


class TinyRun(ABC):
    """A training run in a folder: checkpoint.pt after every epoch, best.pt, history.jsonl.

    Args:
        network: to train, with its first weights.
        root: folder of the run.
        settings: of the run.
        resume: continue from the folder's checkpoint.

    Attributes:
        state: what it keeps from step to step.
    """

    losses: ClassVar[tuple[str, ...]]
    """Names of the parts of the loss."""

    def __init__(
        self, network: nn.Module, root: str | Path, settings: RunSettings, resume: bool
    ) -> None:
        self.state = RunState(
            network, root, settings.learning_rate, settings.weight_decay, settings.average_decay
        )
        self._validation = CocoFolder(settings.validation)
        self._limit = settings.validation_frames or len(self._validation.images)
        self._epochs, self._threads = settings.epochs, settings.threads
        if resume:
            self.state.resume()

    @property
    @abstractmethod
    def steps_per_epoch(self) -> int:
        """Optimizer steps in an epoch."""

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole run."""
        return self._epochs * self.steps_per_epoch

    @abstractmethod
    def _loader(self) -> Iterable[list[Tensor]]:
        """Return the batches of the epoch that comes."""

    @abstractmethod
    def _learn(self, batch: list[Tensor]) -> tuple[float, ...]:
        """Take one optimizer step and return the parts of its loss."""

    @abstractmethod
    def _write(self, path: Path) -> None:
        """Write the model file of the averaged weights."""

    @abstractmethod
    def _about(self) -> dict[str, Any]:
        """Return settings and data of the run, plain, for its checkpoints."""

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
        state = self.state
        while state.epoch < self._epochs:
            started, losses = time.monotonic(), []
            for step, batch in enumerate(self._loader(), start=1):
                losses.append(self._learn(batch))
                progress(state.epoch, step, sum(losses[-1]))
            state.epoch += 1
            means = (sum(part) / len(losses) for part in zip(*losses, strict=True))
            record = {'epoch': state.epoch, **dict(zip(self.losses, means, strict=True))}
            record |= self.validate()
            state.seconds += time.monotonic() - started
            record['seconds'] = round(state.seconds, 1)
            self._save(record)
            report(record)

    def validate(self) -> dict[str, Any]:
        """Return AP50 and centre error of the averaged weights, used as the tracker would."""
        path = self.state.root / 'epoch.onnx'
        self._write(path)
        model = DetectorModel(path, self._threads)
        detections = detect_all(model, self._validation, self._limit)
        found = found_in(self._validation, detections)
        return {
            'ap50': coco_ap50(self._validation, detections),
            'ap50_classless': coco_ap50(self._validation, detections, classless=True),
            'detection': found.by_contrast(),
            'false_alarms': found.false_alarms_per_frame,
        }

    def _save(self, record: dict[str, Any]) -> None:
        record = json.loads(json.dumps(record))  # plain numbers: checkpoints hold no code
        missing = 1 - record['ap50'] if math.isfinite(record['ap50']) else 1.0
        better = missing < self.state.best
        self.state.best = min(missing, self.state.best)
        self.state.save(record, better, self._about())
