"""What a training run keeps from step to step: weights, their average, the rate, checkpoints."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import nn

NetworkT = TypeVar('NetworkT', bound=nn.Module)

_LAST_SHARE = 0.005


def steps_of(frames: int, batch_size: int) -> int:
    """Return the steps of an epoch of whole batches.

    Raises:
        ValueError: the frames do not fill one batch.
    """
    if batch_size > frames:
        raise ValueError(
            f'batch_size must be at most the number of training frames, {frames}, got {batch_size}'
        )
    return frames // batch_size


@dataclass(frozen=True)
class CosineRate:
    """A learning rate that rises over the first steps and falls as half a cosine.

    Loshchilov and Hutter, "SGDR: Stochastic gradient descent with warm restarts", ICLR 2017,
    without restarts, and to 0.5 % of the greatest rate.

    Attributes:
        greatest: rate at the end of the rise.
        steps: optimizer steps of the whole run.
        warmup_share: part of all steps in which the rate rises, at least one step.
    """

    greatest: float
    steps: int
    warmup_share: float

    def at(self, step: int) -> float:
        """Return the rate of a step, counted from 0."""
        total = max(self.steps, 1)
        warm = max(self.warmup_share * total, 1)
        if step < warm:
            return self.greatest * (step + 1) / warm
        done = (step - warm) / max(total - warm, 1)
        fall = 0.5 * (1 + math.cos(math.pi * done))
        return self.greatest * (_LAST_SHARE + (1 - _LAST_SHARE) * fall)


class RunState(Generic[NetworkT]):
    """A network in training, its averaged weights and its optimizer, kept in a folder.

    The folder holds checkpoint.pt of the last epoch, best.pt of the best one, and history.jsonl
    with one record an epoch.

    Args:
        network: the network to train, with its first weights.
        root: folder of the run; made if it is not there.
        learning_rate: first rate of AdamW; `descend` sets it every step.
        weight_decay: of AdamW.
        average_decay: decay a step of the averaged weights.

    Attributes:
        network: the network that learns.
        average: the same with averaged weights, to be validated and exported.
        epoch: finished epochs.
        step: optimizer steps taken.
        seconds: time spent [s].
        best: figure of merit of the best epoch, as the training defines it.
    """

    def __init__(
        self,
        network: NetworkT,
        root: str | Path,
        learning_rate: float,
        weight_decay: float,
        average_decay: float,
    ) -> None:
        self.root = Path(root)
        self.root.mkdir(parents=True, exist_ok=True)
        # channels last is the quicker layout for convolutions; types of Module.to do not know it
        lay_out: Callable[..., NetworkT] = network.to
        self.network = network = lay_out(memory_format=torch.channels_last)
        self.average: NetworkT = copy.deepcopy(network).eval()
        self._optimizer = torch.optim.AdamW(
            network.parameters(), learning_rate, weight_decay=weight_decay
        )
        self._average_decay = average_decay
        self.epoch, self.step, self.seconds, self.best = 0, 0, 0.0, math.inf

    def descend(self, loss: torch.Tensor, learning_rate: float) -> None:
        """Take one optimizer step down the gradient of a loss, and move the average after it."""
        for group in self._optimizer.param_groups:
            group['lr'] = learning_rate
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self._optimizer.step()
        self.step += 1
        # Early on the average moves faster, so that it forgets the start.
        decay = min(self._average_decay, (1 + self.step) / (10 + self.step))
        move_average(self.average, self.network, decay)

    def save(self, record: dict[str, Any], better: bool, about: dict[str, Any]) -> None:
        """Write the checkpoint of a finished epoch and a line of the history.

        Args:
            record: numbers of the epoch, plain: checkpoints hold no code.
            better: the epoch is the best one so far; it is written as best.pt, too.
            about: settings and data of the run, by name.
        """
        state = {
            **about,
            'network': self.network.state_dict(),
            'average': self.average.state_dict(),
            'optimizer': self._optimizer.state_dict(),
            'epoch': self.epoch,
            'step': self.step,
            'seconds': self.seconds,
            'best': self.best,
            'validation': record,
        }
        with (self.root / 'history.jsonl').open('a', encoding='utf-8') as file:
            file.write(json.dumps(record) + '\n')
        for name in ('checkpoint.pt', 'best.pt')[: 1 + better]:
            torch.save(state, self.root / 'part')
            (self.root / 'part').replace(self.root / name)

    def resume(self) -> None:
        """Go on from the folder's checkpoint.

        Raises:
            FileNotFoundError: there is none.
        """
        state = load_checkpoint(self.root / 'checkpoint.pt')
        self.network.load_state_dict(state['network'])
        self.average.load_state_dict(state['average'])
        self._optimizer.load_state_dict(state['optimizer'])
        self.epoch, self.step = state['epoch'], state['step']
        self.seconds, self.best = state['seconds'], state['best']


def move_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move averaged weights towards a network's: decay * average + (1 - decay) * network."""
    with torch.no_grad():
        now = network.state_dict()
        for name, value in average.state_dict().items():
            if value.is_floating_point():
                value.lerp_(now[name], 1 - decay)
            else:
                value.copy_(now[name])


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Return a checkpoint.

    Raises:
        FileNotFoundError: there is none.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'no checkpoint {path}; run `synthex train` first')
    return torch.load(path, map_location='cpu', weights_only=True)
