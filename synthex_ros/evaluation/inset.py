"""A magnified detail in the corner of a frame: devices that their own markers would cover."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from synthex_ros.evaluation.display import Display, Overlay
from synthex_ros.evaluation.metrics import Array

SMALL_PX = 40.0
"""Devices whose landmarks and mask fit in a square of this side are small [px]."""

_SIDE_SHARE, _DETAIL_PX = 0.3, 52.0
_EDGE = (200, 200, 200)


def is_small(overlay: Overlay) -> bool:
    """Tell whether the device of a frame is so small that markers cover it."""
    points = [overlay.landmarks, overlay.truth]
    if overlay.mask is not None and np.any(overlay.mask):
        rows, columns = np.nonzero(overlay.mask)
        points.append(np.column_stack([columns, rows]))
    every = np.concatenate([np.reshape(part, (-1, 2)) for part in points])
    every = every[np.all(np.isfinite(every), axis=1)]
    return bool(len(every) and np.ptp(every, axis=0).max() < SMALL_PX)


def with_inset(
    picture: Image.Image, display: Display, counts: NDArray, overlay: Overlay
) -> Image.Image:
    """Return a drawn frame with the device alone, magnified, in the upper right; else as it is.

    Args:
        picture: the frame with its overlay.
        display: of the picture.
        counts: raw frame, shape (rows, columns).
        overlay: what is drawn; its landmarks say where the device is.
    """
    centre = middle_of(overlay)
    if centre is None or not is_small(overlay):
        return picture
    side = round(_SIDE_SHARE * display.width_px)
    large = display.resized(round(side * display.shape_px[1] / _DETAIL_PX))
    whole = large.picture(counts)
    limit = np.maximum(np.array(whole.shape[1::-1]) - side, 0)
    x, y = np.clip(np.round(large.points(centre) - side / 2), 0, limit).astype(int)
    detail = Image.fromarray(np.ascontiguousarray(whole[y : y + side, x : x + side]))
    framed = ImageOps.expand(detail, 1, _EDGE)
    margin = round(0.02 * picture.width)
    picture.paste(framed, (picture.width - framed.width - margin, round(0.07 * picture.height)))
    return picture


def middle_of(overlay: Overlay) -> Array | None:
    """Return the middle of the device (u, v) [px], shape (2,): found, else true, else None."""
    for points in (overlay.landmarks, overlay.truth):
        known = points[np.all(np.isfinite(points), axis=-1)]
        if len(known):
            return np.asarray(known.mean(axis=0))
    return None
