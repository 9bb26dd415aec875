"""What a tracker says about one exposure, and when an exposure shows nothing at all."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from synthex_ros.geometry import make_pose
from synthex_ros.tracking.filter import PointState
from synthex_ros.tracking.landmarks import Landmark
from synthex_ros.tracking.region import Region

Array = NDArray[np.float64]

_SATURATED_SHARE = 0.5


@dataclass(frozen=True)
class TipResult:
    """What the tracker says about one exposure.

    Attributes:
        labels: class ids, shape (rows, columns), uint8.
        landmarks: all landmarks; score 0 is not seen, or not to be used.
        lost: whether there is no usable tip.
        reason: why this frame did not count as a measurement; '' if it did.
        world_from_tip: filtered tip frame, shape (4, 4) [m]; None if lost.
        covariance_m2: its position's covariance, shape (3, 3) [m^2].
        centerline_world_m: shape [m], (N, 3); None if it was not found in this frame.
        inference_s: time that network and landmarks took [s].
        fit_s: time that shape and filter took [s].
        region: the part of the frame that was looked at; None if all of it was.
    """

    labels: NDArray[np.uint8]
    landmarks: tuple[Landmark, ...]
    lost: bool
    reason: str
    world_from_tip: Array | None
    covariance_m2: Array
    centerline_world_m: Array | None
    inference_s: float
    fit_s: float
    region: Region | None = None


def blank_reason(counts: NDArray) -> str:
    """Return why a radiograph shows nothing (constant, black, saturated), '' if it may."""
    low, high = int(counts.min()), int(counts.max())
    if low == high:
        return f'constant image ({low} everywhere): no beam, or a frozen detector'
    limit = np.iinfo(counts.dtype).max
    if high == limit and np.mean(counts == limit) > _SATURATED_SHARE:
        return 'saturated image'
    return ''


def tip_result(
    labels: NDArray[np.uint8],
    landmarks: tuple[Landmark, ...],
    state: PointState | None,
    reason: str,
    turn: Array,
    line_world_m: Array | None,
) -> TipResult:
    """Return the result of a frame after its filter; times and region are added by the tracker.

    Args:
        labels: class ids, shape (rows, columns).
        landmarks: all landmarks as seen; one of a frame that did not count is not to be used.
        state: of the filter; None where the frame was older than what it keeps.
        reason: why the frame did not count as a measurement, '' if it did.
        turn: newest known directions of the tip frame in `world`, shape (3, 3).
        line_world_m: shape found in this frame, (N, 3) [m].
    """
    lost = state is None or state.lost
    if lost or reason:
        landmarks = tuple(replace(one, score=0.0) for one in landmarks)
    known = None if lost else state
    return TipResult(
        labels=labels,
        landmarks=landmarks,
        lost=lost,
        reason=reason,
        world_from_tip=None if known is None else make_pose(turn, known.position),
        covariance_m2=np.full((3, 3), np.nan) if known is None else known.covariance,
        centerline_world_m=line_world_m,
        inference_s=0.0,
        fit_s=0.0,
    )
