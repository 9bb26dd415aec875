"""A detector on frames of another pixel pitch than it was trained on."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from synthex_ros.tracking.detections import Detection, Sighting, decode_detections
from synthex_ros.tracking.detector import DetectorModel

SAME_PITCH = 0.02
"""Pitches this near to one another, relatively, are taken as they are."""


class PitchedDetector:
    """Finds devices in frames of a pitch, and answers in their pixels.

    Frames are brought to the pitch of the model by area averaging, which keeps the noise of
    binned pixels as a coarser detector would have it.

    Args:
        model: the detector.
        pixel_pitch_m: pitch of the frames on the detector [m].

    Attributes:
        model: the detector.

    Raises:
        ValueError: the pitch is not within a factor of three of the model's.
    """

    def __init__(self, model: DetectorModel, pixel_pitch_m: float) -> None:
        self.model = model
        self._scale = 1e3 * pixel_pitch_m / model.metadata.pixel_pitch_mm
        if not 1 / 3 <= self._scale <= 3:
            raise ValueError(
                f'frames of {1e3 * pixel_pitch_m:.3f} mm pixels do not fit a detector of '
                f'{model.metadata.pixel_pitch_mm:.3f} mm; set binning of the imager, and '
                'frame_pitch_m, to within a factor of three'
            )
        if abs(self._scale - 1) < SAME_PITCH:
            self._scale = 1.0

    def detect(self, counts: NDArray) -> Sighting:
        """Return what is in a radiograph, shape (rows, columns), or in a part of one."""
        meta, (rows, columns) = self.model.metadata, counts.shape
        picture = self._resampled(counts)
        maps = self.model.maps(picture)
        labels = cv2.resize(maps.labels(), (columns, rows), interpolation=cv2.INTER_NEAREST)
        found = decode_detections(maps, meta.classes[1:], meta.stride, meta.min_score)
        # whole pixels: the two sides may be scaled by slightly different factors
        scale = np.array(picture.shape[::-1]) / [columns, rows]
        return Sighting([_in_frame(one, scale) for one in found], labels.astype(np.uint8))

    def _resampled(self, counts: NDArray) -> NDArray:
        if self._scale == 1.0:
            return counts
        size = tuple(max(round(side * self._scale), 1) for side in counts.shape[::-1])
        way = cv2.INTER_AREA if self._scale < 1 else cv2.INTER_LINEAR
        return cv2.resize(np.asarray(counts, np.float32), size, interpolation=way)


def _in_frame(one: Detection, scale: NDArray[np.float64]) -> Detection:
    """Return a detection of a resampled picture in pixels of the frame; `scale` is (u, v)."""
    u, v = (np.array([one.u, one.v]) + 0.5) / scale - 0.5
    width, height = np.array([one.width_px, one.height_px]) / scale
    return replace(one, u=float(u), v=float(v), width_px=float(width), height_px=float(height))
