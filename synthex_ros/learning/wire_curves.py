"""Centre lines of guidewires for training frames: in a vessel or free, with a bent tip.

Points go from the entry to the tip, `STEP_M` apart.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

Array = NDArray[np.float64]

STEP_M = 1e-3
_BEND_LENGTH_M = 0.025
"""A free wire turns its bends over about this length."""
_WALL_LENGTH_M = 0.015
"""A wire goes from wall to wall of a vessel over about this length."""
_STIFF_M = 4e-3
"""A wire rounds corners of a centre line over about this length."""


def free_line(length_m: float, curvature_per_m: float, rng: np.random.Generator) -> Array:
    """Return a line that wanders in space, its tip at the origin along +z, shape (N, 3) [m].

    Args:
        length_m: of the line [m].
        curvature_per_m: root mean square of its curvature [1/m].
        rng: source of its bends.
    """
    steps = max(2, round(length_m / STEP_M))
    noise = _smooth_noise(steps, _BEND_LENGTH_M / STEP_M, 2, rng)
    turn = np.zeros((steps, 3))
    turn[:, :2] = noise * curvature_per_m * STEP_M / np.sqrt(2)
    frame, tangents = np.eye(3), np.empty((steps, 3))
    for k in range(steps):  # from the tip backwards, bends in the frame carried along
        tangents[k] = frame[:, 2]
        frame = frame @ Rotation.from_rotvec(turn[k]).as_matrix()
    behind = np.vstack([np.zeros(3), -np.cumsum(tangents * STEP_M, axis=0)])
    return behind[::-1]


def vessel_line(points_m: Array, radius_m: Array, rng: np.random.Generator) -> Array:
    """Return a line along a route, from wall to wall as a wire lies, shape (N, 3) [m].

    Args:
        points_m: centre line of the vessel from the entry to the tip, shape (K, 3) [m].
        radius_m: what is free round it for the middle of the wire, shape (K,) [m].
        rng: source of where the wire lies.
    """
    line, arc = resampled(points_m)
    before = _arc(points_m)
    room = np.interp(arc, before, radius_m)
    noise = _smooth_noise(len(line), _WALL_LENGTH_M / STEP_M, 3, rng)
    along = np.gradient(line, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    noise -= np.sum(noise * along, axis=1, keepdims=True) * along
    size = np.linalg.norm(noise, axis=1, keepdims=True)
    offset = room[:, None] * noise / np.maximum(size, 1e-9) * np.tanh(size)
    smooth = gaussian_filter1d(line + offset, _STIFF_M / STEP_M, axis=0, mode='nearest')
    return resampled(smooth)[0]


def bent_tip(line_m: Array, length_m: float, angle_rad: float, rng: np.random.Generator) -> Array:
    """Return a line whose last part is bent evenly, to any side, as a field bends it, (N, 3) [m].

    Args:
        line_m: from the entry to the tip, shape (N, 3) [m].
        length_m: of the part that bends [m].
        angle_rad: between tip and the rest.
        rng: source of the side.
    """
    steps = np.diff(line_m, axis=0)
    bent = min(len(steps), round(length_m / STEP_M))
    across = np.cross(rng.normal(size=3), steps[-bent])
    across /= np.linalg.norm(across)
    share = np.arange(1, bent + 1)[:, None] / bent
    turned = Rotation.from_rotvec(share * angle_rad * across).apply(steps[-bent:])
    moved = np.vstack([steps[:-bent], turned])
    return np.vstack([line_m[:1], line_m[0] + np.cumsum(moved, axis=0)])


def resampled(points_m: Array) -> tuple[Array, Array]:
    """Return points `STEP_M` apart along a line, shape (N, 3), and their arc lengths, (N,) [m]."""
    before = _arc(points_m)
    arc = np.linspace(0, before[-1], max(2, round(before[-1] / STEP_M) + 1))
    line = np.stack([np.interp(arc, before, points_m[:, axis]) for axis in range(3)], axis=1)
    return line, arc


def _arc(points_m: Array) -> Array:
    steps = np.linalg.norm(np.diff(points_m, axis=0), axis=1)
    return np.concatenate([[0.0], np.cumsum(steps)])


def _smooth_noise(count: int, length: float, axes: int, rng: np.random.Generator) -> Array:
    """Return noise of deviation 1 that changes over `length` samples, shape (count, axes)."""
    margin = int(4 * length)
    white = rng.normal(size=(count + 2 * margin, axes))
    smooth = gaussian_filter1d(white, length, axis=0)[margin : margin + count]
    return smooth * np.sqrt(2 * np.sqrt(np.pi) * length)
