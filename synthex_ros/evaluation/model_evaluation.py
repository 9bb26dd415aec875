"""Run a tracker model on a data set that it was not trained on, and keep what it found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from synthex_ros.evaluation.metrics import NCC_GATE, Array, LandmarkErrors, dice
from synthex_ros.evaluation.model_data import DatasetError, Fit, Sample
from synthex_ros.learning.coco import encoded

MIN_INSTANCE_PX = 20
"""A class with fewer pixels than this is not reported as a device."""


@dataclass(frozen=True, eq=False)
class Instance:
    """One device that a model sees.

    Attributes:
        label: class id.
        mask: its pixels, shape (rows, columns).
        score: how sure the model is, 0..1.
    """

    label: int
    mask: NDArray[np.bool_]
    score: float


@dataclass(frozen=True, eq=False)
class Finding:
    """What a model says about one frame, in the frame's pixels.

    Attributes:
        labels: class ids, shape (rows, columns), uint8.
        points: (u, v, score) of every landmark, shape (L, 3).
        instances: devices.
        class_masks: pixels of each class, which may share some, shape (rows, columns).
    """

    labels: NDArray[np.uint8]
    points: Array
    instances: tuple[Instance, ...] = ()
    class_masks: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)


class FramePredictor(Protocol):
    """What is scored: a model with its decoder."""

    landmarks: Sequence[str]

    def __call__(self, counts: NDArray, pixel_pitch_mm: float) -> Finding:
        """Return what is found in one radiograph."""


class OnnxPredictor:
    """A tracker model file with its landmark decoder.

    Frames of another size or pitch are brought to the model's, and the result back.

    Args:
        path: the ONNX file.
        threads: CPU threads of one inference.
    """

    def __init__(self, path: str | Path, threads: int = 2) -> None:
        from synthex_ros.tracking.landmarks import decode
        from synthex_ros.tracking.model import TrackerModel

        self._model, self._decode = TrackerModel(path, threads), decode
        self.landmarks: Sequence[str] = tuple(self._model.metadata.landmarks)
        self.classes: Sequence[str] = tuple(self._model.metadata.classes)

    def __call__(self, counts: NDArray, pixel_pitch_mm: float) -> Finding:
        """Return what is found in one radiograph."""
        meta = self._model.metadata
        shape, wanted = (counts.shape[0], counts.shape[1]), meta.input_shape
        fit = Fit.between(shape, pixel_pitch_mm, (wanted[2], wanted[3]), meta.pixel_pitch_mm)
        prediction = self._model.infer(fit.image(counts))
        found = self._decode(prediction.heatmaps, meta, prediction.mask, prediction.places)
        points = np.array([[mark.u, mark.v, mark.score] for mark in found], float).reshape(-1, 3)
        instances, masks = [], {}
        for label, here in enumerate(prediction.class_masks(meta.overlapping), start=1):
            mask = fit.labels_back(here.astype(np.uint8)) > 0
            masks[meta.classes[label]] = mask
            if np.count_nonzero(here) >= MIN_INSTANCE_PX:
                sure = float(prediction.classes[label][here].mean())
                instances.append(Instance(label, mask, sure))
        labels = fit.labels_back(prediction.labels())
        return Finding(labels, fit.points_back(points), tuple(instances), masks)


@dataclass(frozen=True, eq=False)
class FrameResult:
    """One frame with what was found in it; pictures are not kept.

    Attributes:
        row: its place in the folder.
        image: COCO's entry of the image.
        truth: (u, v, COCO visibility), shape (L, 3).
        found: (u, v, score), shape (L, 3).
        pixel_pitch_mm: detector pitch [mm].
        magnification: at the device, NaN where unknown.
        has_device: whether a device is annotated.
        contrast: of the device, NaN where unknown.
        dice: mean overlap of the classes that folder and model share, of the foregrounds where
            they share none; 1 where both are empty.
        pixels: true positives, false positives, false negatives, true negatives [px].
        instances: devices in COCO's result format.
        class_dice: overlap of each class that folder and model share.
        classes_there: names of the classes that are annotated.
        landmark_snr: how well each landmark can be told, shape (L,), NaN where unknown.
    """

    row: int
    image: dict[str, Any]
    truth: Array
    found: Array
    pixel_pitch_mm: float
    magnification: float
    has_device: bool
    contrast: float
    dice: float
    pixels: tuple[int, int, int, int]
    instances: tuple[dict[str, Any], ...]
    class_dice: Mapping[str, float]
    classes_there: frozenset[str]
    landmark_snr: Array


def run_model(
    predict: FramePredictor, samples: Iterable[Sample], progress: Callable[[], None] = lambda: None
) -> list[FrameResult]:
    """Return what a model finds in every frame; `progress` is called once a frame.

    Raises:
        DatasetError: there are no frames.
    """
    results = []
    for sample in samples:
        results.append(frame_result(sample, predict(sample.counts, sample.pixel_pitch_mm)))
        progress()
    if not results:
        raise DatasetError('the data set has no frames')
    return results


def frame_result(sample: Sample, finding: Finding) -> FrameResult:
    """Compare what was found in a frame with what is there."""
    found, true = finding.labels > 0, sample.mask > 0
    both, either = int((found & true).sum()), int((found | true).sum())
    pixels = (both, int(found.sum()) - both, int(true.sum()) - both, found.size - either)
    instances = tuple(
        {
            'image_id': sample.image['id'],
            'category': item.label,
            'segmentation': encoded(item.mask),
            'score': item.score,
        }
        for item in finding.instances
    )
    class_dice = {
        name: dice(mask, sample.class_masks[name])
        for name, mask in finding.class_masks.items()
        if name in sample.class_masks
    }
    whole = dice(finding.labels, sample.mask)
    return FrameResult(
        sample.row,
        sample.image,
        sample.keypoints,
        finding.points,
        sample.pixel_pitch_mm,
        sample.magnification,
        sample.has_device,
        sample.contrast,
        float(np.mean(list(class_dice.values()))) if class_dice else whole,
        pixels,
        instances,
        class_dice,
        frozenset(name for name, mask in sample.class_masks.items() if mask.any()),
        sample.landmark_snr,
    )


def errors_of(results: Sequence[FrameResult], gate: float = NCC_GATE) -> LandmarkErrors:
    """Return the landmark errors of frames, which may differ in pixel pitch."""
    truth, found = (np.stack([getattr(r, name) for r in results]) for name in ('truth', 'found'))
    visible = truth[..., 2] >= 2
    pixels = np.linalg.norm(found[..., :2] - truth[..., :2], axis=-1)
    pixels = np.where(visible, pixels, np.nan)
    pitch = np.array([r.pixel_pitch_mm for r in results])[:, None]
    magnification = np.array([r.magnification for r in results])[:, None]
    detected = np.isfinite(pixels) & (found[..., 2] > gate)
    return LandmarkErrors(
        pixels, pixels * pitch, pixels * pitch / magnification, visible, detected
    )
