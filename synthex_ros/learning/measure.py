"""How good predictions are: landmark error on the detector, detection rate, Dice.

Errors are counted twice: over all visible landmarks, whatever the network thought of them, and
over those with NCC above the gate, as SyntheX reports them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthex_ros.learning.class_bits import from_bits
from synthex_ros.learning.dataset import FrameSet
from synthex_ros.tracking.landmarks import NCC_GATE, decode
from synthex_ros.tracking.metadata import ModelMetadata
from synthex_ros.tracking.model import Prediction

_DICE_SMOOTHING = 1e-4


@dataclass(frozen=True)
class FrameScore:
    """One frame's result.

    Attributes:
        error_px: distance to the truth a landmark, shape (L,); NaN for invisible ones.
        score: NCC of each landmark, shape (L,).
        visible: which landmarks are in the image, shape (L,).
        dice: of the foreground, or the mean over classes that may overlap; two empty masks have 1.
    """

    error_px: NDArray[np.float64]
    score: NDArray[np.float64]
    visible: NDArray[np.bool_]
    dice: float


@dataclass(frozen=True)
class Summary:
    """Results over a set of frames; errors on the detector plane.

    Attributes:
        frames: number of frames.
        landmarks: number of visible landmarks.
        landmark_error_mean_mm: over all visible landmarks.
        landmark_error_median_mm: over all visible landmarks.
        landmark_error_p95_mm: over all visible landmarks.
        gated_error_mean_mm: over those with NCC above the gate.
        landmark_error_mean_px: over all visible landmarks.
        detection_rate: part of the visible landmarks with NCC above the gate.
        false_positive_rate: part of the invisible landmarks with NCC above the gate.
        dice_mean: over all frames.
        ncc_gate: the gate.
    """

    frames: int
    landmarks: int
    landmark_error_mean_mm: float
    landmark_error_median_mm: float
    landmark_error_p95_mm: float
    gated_error_mean_mm: float
    landmark_error_mean_px: float
    detection_rate: float
    false_positive_rate: float
    dice_mean: float
    ncc_gate: float = NCC_GATE

    def plain(self) -> dict[str, Any]:
        """Return the numbers, rounded, in JSON types."""
        return {k: round(v, 5) if isinstance(v, float) else v for k, v in asdict(self).items()}


def dice(predicted: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Return the Dice overlap of two masks, smoothed so that two empty ones give 1."""
    overlap = np.count_nonzero(predicted & truth)
    total = np.count_nonzero(predicted) + np.count_nonzero(truth)
    return (2 * overlap + _DICE_SMOOTHING) / (total + _DICE_SMOOTHING)


def score_frame(
    prediction: Prediction,
    metadata: ModelMetadata,
    mask: NDArray[np.uint8],
    landmarks: NDArray[np.float64],
) -> FrameScore:
    """Compare a prediction with its frame's mask and landmarks (u, v, visible), shape (L, 3).

    The mask holds `class_bits` where the model's classes overlap.
    """
    found = decode(prediction.heatmaps, metadata, prediction.mask, prediction.places)
    points = np.array([[item.u, item.v] for item in found])
    visible = landmarks[:, 2] > 0
    errors = np.linalg.norm(points - landmarks[:, :2], axis=1)
    return FrameScore(
        np.where(visible, errors, np.nan),
        np.array([item.score for item in found]),
        visible,
        _frame_dice(prediction, metadata, mask),
    )


def _frame_dice(prediction: Prediction, metadata: ModelMetadata, mask: NDArray[np.uint8]) -> float:
    if not metadata.overlapping:
        return dice(prediction.labels() > 0, mask > 0)
    truth = from_bits(mask, len(metadata.classes) - 1)
    pairs = zip(prediction.class_masks(True), truth, strict=True)
    return float(np.mean([dice(found, there) for found, there in pairs]))


def summarise(
    scores: Iterable[FrameScore], pixel_pitch_mm: float, ncc_gate: float = NCC_GATE
) -> Summary:
    """Return the summary of frames.

    Raises:
        ValueError: no frames, or no landmark is visible in any.
    """
    scores = list(scores)
    if not scores or not any(s.visible.any() for s in scores):
        raise ValueError('nothing to summarise: no frame shows a landmark')
    errors = np.concatenate([s.error_px[s.visible] for s in scores]) * pixel_pitch_mm
    confident = np.concatenate([s.score[s.visible] for s in scores]) > ncc_gate
    absent = np.concatenate([s.score[~s.visible] for s in scores]) > ncc_gate
    return Summary(
        frames=len(scores),
        landmarks=len(errors),
        landmark_error_mean_mm=float(errors.mean()),
        landmark_error_median_mm=float(np.median(errors)),
        landmark_error_p95_mm=float(np.percentile(errors, 95)),
        gated_error_mean_mm=float(errors[confident].mean()) if confident.any() else float('nan'),
        landmark_error_mean_px=float(errors.mean() / pixel_pitch_mm),
        detection_rate=float(confident.mean()),
        false_positive_rate=float(absent.mean()) if absent.size else 0.0,
        dice_mean=float(np.mean([s.dice for s in scores])),
        ncc_gate=ncc_gate,
    )


def score_frames(
    infer: Callable[[NDArray[np.uint16]], Prediction], metadata: ModelMetadata, frames: FrameSet
) -> list[FrameScore]:
    """Return the score of every frame, predicted by `infer`, such as `TrackerModel.infer`."""
    return [
        score_frame(infer(counts), metadata, mask, landmarks) for counts, mask, landmarks in frames
    ]
