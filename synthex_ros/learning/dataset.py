"""A folder of labelled frames: 16-bit images, 8-bit masks, one line of annotation a frame."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from synthex_ros.learning.labelled import Labelled
from synthex_ros.tracking.model import log_counts

_FAST = [cv2.IMWRITE_PNG_COMPRESSION, 1]


class FrameFolder:
    """images/000000.png, masks/000000.png, annotations.jsonl and dataset.json in a folder.

    Annotations are only appended; a frame exists when its line does.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

    def begin(self, description: dict[str, Any]) -> None:
        """Make the folder, or check that it was made with the same description.

        Raises:
            ValueError: it was made with another one.
        """
        for part in ('images', 'masks'):
            (self.root / part).mkdir(parents=True, exist_ok=True)
        path = self.root / 'dataset.json'
        if path.exists():
            before = json.loads(path.read_text(encoding='utf-8'))
            differing = sorted(k for k in description if before.get(k) != description[k])
            if differing:
                raise ValueError(
                    f'{self.root} holds frames made with other {", ".join(differing)}; '
                    'continue with the same settings and seed, or choose an empty folder'
                )
            return
        path.write_text(json.dumps(description, indent=1) + '\n')

    def description(self) -> dict[str, Any]:
        """Return what the frames were made with.

        Raises:
            FileNotFoundError: the folder is no data set.
        """
        path = self.root / 'dataset.json'
        if not path.is_file():
            raise FileNotFoundError(
                f'{self.root} is no data set (no dataset.json); make one with `synthex generate`'
            )
        return json.loads(path.read_text(encoding='utf-8'))

    def annotations(self) -> list[dict[str, Any]]:
        """Return the annotations in order; a line that a crash cut short is removed."""
        path = self.root / 'annotations.jsonl'
        if not path.exists():
            return []
        text = path.read_bytes()
        complete = text[: text.rfind(b'\n') + 1]
        if len(complete) < len(text):
            path.write_bytes(complete)
        return [json.loads(line) for line in complete.splitlines()]

    def append(self, annotations: Sequence[dict[str, Any]]) -> None:
        """Add annotations of frames whose images have been written."""
        with (self.root / 'annotations.jsonl').open('a', encoding='utf-8') as file:
            file.writelines(json.dumps(item) + '\n' for item in annotations)

    def write_images(
        self, index: int, counts: NDArray[np.uint16], mask: NDArray[np.uint8]
    ) -> None:
        """Write image and mask of frame `index`.

        Raises:
            OSError: the disk refused.
        """
        for part, pixels in (('images', counts), ('masks', mask)):
            path = self._path(part, index)
            if not cv2.imwrite(str(path), pixels, _FAST):
                raise OSError(f'could not write {path}')

    def read(self, index: int) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
        """Return image and mask of frame `index`.

        Raises:
            FileNotFoundError: a file is missing or damaged.
        """
        counts = cv2.imread(str(self._path('images', index)), cv2.IMREAD_UNCHANGED)
        mask = cv2.imread(str(self._path('masks', index)), cv2.IMREAD_UNCHANGED)
        if counts is None or mask is None:
            raise FileNotFoundError(
                f'frame {index} of {self.root} is missing or damaged; delete the folder and '
                'generate it again'
            )
        return np.asarray(counts, np.uint16), np.asarray(mask, np.uint8)

    def _path(self, part: str, index: int) -> Path:
        return self.root / part / f'{index:06d}.png'


@dataclass(frozen=True, eq=False)
class FrameSet:
    """All frames of a folder in memory (0.8 MB each at 512 x 512).

    Attributes:
        counts: shape (N, rows, columns), uint16.
        masks: shape (N, rows, columns), uint8.
        landmarks: (u, v, visible), shape (N, L, 3), float64.
        scaling: mean and deviation of log(1 + counts) of each frame, shape (N, 2), float32.
        annotations: one a frame.
    """

    counts: NDArray[np.uint16]
    masks: NDArray[np.uint8]
    landmarks: NDArray[np.float64]
    scaling: NDArray[np.float32]
    annotations: list[dict[str, Any]]

    def __len__(self) -> int:
        return len(self.counts)

    @classmethod
    def load(cls, root: str | Path, limit: int | None = None, threads: int = 2) -> FrameSet:
        """Read a folder, or its first `limit` frames.

        Raises:
            FileNotFoundError: no data set, no frames, or a missing image.
        """
        folder = FrameFolder(root)
        names = folder.description()['landmarks']
        annotations = folder.annotations()[:limit]
        if not annotations:
            raise FileNotFoundError(f'{root} has no frames yet; run `synthex generate`')
        first, _ = folder.read(annotations[0]['id'])
        shape = (len(annotations), *first.shape)
        counts, masks = np.empty(shape, np.uint16), np.empty(shape, np.uint8)
        scaling = np.empty((len(annotations), 2), np.float32)

        def read(row: int) -> None:
            counts[row], masks[row] = folder.read(annotations[row]['id'])
            mean, deviation = cv2.meanStdDev(log_counts(counts[row]))
            scaling[row] = mean[0, 0], max(deviation[0, 0], 1e-6)

        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(read, range(len(annotations))))
        landmarks = [[item['landmarks'][name] for name in names] for item in annotations]
        return cls(counts, masks, np.array(landmarks, float), scaling, annotations)

    def labelled(self, row: int) -> Labelled:
        """Return frame `row`, normalised as the tracker does it."""
        mean, deviation = self.scaling[row]
        image = (log_counts(self.counts[row]) - mean) / deviation
        return Labelled(image, self.masks[row], self.landmarks[row])
