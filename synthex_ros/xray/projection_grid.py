"""The grid on the detector at which the anatomy is projected, and cubic splines back to pixels.

A CT has no finer detail than its voxels' shadows, so its line integrals, and the logarithm of the
signal behind it, are computed on a grid of about that pitch and interpolated by cubic B-splines
that pass through the grid's values (Unser, IEEE Signal Process. Mag. 16(6) (1999) 22).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numba as nb
import numpy as np
from numpy.typing import NDArray

from synthex_ros.geometry import ProjectionGeometry, View
from synthex_ros.xray.parallel import parallel

BORDER = 3
"""Rows and columns of a coarse grid beyond the detector, for the splines at its border."""

_POLE = np.float32(np.sqrt(3) - 2)
_HORIZON = 14  # |pole|^14 is below the rounding of float32


@dataclass(frozen=True, eq=False)
class Taps:
    """Which four samples make each pixel along one axis, by three interpolations.

    Attributes:
        place: indices, mirrored at the ends, shape (N, 4), int32.
        spline: weights of coefficients of the cubic B-spline, shape (N, 4), float32; sum 1.
        catmull_rom: weights of samples, the same.
        linear: weights of samples, the same; those of the outer two are 0.
    """

    place: NDArray[np.int32]
    spline: NDArray[np.float32]
    catmull_rom: NDArray[np.float32]
    linear: NDArray[np.float32]

    @classmethod
    def at(cls, positions: NDArray[np.float64], count: int) -> Taps:
        """Return the taps of positions (N,) on a line of `count` samples."""
        whole = np.floor(positions)
        f = (positions - whole)[:, None]
        place = whole[:, None] + np.arange(-1, 3)
        period = max(2 * count - 2, 1)
        place = np.abs((place + count - 1) % period - (count - 1)) if count > 1 else 0 * place
        spline = [(1 - f) ** 3, 4 - 6 * f**2 + 3 * f**3, 1 + 3 * f + 3 * f**2 - 3 * f**3, f**3]
        rom = [f * (f * (2 - f) - 1), f * f * (3 * f - 5) + 2, f * (f * (4 - 3 * f) + 1)]
        linear = [0 * f, 1 - f, f, 0 * f]
        weights = (
            np.hstack(spline) / 6,
            np.hstack([*rom, f * f * (f - 1)]) / 2,
            np.hstack(linear),
        )
        return cls(place.astype(np.int32), *(w.astype(np.float32) for w in weights))


@dataclass(frozen=True, eq=False)
class ProjectionGrid:
    """A grid of sample points on the detector, coarser than its pixels or equal to them.

    Attributes:
        geometry: of the pixels.
        samples: geometry of the grid, border included.
        border: rows and columns of the grid beyond the detector at each side.
        rows: taps of the pixels' rows.
        columns: taps of the pixels' columns.
    """

    geometry: ProjectionGeometry
    samples: ProjectionGeometry
    border: int
    rows: Taps
    columns: Taps

    @classmethod
    def of(cls, geometry: ProjectionGeometry, detail_px: int) -> ProjectionGrid:
        """Return the grid with `detail_px` samples along the longer side, or one a pixel."""
        return _grid(geometry, min(detail_px, max(geometry.shape_px)))

    @classmethod
    def by_pixel(cls, geometry: ProjectionGeometry) -> ProjectionGrid:
        """Return the grid with one sample a pixel."""
        return _grid(geometry, max(geometry.shape_px))

    def view(self, view: View) -> View:
        """Return the view whose pixels are the samples of a view's detector."""
        return replace(view, geometry=self.samples)

    def inner(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the part of images (..., h, w) that lies on the detector."""
        b = self.border
        return images[..., b : images.shape[-2] - b, b : images.shape[-1] - b]

    def pixels(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return images (K, rows, columns) between samples (K, h, w), by Catmull-Rom splines."""
        down, across = _matrix(self.rows, images.shape[1]), _matrix(self.columns, images.shape[2])
        return np.asarray(down @ images @ across.T, np.float32)


@lru_cache(maxsize=8)
def _grid(geometry: ProjectionGeometry, detail_px: int) -> ProjectionGrid:
    rows, columns = geometry.shape_px
    factor = max(rows, columns) / detail_px
    if factor <= 1:
        rows_at, columns_at = np.arange(rows, dtype=float), np.arange(columns, dtype=float)
        taps = Taps.at(rows_at, rows), Taps.at(columns_at, columns)
        return ProjectionGrid(geometry, geometry, 0, *taps)
    height, width = (int(np.ceil(n / factor - 1e-9)) + 2 * BORDER for n in (rows, columns))
    (pitch_v, pitch_u), (u0, v0) = geometry.pixel_pitch_m, geometry.piercing_px
    samples = replace(
        geometry,
        pixel_pitch_m=(factor * pitch_v, factor * pitch_u),
        piercing_px=((u0 + 0.5) / factor - 0.5 + BORDER, (v0 + 0.5) / factor - 0.5 + BORDER),
        shape_px=(height, width),
    )
    rows_at, columns_at = (
        (np.arange(n, dtype=float) + 0.5) / factor - 0.5 + BORDER for n in (rows, columns)
    )
    taps = Taps.at(rows_at, height), Taps.at(columns_at, width)
    return ProjectionGrid(geometry, samples, BORDER, *taps)


def _matrix(taps: Taps, samples: int) -> NDArray[np.float32]:
    """Return Catmull-Rom splines as a matrix, shape (pixels, samples)."""
    matrix = np.zeros((len(taps.place), samples), np.float32)
    for place, weight in zip(taps.place.T, taps.catmull_rom.T, strict=True):
        np.add.at(matrix, (np.arange(len(place)), place), weight)
    return matrix


def to_coefficients(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn images (K, h, w) in place into the coefficients of splines through their values."""
    with parallel():
        if images.shape[2] > 1:
            _filter_rows(images)
        if images.shape[1] > 1:
            _filter_columns(images)
    return images


@nb.njit(inline='always')
def _mirrored(k, count):
    """Return the index of sample k >= 0 beyond the end of a line of `count` samples."""
    period = 2 * count - 2
    k = k % period
    return period - k if k >= count else k


@nb.njit(parallel=True, fastmath=True, cache=True)
def _filter_rows(images):
    """Filter every row of images (K, h, w) by the causal and the anticausal recursion."""
    count, height, width = images.shape
    z = _POLE
    for index in nb.prange(count * height):
        line = images[index // height, index % height]
        first, power = np.float32(0), np.float32(1)
        for k in range(_HORIZON):
            first += power * line[_mirrored(k, width)]
            power *= z
        line[0] = np.float32(6) * first
        for c in range(1, width):
            line[c] = np.float32(6) * line[c] + z * line[c - 1]
        line[width - 1] = z / (z * z - np.float32(1)) * (line[width - 1] + z * line[width - 2])
        for c in range(width - 2, -1, -1):
            line[c] = z * (line[c + 1] - line[c])


@nb.njit(parallel=True, fastmath=True, cache=True)
def _filter_columns(images):
    """Filter every column of images (K, h, w), a block of columns at a time."""
    count, height, width = images.shape
    z, block = _POLE, 64
    blocks = (width + block - 1) // block
    for index in nb.prange(count * blocks):
        left = index % blocks * block
        part = images[index // blocks, :, left : min(left + block, width)]
        first = np.zeros(part.shape[1], np.float32)
        power = np.float32(1)
        for k in range(_HORIZON):
            line = part[_mirrored(k, height)]
            for c in range(first.size):
                first[c] += power * line[c]
            power *= z
        part[0] = np.float32(6) * first
        for r in range(1, height):
            line, above = part[r], part[r - 1]
            for c in range(first.size):
                line[c] = np.float32(6) * line[c] + z * above[c]
        last, above = part[height - 1], part[height - 2]
        for c in range(first.size):
            last[c] = z / (z * z - np.float32(1)) * (last[c] + z * above[c])
        for r in range(height - 2, -1, -1):
            line, below = part[r], part[r + 1]
            for c in range(first.size):
                line[c] = z * (below[c] - line[c])
