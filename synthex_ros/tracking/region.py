"""A part of the frame around a device that is tracked: the network need not see the rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

GRID_PX = 32
"""Regions start and end on this grid, the network's coarsest: each cell then sees the same pixels
as in the whole frame."""


@dataclass(frozen=True)
class Region:
    """A rectangle of pixels.

    Attributes:
        top: first row [px].
        left: first column [px].
        rows: height [px].
        columns: width [px].
    """

    top: int
    left: int
    rows: int
    columns: int

    def of(self, image: NDArray, stride: int = 1) -> NDArray:
        """Return this part of an image, shape (..., rows, columns), of cells of `stride` px."""
        top, left = self.top // stride, self.left // stride
        return image[..., top : top + self.rows // stride, left : left + self.columns // stride]


@dataclass(frozen=True)
class RegionSettings:
    """When and where a part of the frame will do.

    Attributes:
        margin_px: kept free around the device as it is predicted [px]; the default holds the
            patch by which a landmark of sigma 7 px is scored.
        full_every: every so many frames the whole frame is looked at all the same.
        min_score: a landmark below this in a region has the whole frame looked at, at once.
        max_share: a region larger than this part of the frame is not worth the trouble.
    """

    margin_px: float = 36.0
    full_every: int = 15
    min_score: float = 0.8
    max_share: float = 0.6

    def __post_init__(self):
        if not (self.margin_px > 0 and self.full_every >= 1):
            raise ValueError(
                'margin_px must be positive and full_every at least 1, got '
                f'{self.margin_px:g} and {self.full_every}'
            )
        for name in ('min_score', 'max_share'):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f'{name} must be 0..1, got {getattr(self, name):g}')


def region_around(
    points_px: ArrayLike, shape: tuple[int, int], settings: RegionSettings
) -> Region | None:
    """Return the region that holds points with the margin, or None if the frame is as good.

    Args:
        points_px: (u, v) of the device as predicted, shape (N, 2).
        shape: rows and columns of the frame, multiples of `GRID_PX`.
        settings: margin and greatest size.
    """
    points = np.asarray(points_px, float)
    if not len(points) or not np.all(np.isfinite(points)):
        return None
    low = np.floor((points.min(axis=0) - settings.margin_px) / GRID_PX).astype(int)
    high = np.ceil((points.max(axis=0) + 1 + settings.margin_px) / GRID_PX).astype(int)
    last = np.array([shape[1], shape[0]]) // GRID_PX
    low, high = np.clip(low, 0, last), np.clip(high, 0, last)
    columns, rows = (int(n) for n in (high - low) * GRID_PX)
    if min(rows, columns) < 2 * GRID_PX or rows * columns > settings.max_share * np.prod(shape):
        return None
    return Region(int(low[1]) * GRID_PX, int(low[0]) * GRID_PX, rows, columns)


class RegionChooser:
    """Whole frames until the device is found, then the region where it must be.

    Args:
        settings: when and where.
    """

    def __init__(self, settings: RegionSettings | None = None) -> None:
        self.settings = settings or RegionSettings()
        self.reset()

    def reset(self) -> None:
        """Forget the device: the next frame is looked at whole."""
        self._in_a_row = 0
        self._locked = False

    def choose(self, points_px: ArrayLike, shape: tuple[int, int]) -> Region | None:
        """Return the region to look at, or None for the whole frame.

        Args:
            points_px: (u, v) of the device as predicted, shape (N, 2).
            shape: rows and columns of the frame.
        """
        if not self._locked or self._in_a_row + 1 >= self.settings.full_every:
            return None
        return region_around(points_px, shape, self.settings)

    def believes(self, scores: ArrayLike) -> bool:
        """Tell whether the landmarks found in a region are good enough to leave it at that."""
        return bool(np.min(np.asarray(scores, float)) >= self.settings.min_score)

    def looked(self, region: Region | None, locked: bool) -> None:
        """Take note of a frame: where it was looked at last, and whether the track is good."""
        self._in_a_row = 0 if region is None else self._in_a_row + 1
        self._locked = locked
