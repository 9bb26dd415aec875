"""Training of a closer look at the landmarks of a tracker: resumable, with averaged weights."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from synthex_ros.learning.closer_graph import closer_metadata
from synthex_ros.learning.closer_windows import Variation, Windows, collect_windows, looked_at
from synthex_ros.learning.dataset import FrameSet, check_disjoint
from synthex_ros.learning.joined_frames import JoinedFrames
from synthex_ros.learning.networks.closer_look import CloserLook
from synthex_ros.learning.run_state import CosineRate, RunState, steps_of
from synthex_ros.resources import find
from synthex_ros.settings import as_plain
from synthex_ros.tracking.landmarks import CLOSER_REACH_PX
from synthex_ros.tracking.model import TrackerModel

NETWORK = 'closer_look'
"""What `network:` of a recipe says."""

FURTHEST_PX = 40.0
"""Landmarks that the tracker sees further from the truth are at another place: nothing is learnt
from what is there."""

_VALIDATION = 'validation_windows.npz'


@dataclass(frozen=True)
class CloserSettings:
    """How a closer look is trained.

    Attributes:
        tracker: model file whose landmarks are looked at, or the name of a shipped one.
        train: folder of training frames, best some that the tracker was not trained on.
        also_train: more folders of them.
        validation: folder of validation frames, made with another seed.
        epochs: passes over the landmarks.
        batch_size: windows of a step.
        learning_rate: greatest rate; it rises over the first steps and falls as a cosine.
        warmup_share: part of all steps in which the rate rises.
        weight_decay: of AdamW.
        average_decay: decay a step of the averaged weights that are validated and exported.
        start_sigma_px: see `closer_windows.Variation`.
        noise: likewise.
        sharpening: likewise.
        threads: torch threads.
        seed: seed of weights, order and variation.
        network: `closer_look`.
    """

    tracker: str = 'models/cm_tracker_quarter.onnx'
    train: str = 'data/cm/places'
    also_train: tuple[str, ...] = ()
    validation: str = 'data/cm/val'
    epochs: int = 40
    batch_size: int = 128
    learning_rate: float = 2e-3
    warmup_share: float = 0.03
    weight_decay: float = 0.02
    average_decay: float = 0.998
    start_sigma_px: float = 1.6
    noise: float = 0.2
    sharpening: float = 0.5
    threads: int = 2
    seed: int = 0
    network: str = NETWORK

    def __post_init__(self):
        if min(self.epochs, self.batch_size, self.threads) < 1:
            raise ValueError('epochs, batch_size and threads must be positive')
        if not 0 < self.average_decay < 1:
            raise ValueError(f'average_decay must be in (0, 1), got {self.average_decay}')
        if min(self.start_sigma_px, self.noise, self.sharpening) < 0:
            raise ValueError('start_sigma_px, noise and sharpening must be 0 or more')
        if self.network != NETWORK:
            raise ValueError(f'network must be {NETWORK!r}, got {self.network!r}')


class CloserTraining:
    """Training of a closer look in a folder: checkpoint.pt, best.pt, history.jsonl.

    The windows are collected at first, into the folder, from which a run is resumed.

    Args:
        settings: how to train.
        root: folder of the run.
        resume: continue from the folder's checkpoint.
        collecting: called with how many frames have been looked through, and of how many.

    Raises:
        FileNotFoundError: nothing to resume, no tracker, or no data.
        ModelMismatch: the tracker is none, or of several devices.
        ValueError: fewer landmarks than a batch, or training and validation share views.
    """

    def __init__(
        self,
        settings: CloserSettings,
        root: str | Path,
        resume: bool = False,
        collecting: Callable[[int, int], None] = lambda *_: None,
    ) -> None:
        self.settings = settings
        torch.set_num_threads(settings.threads)
        torch.manual_seed(settings.seed)
        model = TrackerModel(find('models', settings.tracker), settings.threads)
        self._metadata = closer_metadata(model.metadata)
        folders = [FrameSet(folder) for folder in (settings.train, *settings.also_train)]
        self._validation_frames = FrameSet(settings.validation)
        for part in folders:
            check_disjoint(part, self._validation_frames)
        self._frames = JoinedFrames(folders)
        network = CloserLook(len(model.metadata.landmarks))
        self._state = RunState(
            network, root, settings.learning_rate, settings.weight_decay, settings.average_decay
        )
        if resume:
            self._state.resume()
        sets = {f'windows_{k}.npz': frames for k, frames in enumerate(folders)}
        sets[_VALIDATION] = self._validation_frames
        windows = self._collected(sets, model, resume, collecting)
        self._validation = windows.pop(_VALIDATION)
        found = Windows.joined(list(windows.values()))
        self._windows = found[np.linalg.norm(found.truths, axis=1) <= FURTHEST_PX]
        self._rate = CosineRate(
            settings.learning_rate, self.steps_per_epoch * settings.epochs, settings.warmup_share
        )
        self._variation = Variation(settings.start_sigma_px, settings.noise, settings.sharpening)

    def _collected(
        self,
        sets: dict[str, FrameSet],
        model: TrackerModel,
        again: bool,
        collecting: Callable[[int, int], None],
    ) -> dict[str, Windows]:
        """Return the windows of some sets, by the names of the files that they are kept in."""
        every, before, found = sum(map(len, sets.values())), 0, {}

        def tell(before: int, done: int) -> None:
            collecting(before + done, every)

        for name, frames in sets.items():
            path = self._state.root / name
            if not (again and path.is_file()):
                collect_windows(model, frames, partial(tell, before)).save(path)
            found[name] = Windows.load(path)
            before += len(frames)
        return found

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in an epoch."""
        return steps_of(len(self._windows), self.settings.batch_size)

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
        state = self._state
        while state.epoch < self.settings.epochs:
            started, losses = time.monotonic(), []
            rng = np.random.default_rng([self.settings.seed, state.epoch])
            order = rng.permutation(len(self._windows))
            for step in range(self.steps_per_epoch):
                rows = order[step * self.settings.batch_size :][: self.settings.batch_size]
                losses.append(self._learn(self._windows[rows], rng))
                progress(state.epoch, step + 1, losses[-1])
            state.epoch += 1
            record = {'epoch': state.epoch, 'distance_px': float(np.mean(losses))}
            record |= self.validate()
            state.seconds += time.monotonic() - started
            record['seconds'] = round(state.seconds, 1)
            self._save(record)
            report(record)

    def _learn(self, windows: Windows, rng: np.random.Generator) -> float:
        """Take one optimizer step and return the mean distance [px]."""
        images, truths = self._variation.apply(windows, rng)
        away = self._state.network.train()(images.contiguous(memory_format=torch.channels_last))
        own = away[torch.arange(len(windows)), torch.from_numpy(windows.numbers)]
        loss = torch.linalg.vector_norm(own - truths, dim=1).mean()
        self._state.descend(loss, self._rate.at(self._state.step))
        return loss.item()

    def validate(self) -> dict[str, Any]:
        """Return errors of the averaged weights, used as the decoder does, and those before."""
        windows = self._validation
        images, _ = looked_at(windows, np.zeros((len(windows), 2), np.int64))
        with torch.inference_mode():
            away = self._state.average(images).numpy()
        own = away[np.arange(len(windows)), windows.numbers]
        same = np.linalg.norm(own - windows.decoded, axis=1) <= CLOSER_REACH_PX
        chosen = np.where(same[:, None], own, windows.decoded)
        before = self._errors_mm(windows.decoded)
        errors = self._errors_mm(chosen)
        return {
            'landmarks': len(windows),
            'landmark_error_mean_mm': float(errors.mean()),
            'landmark_error_median_mm': float(np.median(errors)),
            'landmark_error_p95_mm': float(np.percentile(errors, 95)),
            'before_mean_mm': float(before.mean()),
            'before_median_mm': float(np.median(before)),
            'before_p95_mm': float(np.percentile(before, 95)),
        }

    def _errors_mm(self, places: NDArray[np.float32]) -> NDArray[np.float64]:
        away = np.linalg.norm(places - self._validation.truths, axis=1)
        return away * self._metadata.pixel_pitch_mm

    def _save(self, record: dict[str, Any]) -> None:
        record = json.loads(json.dumps(record))  # plain numbers: checkpoints hold no code
        better = record['landmark_error_mean_mm'] < self._state.best
        self._state.best = min(record['landmark_error_mean_mm'], self._state.best)
        about = {
            'settings': as_plain(self.settings),
            'train_data': self._frames.info,
            'train_frames': len(self._frames),
            'validation_data': self._validation_frames.info,
        }
        self._state.save(record, better, about)
