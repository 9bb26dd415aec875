"""Scores of detection, positioning, timing and dose; plain arrays in, plain numbers out.

Nothing here clips or drops silently: NaN is "not measured", is left out of means and counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.tracking.landmarks import NCC_GATE

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Summary:
    """Statistics of the finite values of a sample.

    Attributes:
        count: number of finite values.
        mean: arithmetic mean; NaN when `count` is 0, like the others.
        std: population standard deviation.
        median: 50th percentile.
        p95: 95th percentile.
        ci95: half width of the 95 % confidence interval of the mean, 1.96 std / sqrt(n).
    """

    count: int
    mean: float
    std: float
    median: float
    p95: float
    ci95: float


def summarize(values: ArrayLike) -> Summary:
    """Return the statistics of the finite entries of `values`, any shape."""
    flat = np.asarray(values, float).ravel()
    flat = flat[np.isfinite(flat)]
    if flat.size == 0:
        return Summary(0, *[float('nan')] * 5)
    std = float(flat.std())
    median, p95 = np.percentile(flat, [50, 95])
    ci95 = 1.96 * std / np.sqrt(flat.size)
    return Summary(flat.size, float(flat.mean()), std, float(median), float(p95), float(ci95))


def percentile(values: ArrayLike, percent: float) -> float:
    """Return a percentile (0..100) of the finite entries, NaN when there are none."""
    flat = np.asarray(values, float).ravel()
    flat = flat[np.isfinite(flat)]
    return float(np.percentile(flat, percent)) if flat.size else float('nan')


def dice(found: NDArray, truth: NDArray) -> float:
    """Return the Dice overlap of two foreground masks (non-zero = foreground); 1 if both empty.

    Raises:
        ValueError: the shapes differ.
    """
    if found.shape != truth.shape:
        raise ValueError(f'masks must have equal shapes, got {found.shape} and {truth.shape}')
    a, b = found > 0, truth > 0
    total = int(a.sum()) + int(b.sum())
    return 1.0 if total == 0 else 2.0 * int((a & b).sum()) / total


@dataclass(frozen=True)
class LandmarkErrors:
    """Landmark errors of many frames; every array has shape (frames, landmarks).

    Attributes:
        pixels: distance found - true [px], NaN where nothing was found or nothing is visible.
        detector_mm: the same on the detector plane [mm].
        object_mm: the same at the depth of the device [mm], NaN where that is unknown.
        visible: the true landmark lies on the image.
        detected: visible, found, and with a score above the gate.
        gate: that score.
    """

    pixels: Array
    detector_mm: Array
    object_mm: Array
    visible: NDArray[np.bool_]
    detected: NDArray[np.bool_]
    gate: float = NCC_GATE

    @property
    def detection_rate(self) -> float:
        """Share of the visible landmarks that were detected, NaN when none was visible."""
        visible = int(self.visible.sum())
        return int(self.detected.sum()) / visible if visible else float('nan')

    @property
    def gate_name(self) -> str:
        """What the gate is called in tables and charts."""
        kind = 'NCC' if self.gate == NCC_GATE else 'score'
        return f'{kind} > {self.gate:g}'

    def gated(self, errors: Array) -> Array:
        """Return `errors` (one of the arrays here) with undetected landmarks as NaN."""
        return np.where(self.detected, errors, np.nan)


def landmark_errors(
    found: ArrayLike,
    truth_px: ArrayLike,
    pixel_pitch_m: float,
    magnification: ArrayLike,
    shape_px: tuple[int, int],
    gate: float = NCC_GATE,
) -> LandmarkErrors:
    """Compare found landmarks with the truth.

    Args:
        found: (u, v, score), shape (frames, landmarks, 3), NaN where nothing was found.
        truth_px: true (u, v) [px], shape (frames, landmarks, 2), NaN where not visible.
        pixel_pitch_m: detector pitch [m].
        magnification: source-to-detector over source-to-object, shape (frames,) or a number.
        shape_px: image rows and columns; truth outside is not visible.
        gate: score above which a landmark counts as detected.

    Raises:
        ValueError: shapes that do not belong together.
    """
    found, truth = np.asarray(found, float), np.asarray(truth_px, float)
    if found.shape[:2] != truth.shape[:2] or found.shape[2:] != (3,) or truth.shape[2:] != (2,):
        raise ValueError(
            'found must have shape (frames, landmarks, 3) and truth_px (frames, landmarks, 2), '
            f'got {found.shape} and {truth.shape}'
        )
    rows, columns = shape_px
    limit = np.array([columns, rows]) - 0.5
    visible = np.all((truth >= -0.5) & (truth <= limit), axis=-1)
    pixels = np.linalg.norm(found[..., :2] - truth, axis=-1)
    pixels = np.where(visible, pixels, np.nan)
    detector_mm = pixels * pixel_pitch_m * 1e3
    scale = np.broadcast_to(np.asarray(magnification, float), pixels.shape[:1])
    detected = np.isfinite(pixels) & (found[..., 2] > gate)
    object_mm = detector_mm / scale[:, None]
    return LandmarkErrors(pixels, detector_mm, object_mm, visible, detected, gate)


def count_lost(frame_index: ArrayLike) -> int:
    """Return how many exposures are missing in a sequence of frame indices.

    An index that goes back is a new start of the imager, not a loss.
    """
    steps = np.diff(np.asarray(frame_index, np.int64))
    return int(np.sum(steps[steps > 1] - 1))


def interpolate(times_ns: NDArray[np.int64], values: Array, at_ns: NDArray[np.int64]) -> Array:
    """Return `values`, shape (N, D), linearly interpolated at `at_ns`; NaN outside their span."""
    origin = times_ns[0]
    x, at = (times_ns - origin) * 1e-9, (at_ns - origin) * 1e-9
    columns = [np.interp(at, x, column, left=np.nan, right=np.nan) for column in values.T]
    return np.stack(columns, axis=-1)


def distance_to_polyline(points: Array, corners: Array) -> Array:
    """Return the distance of each point, shape (N, 3), to a polyline, shape (M, 3) [same unit]."""
    if len(corners) == 1:
        return np.linalg.norm(points - corners[0], axis=1)
    starts, edges = corners[:-1], np.diff(corners, axis=0)
    squared = np.maximum(np.sum(edges**2, axis=1), 1e-30)
    along = np.einsum('nmk,mk->nm', points[:, None] - starts, edges) / squared
    nearest = starts + np.clip(along, 0, 1)[..., None] * edges
    return np.linalg.norm(points[:, None] - nearest, axis=2).min(axis=1)


def rms(values: ArrayLike) -> float:
    """Return the root mean square of the finite entries, NaN when there are none."""
    flat = np.asarray(values, float)
    flat = flat[np.isfinite(flat)]
    return float(np.sqrt(np.mean(flat**2))) if flat.size else float('nan')
