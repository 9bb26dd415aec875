"""One tiny device through the frames: detections, gated and filtered, by region once locked.

The detection that fits the prediction best is taken, not the surest. While the track holds, only
the surroundings of the prediction are looked at; whole frames when it is lost, when nothing is
found there, and now and then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from synthex_ros.tracking.covariance import mahalanobis_squared
from synthex_ros.tracking.detections import Detection, Sighting
from synthex_ros.tracking.filter import (
    CHI2_2_DOF_999,
    FilterSettings,
    Measurement,
    PointFilter,
    PointState,
)
from synthex_ros.tracking.mixed_motion import MixedMotion
from synthex_ros.tracking.motion import Motion

Array = NDArray[np.float64]

RULES = FilterSettings(gate_chi2=CHI2_2_DOF_999, lost_timeout_s=1.0)
_BLANK = np.zeros((2, 2))


class Detector(Protocol):
    """What finds devices, such as `PitchedDetector`."""

    def detect(self, counts: NDArray) -> Sighting:
        """Return what is in a radiograph, shape (rows, columns), or in a part of one."""


@dataclass(frozen=True)
class TinyTrackSettings:
    """How a detection becomes a measurement.

    Attributes:
        sigma_px: noise of a centre per axis at score 1 [px]; grows as one over the root of it.
        start_score: least score of the detection that a track starts from.
        region_px: side of the part of the frame that is looked at while the track holds [px].
        full_every: every so many frames the whole frame is looked at all the same.
    """

    sigma_px: float = 0.7
    start_score: float = 0.5
    region_px: int = 160
    full_every: int = 15


@dataclass(frozen=True, eq=False)
class TinyResult:
    """The device after one frame.

    Attributes:
        state: the track; its position is (u, v) [px].
        detection: what was taken for the device in this frame; None if nothing was.
        whole: whether the whole frame was looked at.
        labels: class ids of the frame, 0 where nothing was found or looked for, shape
            (rows, columns), uint8.
    """

    state: PointState
    detection: Detection | None
    whole: bool
    labels: NDArray[np.uint8]


class TinyTracker:
    """Track one device of a class.

    Args:
        detector: finds devices.
        name: class of the device.
        motion: how it moves in the image [px]; default a mixture that fits 0.3 mm pixels.
        settings: noise, start, region.
    """

    def __init__(
        self,
        detector: Detector,
        name: str,
        motion: Motion | None = None,
        settings: TinyTrackSettings | None = None,
    ) -> None:
        self._detector, self._name = detector, name
        self.settings = settings or TinyTrackSettings()
        self.filter = PointFilter(RULES, motion or MixedMotion().scaled(4000.0))
        self._in_a_row = 0

    def track(self, counts: NDArray, time_s: float) -> TinyResult:
        """Return the device after a frame, shape (rows, columns), of an exposure time [s].

        Raises:
            ValueError: the frame is older than the history of the track.
        """
        ahead = self._ahead(time_s)
        whole = ahead is None or self._in_a_row + 1 >= self.settings.full_every
        chosen = None
        if ahead is not None and not whole:
            seen = self._near(counts, ahead)
            chosen = self._choose(seen.devices, ahead)
        if chosen is None:
            seen, whole = self._detector.detect(counts), True
            chosen = self._choose(seen.devices, ahead)
        self._in_a_row = 0 if whole else self._in_a_row + 1
        measurement = Measurement(time_s, None, _BLANK, _BLANK)
        if chosen is not None:
            position = np.array([chosen.u, chosen.v])
            measurement = Measurement(time_s, position, self._noise(chosen), _BLANK)
        state = self.filter.add(measurement)
        if state is None:
            raise ValueError(f'the frame of {time_s:.3f} s is older than the history of the track')
        return TinyResult(state, chosen, whole, seen.labels)

    def _ahead(self, time_s: float) -> PointState | None:
        if not self.filter.state.started or time_s < self.filter.state.time_s:
            return None
        ahead = self.filter.predict(time_s)
        return None if ahead.lost else ahead

    def _corner(self, counts: NDArray, ahead: PointState) -> tuple[int, int]:
        """Return first row and column of the region around the prediction."""
        size, shape = self.settings.region_px, np.array(counts.shape)
        corner = np.round(ahead.position[::-1]).astype(int) - size // 2
        top, left = np.clip(corner, 0, np.maximum(shape - size, 0))
        return int(top), int(left)

    def _near(self, counts: NDArray, ahead: PointState) -> Sighting:
        """Return what is around the prediction, in the pixels of the frame."""
        size, (top, left) = self.settings.region_px, self._corner(counts, ahead)
        region = np.s_[top : top + size, left : left + size]
        seen, labels = self._detector.detect(counts[region]), np.zeros(counts.shape, np.uint8)
        labels[region] = seen.labels
        return Sighting(
            [replace(one, u=one.u + left, v=one.v + top) for one in seen.devices], labels
        )

    def _choose(
        self, detections: Sequence[Detection], ahead: PointState | None
    ) -> Detection | None:
        """Return the detection that fits the prediction best, or the surest without one."""
        own = [one for one in detections if one.name == self._name]
        if ahead is None:
            sure = [one for one in own if one.score >= self.settings.start_score]
            return max(sure, key=lambda one: one.score, default=None)
        fitting = [(self._distance(one, ahead), one) for one in own]
        fitting = [pair for pair in fitting if pair[0] <= self.filter.settings.gate_chi2]
        return min(fitting, key=lambda pair: pair[0], default=(0.0, None))[1]

    def _distance(self, one: Detection, ahead: PointState) -> float:
        error = np.array([one.u, one.v]) - ahead.position
        return mahalanobis_squared(error, ahead.covariance + self._noise(one))

    def _noise(self, one: Detection) -> Array:
        return self.settings.sigma_px**2 / max(one.score, 0.05) * np.eye(2)
