"""Training patches of frames with tiny devices: most around a device, some of nothing."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from synthex_ros.learning.coco import CocoFolder, segmentation
from synthex_ros.learning.networks.detector import STRIDE
from synthex_ros.tracking.detector import highpass
from synthex_ros.tracking.landmarks import pixel_to_cell

Patches = tuple[Tensor, Tensor, Tensor, Tensor]

_LEAST_SIGMA = 0.8
_SIGMA_SHARE = 0.15
_INVERT_SHARE = 0.2


@dataclass(frozen=True)
class Objects:
    """Devices of an image.

    Attributes:
        centres_px: (u, v), shape (N, 2).
        sizes_px: width and height of the boxes, shape (N, 2).
        classes: class ids from 1, shape (N,).
    """

    centres_px: NDArray[np.float64]
    sizes_px: NDArray[np.float64]
    classes: NDArray[np.int64]


def objects_of(folder: CocoFolder, row: int) -> Objects:
    """Return the devices of image `row` of a folder."""
    numbers = {item['id']: k for k, item in enumerate(folder.categories, start=1)}
    found = folder.annotations(row)
    boxes = np.array([item['bbox'] for item in found], float).reshape(-1, 4)
    classes = np.array([numbers[item['category_id']] for item in found], np.int64)
    return Objects(boxes[:, :2] + boxes[:, 2:] / 2 - 0.5, boxes[:, 2:], classes)


def class_mask(folder: CocoFolder, row: int, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return class ids of image `row`, shape (rows, columns)."""
    numbers = {item['id']: k for k, item in enumerate(folder.categories, start=1)}
    mask = np.zeros(shape, np.uint8)
    for item in folder.annotations(row):
        mask[segmentation(item['segmentation'], shape)] = numbers[item['category_id']]
    return mask


def render_targets(
    objects: Objects, classes: int, shape: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return centre maps (C - 1, h, w) and boxes (5, h, w) of devices, in cells of `STRIDE` px.

    A centre is a Gaussian of height exactly 1 at the cell that holds it, as wide as the device is
    large (Law and Deng, ECCV 2018). The first four maps of boxes are what the network gives; the
    fifth is 1 where they hold, which is at the centres' cells.
    """
    cells = (shape[0] // STRIDE, shape[1] // STRIDE)
    centres = np.zeros((classes - 1, *cells), np.float32)
    boxes = np.zeros((5, *cells), np.float32)
    rows, columns = (np.arange(n) for n in cells)
    for centre, size, kind in zip(
        objects.centres_px, objects.sizes_px, objects.classes, strict=True
    ):
        column, row = (int(round(float(c))) for c in pixel_to_cell(centre, STRIDE))
        if not (0 <= row < cells[0] and 0 <= column < cells[1]):
            continue
        sigma = max(_SIGMA_SHARE * float(np.min(size)) / STRIDE, _LEAST_SIGMA)
        shape_ = np.outer(
            np.exp(-0.5 * ((rows - row) / sigma) ** 2),
            np.exp(-0.5 * ((columns - column) / sigma) ** 2),
        )
        centres[kind - 1] = np.maximum(centres[kind - 1], shape_)
        middle = np.array([column, row]) * STRIDE + (STRIDE - 1) / 2
        boxes[:, row, column] = [*(centre - middle), *np.log(np.maximum(size, 0.5)), 1.0]
    return centres, boxes


class PatchSet(Dataset):
    """Patches of the frames of a folder; an item's key is (epoch, row).

    Args:
        root: COCO folder.
        patches: how many a frame.
        patch_px: side of a patch.
        device_share: part of the patches around a device, where there is one.
        seed: of places and randomization.
        limit: how many frames; 0 is all.
    """

    def __init__(
        self,
        root: str,
        patches: int,
        patch_px: int,
        device_share: float,
        seed: int,
        limit: int = 0,
    ) -> None:
        cv2.setNumThreads(1)
        self.folder = CocoFolder(root)
        self._patches, self._size = patches, patch_px
        self._device_share, self._seed = device_share, seed
        self._rows = min(limit or len(self.folder.images), len(self.folder.images))

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, key: tuple[int, int]) -> Patches:
        """Return images (P, 1, S, S), centres, boxes and masks of the patches of a frame."""
        epoch, row = key
        rng = np.random.default_rng([self._seed, epoch, row])
        image = highpass(self.folder.counts(row))
        objects = objects_of(self.folder, row)
        mask = class_mask(self.folder, row, (image.shape[0], image.shape[1]))
        made = [self._patch(image, mask, objects, rng) for _ in range(self._patches)]
        parts = (torch.from_numpy(np.stack(part)) for part in zip(*made, strict=True))
        images, centres, boxes, masks = parts
        return images, centres, boxes, masks

    def _patch(self, image, mask, objects: Objects, rng: np.random.Generator):
        size = self._size
        top, left = self._corner(image.shape, objects, rng)
        part = image[top : top + size, left : left + size]
        cut = mask[top : top + size, left : left + size]
        moved = Objects(objects.centres_px - [left, top], objects.sizes_px, objects.classes)
        part, cut, moved = _turned(part, cut, moved, int(rng.integers(4)), rng.random() < 0.5)
        part = _varied(part, rng)
        classes = len(self.folder.classes)
        centres, boxes = render_targets(moved, classes, (size, size))
        return part[None].astype(np.float32), centres, boxes, cut.astype(np.int64)

    def _corner(self, shape, objects: Objects, rng: np.random.Generator) -> tuple[int, int]:
        """Return the top left corner of a patch."""
        last = np.array(shape) - self._size
        if np.any(last < 0):
            raise ValueError(f'patches of {self._size} px do not fit frames of {shape}')
        place = rng.integers(0, last + 1)
        if len(objects.classes) and rng.random() < self._device_share:
            u, v = objects.centres_px[int(rng.integers(len(objects.classes)))]
            inside = rng.uniform(0.1, 0.9, 2) * self._size
            place = np.clip(np.array([v, u]) - inside, 0, last).astype(int)
        return int(place[0]), int(place[1])


def _turned(part, cut, objects: Objects, quarters: int, mirror: bool):
    """Return a square patch with its objects, mirrored and turned counter-clockwise."""
    centres, sizes, last = objects.centres_px.copy(), objects.sizes_px, part.shape[0] - 1
    if mirror:
        part, cut = part[:, ::-1], cut[:, ::-1]
        centres[:, 0] = last - centres[:, 0]
    for _ in range(quarters):
        centres = np.column_stack([centres[:, 1], last - centres[:, 0]])
        sizes = sizes[:, ::-1]
    part, cut = np.rot90(part, quarters), np.rot90(cut, quarters)
    moved = Objects(centres, sizes, objects.classes)
    return np.ascontiguousarray(part), np.ascontiguousarray(cut), moved


def _varied(part: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a patch with another gain, sometimes more noise, sometimes the other polarity."""
    gain = np.exp(rng.uniform(np.log(0.7), np.log(1.4)))
    noise = rng.uniform(0, 0.3) * (rng.random() < 0.3)
    sign = -1.0 if rng.random() < _INVERT_SHARE else 1.0
    varied = sign * gain * part + noise * rng.standard_normal(part.shape)
    return varied.astype(np.float32)
