"""Centre of the mask across a projected curve: lateral offsets with a reason to trust them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# A probability below this is background of the network, not a faint device.
_FLOOR = 0.2
# Stations closer than this in the image have no direction: the curve points at the source.
_SHORTEST_STEP_PX = 0.75


def normals_of(curve_px: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Return unit normals of a sampled curve, shape (K, 2), and which of them are defined.

    Args:
        curve_px: points (u, v) along the curve, shape (K, 2) [px].
    """
    tangent = np.empty_like(curve_px)
    tangent[1:-1] = 0.5 * (curve_px[2:] - curve_px[:-2])
    tangent[0], tangent[-1] = curve_px[1] - curve_px[0], curve_px[-1] - curve_px[-2]
    length = np.hypot(tangent[:, 0], tangent[:, 1])
    defined = length > _SHORTEST_STEP_PX
    tangent = tangent / np.where(defined, length, 1.0)[:, None]
    return np.stack([-tangent[:, 1], tangent[:, 0]], axis=1), defined


def lateral_offsets(
    mask: NDArray[np.float32],
    curve_px: Array,
    half_width_px: float,
    window_px: float,
) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Return how far the mask's centre lies from a curve, measured along the curve's normals.

    At each station the mask is read along the normal and its probability-weighted centroid is
    taken. A station counts only if the profile holds about the width of the device, ends inside
    the window and the window inside the image.

    Args:
        mask: probability of the device, shape (rows, columns), float32.
        curve_px: stations (u, v), shape (K, 2) [px].
        half_width_px: half the expected width of the device [px].
        window_px: half length of the profile [px].

    Returns:
        offsets [px], shape (K,); normals, shape (K, 2); whether each station counts, shape (K,).
    """
    normals, usable = normals_of(curve_px)
    steps = np.arange(-np.ceil(window_px), np.ceil(window_px) + 1)
    u = curve_px[:, :1] + normals[:, :1] * steps
    v = curve_px[:, 1:] + normals[:, 1:] * steps
    rows, columns = mask.shape
    profile = cv2.remap(
        mask, u.astype(np.float32), v.astype(np.float32), cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT, borderValue=0.0,
    ).astype(float)  # fmt: skip
    profile[profile < _FLOOR] = 0.0
    mass = profile.sum(axis=1)
    offsets = profile @ steps / np.maximum(mass, 1e-9)
    inside = (u[:, [0, -1]] >= 0) & (u[:, [0, -1]] <= columns - 1)
    inside &= (v[:, [0, -1]] >= 0) & (v[:, [0, -1]] <= rows - 1)
    usable = usable & inside.all(axis=1)
    usable &= (mass > 1.0 * half_width_px) & (mass < 3.2 * half_width_px)
    usable &= (profile[:, 0] == 0) & (profile[:, -1] == 0)
    return np.where(usable, offsets, 0.0), normals, usable
