"""Run a model of foreign objects on a data set and compare what it finds, frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as rle

from synthex_ros.evaluation.model_data import DatasetError, Fit
from synthex_ros.learning.coco import CocoFolder, encoded, segmentation
from synthex_ros.tracking.object_masks import LEAST_SCORE, FoundObject
from synthex_ros.tracking.objects import ObjectModel

HALF = 0.5
"""Overlap (IoU) of masks from which on an object counts as found."""


class ObjectFinder:
    """A model file of foreign objects; frames of another pitch are brought to the model's.

    Args:
        path: the ONNX file.
        threads: CPU threads of one inference.
    """

    def __init__(self, path: str | Path, threads: int = 2) -> None:
        self.model = ObjectModel(path, threads)

    def __call__(self, counts: NDArray[np.uint16], pixel_pitch_mm: float) -> list[FoundObject]:
        """Return the objects of a radiograph with any score, in its own pixels."""
        shape, pitch = (counts.shape[0], counts.shape[1]), self.model.metadata.pixel_pitch_mm
        wanted = (
            max(1, round(shape[0] * pixel_pitch_mm / pitch)),
            max(1, round(shape[1] * pixel_pitch_mm / pitch)),
        )
        fit = Fit.between(shape, pixel_pitch_mm, wanted, pitch)
        back = [
            FoundObject(item.score, fit.labels_back(item.mask.astype(np.uint8)) > 0)
            for item in self.model.find(fit.image(counts), LEAST_SCORE)
        ]
        return [item for item in back if item.mask.any()]


@dataclass(frozen=True, eq=False)
class ObjectFrame:
    """One frame with what is there and what was found.

    Attributes:
        row: its place in the folder.
        truth: masks of the objects that are labelled.
        found: objects, the surest first.
        overlaps: IoU of masks, shape (len(found), len(truth)).
    """

    row: int
    truth: list[NDArray[np.bool_]]
    found: list[FoundObject]
    overlaps: NDArray[np.float64]

    def counts(self, least_score: float) -> tuple[int, int, int]:
        """Return how many objects are found, missed, and false from a score on.

        In the order of scores, each takes the true one that it overlaps most, if that is free.
        """
        free = set(range(len(self.truth)))
        hits = false = 0
        for item, overlaps in zip(self.found, self.overlaps, strict=True):
            if item.score < least_score:
                continue
            match = max(free, key=lambda k: overlaps[k], default=None)
            if match is not None and overlaps[match] >= HALF:
                free.remove(match)
                hits += 1
            else:
                false += 1
        return hits, len(self.truth) - hits, false


def run_finder(
    find: Callable[[NDArray[np.uint16], float], list[FoundObject]],
    data: CocoFolder,
    limit: int | None = None,
    progress: Callable[[], None] = lambda: None,
) -> list[ObjectFrame]:
    """Return what a model finds in the first frames of a folder; `progress` once a frame.

    Raises:
        DatasetError: a frame is missing or damaged, or has no pixel pitch.
    """
    frames = []
    for row, image in enumerate(data.images[:limit]):
        if not image.get('pixel_pitch_mm'):
            raise DatasetError(f'{data.root}: image {image["id"]} has no pixel_pitch_mm')
        try:
            counts = data.counts(row)
        except (FileNotFoundError, ValueError) as error:
            raise DatasetError(str(error)) from None
        found = find(counts, float(image['pixel_pitch_mm']))
        frames.append(_compared(row, data.annotations(row), counts.shape, found))
        progress()
    return frames


def _compared(
    row: int, annotations: Sequence[dict[str, Any]], shape, found: list[FoundObject]
) -> ObjectFrame:
    truth = [segmentation(item['segmentation'], shape) for item in annotations]
    overlaps = np.zeros((len(found), len(truth)))
    if found and truth:
        coded = [encoded(item.mask) for item in found], [encoded(mask) for mask in truth]
        overlaps = np.asarray(rle.iou(*coded, [0] * len(truth)), float)
    return ObjectFrame(row, truth, found, overlaps)
