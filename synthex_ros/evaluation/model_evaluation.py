"""Score a tracker model on a data set that it was not trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from synthex_ros.errors import SynthexError
from synthex_ros.evaluation.metrics import (
    GATE_NCC,
    Array,
    LandmarkErrors,
    Summary,
    dice,
    landmark_errors,
    summarize,
)
from synthex_ros.learning.coco import VISIBLE, CocoFolder


class DatasetError(SynthexError):
    """A data set folder is incomplete or contradicts itself."""


class FramePredictor(Protocol):
    """What is scored: a model with its decoder."""

    landmarks: Sequence[str]

    def __call__(self, counts: NDArray) -> tuple[NDArray, Array]:
        """Return the label image and (u, v, score), shape (L, 3), of one radiograph."""


@dataclass(frozen=True)
class Sample:
    """One frame of a data set.

    Attributes:
        counts: radiograph, shape (rows, columns), uint16.
        mask: class ids, shape (rows, columns), uint8.
        truth_px: true landmarks (u, v) [px], shape (L, 2), NaN where not visible.
        pixel_pitch_m: detector pitch [m].
        magnification: at the device; NaN when the data set does not say.
    """

    counts: NDArray[np.uint16]
    mask: NDArray[np.uint8]
    truth_px: Array
    pixel_pitch_m: float
    magnification: float


@dataclass(frozen=True)
class ModelScore:
    """Scores of a model.

    Attributes:
        frames: number of frames.
        names: landmark names.
        errors: errors of every frame and landmark.
        dice: overlap of every frame, shape (frames,).
    """

    frames: int
    names: tuple[str, ...]
    errors: LandmarkErrors
    dice: Array


class OnnxPredictor:
    """A tracker model file with its landmark decoder.

    Args:
        path: the ONNX file.
        threads: CPU threads of one inference.
    """

    def __init__(self, path: str | Path, threads: int = 2) -> None:
        from synthex_ros.tracking.landmarks import decode
        from synthex_ros.tracking.model import TrackerModel

        self._model, self._decode = TrackerModel(path, threads), decode
        self.landmarks: Sequence[str] = tuple(self._model.metadata.landmarks)

    def __call__(self, counts: NDArray) -> tuple[NDArray, Array]:
        """Return the label image and (u, v, score), shape (L, 3), of one radiograph."""
        prediction = self._model.infer(counts)
        found = self._decode(prediction.heatmaps, self._model.metadata, prediction.mask)
        points = np.array([[mark.u, mark.v, mark.score] for mark in found], float)
        return prediction.labels(), points.reshape(-1, 3)


def read_samples(folder: str | Path, names: Sequence[str]) -> Iterator[Sample]:
    """Yield the frames of a COCO folder in the order of their ids.

    Raises:
        DatasetError: files are missing or damaged, or a landmark or distance is not known.
    """
    data = _opened(folder)
    missing = [name for name in names if name not in data.landmarks]
    if missing:
        raise DatasetError(
            f'{folder} lacks the landmarks {missing}; its categories have {list(data.landmarks)}'
        )
    order = [data.landmarks.index(name) for name in names]
    for row, image in enumerate(data.images):
        try:
            counts, mask = data.counts(row), data.mask(row)
        except (FileNotFoundError, ValueError) as error:
            raise DatasetError(str(error)) from None
        if 'pixel_pitch_mm' not in image:
            raise DatasetError(f'{folder}: image {image["id"]} has no pixel_pitch_mm')
        marks = data.keypoints(row)[order]
        truth = np.where(marks[:, 2:] >= VISIBLE, marks[:, :2], np.nan)
        magnification = image.get('source_to_detector_mm', np.nan) / image.get(
            'source_to_object_mm', np.nan
        )
        pitch = float(image['pixel_pitch_mm']) * 1e-3
        yield Sample(counts, mask, truth, pitch, float(magnification))


def frame_count(folder: str | Path) -> int:
    """Return the number of frames of a COCO folder.

    Raises:
        DatasetError: it is none.
    """
    return len(_opened(folder).images)


def _opened(folder: str | Path) -> CocoFolder:
    try:
        return CocoFolder(folder)
    except (FileNotFoundError, ValueError) as error:
        raise DatasetError(str(error)) from None


def score_model(
    predict: FramePredictor,
    samples: Iterator[Sample],
    progress: Callable[[], None] = lambda: None,
) -> ModelScore:
    """Score every frame; `progress` is called once a frame.

    Raises:
        DatasetError: no frames, or frames of different pixel pitch or size.
    """
    found, truth, magnification, overlap = [], [], [], []
    kinds = set()
    for sample in samples:
        labels, points = predict(sample.counts)
        found.append(points)
        truth.append(sample.truth_px)
        magnification.append(sample.magnification)
        overlap.append(dice(labels, sample.mask))
        kinds.add((round(sample.pixel_pitch_m, 9), sample.counts.shape))
        progress()
    if len(kinds) != 1:
        raise DatasetError(f'frames must share one pixel pitch and size, got {sorted(kinds)}')
    pitch, shape = kinds.pop()
    errors = landmark_errors(
        np.stack(found), np.stack(truth), pitch, np.array(magnification), shape
    )
    return ModelScore(len(found), tuple(predict.landmarks), errors, np.array(overlap))


def table_rows(score: ModelScore) -> list[tuple[str, Summary, Summary]]:
    """Return (name, all, gated) statistics: every landmark and each, in mm and px."""
    errors = score.errors
    gated = errors.gated(errors.detector_mm)
    rows = [('all landmarks [mm]', summarize(errors.detector_mm), summarize(gated))]
    for index, name in enumerate(score.names):
        rows.append(
            (f'{name} [mm]', summarize(errors.detector_mm[:, index]), summarize(gated[:, index]))
        )
    rows.append(
        (
            'at the device [mm]',
            summarize(errors.object_mm),
            summarize(errors.gated(errors.object_mm)),
        )
    )
    rows.append(
        ('in the image [px]', summarize(errors.pixels), summarize(errors.gated(errors.pixels)))
    )
    return rows


def score_values(score: ModelScore) -> dict[str, Any]:
    """Return the content of the JSON file; what was not measured is None."""
    errors, overlap = score.errors, summarize(score.dice)
    values: dict[str, Any] = {
        'frames': score.frames,
        'landmark_error_mean_mm': _finite(summarize(errors.detector_mm).mean),
        'detection_rate': _finite(errors.detection_rate),
        'dice_mean': _finite(overlap.mean),
        'dice': _finite_summary(overlap),
        'gate_ncc': GATE_NCC,
    }
    values['errors'] = {
        name: {'all': _finite_summary(every), 'gated': _finite_summary(gated)}
        for name, every, gated in table_rows(score)
    }
    return values


def _finite(value: float) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None


def _finite_summary(summary: Summary) -> dict[str, float | None]:
    return {key: _finite(value) for key, value in asdict(summary).items()}
