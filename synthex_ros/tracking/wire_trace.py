"""The centre line of a wire in the image: a cheapest path over the mask, from its tip backwards.

The mask costs little and everything else the full price, so that gaps are bridged and what is only
a little like a wire (the edge of a bone) does not attract. The path is found on a grid of half the
resolution around the tip, then moved to the middle of the mask and smoothed.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import solveh_banded
from skimage.graph import MCP_Geometric

from synthex_ros.tracking.centerline_pixels import normals_of

Array = NDArray[np.float64]
Cells = NDArray[np.int64]

_CELL_PX = 2
_BARRIER = -1.0
_PROFILE_STEP_PX = 0.5
_PROFILE_PX = np.arange(-3.0, 3.25, _PROFILE_STEP_PX)
_BLIND, _HELD = 1e-3, 1e7
_MOST_PIECES, _MOST_SHARE = 16, 0.1
_DETOUR = 1.1
"""A way over cells is up to so much longer than the curve that it follows."""


@dataclass(frozen=True)
class TraceSettings:
    """How a wire is traced.

    Attributes:
        on_cost: price of a cell of the wire; one of the background costs 1.
        faint: a probability up to this is background.
        clear: a probability from this on is wire.
        gap_px: longest gap that is bridged [px].
        gap_weight: a longer path must win this many times what it crosses of background.
        start_px: wire within this distance of the tip belongs to it [px].
        step_px: distance of the points returned [px].
        smoothing_px: about this length of the line is averaged [px].
    """

    on_cost: float = 0.03
    faint: float = 0.3
    clear: float = 0.7
    gap_px: float = 20.0
    gap_weight: float = 2.0
    start_px: float = 8.0
    step_px: float = 2.0
    smoothing_px: float = 4.0

    def __post_init__(self):
        if not 0 <= self.faint < self.clear <= 1 or not 0 < self.on_cost < 1:
            raise ValueError(
                '0 <= faint < clear <= 1 and 0 < on_cost < 1, got '
                f'{self.faint:g}, {self.clear:g} and {self.on_cost:g}'
            )
        for name in ('gap_px', 'gap_weight', 'start_px', 'step_px', 'smoothing_px'):
            if not 0 < getattr(self, name) < 1e3:
                raise ValueError(f'{name} must be 0..1000, got {getattr(self, name):g}')


def trace_wire(
    mask: NDArray[np.float32],
    tip_px: ArrayLike,
    length_px: float,
    marker_px: ArrayLike | None = None,
    settings: TraceSettings | None = None,
) -> Array:
    """Return the last stretch of a wire from its back to the tip, shape (N, 2) (u, v) [px].

    It ends sooner where the wire leaves the image or is not seen any more; fewer than two points
    mean that there is no wire at the tip, or that a tenth of its surroundings is taken for wire.

    Args:
        mask: probability of the wire, shape (rows, columns), float32.
        tip_px: the tip (u, v) [px].
        length_px: how much of the wire is looked for [px].
        marker_px: a point behind the tip that the wire passes, if one is known.
        settings: prices and smoothing.
    """
    rules = settings or TraceSettings()
    tip = np.asarray(tip_px, float)
    corner, part = _around(mask, tip, length_px)
    wire = np.clip((_coarse(part) - rules.faint) / (rules.clear - rules.faint), 0, 1)
    if wire.size == 0 or not 0 < np.mean(wire > 0.5) < _MOST_SHARE:
        return np.zeros((0, 2))
    corner, wire = _cropped(corner, wire)
    start = _nearest(wire, (tip - corner) / _CELL_PX, rules.start_px / _CELL_PX)
    if start is None:
        return np.zeros((0, 2))
    marker = None
    if marker_px is not None:
        there = (np.asarray(marker_px, float) - corner) / _CELL_PX
        marker = _nearest(wire, there, rules.start_px / _CELL_PX)
    cells = _route(wire, start, marker, rules)
    points = (cells[:, ::-1] + 0.5) * _CELL_PX - 0.5 + corner
    line = np.vstack([tip, points[_length(points, tip) > rules.start_px / 2]])
    line = _first(_resampled(line, rules.step_px), _DETOUR * length_px)
    if len(line) < 2:
        return np.zeros((0, 2))
    return _first(_centred(mask, line, rules), length_px)[::-1]


def _around(mask: NDArray, tip: Array, length_px: float) -> tuple[Array, NDArray]:
    """Return first (u, v) and the part of the mask in which the wire's end must lie."""
    low = np.floor((tip - length_px) / _CELL_PX).astype(int) * _CELL_PX
    high = np.ceil((tip + length_px + 1) / _CELL_PX).astype(int) * _CELL_PX
    size = np.array(mask.shape[::-1])
    low, high = np.clip(low, 0, size), np.clip(high, 0, size)
    return low.astype(float), mask[low[1] : high[1], low[0] : high[0]]


