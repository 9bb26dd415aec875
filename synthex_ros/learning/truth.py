"""What is true of a frame behind blades, borders and metal: mask, visibility, contrast."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthex_ros.learning.coco import LABELLED, VISIBLE
from synthex_ros.learning.labelled import inside

Array = NDArray[np.float64]

CONTRAST_RADIUS_PX = 10


def open_mask(
    mask: NDArray[np.uint8], field_px: tuple[float, float, float, float]
) -> NDArray[np.uint8]:
    """Return a mask, shape (rows, columns), cleared outside a field (top, bottom, left, right)."""
    top, bottom, left, right = field_px
    row, column = (np.arange(size) + 0.5 for size in mask.shape)
    open_rows, open_columns = (row > top) & (row < bottom), (column > left) & (column < right)
    return mask * np.outer(open_rows, open_columns)


def keypoints_of(
    points_px: Array,
    field_px: tuple[float, float, float, float],
    shape_px: tuple[int, ...],
    margin_px: float,
    shown: NDArray[np.bool_],
) -> Array:
    """Return COCO keypoints (u, v, visibility), shape (L, 3), of landmarks of a device.

    Visible means at least `margin_px` inside the open field and shown; labelled, anywhere else on
    the image; what lies off the image is (0, 0, 0).

    Args:
        points_px: where landmarks are projected, (u, v), shape (L, 2).
        field_px: open field as (top, bottom, left, right) pixel edges.
        shape_px: rows and columns of the image.
        margin_px: distance to the edges of the field.
        shown: landmarks that something of the device is seen of, shape (L,).
    """
    top, bottom, left, right = field_px
    low = np.array([left, top]) - 0.5 + margin_px
    high = np.array([right, bottom]) - 0.5 - margin_px
    visible = np.all((points_px >= low) & (points_px < high), axis=-1) & shown
    on_image = inside(points_px, (shape_px[0], shape_px[1]))
    level = np.where(visible, VISIBLE, np.where(on_image, LABELLED, 0))
    return np.column_stack([np.where(level[:, None] > 0, points_px, 0.0), level])


def local_contrast(contrast: Array, mask: NDArray[np.uint8], points_px: Array) -> Array:
    """Return the contrast of the device near landmarks, shape (L,); 0 where it is not seen.

    The 90th percentile over the mask within `CONTRAST_RADIUS_PX`.

    Args:
        contrast: part of the signal that the device takes, shape (rows, columns).
        mask: pixels of the device, shape (rows, columns).
        points_px: landmarks (u, v), shape (L, 2).
    """
    result = np.zeros(len(points_px))
    for index, piece in enumerate(pieces_of(mask, points_px)):
        values = contrast[piece]
        if len(values):
            result[index] = np.percentile(values, 90)
    return result


def pieces_of(
    mask: NDArray[np.uint8], points_px: Array
) -> list[tuple[NDArray[np.int_], NDArray[np.int_]]]:
    """Return rows and columns of the pixels of a mask within `CONTRAST_RADIUS_PX` of each point.

    Args:
        mask: pixels of the device, shape (rows, columns).
        points_px: points (u, v), shape (L, 2).
    """
    rows, columns = np.nonzero(mask)
    square = [(rows - v) ** 2 + (columns - u) ** 2 for u, v in points_px]
    near = [distance <= CONTRAST_RADIUS_PX**2 for distance in square]
    return [(rows[part], columns[part]) for part in near]
