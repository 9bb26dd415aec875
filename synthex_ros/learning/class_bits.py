"""Masks of classes that share pixels as one picture: bit k - 1 of a pixel stands for class k.

Transforms that move class ids about, by nearest neighbours, move these pictures as well.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MOST_CLASSES = 8
"""Classes besides the background that a picture of uint8 holds."""


def to_bits(masks: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return masks, shape (C - 1, rows, columns), as one picture, shape (rows, columns).

    Raises:
        ValueError: more than `MOST_CLASSES` masks.
    """
    if len(masks) > MOST_CLASSES:
        raise ValueError(
            f'at most {MOST_CLASSES} classes may overlap, got {len(masks)}; merge some groups'
        )
    bits = np.zeros(masks.shape[1:], np.uint8)
    for index, mask in enumerate(masks):
        bits |= mask.astype(np.uint8) << np.uint8(index)
    return bits


def from_bits(bits: NDArray[np.uint8], count: int) -> NDArray[np.bool_]:
    """Return `count` masks, shape (count, rows, columns), of a picture, shape (rows, columns)."""
    numbers = np.arange(count, dtype=np.uint8)[:, None, None]
    return (bits[None] >> numbers & 1).astype(bool)
