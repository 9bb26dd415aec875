"""From one radiograph to the tip in `world`: network, landmarks, shape, filter.

Says that it does not know, with a reason, instead of guessing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from synthex_ros.geometry import View
from synthex_ros.tracking.filter import Measurement, PointFilter
from synthex_ros.tracking.landmarks import Landmark, decode
from synthex_ros.tracking.model import Prediction, TrackerModel
from synthex_ros.tracking.ray_plane import tip_on_plane
from synthex_ros.tracking.region import Region, RegionChooser
from synthex_ros.tracking.shape import ShapeEstimate, ShapeFitter
from synthex_ros.tracking.tip_result import TipResult, blank_reason, tip_result

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Gates:
    """What must hold before a frame is used as a measurement.

    Attributes:
        min_score: lowest landmark score that counts as seen.
        max_reduced_chi2: largest cost per datum of a shape that is believed.
        min_confidence: lowest confidence by which the covariance is divided.
    """

    min_score: float = 0.5
    max_reduced_chi2: float = 10.0
    min_confidence: float = 0.05


@dataclass(frozen=True)
class TipFrame:
    """One exposure with all that is known about it.

    Attributes:
        counts: radiograph, shape (rows, columns), uint16.
        view: geometry and pose of the exposure.
        world_from_cm_base: the manipulator's frame at exposure, shape (4, 4) [m].
        predicted_control_rad: control points that the joints predict, shape (5,).
        time_s: time of the exposure [s].
    """

    counts: NDArray[np.uint16]
    view: View
    world_from_cm_base: Array
    predicted_control_rad: Array
    time_s: float


class TipTracker:
    """Track the tip of one device through the frames.

    Args:
        model: the network.
        fitter: the shape fit.
        tip_filter: the temporal filter.
        gates: what a measurement must satisfy.
        clock: seconds on a steady clock, for the time report.
        regions: while the device is tracked, look only where it must be; default whole frames.

    Raises:
        ModelMismatch: regions were asked for and the network takes whole frames only.
    """

    def __init__(
        self,
        model: TrackerModel,
        fitter: ShapeFitter,
        tip_filter: PointFilter,
        gates: Gates | None = None,
        clock: Callable[[], float] = time.perf_counter,
        regions: RegionChooser | None = None,
    ) -> None:
        if regions is not None:
            model.require_regions()
        self._model, self._fitter, self._filter = model, fitter, tip_filter
        self._gates = gates or Gates()
        self._clock, self._regions = clock, regions
        self._turn = np.eye(3)
        self._curve_world_m: Array | None = None

    def reset(self) -> None:
        """Forget the track."""
        self._filter.reset()
        self._curve_world_m = None
        if self._regions is not None:
            self._regions.reset()

    def track(self, frame: TipFrame) -> TipResult:
        """Return the tip after one exposure.

        Raises:
            ValueError: the frame does not fit the model, or a pose is not rigid.
        """
        started = self._clock()
        self._model.check_frame(frame.view.geometry)
        prediction, found, region = self._look(frame)
        inferred = self._clock()
        landmarks, reason = self._seen(frame, found)
        measurement, estimate, problem = Measurement(frame.time_s), None, reason
        if not reason:
            measurement, estimate, problem = self._measure(frame, prediction, landmarks)
        result = self._filtered(frame, prediction, landmarks, measurement, estimate, problem)
        if self._regions is not None:
            self._curve_world_m = result.centerline_world_m
            self._regions.looked(region, locked=not (result.lost or result.reason))
        return replace(
            result, inference_s=inferred - started, fit_s=self._clock() - inferred, region=region
        )

    def _look(self, frame: TipFrame) -> tuple[Prediction, list[Landmark], Region | None]:
        """Return the prediction with its landmarks, and the part of the frame it is of."""
        chosen = None if self._regions is None else self._region(frame, self._regions)
        prediction = self._model.infer(frame.counts, chosen)
        found = decode(
            prediction.heatmaps, self._model.metadata, prediction.mask, prediction.places
        )
        if chosen is None or self._regions is None:
            return prediction, found, None
        if self._regions.believes([one.score for one in found]):
            return prediction, found, chosen
        prediction = self._model.infer(frame.counts)
        return (
            prediction,
            decode(prediction.heatmaps, self._model.metadata, prediction.mask, prediction.places),
            None,
        )

    def _region(self, frame: TipFrame, regions: RegionChooser) -> Region | None:
        """Return where the device must be: its last shape, its known base, its predicted tip."""
        if self._curve_world_m is None or frame.time_s < self._filter.state.time_s:
            return None
        tip = self._filter.predict(frame.time_s)
        if tip.lost:
            return None
        points = np.vstack([self._curve_world_m, frame.world_from_cm_base[:3, 3], tip.position])
        return regions.choose(frame.view.project(points), frame.view.geometry.shape_px)

    def _seen(self, frame: TipFrame, found: list[Landmark]) -> tuple[tuple[Landmark, ...], str]:
        """Return the landmarks, scores below the limit set to 0, and why the tip is not seen."""
        blank = blank_reason(frame.counts)
        limit = np.inf if blank else self._gates.min_score
        scores = [min(one.score, 1.0) if one.score >= limit else 0.0 for one in found]
        seen = tuple(replace(one, score=s) for one, s in zip(found, scores, strict=True))
        tip = next((s for one, s in zip(found, scores, strict=True) if one.name == 'tip'), 0.0)
        return seen, blank or ('' if tip > 0 else 'tip_score')

    def _measure(
        self, frame: TipFrame, prediction: Prediction, landmarks: tuple[Landmark, ...]
    ) -> tuple[Measurement, ShapeEstimate | None, str]:
        """Return the measurement, the shape if there is one, and why there is none."""
        missed = Measurement(frame.time_s)
        estimate = self._fitter.fit(
            frame.view,
            prediction.mask,
            landmarks,
            frame.world_from_cm_base,
            frame.predicted_control_rad,
        )
        if not estimate.converged:
            return self._fall_back(frame, landmarks)
        if estimate.reduced_chi2 > self._gates.max_reduced_chi2:
            return missed, None, 'shape_disagrees'
        trust = max(estimate.confidence, self._gates.min_confidence)
        measurement = Measurement(
            frame.time_s,
            estimate.tip_world_m,
            estimate.tip_covariance_m2 / trust,
            estimate.tip_bias_covariance_m2 / trust,
        )
        return measurement, estimate, ''

    def _fall_back(
        self, frame: TipFrame, landmarks: tuple[Landmark, ...]
    ) -> tuple[Measurement, None, str]:
        tip = next(one for one in landmarks if one.name == 'tip')
        options = self._fitter.settings
        try:
            position, covariance = tip_on_plane(
                frame.view,
                (tip.u, tip.v),
                frame.world_from_cm_base,
                options.tip_sigma_px / np.sqrt(tip.score),
                options.base_position_sigma_m,
                options.base_rotation_sigma_rad,
                options.edge_on_rad,
            )
        except ValueError:  # edge-on: the image alone cannot tell the depth
            return Measurement(frame.time_s), None, 'shape_diverged'
        return Measurement(frame.time_s, position, covariance), None, ''

    def _filtered(
        self,
        frame: TipFrame,
        prediction: Prediction,
        landmarks: tuple[Landmark, ...],
        measurement: Measurement,
        estimate: ShapeEstimate | None,
        reason: str,
    ) -> TipResult:
        state = self._filter.add(measurement)
        if state is None:
            lost, reason = True, 'older_than_history'
        else:
            lost = state.lost
            if measurement.position is not None and not state.accepted:
                reason = 'gate'
        if estimate is not None and not reason:
            self._turn = estimate.world_from_tip[:3, :3]
        line = estimate.centerline_world_m if estimate is not None and not lost else None
        return tip_result(prediction.labels(), landmarks, state, reason, self._turn, line)
