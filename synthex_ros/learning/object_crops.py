"""Randomized training crops of frames with foreign objects, each with its own mask.

The masks of a frame travel through the randomization of images with one mask as the bits of it, so
that objects may share pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from synthex_ros.learning.batches import EpochOrder
from synthex_ros.learning.coco import segmentation
from synthex_ros.learning.dataset import FrameSet
from synthex_ros.learning.geometry_transforms import dihedral
from synthex_ros.learning.labelled import Labelled
from synthex_ros.learning.object_targets import centre_targets, learning_cells
from synthex_ros.learning.randomization import Randomization
from synthex_ros.tracking.model import normalise
from synthex_ros.tracking.objects import object_input

MOST = 8
"""Objects that a mask of 8 bits holds."""


@dataclass(frozen=True)
class ObjectCrop:
    """One training crop.

    Attributes:
        image: input of the network, shape (2, S, S), float32.
        middles: map of middles, shape (S / 8, S / 8), float32.
        cells: (row, column) of cells that draw masks, shape (K, 2), int64.
        masks: what each is to draw, shape (K, S, S), uint8.
        shown: where any object is, shape (S, S), int64.
    """

    image: Tensor
    middles: Tensor
    cells: Tensor
    masks: Tensor
    shown: Tensor


def labelled_objects(frames: FrameSet, row: int) -> Labelled:
    """Return frame `row`, normalised, its masks as bits and its objects' middles as landmarks."""
    counts = frames.counts(row)
    bits, middles = np.zeros(counts.shape, np.uint8), []
    for number, item in enumerate(frames.annotations(row)[:MOST]):
        mask = segmentation(item['segmentation'], counts.shape)
        bits |= mask.astype(np.uint8) << number
        left, top, width, height = item['bbox']
        middles.append([left + width / 2 - 0.5, top + height / 2 - 0.5, 1.0])
    points = np.array(middles, float).reshape(-1, 3)
    return Labelled(normalise(counts), bits, points)


def exposed_twice(
    first: Labelled, second: Labelled, count: int, rng: np.random.Generator
) -> Labelled:
    """Return two patients on one picture, with the objects of both.

    Logarithms of X-rays add up, as if one lay behind the other.

    Args:
        first: frame with `count` objects.
        second: frame of the same shape; it is turned and mirrored at random.
        count: objects of the first frame.
        rng: source of the draw.
    """
    turned = dihedral(second, int(rng.integers(4)), bool(rng.integers(2)))
    weight = np.float32(rng.uniform(0.5, 1.0))
    image = first.image + weight * turned.image
    image /= np.float32(max(float(image.std()), 1e-3))
    bits = np.asarray(first.mask | (turned.mask << count), np.uint8)
    return Labelled(image, bits, np.concatenate([first.landmarks, turned.landmarks]))


def masks_of(bits: NDArray[np.uint8], least_px: int) -> list[NDArray[np.bool_]]:
    """Return the masks that the bits of an image hold, those with enough pixels."""
    masks = [(bits >> number & 1).astype(bool) for number in range(MOST)]
    return [mask for mask in masks if np.count_nonzero(mask) >= least_px]


class ObjectCrops(Dataset):
    """Crops of a frame set; an item's key is (epoch, row).

    Args:
        frames: with foreign objects.
        randomization: of a crop.
        seed: of the randomization.
        twice_share: part of the crops with two frames exposed onto one picture.
        cells_each: cells an object that draw masks.
        least_px: objects of which a crop keeps fewer pixels are not learned.
    """

    def __init__(
        self,
        frames: FrameSet,
        randomization: Randomization,
        seed: int,
        twice_share: float,
        cells_each: int,
        least_px: int,
    ) -> None:
        self._frames, self._randomization, self._seed = frames, randomization, seed
        self._twice_share, self._cells_each, self._least_px = twice_share, cells_each, least_px

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, key: tuple[int, int]) -> ObjectCrop:
        """Return one randomized crop."""
        epoch, row = key
        rng = np.random.default_rng([self._seed, epoch, row])
        moved = self._randomization(self._sample(row, rng), rng)
        masks = masks_of(moved.mask, self._least_px)
        shape = (moved.image.shape[0], moved.image.shape[1])
        middles, owner = centre_targets(masks, shape)
        chosen = learning_cells(middles, owner, len(masks), self._cells_each, rng)
        stack = np.array([masks[k] for k in chosen[:, 0]], np.uint8).reshape(-1, *shape)
        return ObjectCrop(
            torch.from_numpy(object_input(moved.image)),
            torch.from_numpy(middles),
            torch.from_numpy(chosen[:, 1:].copy()),
            torch.from_numpy(stack),
            torch.from_numpy((moved.mask > 0).astype(np.int64)),
        )

    def _sample(self, row: int, rng: np.random.Generator) -> Labelled:
        sample = labelled_objects(self._frames, row)
        count = len(sample.landmarks)
        if rng.random() >= self._twice_share:
            return sample
        other = labelled_objects(self._frames, int(rng.integers(len(self._frames))))
        if count + len(other.landmarks) > MOST or other.image.shape != sample.image.shape:
            return sample
        return exposed_twice(sample, other, count, rng)


def crop_loader(
    crops: ObjectCrops, seed: int, epoch: int, batch_size: int, workers: int
) -> DataLoader:
    """Return the loader of one epoch, of lists of crops; the last incomplete one is left out."""
    return DataLoader(
        crops,
        batch_size,
        sampler=EpochOrder(len(crops), seed, epoch),
        num_workers=workers,
        drop_last=True,
        collate_fn=list,
    )
