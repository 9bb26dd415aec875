"""Both ends of a short straight body from its mask: middle and principal axis."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthex_ros.tracking.detections import Detection

Array = NDArray[np.float64]

_ROOM_PX = 2.0


def mask_of(labels: NDArray[np.uint8], one: Detection) -> NDArray[np.bool_]:
    """Return what of a mask, shape (rows, columns), lies in the box of a detection."""
    left, top, width, height = one.box_px
    rows, columns = (np.arange(n) for n in labels.shape)
    inside_v = (rows > top - _ROOM_PX) & (rows < top + height + _ROOM_PX)
    inside_u = (columns > left - _ROOM_PX) & (columns < left + width + _ROOM_PX)
    return (labels > 0) & inside_v[:, None] & inside_u[None, :]


def ends_of(mask: NDArray[np.bool_], centre_px: Array, forwards: Array | None) -> Array:
    """Return back and front of a body, shape (2, 2), (u, v) [px]; their middle is `centre_px`.

    A bar of even brightness and length L has a variance of L^2 / 12 along itself and W^2 / 12
    across; pixels add 1/12 each. Which end is the front is not in the picture: the one that is
    nearer to where the front was.

    Args:
        mask: of the body, shape (rows, columns).
        centre_px: its centre (u, v) [px], shape (2,).
        forwards: direction of the front in the frame before, shape (2,); None for none.
    """
    v, u = np.nonzero(mask)
    if len(u) < 2:
        return np.stack([centre_px, centre_px])
    spread, axes = np.linalg.eigh(np.cov(np.stack([u, v])))
    axis = axes[:, 1]
    if forwards is not None and axis @ forwards < 0:
        axis = -axis
    half = np.sqrt(3 * max(float(spread[1]) - 1 / 12, 0.0))
    return np.stack([centre_px - half * axis, centre_px + half * axis])
