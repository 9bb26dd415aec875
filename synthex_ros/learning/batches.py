"""Randomized training batches, the same for the same seed, epoch and index."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from synthex_ros.learning.class_bits import from_bits
from synthex_ros.learning.dataset import FrameSet
from synthex_ros.learning.joined_frames import JoinedFrames
from synthex_ros.learning.labelled import Labelled, render_heatmaps
from synthex_ros.learning.networks.registry import HEATMAP_STRIDE
from synthex_ros.learning.randomization import Randomization

Batch = tuple[Tensor, Tensor, Tensor]


def to_tensors(sample: Labelled, sigma_px: float, overlapping: int = 0) -> Batch:
    """Return image (1, H, W) float32, mask (H, W) int64 and heat maps (L, H / 4, W / 4).

    Args:
        sample: the picture with its labels.
        sigma_px: standard deviation of a landmark's Gaussian [px].
        overlapping: number of classes that share pixels: the mask is (overlapping, H, W) float32.
    """
    shape = (sample.image.shape[0], sample.image.shape[1])
    heatmaps = render_heatmaps(sample.landmarks, shape, HEATMAP_STRIDE, sigma_px)
    if overlapping:
        mask = torch.from_numpy(from_bits(sample.mask, overlapping).astype(np.float32))
    else:
        mask = torch.from_numpy(sample.mask.astype(np.int64))
    return (
        torch.from_numpy(sample.image[None]),
        mask,
        torch.from_numpy(heatmaps),
    )


class RandomizedFrames(Dataset):
    """Crops of a frame set; an item's key is (epoch, row)."""

    def __init__(
        self,
        frames: FrameSet | JoinedFrames,
        randomization: Randomization,
        seed: int,
        sigma_px: float,
    ) -> None:
        self._frames, self._randomization = frames, randomization
        self._seed, self._sigma_px = seed, sigma_px
        self._overlapping = len(frames.classes) - 1 if frames.overlapping else 0
        self._without = [row for row in range(len(frames)) if not frames.shows_device(row)]

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, key: tuple[int, int]) -> Batch:
        """Return tensors of one randomized crop."""
        epoch, row = key
        rng = np.random.default_rng([self._seed, epoch, row])
        background = self._background if self._without else None
        sample = self._randomization(self._frames.labelled(row), rng, background)
        return to_tensors(sample, self._sigma_px, self._overlapping)

    def _background(self, rng: np.random.Generator) -> Labelled:
        return self._frames.labelled(int(rng.choice(self._without)))


class EpochOrder(Sampler):
    """Every row once in an order that depends on (seed, epoch) alone."""

    def __init__(self, rows: int, seed: int, epoch: int) -> None:
        self._rows, self._seed, self._epoch = rows, seed, epoch

    def __len__(self) -> int:
        return self._rows

    def __iter__(self):
        """Yield (epoch, row)."""
        order = np.random.default_rng([self._seed, self._epoch]).permutation(self._rows)
        return iter([(self._epoch, int(row)) for row in order])


def epoch_loader(
    frames: RandomizedFrames, seed: int, epoch: int, batch_size: int, workers: int
) -> DataLoader:
    """Return the loader of one epoch; the last incomplete batch is left out."""
    return DataLoader(
        frames,
        batch_size,
        sampler=EpochOrder(len(frames), seed, epoch),
        num_workers=workers,
        drop_last=True,
    )
