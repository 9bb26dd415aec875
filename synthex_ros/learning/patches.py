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
from synthex_ros.learning.kept_images import KeptImages
from synthex_ros.learning.networks.detector import STRIDE
from synthex_ros.tracking.detector import highpass
from synthex_ros.tracking.landmarks import pixel_to_cell

Patches = tuple[Tensor, Tensor, Tensor, Tensor]

_LEAST_SIGMA = 0.8
_SIGMA_SHARE = 0.15
_AROUND = {(y, x): 0.5 ** (abs(y) + abs(x)) for y in (-1, 0, 1) for x in (-1, 0, 1)}
_STEPS, _MIDDLE = 512.0, 32768.0


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


@dataclass(frozen=True)
class Cutout:
    """Pixels of a device: mask, shape (h, w), with its first row and column in the image."""

    top: int
    left: int
    mask: NDArray[np.bool_]

    @classmethod
    def of(cls, mask: NDArray[np.bool_]) -> Cutout:
        """Return the part of an image's mask that is not empty."""
        rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
        if not len(rows):
            return cls(0, 0, np.zeros((0, 0), bool))
        part = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        return cls(int(rows[0]), int(columns[0]), part.copy())

    def paint(self, picture: NDArray[np.uint8], top: int, left: int, value: int) -> None:
        """Write a value where the device is into a part of the image that starts at a corner."""
        row, column = self.top - top, self.left - left
        first = np.maximum([row, column], 0)
        last = np.minimum(np.add((row, column), self.mask.shape), picture.shape)
        if np.any(last <= first):
            return
        rows, columns = (slice(a, b) for a, b in zip(first, last, strict=True))
        own = self.mask[first[0] - row : last[0] - row, first[1] - column : last[1] - column]
        picture[rows, columns][own] = value


def cutouts_of(folder: CocoFolder, row: int) -> list[Cutout]:
    """Return the pixels of the devices of image `row`, in the order of `objects_of`."""
    image = folder.images[row]
    shape = int(image['height']), int(image['width'])
    found = folder.annotations(row)
    return [Cutout.of(segmentation(item['segmentation'], shape)) for item in found]


def render_targets(
    objects: Objects, classes: int, shape: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return centre maps (C - 1, h, w) and boxes (5, h, w) of devices, in cells of `STRIDE` px.

    A centre is a Gaussian of height exactly 1 at the cell that holds it, as wide as the device is
    large (Law and Deng, ECCV 2018). The first four maps of boxes are what the network gives; the
    fifth is how much they count: 1 at the centre's cell and less at the eight around it, where
    noise can move the peak. Of two devices the nearer one has a cell.
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
        for (down, across), weight in _AROUND.items():
            y, x = row + down, column + across
            if 0 <= y < cells[0] and 0 <= x < cells[1] and boxes[4, y, x] < weight:
                middle = np.array([x, y]) * STRIDE + (STRIDE - 1) / 2
                boxes[:, y, x] = [*(centre - middle), *np.log(np.maximum(size, 0.5)), weight]
    return centres, boxes


class PatchSet(Dataset):
    """Patches of the frames of a folder; an item's key is (epoch, row).

    A frame is decoded and normalised once; loader processes share what was.

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
        first = self.folder.images[0]
        self._kept = KeptImages(self._rows, (int(first['height']), int(first['width'])))
        self._cutouts = [cutouts_of(self.folder, row) for row in range(self._rows)]

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, key: tuple[int, int]) -> Patches:
        """Return images (P, 1, S, S), centres, boxes and masks of the patches of a frame."""
        epoch, row = key
        rng = np.random.default_rng([self._seed, epoch, row])
        image = self._kept.image(row, lambda: packed(highpass(self.folder.counts(row))))
        objects, cutouts = objects_of(self.folder, row), self._cutouts[row]
        made = [self._patch(image, cutouts, objects, rng) for _ in range(self._patches)]
        parts = (torch.from_numpy(np.stack(part)) for part in zip(*made, strict=True))
        images, centres, boxes, masks = parts
        return images, centres, boxes, masks

    def _patch(
        self,
        image: NDArray[np.uint16],
        cutouts: list[Cutout],
        objects: Objects,
        rng: np.random.Generator,
    ):
        size = self._size
        top, left = self._corner(image.shape, objects, rng)
        part = unpacked(image[top : top + size, left : left + size])
        cut = np.zeros((size, size), np.uint8)
        for cutout, number in zip(cutouts, objects.classes, strict=True):
            cutout.paint(cut, top, left, int(number))
        moved = Objects(objects.centres_px - [left, top], objects.sizes_px, objects.classes)
        part, cut, moved = turned(part, cut, moved, int(rng.integers(4)), rng.random() < 0.5)
        part = varied(part, rng)
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


def turned(
    part: NDArray, cut: NDArray, objects: Objects, quarters: int, mirror: bool
) -> tuple[NDArray, NDArray, Objects]:
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


def varied(part: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a patch with another gain, sometimes with more noise."""
    gain = np.exp(rng.uniform(np.log(0.7), np.log(1.4)))
    noise = rng.uniform(0, 0.3) * (rng.random() < 0.3)
    varied = gain * part + noise * rng.standard_normal(part.shape)
    return varied.astype(np.float32)


def packed(image: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Return a normalised image in 16 bits, in steps far below its noise."""
    return np.clip(np.rint(_STEPS * image + _MIDDLE), 0, 65535).astype(np.uint16)


def unpacked(pixels: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Return the image that was packed."""
    return (pixels.astype(np.float32) - _MIDDLE) / _STEPS
