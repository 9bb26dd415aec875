"""Frames to score a model on, from any COCO folder, brought to the model's size and pitch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from synthex_ros.errors import SynthexError
from synthex_ros.evaluation.metrics import Array
from synthex_ros.learning.coco import CocoFolder

PITCH_TOLERANCE = 1e-3


class DatasetError(SynthexError):
    """A data set folder is incomplete or contradicts itself."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One frame of a data set.

    Attributes:
        row: its place in the folder.
        image: COCO's entry of the image.
        counts: radiograph, shape (rows, columns), uint16.
        mask: class ids, shape (rows, columns), uint8.
        keypoints: true landmarks (u, v, COCO visibility), shape (L, 3).
        has_device: whether anything is annotated.
        contrast: of the device, NaN where the folder does not say.
        class_masks: pixels of each class, which may share some, shape (rows, columns).
        landmark_snr: how well each landmark can be told, shape (L,), NaN where not said.
    """

    row: int
    image: dict[str, Any]
    counts: NDArray[np.uint16]
    mask: NDArray[np.uint8]
    keypoints: Array
    has_device: bool
    contrast: float
    class_masks: Mapping[str, NDArray[np.bool_]]
    landmark_snr: Array

    @property
    def pixel_pitch_mm(self) -> float:
        """Detector pitch [mm]."""
        return float(self.image['pixel_pitch_mm'])

    @property
    def magnification(self) -> float:
        """Source-to-detector over source-to-object distance, NaN where the folder is silent."""
        distances = (self.image.get(f'source_to_{name}_mm') for name in ('detector', 'object'))
        detector, thing = (float(d) if d else float('nan') for d in distances)
        return detector / thing


def open_folder(folder: str | Path) -> CocoFolder:
    """Return a COCO folder.

    Raises:
        DatasetError: it is none.
    """
    try:
        return CocoFolder(folder)
    except (FileNotFoundError, ValueError) as error:
        raise DatasetError(str(error)) from None


def read_samples(
    data: CocoFolder, names: Sequence[str], limit: int | None = None
) -> Iterator[Sample]:
    """Yield the frames of a folder in the order of their ids.

    Args:
        data: the folder.
        names: landmarks that the model knows.
        limit: how many frames; default all.

    Raises:
        DatasetError: files are missing or damaged, a landmark or the pixel pitch is not known.
    """
    missing = [name for name in names if name not in data.landmarks]
    if missing:
        raise DatasetError(
            f'{data.root} lacks the landmarks {missing}; its categories have '
            f'{list(data.landmarks)}'
        )
    order = [data.landmarks.index(name) for name in names]
    for row, image in enumerate(data.images[:limit]):
        if not image.get('pixel_pitch_mm'):
            raise DatasetError(f'{data.root}: image {image["id"]} has no pixel_pitch_mm')
        try:
            counts, mask, of_class = data.counts(row), data.mask(row), data.class_masks(row)
        except (FileNotFoundError, ValueError) as error:
            raise DatasetError(str(error)) from None
        annotations = data.annotations(row)
        contrasts = [item['contrast'] for item in annotations if 'contrast' in item]
        contrast = float(np.mean(contrasts)) if contrasts else float('nan')
        yield Sample(
            row,
            image,
            counts,
            mask,
            data.keypoints(row)[order],
            bool(annotations),
            contrast,
            dict(zip(data.classes[1:], of_class, strict=True)),
            data.landmark_snr(row)[order],
        )


@dataclass(frozen=True)
class Fit:
    """How a frame becomes an input of a model: scaled to its pitch, cut or filled to its size.

    Attributes:
        scale: model pixels a frame pixel.
        offset_px: where the frame's first corner lies in the input, (u, v) [input px].
        frame_px: rows and columns of the frame.
        input_px: rows and columns of the input.
    """

    scale: float
    offset_px: tuple[float, float]
    frame_px: tuple[int, int]
    input_px: tuple[int, int]

    @classmethod
    def between(
        cls,
        frame_px: tuple[int, int],
        frame_pitch_mm: float,
        input_px: tuple[int, int],
        input_pitch_mm: float,
    ) -> Fit:
        """Return the fit that keeps lengths on the detector, centre on centre."""
        scale = frame_pitch_mm / input_pitch_mm
        if abs(scale - 1) < PITCH_TOLERANCE:
            scale = 1.0
        free = [
            (wanted - size * scale) / 2 for size, wanted in zip(frame_px, input_px, strict=True)
        ]
        if scale == 1.0:
            free = [float(np.floor(value)) for value in free]
        return cls(scale, (free[1], free[0]), frame_px, input_px)

    @property
    def changes(self) -> bool:
        """Whether a frame is not an input as it is."""
        return self.scale != 1.0 or self.frame_px != self.input_px

    def image(self, counts: NDArray[np.uint16]) -> NDArray[np.uint16]:
        """Return the input of a frame; its border is repeated where it is too small."""
        if not self.changes:
            return counts
        interpolation = cv2.INTER_LINEAR
        if self.scale < 1:  # an area average first: sampling alone would make noise of detail
            side = max(1, round(1 / self.scale))
            counts = np.asarray(cv2.blur(counts, (side, side)), np.uint16)
        size = self.input_px[::-1]
        moved = cv2.warpAffine(
            counts, self._matrix(), size, flags=interpolation, borderMode=cv2.BORDER_REPLICATE
        )
        return np.asarray(moved, np.uint16)

    def labels_back(self, labels: NDArray) -> NDArray[np.uint8]:
        """Return labels of the input on the frame's pixels."""
        if not self.changes:
            return labels
        size, flags = self.frame_px[::-1], cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
        return np.asarray(cv2.warpAffine(labels, self._matrix(), size, flags=flags), np.uint8)

    def points_back(self, points: Array) -> Array:
        """Return points (u, v, ...) of the input as points of the frame."""
        moved = points.copy()
        moved[:, :2] = (points[:, :2] + 0.5 - self.offset_px) / self.scale - 0.5
        return moved

    def _matrix(self) -> Array:
        """Return the map of frame pixels (u, v, 1) to input pixels, shape (2, 3)."""
        shift = np.array(self.offset_px) + 0.5 * self.scale - 0.5
        return np.column_stack([np.eye(2) * self.scale, shift])
