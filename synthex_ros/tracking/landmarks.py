"""Landmarks from heat maps: a Gaussian is fitted to the strongest peak and scored by NCC.

The score is the normalised cross-correlation of the heat map around the landmark with the
Gaussian that the network was trained to draw, as in SyntheX (Gao et al., Nature Machine
Intelligence 5, 2023), but at the sub-pixel position and with cells outside the image left out.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from synthex_ros.tracking.metadata import LEAST_PEAK, ModelMetadata

NCC_GATE = 0.9
"""Score above which a landmark counts as found where networks are compared (SyntheX)."""

FIT_RADIUS_SIGMA = 2.0
SCORE_RADIUS_SIGMA = 5.0
"""Half width of the scored patch; SyntheX takes 71 px for sigma 7.11 px."""

CANDIDATES = 4
"""Peaks of each map that are considered when landmarks lie too far apart."""

DEVICE_CELLS = 4
"""Heat map cells that a mask must cover to say where the device is."""

JOINT_LANDMARKS = 4
"""Models with more landmarks than this take the strongest peak of each map."""

CLOSER_REACH_PX = 16.0
"""A closer look that leads further from its peak than this was at another one."""

_ITERATIONS = 6


@dataclass(frozen=True)
class Landmark:
    """One landmark of one frame.

    Attributes:
        name: landmark name.
        u: column [input px], sub-pixel, pixel centres at integers.
        v: row [input px].
        score: NCC with the template, -1..1; 0 where the map has no peak of the height that the
            model asks for.
        height: of the peak, part of a full Gaussian: about how probable the landmark is.
    """

    name: str
    u: float
    v: float
    score: float
    height: float = float('nan')


def cell_to_pixel(cell: NDArray | float, stride: int):
    """Return the input pixel coordinate of a (sub-)cell coordinate."""
    return cell * stride + (stride - 1) / 2


def pixel_to_cell(pixel: NDArray | float, stride: int):
    """Return the (sub-)cell coordinate of an input pixel coordinate."""
    return (pixel - (stride - 1) / 2) / stride


def decode(
    heatmaps: NDArray[np.float32],
    metadata: ModelMetadata,
    mask: NDArray[np.float32] | None = None,
    places: NDArray[np.float32] | None = None,
) -> list[Landmark]:
    """Return every landmark of a frame, in the order of the metadata.

    Of several peaks in a map the strongest is taken, as long as no two landmarks are further
    apart than the device allows; then the clearest allowed combination is.

    Args:
        heatmaps: shape (L, rows, columns) in cells, float32.
        metadata: gives names, stride, sigma and the greatest separation.
        mask: probability of the device, shape (rows, columns) in input pixels; where it shows a
            device, peaks elsewhere count half.
        places: (u, v) of every landmark by a closer look [input px], shape (L, 2), for its peak's
            where it is within `CLOSER_REACH_PX` of it.
    """
    sigma = metadata.heatmap_sigma_px / metadata.heatmap_stride
    limit = metadata.max_separation_px
    reach = np.inf if limit is None else limit / metadata.heatmap_stride
    support = _support(mask, heatmaps.shape[1:], sigma)
    starts = _choose([_peaks(heatmap, sigma, support) for heatmap in heatmaps], reach)
    found = []
    for number, (name, heatmap, start) in enumerate(
        zip(metadata.landmarks, heatmaps, starts, strict=True)
    ):
        column, row, score, height = locate(heatmap, sigma, start, metadata.least_peak)
        u, v = (cell_to_pixel(cell, metadata.heatmap_stride) for cell in (column, row))
        if places is not None:
            u, v = _closer((u, v), places[number])
        found.append(Landmark(name, u, v, score, height))
    return found


def _closer(peak_px: tuple[float, float], place_px: NDArray[np.float32]) -> tuple[float, float]:
    """Return the place (u, v) by a closer look if it was at this peak, otherwise the peak's."""
    place = float(place_px[0]), float(place_px[1])
    return place if math.dist(peak_px, place) <= CLOSER_REACH_PX else peak_px


def _support(
    mask: NDArray[np.float32] | None, shape: tuple[int, ...], sigma: float
) -> NDArray[np.float32]:
    """Return the weight of each heat map cell: 1 near a device or where none is seen, else 1/2."""
    weight = np.ones(shape, np.float32)
    if mask is None:
        return weight
    size = (shape[1], shape[0])
    device = cv2.resize(np.asarray(mask, np.float32), size, interpolation=cv2.INTER_AREA) > 0.3
    if np.count_nonzero(device) < DEVICE_CELLS:
        return weight
    side = 2 * round(2 * sigma) + 1
    near = cv2.dilate(device.astype(np.uint8), np.ones((side, side), np.uint8))
    weight[near == 0] = 0.5
    return weight


