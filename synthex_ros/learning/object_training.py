"""Training of the network for foreign objects on the CPU: resumable, with averaged weights."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from synthex_ros.learning.dataset import FrameSet, training_sets
from synthex_ros.learning.geometry_transforms import Placement
from synthex_ros.learning.losses import mask_loss
from synthex_ros.learning.networks.compact import TrackerNetwork
from synthex_ros.learning.networks.objects import (
    ExportedObjects,
    ObjectNetwork,
    mask_logits,
    start_weights,
)
from synthex_ros.learning.object_crops import ObjectCrop, ObjectCrops, crop_loader
from synthex_ros.learning.object_precision import object_precision
from synthex_ros.learning.object_targets import centre_loss, object_mask_loss
from synthex_ros.learning.randomization import Randomization
from synthex_ros.learning.recipes import OBJECTS
from synthex_ros.learning.run_state import CosineRate, RunState, steps_of
from synthex_ros.learning.warm_start import start_weights_of
from synthex_ros.settings import as_plain
from synthex_ros.tracking.model import normalise
from synthex_ros.tracking.object_masks import FoundObject, ObjectMaps, decode_objects
from synthex_ros.tracking.objects import ObjectMetadata, object_input, padded

_log = logging.getLogger(__name__)
_SOME = 16


@dataclass(frozen=True)
class ObjectSettings:
    """How a network for foreign objects is trained.

    Attributes:
        network: 'objects'; other networks are trained by `synthex_ros.learning.training`.
        train: folder of training frames.
        validation: folder of validation frames, made with another seed; empty keeps the last
            tenth of the training frames.
        frames: how many training frames to use; 0 is all.
        validation_frames: how many validation frames are scored; 0 is all.
        validation_epochs: epochs from one validation to the next.
        epochs: passes over the frames.
        batch_size: crops a step.
        learning_rate: greatest rate; it rises over the first steps and falls as a cosine.
        warmup_share: part of all steps in which the rate rises.
        weight_decay: of AdamW.
        average_decay: decay a step of the averaged weights that are validated and exported.
        centre_weight: weight of the middles' loss against the masks'.
        crop_px: side of training crops [px]; the exported network takes whole frames.
        early_crop_px: side of the crops in the first part of the epochs: small ones show shapes
            at half the price, large ones how far a wire goes.
        early_share: that part.
        scale: smallest and largest scaling of a crop.
        twice_share: part of the crops with two frames exposed onto one picture.
        cells_each: cells an object that draw masks in a step.
        least_px: objects of which a crop keeps fewer pixels are not learned.
        strong_probability: chance of strong randomization.
        bfloat16: train in mixed precision, as `TrainingSettings.bfloat16`.
        workers: loader processes.
        threads: torch threads.
        seed: seed of weights, order and randomization.
        start_from: checkpoint whose averaged weights to start from, as far as they fit, or a model
            file: of foreign objects, or of a compact tracker; empty for none.
    """

    network: str = OBJECTS
    train: str = 'data/foreign_objects/train'
    validation: str = 'data/foreign_objects/val'
    frames: int = 0
    validation_frames: int = 0
    validation_epochs: int = 4
    epochs: int = 28
    batch_size: int = 8
    learning_rate: float = 3e-3
    warmup_share: float = 0.05
    weight_decay: float = 1e-3
    average_decay: float = 0.995
    centre_weight: float = 2.0
    crop_px: int = 384
    early_crop_px: int = 256
    early_share: float = 0.85
    scale: tuple[float, float] = (0.8, 1.25)
    twice_share: float = 0.25
    cells_each: int = 2
    least_px: int = 30
    strong_probability: float = 0.25
    bfloat16: bool = False
    workers: int = 1
    threads: int = 2
    seed: int = 0
    start_from: str = ''

    def __post_init__(self):
        if self.network != OBJECTS:
            raise ValueError(f'network must be {OBJECTS!r}, got {self.network!r}')
        counts = (self.epochs, self.batch_size, self.threads, self.cells_each, self.least_px)
        if min(*counts, self.validation_epochs) < 1 or self.workers < 0:
            raise ValueError(
                'epochs, validation_epochs, batch_size, threads, cells_each and least_px must be '
                'positive, workers >= 0'
            )
        for name in ('crop_px', 'early_crop_px'):
            side = getattr(self, name)
            if side % 32 or side < 64:
                raise ValueError(f'{name} must be a multiple of 32, at least 64, got {side}')
        for name in ('twice_share', 'strong_probability', 'early_share'):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f'{name} must be 0..1, got {getattr(self, name):g}')
        object.__setattr__(self, 'scale', tuple(self.scale))


class ObjectTraining:
    """One training run in a folder: checkpoint.pt after every epoch, best.pt, history.jsonl.

    Args:
        settings: how to train.
        root: folder of the run.
        resume: continue from the folder's checkpoint.

    Raises:
        FileNotFoundError: nothing to resume, or no data.
    """

    def __init__(self, settings: ObjectSettings, root: str | Path, resume: bool = False) -> None:
        self.settings = settings
        torch.set_num_threads(settings.threads)
        torch.manual_seed(settings.seed)
        self._frames, self._validation = training_sets(
            settings.train, settings.validation, settings.frames
        )
        self.metadata = make_object_metadata(settings)
        network = ObjectNetwork()
        if settings.start_from:
            kinds = (ObjectNetwork(), TrackerNetwork())
            weights = start_weights_of(settings.start_from, kinds, self._some_images)
            count = start_weights(network, weights)
            _log.info('%d tensors from %s', count, settings.start_from)
        self._state = RunState(
            network, root, settings.learning_rate, settings.weight_decay, settings.average_decay
        )
        self._rate = CosineRate(
            settings.learning_rate, self.steps_per_epoch * settings.epochs, settings.warmup_share
        )
        if resume:
            self._state.resume()

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
        settings = self.settings
        while self.epoch < settings.epochs:
            started = time.monotonic()
            losses = self._train_epoch(self._crops(self.epoch), progress)
            self._state.epoch += 1
            record: dict[str, Any] = {'epoch': self.epoch}
            record |= dict(zip(('mask_loss', 'centre_loss'), losses, strict=True))
            due = self.epoch % settings.validation_epochs == 0 or self.epoch == settings.epochs
            if due:
                record |= self.validate()
            self._state.seconds += time.monotonic() - started
            record['seconds'] = round(self._state.seconds, 1)
            self._save(record)
            report(record)

    def _crops(self, epoch: int) -> ObjectCrops:
        settings = self.settings
        early = epoch < settings.early_share * settings.epochs
        randomization = Randomization(
            Placement(settings.early_crop_px if early else settings.crop_px, scale=settings.scale),
            strong_probability=settings.strong_probability,
        )
        return ObjectCrops(
            self._frames,
            randomization,
            settings.seed,
            settings.twice_share,
            settings.cells_each,
            settings.least_px,
        )

    def _some_images(self) -> torch.Tensor:
        crops = self._crops(0)
        return torch.stack([crops[0, row].image for row in range(min(len(crops), _SOME))])

    def _train_epoch(
        self, crops: ObjectCrops, progress: Callable[[int, int, float], None]
    ) -> tuple[float, float]:
        settings, sums = self.settings, np.zeros(2)
        self._state.network.train()
        loader = crop_loader(
            crops, settings.seed, self.epoch, settings.batch_size, settings.workers
        )
        for index, batch in enumerate(loader):
            losses = self._train_step(batch)
            sums += losses
            progress(self.epoch, index + 1, sum(losses))
        return sums[0] / len(loader), sums[1] / len(loader)

    def _train_step(self, batch: Sequence[ObjectCrop]) -> tuple[float, float]:
        """Take one optimizer step and return its losses of masks and middles."""
        image = torch.stack([crop.image for crop in batch])
        with torch.autocast('cpu', torch.bfloat16, enabled=self.settings.bfloat16):
            outputs = self._state.network(image.to(memory_format=torch.channels_last))
        outputs = tuple(maps.float() for maps in outputs)
        masks, shown = masks_loss(outputs, batch), torch.stack([crop.shown for crop in batch])
        middles = torch.stack([crop.middles for crop in batch])[:, None]
        centres = centre_loss(outputs[0], middles)
        anything = mask_loss(outputs[3][:, :1], shown)
        loss = masks + self.settings.centre_weight * centres + anything
        self._state.descend(loss, self._rate.at(self._state.step))
        return masks.item(), centres.item()

    def validate(self) -> dict[str, Any]:
        """Return average precision of the averaged weights, decoded as the model is."""
        limit = self.settings.validation_frames or len(self._validation)
        rows = range(min(limit, len(self._validation)))
        find = finder(self._state.average)
        found = [find(self._validation.counts(row)) for row in rows]
        return object_precision(self._validation.folder, found)

    def _save(self, record: dict[str, Any]) -> None:
        record = json.loads(json.dumps(record))  # plain numbers: checkpoints hold no code
        missing = 1 - record['mask']['ap'] if 'mask' in record else float('inf')
        better = missing < self._state.best
        if better:
            self._state.best = missing
        about = {
            'settings': as_plain(self.settings),
            'train_data': self._frames.info,
            'train_frames': len(self._frames),
            'validation_data': self._validation.info,
        }
        self._state.save(record, better, about)


def masks_loss(outputs: Sequence[torch.Tensor], batch: Sequence[ObjectCrop]) -> torch.Tensor:
    """Return the mean loss of the masks that the chosen cells of a batch draw, a scalar."""
    _, weights, *features = outputs
    losses = []
    # Parts of a tensor one by one would each leave a gradient of its whole size.
    parts = (maps.unbind() for maps in (weights, *features))
    for crop, own, coarse, fine in zip(batch, *parts, strict=True):
        if not len(crop.cells):
            continue
        drawn = mask_logits(own[:, crop.cells[:, 0], crop.cells[:, 1]].T, crop.cells, coarse, fine)
        losses.append(object_mask_loss(drawn, crop.masks.to(drawn.dtype)))
    return torch.cat(losses).mean() if losses else 0.0 * weights.sum()


def make_object_metadata(settings: ObjectSettings) -> ObjectMetadata:
    """Return the metadata of the network that these settings train on their data.

    Raises:
        FileNotFoundError: no training data.
        ValueError: its images have no pixel pitch.
    """
    frames = FrameSet(settings.train)
    first = frames.image(0)
    if 'pixel_pitch_mm' not in first:
        raise ValueError(f'{settings.train}: images need pixel_pitch_mm to train on them')
    frame_px = (int(first['height']), int(first['width']))
    return ObjectMetadata('1', first['pixel_pitch_mm'], frame_px, frames.classes)


def finder(network: nn.Module) -> Callable[[np.ndarray], list[FoundObject]]:
    """Return a function from detector counts to objects, as `ObjectModel.find` with any score."""
    exported = ExportedObjects(network).eval()

    def find(counts: np.ndarray) -> list[FoundObject]:
        rows, columns = counts.shape
        with torch.inference_mode():
            outputs = exported(torch.from_numpy(object_input(padded(normalise(counts))))[None])
        centres, *others = (part[0].numpy() for part in outputs)
        cut = [
            FoundObject(item.score, item.mask[:rows, :columns])
            for item in decode_objects(ObjectMaps(centres[0], *others))
        ]
        return [item for item in cut if item.mask.any()]

    return find
