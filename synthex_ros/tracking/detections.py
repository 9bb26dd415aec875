"""Tiny devices from a detector's maps: peaks of the centre map, with their boxes."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from synthex_ros.tracking.landmarks import cell_to_pixel

Array = NDArray[np.float64]

_SAME_IOU = 0.4
_LARGEST_LOG = 6.0


@dataclass(frozen=True)
class Detection:
    """One device of one frame.

    Attributes:
        name: class of the device.
        u: column of its centre [px], sub-pixel, pixel centres at integers.
        v: row of its centre [px].
        width_px: of its box [px].
        height_px: of its box [px].
        score: 0..1.
    """

    name: str
    u: float
    v: float
    width_px: float
    height_px: float
    score: float

    @property
    def box_px(self) -> tuple[float, float, float, float]:
        """COCO's box: left and top edge, width, height [px]; pixel k reaches from k to k + 1."""
        left, top = self.u + 0.5 - self.width_px / 2, self.v + 0.5 - self.height_px / 2
        return left, top, self.width_px, self.height_px


@dataclass(frozen=True, eq=False)
class Sighting:
    """What was found in a frame.

    Attributes:
        devices: the surest first.
        labels: class ids of the pixels, 0 where there is no device, shape (rows, columns), uint8.
    """

    devices: list[Detection]
    labels: NDArray[np.uint8]


@dataclass(frozen=True)
class DetectorMaps:
    """What a detector says about a frame.

    Attributes:
        centres: chance of a centre a class and cell, shape (K, rows / stride, columns / stride).
        boxes: offset (u, v) from the middle of the cell [px], and the logarithm of width and
            height [px], shape (4, rows / stride, columns / stride).
        mask: probability of each class, background left out, shape (K, rows, columns).
        devices: what a second look made of the most probable centres: centre (u, v) and the
            logarithm of width and height [px], and the chance of each class, shape (N, 4 + K);
            None without one.
    """

    centres: NDArray[np.float32]
    boxes: NDArray[np.float32]
    mask: NDArray[np.float32]
    devices: NDArray[np.floating] | None = None

    def labels(self) -> NDArray[np.uint8]:
        """Return class ids, 0 where none is probable, shape (rows, columns), uint8."""
        best = np.argmax(self.mask, axis=0)
        return np.where(self.mask.max(axis=0) > 0.5, best + 1, 0).astype(np.uint8)


def decode_detections(
    maps: DetectorMaps,
    names: tuple[str, ...],
    stride: int,
    min_score: float = 0.3,
    most: int = 64,
) -> list[Detection]:
    """Return the devices of a frame, the surest first: those of the second look, if there is one.

    A device whose centre lies outside the frame is none: tiles go on there as their own mirror
    image, in which half of anything looks like a whole device. What may be of either class is
    returned under both names: of three pixels one cannot always tell, and who looks for one class
    must not lose it to another.

    Args:
        maps: of the frame.
        names: classes, background left out.
        stride: input pixels a cell, per side.
        min_score: least chance of a centre.
        most: greatest number of devices.
    """
    if maps.devices is None:
        found = _seen_once(maps, names, stride, min_score)
    else:
        found = _seen_twice(maps.devices, names, min_score)
    rows, columns = maps.mask.shape[1:]
    found = [
        one for one in found if -0.5 <= one.u <= columns - 0.5 and -0.5 <= one.v <= rows - 0.5
    ]
    found.sort(key=lambda one: -one.score)
    kept: list[Detection] = []
    for one in found:
        if len(kept) == most:
            break
        own = (other for other in kept if other.name == one.name)
        if all(box_iou(one.box_px, other.box_px) < _SAME_IOU for other in own):
            kept.append(one)
    return kept


def _seen_once(
    maps: DetectorMaps, names: tuple[str, ...], stride: int, min_score: float
) -> list[Detection]:
    """Return the peaks of the chances of centres, in any order."""
    window = np.ones((3, 3), np.uint8)
    found = []
    for name, chance in zip(names, maps.centres, strict=True):
        peaks = (chance >= cv2.dilate(chance, window)) & (chance >= min_score)
        found += [_detection(name, maps, chance, row, column, stride)
                  for row, column in zip(*np.nonzero(peaks), strict=True)]  # fmt: skip
    return found


def _seen_twice(devices: NDArray, names: tuple[str, ...], min_score: float) -> list[Detection]:
    """Return the devices of a second look, in any order."""
    sizes = np.exp(np.minimum(devices[:, 2:4], _LARGEST_LOG))
    return [
        Detection(name, *(float(value) for value in (*one[:2], *size, chance)))
        for one, size in zip(devices, sizes, strict=True)
        for name, chance in zip(names, one[4:], strict=True)
        if chance >= min_score
    ]


def _detection(
    name: str, maps: DetectorMaps, chance: NDArray, row: int, column: int, stride: int
) -> Detection:
    du, dv, width, height = (float(value) for value in maps.boxes[:, row, column])
    width, height = (float(np.exp(min(value, _LARGEST_LOG))) for value in (width, height))
    u, v = cell_to_pixel(float(column), stride) + du, cell_to_pixel(float(row), stride) + dv
    return Detection(name, u, v, width, height, float(chance[row, column]))


def box_iou(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> float:
    """Return the overlap of two boxes (left, top, width, height): intersection over union."""
    across = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    down = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    if across <= 0 or down <= 0:
        return 0.0
    shared = across * down
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)