def _peaks(
    heatmap: NDArray[np.float32], sigma: float, support: NDArray[np.float32] | None = None
) -> list[tuple[float, float, float]]:
    """Return (strength, column, row) of the strongest separate peaks, the strongest first."""
    matched = cv2.GaussianBlur(heatmap, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT)
    if support is not None:
        matched = matched * support
    found = []
    for _ in range(CANDIDATES):
        row, column = np.unravel_index(int(np.argmax(matched)), matched.shape)
        found.append((float(matched[row, column]), float(column), float(row)))
        cv2.circle(matched, (int(column), int(row)), round(2 * sigma), -np.inf, cv2.FILLED)
    return found


def _choose(
    peaks: list[list[tuple[float, float, float]]], reach: float
) -> list[tuple[float, float]]:
    """Return (column, row) of one peak a map: the clearest combination within `reach` cells.

    Peaks too weak to be a landmark count nothing, so that a landmark that is not in the image
    never moves one that is.
    """
    strongest = tuple(map_peaks[0] for map_peaks in peaks)
    if len(peaks) > JOINT_LANDMARKS or _within(strongest, reach):
        return [peak[1:] for peak in strongest]
    # The matched filter halves the peak of a Gaussian of its own width.
    clear = [[peak for peak in found if peak[0] > LEAST_PEAK / 2] for found in peaks]
    choices = itertools.product(*([*found, None] for found in clear))
    allowed = [c for c in choices if _within([peak for peak in c if peak], reach)]
    best = max(allowed, key=lambda choice: sum(peak[0] for peak in choice if peak))
    seen = [peak for peak in best if peak]
    chosen = []
    for peak, found in zip(best, peaks, strict=True):
        near = [weak for weak in found if _within([weak, *seen], reach)]
        chosen.append((peak or (near or found)[0])[1:])
    return chosen


def _within(choice: Sequence[tuple[float, float, float]], reach: float) -> bool:
    return all(math.dist(a[1:], b[1:]) <= reach for a, b in itertools.combinations(choice, 2))


def locate(
    heatmap: NDArray[np.float32],
    sigma: float,
    start: tuple[float, float] | None = None,
    least_peak: float = LEAST_PEAK,
) -> tuple[float, float, float, float]:
    """Return (column, row, score, height) of a Gaussian of a map.

    Args:
        heatmap: shape (rows, columns), float32.
        sigma: standard deviation of the Gaussian [cells].
        start: (column, row) of its peak; default: the strongest.
        least_peak: the score is 0 where the peak is not higher, whatever its shape.
    """
    column, row = start or _peaks(heatmap, sigma)[0][1:]
    peak, x, y = _fit(heatmap, column, row, sigma)
    score = _score(heatmap, x, y, sigma) if peak > least_peak else 0.0
    return x, y, score, peak


def _patch(heatmap: NDArray, x: float, y: float, radius: float):
    """Return values, columns and rows of the cells within `radius` of (x, y), float64."""
    rows, columns = heatmap.shape
    top, left = max(round(y - radius), 0), max(round(x - radius), 0)
    bottom, right = min(round(y + radius) + 1, rows), min(round(x + radius) + 1, columns)
    values = heatmap[top:bottom, left:right].astype(np.float64)
    return values, np.arange(left, right, dtype=float), np.arange(top, bottom, dtype=float)


def _fit(heatmap: NDArray, x0: float, y0: float, sigma: float) -> tuple[float, float, float]:
    """Least-squares fit of amplitude and centre of a Gaussian, by Gauss-Newton from (x0, y0)."""
    values, columns, rows = _patch(heatmap, x0, y0, FIT_RADIUS_SIGMA * sigma)
    peak, x, y = float(heatmap[round(y0), round(x0)]), x0, y0
    for _ in range(_ITERATIONS):
        dx, dy = (columns - x) / sigma, (rows - y) / sigma
        across, down = np.exp(-0.5 * dx**2), np.exp(-0.5 * dy**2)
        shape = np.outer(down, across).ravel()
        slope_x = np.outer(down, across * dx / sigma).ravel()
        slope_y = np.outer(down * dy / sigma, across).ravel()
        jacobian = np.column_stack([shape, peak * slope_x, peak * slope_y])
        normal = jacobian.T @ jacobian + np.diag([1e-12] * 3)
        step = np.linalg.solve(normal, jacobian.T @ (values.ravel() - peak * shape))
        peak += step[0]
        x += float(np.clip(step[1], -1, 1))
        y += float(np.clip(step[2], -1, 1))
        if max(abs(x - x0), abs(y - y0)) > FIT_RADIUS_SIGMA * sigma:
            return peak, x0, y0
        if max(abs(step[1]), abs(step[2])) < 1e-4:
            break
    return peak, x, y


def _score(heatmap: NDArray, x: float, y: float, sigma: float) -> float:
    """Return the NCC of the map around (x, y) with a Gaussian centred there."""
    values, columns, rows = _patch(heatmap, x, y, SCORE_RADIUS_SIGMA * sigma)
    across = np.exp(-0.5 * ((columns - x) / sigma) ** 2)
    down = np.exp(-0.5 * ((rows - y) / sigma) ** 2)
    template = np.outer(down, across)
    values, template = values - values.mean(), template - template.mean()
    norm = np.sqrt(np.sum(values**2) * np.sum(template**2))
    return float(np.sum(values * template) / norm) if norm > 0 else 0.0
