"""An image with its labels, and the heat maps that landmarks stand for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthex_ros.tracking.landmarks import pixel_to_cell


@dataclass(frozen=True)
class Labelled:
    """One training image with its labels.

    Attributes:
        image: normalised radiograph, shape (rows, columns), float32.
        mask: class ids, or `class_bits` where classes overlap, shape (rows, columns), uint8.
        landmarks: (u, v, visible) a landmark [px], shape (L, 3), float64; visible is 0 or 1.
    """

    image: NDArray[np.float32]
    mask: NDArray[np.uint8]
    landmarks: NDArray[np.float64]


def inside(
    points_px: NDArray[np.float64], shape: tuple[int, int], margin_px: float = 0.0
) -> NDArray[np.bool_]:
    """Tell which points (u, v), shape (..., 2), lie on an image and `margin_px` off its edges."""
    low = margin_px - 0.5
    high = np.array([shape[1], shape[0]]) - 0.5 - margin_px
    return np.all((points_px >= low) & (points_px < high), axis=-1)


def with_visibility(
    landmarks: NDArray[np.float64], shape: tuple[int, int], margin_px: float = 0.0
) -> NDArray[np.float64]:
    """Return landmarks (L, 3) with `visible` cleared for those outside the image or its margin."""
    result = landmarks.copy()
    result[:, 2] *= inside(landmarks[:, :2], shape, margin_px)
    return result


def render_heatmaps(
    landmarks: NDArray[np.float64], shape: tuple[int, int], stride: int, sigma_px: float
) -> NDArray[np.float32]:
    """Return a Gaussian of height 1 a landmark, shape (L, rows / stride, columns / stride).

    Invisible landmarks give maps of zeros.
    """
    rows, columns = (np.arange(n // stride, dtype=np.float64) for n in shape)
    maps = np.zeros((len(landmarks), len(rows), len(columns)), np.float32)
    sigma = sigma_px / stride
    for target, (u, v, visible) in zip(maps, landmarks, strict=True):
        if visible:
            across = np.exp(-0.5 * ((columns - pixel_to_cell(u, stride)) / sigma) ** 2)
            down = np.exp(-0.5 * ((rows - pixel_to_cell(v, stride)) / sigma) ** 2)
            target[:] = np.outer(down, across)
    return maps
