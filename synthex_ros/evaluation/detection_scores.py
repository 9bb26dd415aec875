"""How good detections of tiny devices are: AP50 and centre error, by contrast.

Average precision as COCO defines it (101 recall levels, a truth is found by one detection at most,
the surest first) at an overlap of 0.5. In a bin of contrast the devices of other bins are left
out, with what found them; false alarms have no contrast and count in every bin.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from synthex_ros.tracking.detections import Detection, box_iou

Array = NDArray[np.float64]

BINS = ((0.0, 0.02), (0.02, 0.05), (0.05, 0.1), (0.1, 0.2), (0.2, 1.0))
LEAST_IOU = 0.5
_RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class TrueDevice:
    """A device that is in a frame.

    Attributes:
        name: its class.
        box_px: left and top edge, width, height [px].
        contrast: its Michelson contrast.
        mm_per_px: length at the object that a pixel stands for [mm].
    """

    name: str
    box_px: tuple[float, float, float, float]
    contrast: float
    mm_per_px: float

    @property
    def centre_px(self) -> tuple[float, float]:
        """Middle of the box (u, v) [px], pixel centres at integers."""
        left, top, width, height = self.box_px
        return left + width / 2 - 0.5, top + height / 2 - 0.5


@dataclass
class Found:
    """Matched detections and truths over frames.

    Attributes:
        scores: of every detection.
        match: index of the truth that it found in `truths`, -1 for a false alarm.
        truths: all devices.
        errors_mm: distance of the centres at the object [mm], NaN for those not found.
        frames: number of frames.
    """

    scores: list[float] = field(default_factory=list)
    match: list[int] = field(default_factory=list)
    truths: list[TrueDevice] = field(default_factory=list)
    errors_mm: list[float] = field(default_factory=list)
    frames: int = 0

    def add(self, detections: Sequence[Detection], truths: Sequence[TrueDevice]) -> None:
        """Match the detections of a frame, the surest first, to its devices."""
        first, taken = len(self.truths), set()
        self.truths += truths
        self.errors_mm += [float('nan')] * len(truths)
        self.frames += 1
        for one in sorted(detections, key=lambda item: -item.score):
            overlap = [
                box_iou(one.box_px, truth.box_px)
                if truth.name == one.name and k not in taken
                else 0.0
                for k, truth in enumerate(truths)
            ]
            best = int(np.argmax(overlap)) if overlap else -1
            self.scores.append(one.score)
            if best < 0 or overlap[best] < LEAST_IOU:
                self.match.append(-1)
                continue
            taken.add(best)
            self.match.append(first + best)
            away = np.subtract((one.u, one.v), truths[best].centre_px)
            distance = float(np.hypot(*away))
            self.errors_mm[first + best] = distance * truths[best].mm_per_px

    def summary(self, low: float = 0.0, high: float = np.inf) -> dict[str, float]:
        """Return AP50, recall and centre error of devices of a range of contrast [low, high)."""
        contrast = np.array([truth.contrast for truth in self.truths])
        wanted = (contrast >= low) & (contrast < high)
        errors = np.array(self.errors_mm)[wanted] if len(wanted) else np.zeros(0)
        seen = errors[np.isfinite(errors)]
        return {
            'devices': int(wanted.sum()),
            'ap50': average_precision(np.array(self.scores), np.array(self.match), wanted),
            'found': float(np.mean(np.isfinite(errors))) if len(errors) else float('nan'),
            'centre_error_mean_mm': float(seen.mean()) if len(seen) else float('nan'),
            'centre_error_p95_mm': float(np.percentile(seen, 95)) if len(seen) else float('nan'),
        }

    def by_contrast(self) -> dict[str, dict[str, float]]:
        """Return the summary of each bin of contrast, and of all devices."""
        bins = {f'{low:g}..{high:g}': self.summary(low, high) for low, high in BINS}
        return {'all': self.summary(), **bins}

    @property
    def false_alarms_per_frame(self) -> float:
        """Detections of nothing a frame, at the detector's least score."""
        return sum(found < 0 for found in self.match) / max(self.frames, 1)


def average_precision(scores: Array, match: NDArray[np.int_], wanted: NDArray[np.bool_]) -> float:
    """Return the mean precision over 101 levels of recall; NaN where nothing is wanted.

    Args:
        scores: of detections, shape (N,).
        match: index of the device that each found, or -1, shape (N,).
        wanted: which devices count, shape (M,); detections of others are left out.
    """
    total = int(wanted.sum())
    if not total:
        return float('nan')
    if not len(scores):
        return 0.0
    counted = (match < 0) | wanted[np.maximum(match, 0)]
    order = np.argsort(-scores[counted], kind='stable')
    hits = (match[counted] >= 0)[order]
    right, wrong = np.cumsum(hits), np.cumsum(~hits)
    recall, precision = right / total, right / np.maximum(right + wrong, 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    place = np.searchsorted(recall, _RECALLS, side='left')
    return float(np.mean([best[k] if k < len(best) else 0.0 for k in place]))


def truths_of(image: dict, annotations: Iterable[dict], names: Sequence[str]) -> list[TrueDevice]:
    """Return the devices of one image of a COCO folder.

    Args:
        image: COCO's entry; `pixel_pitch_mm` and distances give the size of a pixel at the object.
        annotations: of the image, with `contrast` where it is known.
        names: class of each category id, from 1.
    """
    found = []
    for item in annotations:
        depth = item.get('source_to_object_mm', image.get('source_to_object_mm'))
        magnification = image['source_to_detector_mm'] / depth if depth else 1.0
        box = (float(edge) for edge in item['bbox'])
        found.append(
            TrueDevice(
                names[item['category_id'] - 1],
                tuple(box),  # type: ignore[arg-type]
                float(item.get('contrast', float('nan'))),
                image['pixel_pitch_mm'] / magnification,
            )
        )
    return found
