"""What is around the landmarks that a tracker finds in labelled frames, to learn a closer look."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from synthex_ros.learning.dataset import FrameSet
from synthex_ros.learning.networks.closer_look import SIDE_PX, Starts, around, window_middles
from synthex_ros.learning.patches import packed, unpacked
from synthex_ros.tracking.landmarks import decode
from synthex_ros.tracking.model import TrackerModel, normalise

MARGIN_PX = 8
"""A window can be moved by so much, each way, to learn from more than one start."""

_KEPT_PX = SIDE_PX + 2 * MARGIN_PX


@dataclass(frozen=True)
class Windows:
    """Visible landmarks of labelled frames, with what is around where a tracker sees them.

    Attributes:
        images: of the normalised radiograph, packed, shape (N, S, S), `MARGIN_PX` more than is
            looked at on every side.
        numbers: which landmark it is, shape (N,).
        truths: (du, dv) of the true place from the middle of the window [px], shape (N, 2).
        decoded: (du, dv) of what the tracker says from there, shape (N, 2).
    """

    images: NDArray[np.uint16]
    numbers: NDArray[np.int64]
    truths: NDArray[np.float32]
    decoded: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.numbers)

    def save(self, path: str | Path) -> None:
        """Write them to a file."""
        np.savez(path, **{item.name: getattr(self, item.name) for item in fields(self)})

    @classmethod
    def load(cls, path: str | Path) -> Windows:
        """Return those of a file.

        Raises:
            FileNotFoundError: there is none.
        """
        with np.load(path) as stored:
            return cls(**{item.name: stored[item.name] for item in fields(cls)})

    @classmethod
    def joined(cls, parts: list[Windows]) -> Windows:
        """Return the windows of all parts in a row."""
        names = [item.name for item in fields(cls)]
        return cls(*(np.concatenate([getattr(one, name) for one in parts]) for name in names))

    def __getitem__(self, rows: NDArray) -> Windows:
        """Return some of them, by index or by what is true of them."""
        return Windows(*(getattr(self, item.name)[rows] for item in fields(self)))


def windows_of(model: TrackerModel, frames: FrameSet, row: int, starts: Starts) -> Windows:
    """Return the windows of the visible landmarks of a frame.

    Args:
        model: gives the heat maps; a closer look in it is not asked.
        frames: labelled.
        row: which frame.
        starts: of the model's heat maps.
    """
    meta, counts, truth = model.metadata, frames.counts(row), frames.landmarks(row)
    prediction = model.infer(counts)
    found = decode(prediction.heatmaps, meta, prediction.mask)
    cells = starts(torch.from_numpy(prediction.heatmaps)[None])
    middles = window_middles(cells, meta.heatmap_stride)
    image = torch.from_numpy(packed(normalise(counts)).astype(np.int32))
    seen = np.flatnonzero(truth[:, 2])
    images = around(image, middles[seen], _KEPT_PX).numpy().astype(np.uint16)
    origins = middles.numpy()[seen] - 0.5
    places = np.array([[mark.u, mark.v] for mark in found])[seen]
    return Windows(
        images,
        seen,
        (truth[seen, :2] - origins).astype(np.float32),
        (places - origins).astype(np.float32),
    )


def collect_windows(
    model: TrackerModel, frames: FrameSet, progress: Callable[[int], None] = lambda _: None
) -> Windows:
    """Return the windows of all visible landmarks of some frames.

    Args:
        model: gives the heat maps.
        frames: labelled.
        progress: called with the number of frames that are done.
    """
    meta, parts = model.metadata, []
    starts = Starts(meta.heatmap_sigma_px / meta.heatmap_stride)
    for row in range(len(frames)):
        parts.append(windows_of(model, frames, row, starts))
        progress(row + 1)
    return Windows.joined(parts)


def looked_at(windows: Windows, moved: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    """Return images (N, 1, SIDE_PX, SIDE_PX) and truths (N, 2) of windows, each moved.

    Args:
        windows: to take from.
        moved: (right, down) [px], -MARGIN_PX..MARGIN_PX, shape (N, 2).
    """
    first = moved + MARGIN_PX
    across, down = (first[:, [axis]] + np.arange(SIDE_PX) for axis in (0, 1))
    every = np.arange(len(windows))[:, None, None]
    images = unpacked(windows.images[every, down[:, :, None], across[:, None, :]])
    truths = (windows.truths - moved).astype(np.float32)
    return torch.from_numpy(images[:, None]), torch.from_numpy(truths)


@dataclass(frozen=True)
class Variation:
    """How windows are varied for training.

    Attributes:
        start_sigma_px: deviation of where one looks from where the tracker sees the landmark [px].
        noise: greatest deviation of added noise, over the window's own deviation.
        sharpening: how much the difference from the neighbours' mean grows or shrinks, at most.
    """

    start_sigma_px: float = 1.6
    noise: float = 0.2
    sharpening: float = 0.5

    def apply(self, windows: Windows, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Return images and truths, each moved, as another detector shows it, and turned."""
        reach = rng.normal(0, self.start_sigma_px, (len(windows), 2))
        moved = np.rint(np.clip(reach, -MARGIN_PX, MARGIN_PX)).astype(np.int64)
        images, truths = looked_at(windows, moved)
        return turned(self._seen_otherwise(images, rng), truths, rng)

    def _seen_otherwise(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        def drawn(low: float, high: float) -> Tensor:
            return torch.from_numpy(rng.uniform(low, high, (len(images), 1, 1, 1))).float()

        wider = functional.pad(images, (1, 1, 1, 1), mode='replicate')
        detail = images - functional.avg_pool2d(wider, 3, 1)
        images = images + drawn(-self.sharpening, self.sharpening) * detail
        # Half of the windows keep their own noise alone.
        deviation = images.std(dim=(2, 3), keepdim=True) * drawn(-self.noise, self.noise)
        grain = torch.from_numpy(rng.standard_normal(images.shape, np.float32))
        return images + deviation.clamp(min=0) * grain


def turned(images: Tensor, truths: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Return images (N, 1, S, S) and truths (N, 2), each mirrored and turned by quarters."""
    across, down, swapped = (torch.from_numpy(rng.random(len(images)) < 0.5) for _ in range(3))
    for chosen, axis in ((across, 3), (down, 2)):
        images = torch.where(chosen[:, None, None, None], images.flip(axis), images)
        sign = torch.ones(len(truths), 2)
        sign[chosen, 3 - axis] = -1
        truths = truths * sign
    images = torch.where(swapped[:, None, None, None], images.transpose(2, 3), images)
    return images, torch.where(swapped[:, None], truths.flip(1), truths)
