"""Score a tracker model on a data set that it was not trained on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
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
    """Yield the frames of a data set folder in the order of its annotations.

    Raises:
        DatasetError: files are missing or damaged, or a landmark is not annotated.
    """
    folder = Path(folder)
    for line in annotation_lines(folder):
        number = line['id'] if isinstance(line['id'], str) else f'{line["id"]:06d}'
        counts = _read_png(folder / 'images' / f'{number}.png', np.uint16)
        mask = _read_png(folder / 'masks' / f'{number}.png', np.uint8)
        missing = [name for name in names if name not in line['landmarks']]
        if missing:
            raise DatasetError(f'{folder}: frame {number} lacks the landmarks {missing}')
        marks = np.array([line['landmarks'][name] for name in names], float).reshape(-1, 3)
        truth = np.where(marks[:, 2:] > 0, marks[:, :2], np.nan)
        distance = line.get('source_to_object_mm') or float('nan')
        yield Sample(
            counts,
            mask,
            truth,
            float(line['pixel_pitch_mm']) * 1e-3,
            float(line['source_to_detector_mm']) / float(distance),
        )


def annotation_lines(folder: Path) -> list[dict[str, Any]]:
    """Return the annotations of a data set.

    Raises:
        DatasetError: no annotations, or a line that is no JSON object.
    """
    path = folder / 'annotations.jsonl'
    if not path.is_file():
        raise DatasetError(f'{path} does not exist; make a data set with `synthex generate`')
    lines = []
    for number, text in enumerate(path.read_text(encoding='utf-8').splitlines(), 1):
        try:
            line = json.loads(text)
            lines.append({**line, 'id': line['id']})
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise DatasetError(f'{path}, line {number} is damaged: {error}') from None
    if not lines:
        raise DatasetError(f'{path} is empty; make a data set with `synthex generate`')
    return lines


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


def _read_png(path: Path, dtype: type) -> NDArray:
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise DatasetError(f'{path} is missing or damaged; run `synthex generate` again')
    if image.ndim != 2 or image.dtype != dtype:
        raise DatasetError(f'{path} must be one channel of {dtype.__name__}, got {image.dtype}')
    return image
