"""Smooth centrelines with radii from a lumen's medial voxels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from synthex_ros.anatomy.vessels.lumen import SampledLumen
from synthex_ros.anatomy.vessels.skeleton import Skeleton, medial_tree
from synthex_ros.anatomy.vessels.tree import VesselTree

Array = NDArray[np.float64]

POINT_STEP_M = 1e-3
"""Distance between the points of a centreline."""

_SMOOTHING_RADII = 0.6
_CENTRING_ROUNDS = 8
_END_ROOM = 0.6


def centreline_tree(
    lumen: SampledLumen,
    root_m: Array,
    names: tuple[str, ...] = ('vessel',),
    owner: NDArray[np.uint8] | None = None,
) -> VesselTree:
    """Return the centrelines of a lumen: medial points, smoothed and pushed away from the wall.

    Args:
        lumen: its grid must be isotropic.
        root_m: the end nearest to this point becomes the root, shape (3,) [m].
        names: structures.
        owner: index into `names` of the structure at each grid point, or None for the first.

    Raises:
        ValueError: the lumen is too small for its grid.
    """
    step = float(lumen.spacing_m[0])
    root_zyx = (((np.asarray(root_m) - lumen.origin_m) @ lumen.axes) / step)[::-1]
    skeleton = medial_tree(lumen.distance_m / np.float32(step), root_zyx)
    points: list[Array] = []
    parent: list[int] = []
    node_of: dict[int, int] = {}
    for chain, starts, ends in _chains(skeleton):
        raw = lumen.index_to_m(skeleton.index_zyx[chain][:, ::-1])
        if chain[0] in node_of:
            raw[0] = points[node_of[chain[0]]]
        line = smooth_line(raw, lumen, open_start=starts, open_end=ends)
        first = node_of.get(chain[0], -1)
        if first < 0:
            points.append(line[0])
            parent.append(-1)
            first = 0
        for point in line[1:]:
            parent.append(first)
            first = len(points)
            points.append(point)
        node_of[chain[-1]] = first
    position = np.array(points)
    radius = np.maximum(lumen.inscribed_radius_m(position), step / 2)
    kind = _structures(position, lumen, owner)
    return VesselTree(position, radius, np.array(parent), kind, names)


def smooth_line(
    points: Array, lumen: SampledLumen, *, open_start: bool = False, open_end: bool = False
) -> Array:
    """Return a centreline through medial points, shape (N, 3) [m], with even steps.

    Steps to the middle and smoothing alternate; the two ends are held, except open ones, which
    are led on straight to where the vessel closes.
    """
    line = _resampled(points, POINT_STEP_M)
    width = float(np.median(lumen.signed_distance_m(line)[0]))
    if not open_start and not open_end and len(line) * POINT_STEP_M < 1.5 * width:
        return _resampled(points[[0, -1]], POINT_STEP_M)  # between two forks of one wide place
    for _ in range(_CENTRING_ROUNDS):
        room = lumen.signed_distance_m(line)[0]
        sigma = np.clip(_SMOOTHING_RADII * np.median(room) / POINT_STEP_M, 1.0, len(line) / 4)
        step = _from_ends(len(line), sigma) * _off_centre(line, room, lumen)
        moved = _smoothed(line + step, float(sigma))
        moved[0], moved[-1] = line[0], line[-1]
        line = _resampled(moved, POINT_STEP_M)
    room = lumen.signed_distance_m(line)[0]
    cut = gaussian_filter1d(_off_centre(line, room, lumen), sigma, axis=0)  # what smoothing cut
    line = _smoothed(line + _from_ends(len(line), 2 * sigma) * cut, 1.5)
    if open_start:
        line = _led_on(line[::-1], lumen)[::-1]
    return _led_on(line, lumen) if open_end else line


def _from_ends(count: int, sigma: float) -> Array:
    """Return weights, shape (count, 1), that rise from 0 at held ends to 1 two sigma away."""
    index = np.arange(count)
    return np.clip(np.minimum(index, index[::-1]) / (2 * sigma), 0, 1)[:, None]


def _off_centre(line: Array, room: Array, lumen: SampledLumen) -> Array:
    """Return steps across the line to the middle: half the difference of the rooms at two sides.

    Half a radius off the line distances are smooth, unlike on the ridge along the middle.
    """
    tangent = np.gradient(line, axis=0)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1), 1e-12)[:, None]
    least = np.eye(3)[np.argmin(np.abs(tangent), axis=1)]
    first = np.cross(tangent, least)
    first /= np.maximum(np.linalg.norm(first, axis=1), 1e-12)[:, None]
    reach = 0.5 * np.maximum(room, lumen.spacing_m[0])[:, None]
    steps = np.zeros_like(line)
    for side in (first, np.cross(tangent, first)):
        there = lumen.signed_distance_m(line + reach * side)[0]
        back = lumen.signed_distance_m(line - reach * side)[0]
        steps += 0.5 * (there - back)[:, None] * side
    return steps


def _smoothed(line: Array, sigma: float) -> Array:
    """Return the line under a Gaussian; odd reflection keeps the ends where they are."""
    if len(line) < 4:
        return line
    pad = min(len(line) - 1, int(4 * sigma) + 1)
    before = 2 * line[0] - line[pad:0:-1]
    after = 2 * line[-1] - line[-2 : -pad - 2 : -1]
    smooth = gaussian_filter1d(np.concatenate([before, line, after]), sigma, axis=0)
    return smooth[pad:-pad]


def _resampled(line: Array, step_m: float) -> Array:
    arc = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    wanted = np.linspace(0, arc[-1], max(int(round(arc[-1] / step_m)) + 1, 2))
    return np.stack([np.interp(wanted, arc, line[:, a]) for a in range(3)], axis=1)


def _led_on(line: Array, lumen: SampledLumen) -> Array:
    """Return a line with its last point taken back or led on to where the vessel ends."""
    room = lumen.signed_distance_m(line)[0]
    width = float(np.median(room[-min(len(room), 15) :]))
    back = min(max(int(round(width / POINT_STEP_M)), 1), len(line) // 3)
    wide = np.flatnonzero(room[: len(line) - back] > _END_ROOM * width)
    kept = line[: max(int(wide[-1]) + 1 if len(wide) else 0, 2)]
    base = kept[max(len(kept) - 1 - max(int(1.5 * width / POINT_STEP_M), 4), 0)]
    direction = (kept[-1] - base) / max(float(np.linalg.norm(kept[-1] - base)), 1e-12)
    ahead = kept[-1] + POINT_STEP_M * np.arange(1, 60)[:, None] * direction
    low = lumen.origin_m
    inside = lumen.signed_distance_m(ahead)[0] > _END_ROOM * width
    grid = (ahead - low) @ lumen.axes
    top = (np.array(lumen.distance_m.shape[::-1]) - 1) * lumen.spacing_m
    inside &= np.all((grid >= 0) & (grid <= top), axis=1)
    count = int(np.argmin(inside)) if not inside.all() else len(inside)
    return np.concatenate([kept, ahead[:count]])


def _chains(tree: Skeleton) -> list[tuple[list[int], bool, bool]]:
    """Return node chains between forks, parents first, and which of their ends are open."""
    children: list[list[int]] = [[] for _ in tree.parent]
    for node, parent in enumerate(tree.parent[1:], start=1):
        children[parent].append(node)
    waiting, result = [(0, child) for child in children[0]], []
    while waiting:
        start, node = waiting.pop(0)
        chain = [start, node]
        while len(children[chain[-1]]) == 1:
            chain.append(children[chain[-1]][0])
        opens = start == 0 and len(children[0]) == 1
        result.append((chain, opens, not children[chain[-1]]))
        waiting += [(chain[-1], child) for child in children[chain[-1]]]
    return result


def _structures(
    points: Array, lumen: SampledLumen, owner: NDArray[np.uint8] | None
) -> NDArray[np.int64]:
    if owner is None:
        return np.zeros(len(points), int)
    index = np.round((points - lumen.origin_m) @ lumen.axes / lumen.spacing_m).astype(int)
    x, y, z = np.clip(index, 0, np.array(owner.shape[::-1]) - 1).T
    return owner[z, y, x].astype(int)
