"""Training and test frames of a COCO folder, read one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from synthex_ros.learning.coco import VISIBLE, CocoFolder
from synthex_ros.learning.labelled import Labelled
from synthex_ros.tracking.model import normalise


class FrameSet:
    """The first frames of a COCO folder; nothing of an image is kept in memory.

    Args:
        root: the folder.
        limit: how many frames; default all.

    Raises:
        FileNotFoundError: no data set.
    """

    def __init__(self, root: str | Path, limit: int | None = None) -> None:
        # Threads of OpenCV only get in the way of loader processes.
        cv2.setNumThreads(1)
        self.folder = CocoFolder(root)
        self._rows = min(limit or len(self.folder.images), len(self.folder.images))

    def __len__(self) -> int:
        return self._rows

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
        return self.folder.images[row]

    def counts(self, row: int) -> NDArray[np.uint16]:
        """Return the radiograph of frame `row`, larger = more X-rays, shape (rows, columns)."""
        return self.folder.counts(row)

    def mask(self, row: int) -> NDArray[np.uint8]:
        """Return the class ids of frame `row`, shape (rows, columns)."""
        return self.folder.mask(row)

    def landmarks(self, row: int) -> NDArray[np.float64]:
        """Return (u, v, visible) of frame `row`, shape (L, 3); visible is 0 or 1."""
        points = self.folder.keypoints(row)
        points[:, 2] = points[:, 2] >= VISIBLE
        return points

    def labelled(self, row: int) -> Labelled:
        """Return frame `row`, normalised as the tracker does it."""
        return Labelled(normalise(self.counts(row)), self.mask(row), self.landmarks(row))

    def __iter__(self) -> Iterator[tuple[NDArray[np.uint16], NDArray[np.uint8], NDArray]]:
        """Yield (counts, mask, landmarks) of every frame."""
        for row in range(len(self)):
            yield self.counts(row), self.mask(row), self.landmarks(row)
