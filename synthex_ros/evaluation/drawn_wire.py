"""What a network would say of a wire whose place is known: the measure of all that follows it."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from synthex_ros.geometry import ProjectionGeometry, View
from synthex_ros.tracking.landmarks import pixel_to_cell
from synthex_ros.tracking.metadata import ModelMetadata
from synthex_ros.tracking.model import Prediction
from synthex_ros.tracking.region import Region

Array = NDArray[np.float64]

_FINE = 16


class DrawnWire:
    """Stands in for a tracker model: `infer` shows the wire of the last `show`.

    Args:
        geometry: of the frames.
        sigma_px: of a landmark's Gaussian [px].
        stride: pixels a heat map cell, per side.
        gaps_px: stretches of the wire that the mask lacks, (from, to) along it from the tip [px].
        jitter_px: standard deviation of landmarks per axis [px].
        noise: standard deviation of the mask's probabilities and of the heat maps.
        seed: of jitter and noise.

    Attributes:
        looked: regions that were asked for, None for the whole frame.
        hidden: show nothing.
    """

    def __init__(
        self,
        geometry: ProjectionGeometry,
        sigma_px: float = 7.0,
        stride: int = 4,
        gaps_px: Sequence[tuple[float, float]] = (),
        jitter_px: float = 0.0,
        noise: float = 0.0,
        seed: int = 0,
    ) -> None:
        rows, columns = geometry.shape_px
        self.metadata = ModelMetadata(
            version='drawn',
            input_name='image',
            input_shape=(1, 1, rows, columns),
            pixel_pitch_mm=1e3 * geometry.pixel_pitch_m[0],
            mask_name='mask',
            heatmaps_name='heatmaps',
            classes=('background', 'guidewire'),
            landmarks=('marker', 'tip'),
            heatmap_sigma_px=sigma_px,
            heatmap_stride=stride,
            mask_stride=1,
        )
        self._gaps, self._jitter_px, self._noise = tuple(gaps_px), jitter_px, noise
        self._rng = np.random.default_rng(seed)
        self.looked: list[Region | None] = []
        self.hidden = False
        self._mask = np.zeros((rows, columns), np.float32)
        self._heatmaps = np.zeros((2, rows // stride, columns // stride), np.float32)

    def check_frame(self, geometry: ProjectionGeometry) -> None:
        """Take every frame."""

    def require_regions(self) -> None:
        """Look at any region."""

    def show(self, view: View, line_m: Array, landmarks_m: Array, width_m: float = 5e-4) -> None:
        """Draw a wire.

        Args:
            view: geometry and pose of the exposure.
            line_m: from the back to the tip in `world`, shape (N, 3) [m].
            landmarks_m: marker and tip, shape (2, 3) [m].
            width_m: of the wire [m].
        """
        depth = float(view.to_source(line_m[-1])[2])
        pitch = view.geometry.pixel_pitch_m[1]
        wide_px = max(width_m * view.geometry.magnification(depth) / pitch, 1.0)
        self.draw(view.project(line_m), view.project(landmarks_m), wide_px)

    def draw(self, line_px: Array, landmarks_px: Array, wide_px: float = 2.0) -> None:
        """Draw a wire of pixels from the back to the tip, (N, 2), marker and tip, (2, 2) [px]."""
        shape = self._mask.shape
        fine = np.zeros(shape, np.uint8)
        for piece in self._pieces(line_px[::-1]):
            points = np.round(piece * _FINE).astype(np.int32)
            cv2.polylines(fine, [points], False, 255, max(1, round(wide_px)), cv2.LINE_AA, 4)
        self._mask = self._noisy(fine.astype(np.float32) / 255)
        shaken = landmarks_px + self._jitter_px * self._rng.standard_normal((2, 2))
        self._heatmaps = self._noisy(np.stack([self._gaussian(pixel) for pixel in shaken]))

    def infer(self, counts: NDArray, region: Region | None = None) -> Prediction:
        """Return mask and heat maps of the wire, or of the part of it in a region."""
        self.looked.append(region)
        mask, heatmaps = np.zeros_like(self._mask), np.zeros_like(self._heatmaps)
        seen = region or Region(0, 0, *mask.shape)
        if not self.hidden:
            stride = self.metadata.heatmap_stride
            seen.of(mask)[:] = seen.of(self._mask)
            seen.of(heatmaps, stride)[:] = seen.of(self._heatmaps, stride)
        return Prediction(np.stack([1 - mask, mask]), heatmaps)

    def _pieces(self, back_px: Array) -> list[Array]:
        """Return the stretches of a line, from its tip backwards, between its gaps."""
        arc = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(back_px, axis=0), axis=1))])
        bounds = [0.0, *(end for gap in self._gaps for end in gap), float(arc[-1])]
        pieces = []
        for low, high in zip(bounds[::2], bounds[1::2], strict=True):
            along = np.linspace(low, max(high, low), max(int(high - low), 1) + 1)
            pieces.append(np.stack([np.interp(along, arc, back_px[:, a]) for a in (0, 1)], axis=1))
        return pieces

    def _gaussian(self, pixel: Array) -> NDArray[np.float32]:
        stride, (rows, columns) = self.metadata.heatmap_stride, self._heatmaps.shape[1:]
        column, row = pixel_to_cell(pixel, stride)
        sigma = self.metadata.heatmap_sigma_px / stride
        across = np.exp(-0.5 * ((np.arange(columns) - column) / sigma) ** 2)
        down = np.exp(-0.5 * ((np.arange(rows) - row) / sigma) ** 2)
        return np.outer(down, across).astype(np.float32)

    def _noisy(self, values: NDArray) -> NDArray[np.float32]:
        if not self._noise:
            return np.asarray(values, np.float32)
        drawn = self._rng.standard_normal(values.shape).astype(np.float32)
        return np.clip(values + self._noise * drawn, 0, 1).astype(np.float32)
