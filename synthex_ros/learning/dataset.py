"""Training and test frames of a COCO folder, read one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from synthex_ros.learning.class_bits import to_bits
from synthex_ros.learning.coco import VISIBLE, CocoFolder
from synthex_ros.learning.kept_images import KeptImages
from synthex_ros.learning.labelled import Labelled
from synthex_ros.tracking.model import normalise

VALIDATION_SHARE = 0.1
"""Last part of a folder that is kept from training where there is no other validation."""


class FrameSet:
    """Some frames of a COCO folder in order.

    Args:
        root: the folder.
        limit: how many frames; default all.
        first: the first one.
        kept: keep pixels that were read once in a nameless file, for all processes: a frame comes
            ten times as fast as from PNG.
        overlapping: classes share pixels: masks are `class_bits` instead of class ids.

    Raises:
        FileNotFoundError: no data set.
    """

    def __init__(
        self,
        root: str | Path,
        limit: int | None = None,
        first: int = 0,
        kept: bool = False,
        overlapping: bool = False,
    ) -> None:
        # Threads of OpenCV only get in the way of loader processes.
        cv2.setNumThreads(1)
        self.folder, self.overlapping = CocoFolder(root), overlapping
        last = len(self.folder.images)
        self._rows = range(first, last if limit is None else min(first + limit, last))
        self._kept = None
        if kept:
            entry = self.folder.images[first]
            shape = int(entry['height']), int(entry['width'])
            self._kept = KeptImages(len(self._rows), shape)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes in a mask; 0 is the background."""
        return self.folder.classes

    @property
    def landmark_names(self) -> tuple[str, ...]:
        """Names of the landmarks."""
        return self.folder.landmarks

    @property
    def info(self) -> dict[str, Any]:
        """What the frames were made with, as far as the folder says."""
        return self.folder.info

    def image(self, row: int) -> dict[str, Any]:
        """Return COCO's entry of frame `row`."""
        return self.folder.images[self._rows[row]]

    def counts(self, row: int) -> NDArray[np.uint16]:
        """Return the radiograph of frame `row`, larger = more X-rays, shape (rows, columns)."""
        if self._kept is None:
            return self.folder.counts(self._rows[row])
        return self._kept.image(row, lambda: self.folder.counts(self._rows[row]))

    def annotations(self, row: int) -> list[dict[str, Any]]:
        """Return COCO's annotations of frame `row`."""
        return self.folder.annotations(self._rows[row])

    def shows_device(self, row: int) -> bool:
        """Tell whether anything is labelled in frame `row`."""
        return bool(self.folder.annotations(self._rows[row]))

    def mask(self, row: int) -> NDArray[np.uint8]:
        """Return class ids, or bits where classes overlap, of frame `row`, (rows, columns)."""
        if self.overlapping:
            return to_bits(self.folder.class_masks(self._rows[row]))
        return self.folder.mask(self._rows[row])

    def landmarks(self, row: int) -> NDArray[np.float64]:
        """Return (u, v, visible) of frame `row`, shape (L, 3); visible is 0 or 1."""
        points = self.folder.keypoints(self._rows[row])
        points[:, 2] = points[:, 2] >= VISIBLE
        return points

    def labelled(self, row: int) -> Labelled:
        """Return frame `row`, normalised as the tracker does it."""
        return Labelled(normalise(self.counts(row)), self.mask(row), self.landmarks(row))

    def __iter__(self) -> Iterator[tuple[NDArray[np.uint16], NDArray[np.uint8], NDArray]]:
        """Yield (counts, mask, landmarks) of every frame."""
        for row in range(len(self)):
            yield self.counts(row), self.mask(row), self.landmarks(row)


def training_sets(
    train: str, validation: str, frames: int, overlapping: bool = False
) -> tuple[FrameSet, FrameSet]:
    """Return the frames to train on and those to validate on.

    Without a folder for validation the last tenth of the frames is kept for it, from the start of
    a C-arm view on: no view is in both.

    Args:
        train: folder of training frames.
        validation: folder of validation frames, or empty.
        frames: how many training frames to use; 0 is all.
        overlapping: classes share pixels.

    Raises:
        FileNotFoundError: no data.
        ValueError: both folders were generated with one seed, or one folder is too small to split.
    """
    if validation:
        sets = (
            FrameSet(train, frames or None, kept=True, overlapping=overlapping),
            FrameSet(validation, overlapping=overlapping),
        )
        check_disjoint(*sets)
        return sets
    whole = FrameSet(train)
    cut = len(whole) - max(1, round(VALIDATION_SHARE * len(whole)))
    while (
        cut > 0
        and _camera(whole, cut) is not None
        and _camera(whole, cut) == _camera(whole, cut - 1)
    ):
        cut -= 1
    if cut < 1:
        raise ValueError(f'{train} has too few views to keep some for validation; name a folder')
    return (
        FrameSet(train, min(frames or cut, cut), kept=True, overlapping=overlapping),
        FrameSet(train, first=cut, overlapping=overlapping),
    )


def _camera(frames: FrameSet, row: int) -> Any:
    return frames.image(row).get('camera')


def check_disjoint(train: FrameSet, validation: FrameSet) -> None:
    """Check that no C-arm view can be in both sets.

    Raises:
        ValueError: both were generated with one seed.
    """
    seeds = train.info.get('seed'), validation.info.get('seed')
    if seeds[0] is not None and seeds[0] == seeds[1]:
        raise ValueError(
            f'training and validation frames were both made with seed {seeds[0]} and share their '
            'views; generate one of them with another --seed'
        )
