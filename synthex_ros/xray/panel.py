"""A real panel's pixels: unequal gain and offset, dead pixels, and their calibration."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_MEDIAN_PX = 3


@dataclass(frozen=True, eq=False)
class PanelMaps:
    """Gain and offset of every pixel.

    Attributes:
        gain: relative to the mean, shape (rows, columns), float32; 0 is a dead pixel.
        offset_counts: counts without exposure, same shape, float32.
    """

    gain: NDArray[np.float32]
    offset_counts: NDArray[np.float32]

    def __post_init__(self):
        if self.gain.shape != self.offset_counts.shape or self.gain.ndim != 2:
            raise ValueError(
                'gain and offset_counts must both be (rows, columns), '
                f'got {self.gain.shape} and {self.offset_counts.shape}'
            )

    @classmethod
    def random(
        cls,
        shape_px: tuple[int, int],
        seed: int,
        gain_deviation: float = 0.02,
        offset_counts: float = 200.0,
        offset_deviation_counts: float = 15.0,
        line_share: float = 0.5,
        dead_share: float = 1e-4,
    ) -> PanelMaps:
        """Return the maps of one panel.

        Args:
            shape_px: rows and columns.
            seed: another seed is another panel.
            gain_deviation: standard deviation of gain.
            offset_counts: mean offset.
            offset_deviation_counts: standard deviation of offset.
            line_share: part of both variances that whole columns share: their read-out amplifier.
            dead_share: part of the pixels that give no signal.
        """
        if not 0 <= dead_share < 0.5 or not 0 <= line_share <= 1:
            raise ValueError(
                'dead_share must be 0..0.5 and line_share 0..1, '
                f'got {dead_share:g} and {line_share:g}'
            )
        rng = np.random.default_rng(seed)

        def uneven(deviation: float) -> NDArray[np.float64]:
            single, line = rng.normal(size=shape_px), rng.normal(size=(1, shape_px[1]))
            return deviation * (np.sqrt(1 - line_share) * single + np.sqrt(line_share) * line)

        gain = np.maximum(1 + uneven(gain_deviation), 0.1)
        offset = np.maximum(offset_counts + uneven(offset_deviation_counts), 0)
        gain[rng.random(shape_px) < dead_share] = 0
        return cls(gain.astype(np.float32), offset.astype(np.float32))


@dataclass(frozen=True, eq=False)
class FlatField:
    """Correction of a panel from its own frames: offset, gain, dead pixels.

    Attributes:
        offset_counts: mean dark frame, shape (rows, columns), float32.
        factor: what makes an even exposure even, same shape, float32; 0 where a pixel is dead.
    """

    offset_counts: NDArray[np.float32]
    factor: NDArray[np.float32]

    @classmethod
    def calibrate(
        cls, darks: NDArray[np.uint16], floods: NDArray[np.uint16], dead_below: float = 0.5
    ) -> FlatField:
        """Return the correction from frames without and with an even exposure.

        Args:
            darks: shape (n, rows, columns).
            floods: shape (m, rows, columns), not saturated.
            dead_below: pixels with less than this part of the median signal are dead.

        Raises:
            ValueError: shapes differ, or the floods show no exposure.
        """
        if darks.ndim != 3 or floods.ndim != 3 or darks.shape[1:] != floods.shape[1:]:
            raise ValueError(
                'darks and floods must be (frames, rows, columns) of one size, '
                f'got {darks.shape} and {floods.shape}'
            )
        offset = darks.mean(axis=0, dtype=np.float64)
        signal = floods.mean(axis=0, dtype=np.float64) - offset
        middle = float(np.median(signal))
        if not middle > 0:
            raise ValueError('floods are no brighter than darks; expose them without an object')
        alive = signal > dead_below * middle
        factor = np.where(alive, middle / np.where(alive, signal, 1), 0)
        return cls(offset.astype(np.float32), factor.astype(np.float32))

    def correct(self, counts: NDArray[np.uint16]) -> NDArray[np.float32]:
        """Return a frame of an even panel [counts], float32; dead pixels are their neighbours'.

        Raises:
            ValueError: the frame has another size.
        """
        if counts.shape != self.factor.shape:
            raise ValueError(f'frame is {counts.shape}, the calibration {self.factor.shape}')
        even = (counts.astype(np.float32) - self.offset_counts) * self.factor
        dead = self.factor == 0
        if dead.any():
            even[dead] = cv2.medianBlur(even, _MEDIAN_PX)[dead]
        return even