def _coarse(part: NDArray) -> NDArray[np.float32]:
    """Return the greatest probability of each cell, whole cells only."""
    rows, columns = (n // _CELL_PX * _CELL_PX for n in part.shape)
    part = part[:rows, :columns]
    upper = np.maximum(part[::_CELL_PX, ::_CELL_PX], part[::_CELL_PX, 1::_CELL_PX])
    lower = np.maximum(part[1::_CELL_PX, ::_CELL_PX], part[1::_CELL_PX, 1::_CELL_PX])
    return np.maximum(upper, lower)


def _cropped(corner: Array, wire: NDArray) -> tuple[Array, NDArray]:
    """Return first (u, v) and the cells of the smallest box that holds all of the wire."""
    rows, columns = (np.flatnonzero((wire > 0.5).any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return corner, wire[:0, :0]
    top, left = rows[0], columns[0]
    box = wire[top : rows[-1] + 1, left : columns[-1] + 1]
    return corner + _CELL_PX * np.array([left, top], float), box


def _nearest(wire: NDArray, at: Array, reach: float) -> tuple[int, int] | None:
    """Return (row, column) of the cell of the wire nearest to (column, row), None beyond reach."""
    rows, columns = np.nonzero(wire > 0.5)
    if not len(rows):
        return None
    away = np.hypot(columns + 0.5 - at[0], rows + 0.5 - at[1])
    best = int(np.argmin(away))
    return None if away[best] > reach + 1 else (int(rows[best]), int(columns[best]))


def _route(
    wire: NDArray, start: tuple[int, int], marker: tuple[int, int] | None, rules: TraceSettings
) -> Cells:
    """Return the cells (row, column) from the tip backwards, shape (N, 2)."""
    price = rules.on_cost + (1 - rules.on_cost) * (1 - wire)
    side = 2 * int(np.ceil(rules.gap_px / _CELL_PX / 2)) + 3
    near = cv2.dilate((wire > 0).astype(np.uint8), np.ones((side, side), np.uint8))
    price = np.where(near > 0, price, _BARRIER)
    first = np.array([start])
    if marker is not None and marker != start:
        leg = _leg(price, start, marker)
        if leg is not None and _gain(leg, wire, rules) > 0:
            first, start = leg, marker
            price = _walled(price, leg)
    costs, graph = _spread(price, start)
    rest = _longest(costs, graph, wire, rules)
    return np.vstack([first, rest[1:]])


def _leg(price: NDArray, start: tuple[int, int], end: tuple[int, int]) -> Cells | None:
    """Return the cells of the cheapest way between two, in the surroundings of both."""
    ends = np.array([start, end])
    room = int(np.abs(ends[1] - ends[0]).max()) // 2 + 4
    low = np.maximum(ends.min(axis=0) - room, 0)
    high = ends.max(axis=0) + room + 1
    first, last = ((int(row), int(column)) for row, column in ends - low)
    costs, graph = _spread(price[low[0] : high[0], low[1] : high[1]], first)
    return np.array(graph.traceback(last)) + low if np.isfinite(costs[last]) else None


def _spread(price: NDArray, start: tuple[int, int]) -> tuple[NDArray, MCP_Geometric]:
    graph = MCP_Geometric(price, fully_connected=True)
    costs, _ = graph.find_costs([start])
    return costs, graph


def _walled(price: NDArray, leg: Cells) -> NDArray:
    """Return the prices with a wall along a leg, open at its end: the wire does not turn back."""
    passed = np.zeros(price.shape, np.uint8)
    passed[tuple(leg[:-4].T)] = 1
    wall = np.array(cv2.dilate(passed, np.ones((3, 3), np.uint8)))
    row, column = leg[-1]
    wall[max(row - 2, 0) : row + 3, max(column - 2, 0) : column + 3] = 0
    return np.where(wall > 0, _BARRIER, price)


def _longest(costs: NDArray, graph: MCP_Geometric, wire: NDArray, rules: TraceSettings) -> Cells:
    """Return the way to the far end of a piece of mask that gains most wire over background."""
    reached = np.where(np.isfinite(costs) & (wire > 0.5), costs, -1.0)
    _, pieces, boxes, _ = cv2.connectedComponentsWithStats((reached >= 0).astype(np.uint8))
    order = np.argsort(-boxes[1:, cv2.CC_STAT_AREA])[:_MOST_PIECES] + 1
    best, most = np.zeros((1, 2), int), 0.0
    for piece in order:
        ends = np.where(pieces == piece, reached, -1.0)
        way = np.array(graph.traceback(np.unravel_index(int(np.argmax(ends)), ends.shape)))
        gain = _gain(way, wire, rules)
        if gain > most:
            best, most = way, gain
    return best


def _gain(way: Cells, wire: NDArray, rules: TraceSettings) -> float:
    """Return the wire on a way less the background, weighted; [cells], < 0 for too wide a gap."""
    on = wire[tuple(way.T)] > 0.5
    edges = np.flatnonzero(np.diff(np.concatenate([[True], on, [True]]).astype(np.int8)))
    widest = int(np.max(np.diff(edges)[::2], initial=0))
    if widest * _CELL_PX > rules.gap_px:
        return -1.0
    return float(np.count_nonzero(on) - rules.gap_weight * np.count_nonzero(~on))


def _centred(mask: NDArray[np.float32], line: Array, rules: TraceSettings) -> Array:
    """Return a line moved to the middle of the mask and smoothed; it keeps its start."""
    stiffness = (rules.smoothing_px / rules.step_px) ** 4
    line = _smoothed(line, np.ones(len(line)), stiffness)
    for _ in range(2):
        line = _resampled(line, rules.step_px)
        normals, _ = normals_of(line)
        places = line[:, None] + _PROFILE_PX[:, None] * normals[:, None]
        profile = cv2.remap(
            mask, places[..., 0].astype(np.float32), places[..., 1].astype(np.float32),
            cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0.0,
        ).astype(float)  # fmt: skip
        profile[profile < rules.faint] = 0.0
        mass = profile.sum(axis=1)
        offset = np.where(mass > 0, profile @ _PROFILE_PX / np.maximum(mass, 1e-9), 0.0)
        offset[0] = 0.0
        weight = np.clip(mass * _PROFILE_STEP_PX, _BLIND, 1.0)
        line = _smoothed(line + offset[:, None] * normals, weight, stiffness)
    return line


def _smoothed(line: Array, weight: Array, stiffness: float) -> Array:
    """Return the line of least bending near weighted points; where they weigh little, it swings.

    Minimises sum(weight |x - point|^2) + stiffness sum(|second difference of x|^2); the start is
    held.
    """
    count = len(line)
    if count < 4:
        return line
    bands = np.zeros((3, count))
    bands[2], bands[1, 1:], bands[0, 2:] = 6.0, -4.0, 1.0
    bands[2, [0, -1]], bands[2, [1, -2]], bands[1, [1, -1]] = 1.0, 5.0, -2.0
    held = weight.copy()
    held[0] = _HELD
    bands *= stiffness
    bands[2] += held
    return solveh_banded(bands, held[:, None] * line)


def _length(points: Array, start: Array) -> Array:
    """Return how far from a place each point is, shape (N,) [px]."""
    return np.linalg.norm(points - start, axis=1)


def _arc(line: Array) -> Array:
    return np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])


def _first(line: Array, length_px: float) -> Array:
    return line[_arc(line) <= length_px]


def _resampled(line: Array, step_px: float) -> Array:
    arc = _arc(line)
    wanted = np.linspace(0, arc[-1], max(int(round(arc[-1] / step_px)), 1) + 1)
    return np.stack([np.interp(wanted, arc, line[:, axis]) for axis in range(2)], axis=1)
