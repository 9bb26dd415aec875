"""Connected parts of a device mask: how sure the network is of each."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
Array = NDArray[np.float64]

_CLAIMED = 0.5


def mask_parts(classes: Image) -> tuple[NDArray[np.int32], Array]:
    """Return the part of each pixel, 0 for none, and what each part's probabilities add up to.

    Args:
        classes: probability of each class, background first, shape (C, rows, columns).

    Returns:
        parts, shape (rows, columns), numbered from 1, and sums [px], shape (parts + 1,); that of
        0 is 0.
    """
    device = 1 - classes[0]
    count, parts = cv2.connectedComponents((device > _CLAIMED).astype(np.uint8), connectivity=8)
    inside = parts > 0
    sums = np.bincount(parts[inside], device[inside], count)
    return np.asarray(parts, np.int32), np.asarray(sums, np.float64)


def without_weak_parts(classes: Image, least_px: float) -> Image:
    """Return class probabilities in which weak parts of the mask are background.

    Args:
        classes: probability of each class, background first, shape (C, rows, columns).
        least_px: parts whose probabilities add up to less are weak [px].
    """
    parts, sums = mask_parts(classes)
    weak = sums < least_px
    weak[0] = False
    if not weak.any():
        return classes
    dropped, result = weak[parts], classes.copy()
    result[1:, dropped] = 0
    result[0, dropped] = 1
    return result
