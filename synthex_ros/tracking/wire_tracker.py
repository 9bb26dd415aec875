"""From one radiograph to the tip and the end of a wire in `world`.

The network finds tip, marker and mask; the wire is traced from the tip backwards, put into the
vessels (or a plane), and its tip filtered. Says that it does not know, with a reason, instead of
guessing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from synthex_ros.geometry import ProjectionGeometry, View
from synthex_ros.tracking.filter import Measurement, PointFilter, PointState
from synthex_ros.tracking.known_length import KnownEnd
from synthex_ros.tracking.landmarks import Landmark, decode
from synthex_ros.tracking.metadata import ModelMetadata
from synthex_ros.tracking.model import Prediction
from synthex_ros.tracking.region import Region, RegionChooser
from synthex_ros.tracking.tip_result import TipResult, blank_reason, tip_result
from synthex_ros.tracking.wire_depth import PlacedWire, WireDepth
from synthex_ros.tracking.wire_trace import trace_wire

Array = NDArray[np.float64]

TIP, MARKER = 'tip', 'marker'

_TIP_END_M = 0.008
_ON_MASK_PX = 4


class WireNetwork(Protocol):
    """What finds a wire in a radiograph, such as `TrackerModel`."""

    metadata: ModelMetadata

    def check_frame(self, geometry: ProjectionGeometry) -> None:
        """Raise ValueError for frames that do not fit."""
        ...

    def infer(self, counts: NDArray, region: Region | None = None) -> Prediction:
        """Return mask and heat maps of a frame, or of a region of it."""
        ...

    def require_regions(self) -> None:
        """Raise ValueError where only whole frames can be looked at."""
        ...


@dataclass(frozen=True)
class WireSettings:
    """When a wire is believed.

    Attributes:
        min_score: lowest score of the tip that counts as seen.
        tip_sigma_px: standard deviation of the tip per axis at score 1 [px].
        line_m: length of wire that is traced from the tip [m].
        shortest_m: least length from which the tip's direction is told [m].
        mask_probability: least probability of the mask at the tip.
    """

    min_score: float = 0.5
    tip_sigma_px: float = 1.0
    line_m: float = 0.085
    shortest_m: float = 0.004
    mask_probability: float = 0.5

    def __post_init__(self):
        for name, low, high in (
            ('min_score', 0.0, 1.0), ('tip_sigma_px', 0.01, 50.0), ('line_m', 0.005, 0.5),
            ('shortest_m', 1e-3, 0.05), ('mask_probability', 0.01, 1.0),
        ):  # fmt: skip
            if not low <= getattr(self, name) <= high:
                raise ValueError(f'{name} must be {low:g}..{high:g}, got {getattr(self, name):g}')


@dataclass(frozen=True)
class WireFrame:
    """One exposure with all that is known about it.

    Attributes:
        counts: radiograph, shape (rows, columns), uint16.
        view: geometry and pose of the exposure.
        inserted_m: length of wire beyond the entry [m].
        time_s: time of the exposure [s].
    """

    counts: NDArray[np.uint16]
    view: View
    inserted_m: float
    time_s: float


class WireTracker:
    """Track the tip of one wire through the frames.

    Args:
        network: finds tip, marker and mask.
        depth: where a wire in the image lies in space.
        anchor_m: a place near the wire, for the scale of the image, shape (3,) [m].
        tip_filter: the temporal filter.
        settings: what a measurement must satisfy.
        regions: while the wire is tracked, look only where it must be; default whole frames.
        end: what is known of the length from marker to tip; default nothing.
        clock: seconds on a steady clock, for the time report.

    Raises:
        ModelMismatch: regions were asked for and the network takes whole frames only.
    """

    def __init__(
        self,
        network: WireNetwork,
        depth: WireDepth,
        anchor_m: Array,
        tip_filter: PointFilter | None = None,
        settings: WireSettings | None = None,
        regions: RegionChooser | None = None,
        end: KnownEnd | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        if regions is not None:
            network.require_regions()
        self._network, self._depth = network, depth
        self._anchor_m = np.array(anchor_m, float)
        self._filter = tip_filter or PointFilter()
        self.settings = settings or WireSettings()
        self._regions, self._end, self._clock = regions, end, clock
        self._turn = np.eye(3)
        self._line_m: Array | None = None

    def reset(self) -> None:
        """Forget the track."""
        self._filter.reset()
        self._forget_depth()
        self._line_m = None
        if self._regions is not None:
            self._regions.reset()

    def _forget_depth(self) -> None:
        self._depth.reset()
        if self._end is not None:
            self._end.reset()

    def track(self, frame: WireFrame) -> TipResult:
        """Return tip, line and landmarks after one exposure.

        Raises:
            ValueError: the frame does not fit the network, or values are not finite.
        """
        if not np.isfinite(frame.inserted_m):
            raise ValueError(f'inserted_m must be finite, got {frame.inserted_m}')
        started = self._clock()
        self._network.check_frame(frame.view.geometry)
        prediction, found, region = self._look(frame)
        inferred = self._clock()
        landmarks, reason = self._seen(frame, prediction, found)
        placed = reason or self._placed(frame, prediction, landmarks)
        result = self._filtered(frame, prediction, landmarks, placed)
        self._line_m = result.centerline_world_m
        if self._regions is not None:
            self._regions.looked(region, locked=not (result.lost or result.reason))
        return replace(
            result, inference_s=inferred - started, fit_s=self._clock() - inferred, region=region
        )

    def _look(self, frame: WireFrame) -> tuple[Prediction, list[Landmark], Region | None]:
        """Return the prediction with its landmarks, and the part of the frame it is of."""
        chosen = None if self._regions is None else self._region(frame, self._regions)
        if chosen is not None and self._regions is not None:
            prediction = self._network.infer(frame.counts, chosen)
            found = self._decoded(prediction)
            if self._regions.believes([_named(found, TIP).score]):
                return prediction, found, chosen
        prediction = self._network.infer(frame.counts)
        return prediction, self._decoded(prediction), None

    def _decoded(self, prediction: Prediction) -> list[Landmark]:
        return decode(
            prediction.heatmaps, self._network.metadata, prediction.mask, prediction.places
        )

    def _region(self, frame: WireFrame, regions: RegionChooser) -> Region | None:
        """Return where the wire's end must be: its last line and its predicted tip."""
        if self._line_m is None or frame.time_s < self._filter.state.time_s:
            return None
        tip = self._filter.predict(frame.time_s)
        if tip.lost:
            return None
        view = frame.view
        points = view.project(np.vstack([self._line_m, tip.position]))
        rows, columns = view.geometry.shape_px
        return regions.choose(np.clip(points, 0, [columns - 1, rows - 1]), (rows, columns))

    def _seen(
        self, frame: WireFrame, prediction: Prediction, found: list[Landmark]
    ) -> tuple[tuple[Landmark, ...], str]:
        """Return the landmarks, scores below the limit set to 0, and why the tip is not seen."""
        blank = blank_reason(frame.counts)
        limit = np.inf if blank else self.settings.min_score
        seen = tuple(
            replace(one, score=min(one.score, 1.0) if one.score >= limit else 0.0) for one in found
        )
        tip = _named(seen, TIP)
        if blank:
            return seen, blank
        if not tip.score > 0:
            return seen, 'tip_score'
        if not frame.view.geometry.contains(np.array([tip.u, tip.v])):
            return seen, 'outside_image'
        row, column = round(tip.v), round(tip.u)
        near = prediction.mask[
            max(row - _ON_MASK_PX, 0) : row + _ON_MASK_PX + 1,
            max(column - _ON_MASK_PX, 0) : column + _ON_MASK_PX + 1,
        ]
        on_mask = float(near.max(initial=0.0)) >= self.settings.mask_probability
        return seen, '' if on_mask else 'tip_off_mask'

    def _placed(
        self, frame: WireFrame, prediction: Prediction, landmarks: tuple[Landmark, ...]
    ) -> PlacedWire | str:
        """Return the wire in space, or why it is not known."""
        tip, marker = _named(landmarks, TIP), _named(landmarks, MARKER)
        geometry = frame.view.geometry
        depth = float(frame.view.to_source(self._anchor_m)[2])
        if not 0 < depth < geometry.source_to_detector_m:
            raise ValueError(
                f'device_base_pose is {depth:.3g} m in front of the source; check it and carm/pose'
            )
        px_per_m = geometry.magnification(depth) / geometry.pixel_pitch_m[1]
        line = trace_wire(
            np.ascontiguousarray(prediction.mask, np.float32),
            (tip.u, tip.v),
            self.settings.line_m * px_per_m,
            (marker.u, marker.v) if marker.score > 0 else None,
        )
        steps = np.linalg.norm(np.diff(line, axis=0), axis=1)
        if steps.sum() < self.settings.shortest_m * px_per_m:
            return 'no_line'
        sigma_px = self.settings.tip_sigma_px / np.sqrt(tip.score)
        placed = self._depth.place(frame.view, line, frame.inserted_m, sigma_px)
        if isinstance(placed, str) or self._end is None or not marker.score > 0:
            return placed
        end = self._end.tilted(frame.view, placed, np.array([marker.u, marker.v]))
        return replace(placed, line_world_m=end)

    def _filtered(
        self,
        frame: WireFrame,
        prediction: Prediction,
        landmarks: tuple[Landmark, ...],
        placed: PlacedWire | str,
    ) -> TipResult:
        measurement = Measurement(frame.time_s)
        if isinstance(placed, PlacedWire):
            measurement = Measurement(
                frame.time_s, placed.line_world_m[-1], placed.covariance_m2, placed.shared_m2
            )
        state = self._filter.add(measurement)
        reason = _reason(placed, state)
        lost = state is None or state.lost
        if lost and not isinstance(placed, PlacedWire):
            self._forget_depth()
        line = None
        if isinstance(placed, PlacedWire) and not reason:
            self._turn = _frame_along(_end_direction(placed.line_world_m), self._turn)
            line = None if lost else placed.line_world_m
        return tip_result(prediction.labels(), landmarks, state, reason, self._turn, line)


def _reason(placed: PlacedWire | str, state: PointState | None) -> str:
    """Return why a frame did not count as a measurement, '' if it did."""
    if isinstance(placed, str):
        return placed
    if state is None:
        return 'older_than_history'
    return '' if state.accepted else 'gate'


def _named(landmarks: list[Landmark] | tuple[Landmark, ...], name: str) -> Landmark:
    return next(one for one in landmarks if one.name == name)


def _end_direction(line_m: Array) -> Array:
    """Return the direction of the last stretch of a line, unit, shape (3,)."""
    back = line_m[::-1]
    arc = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(back, axis=0), axis=1))])
    chord = back[0] - back[min(int(np.searchsorted(arc, _TIP_END_M)), len(back) - 1)]
    return chord / max(float(np.linalg.norm(chord)), 1e-12)


def _frame_along(direction: Array, before: Array) -> Array:
    """Return the rotation, (3, 3), with z along a direction and x as near as can be to before."""
    side = before[:, 0] - (before[:, 0] @ direction) * direction
    if np.linalg.norm(side) < 1e-3:
        side = before[:, 1] - (before[:, 1] @ direction) * direction
    side = side / np.linalg.norm(side)
    return np.stack([side, np.cross(direction, side), direction], axis=1)
