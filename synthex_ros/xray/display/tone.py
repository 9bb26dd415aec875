"""Steps that act on every pixel alike: logarithm, window, inversion, shutter."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from synthex_ros.xray.display.chain import Image

MIN_SPAN = 1e-3
"""Least distance of black and white, for images of one value."""


@dataclass(frozen=True)
class Logarithm:
    """log(1 + counts): equal thicknesses become equal steps of grey (Beer-Lambert)."""

    def apply(self, image: Image, state: Any, interval_s: float) -> tuple[Image, Any]:
        """Return the logarithm of 1 + image."""
        np.add(image, np.float32(1), out=image)
        return np.asarray(cv2.log(image, dst=image), np.float32).reshape(image.shape), None


@dataclass(frozen=True)
class Inversion:
    """Black for white, as on film: bone is bright. Stands behind the window."""

    def apply(self, image: Image, state: Any, interval_s: float) -> tuple[Image, Any]:
        """Return 1 - image."""
        return np.subtract(np.float32(1), image, out=image), None


@dataclass(frozen=True)
class FixedWindow:
    """Black and white that stay where they are.

    Attributes:
        low: value that becomes 0 (black), in the unit that the step before leaves.
        high: value that becomes 1 (white).
    """

    low: float
    high: float

    def __post_init__(self):
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f'low must be below high, got {self.low:g} and {self.high:g}')

    def apply(self, image: Image, state: Any, interval_s: float) -> tuple[Image, Any]:
        """Return the tones of an image, not clipped."""
        return _toned(image, self.low, self.high), None


@dataclass(frozen=True, eq=False)
class AutomaticWindow:
    """Black and white follow percentiles of a measuring field, slowly.

    The first frame sets the window; from then on it approaches what is measured exponentially.
    A device that comes into the picture therefore changes no grey of the background from one
    frame to the next, which a window of every frame by itself would do. State: (low, high).

    Attributes:
        percentiles: of the measuring field, shown black and white.
        time_constant_s: time in which 63 % of a change are followed [s].
        field: measuring field, shape (rows, columns), bool; None is the whole image.
        max_samples: about how many pixels of the field are looked at.
    """

    percentiles: tuple[float, float] = (0.5, 99.5)
    time_constant_s: float = 1.0
    field: NDArray[np.bool_] | None = None
    max_samples: int = 8192

    def __post_init__(self):
        low, high = self.percentiles
        if not 0 <= low < high <= 100:
            raise ValueError(f'percentiles must be 0 <= low < high <= 100, got {low:g}, {high:g}')
        if not 0 < self.time_constant_s < math.inf:
            raise ValueError(
                f'time_constant_s must be positive, got {self.time_constant_s:g}; '
                'for a window that never moves use FixedWindow'
            )
        if self.max_samples < 1:
            raise ValueError(f'max_samples must be positive, got {self.max_samples}')
        if self.field is not None and not self.field.any():
            raise ValueError('the measuring field of a window must hold at least one pixel')

    @cached_property
    def _field_px(self) -> int:
        return 0 if self.field is None else int(np.count_nonzero(self.field))

    def measured(self, image: Image) -> tuple[float, float]:
        """Return what one image alone would be shown with: black and white.

        Raises:
            ValueError: the measuring field has another shape.
        """
        if self.field is not None and self.field.shape != image.shape:
            raise ValueError(
                f'the measuring field has shape {self.field.shape}, the image {image.shape}'
            )
        step = max(1, math.isqrt((self._field_px or image.size) // self.max_samples))
        seen = image[::step, ::step]
        if self.field is not None:
            part = seen[self.field[::step, ::step]]
            seen = part if part.size else image[self.field]
        low, high = np.percentile(seen, self.percentiles)
        return float(low), float(max(high, low + MIN_SPAN))

    def apply(
        self, image: Image, state: tuple[float, float] | None, interval_s: float
    ) -> tuple[Image, tuple[float, float]]:
        """Return the tones of an image, not clipped, and the window they were made with."""
        window = self.measured(image)
        if state is not None:
            share = -math.expm1(-interval_s / self.time_constant_s)
            window = (
                state[0] + share * (window[0] - state[0]),
                state[1] + share * (window[1] - state[1]),
            )
        return _toned(image, *window), window


@dataclass(frozen=True, eq=False)
class Shutter:
    """Nearly black where the collimator is shut. Stands behind the window.

    Attributes:
        open_field: pixels that are left as they are, shape (rows, columns), bool.
        brightest: greatest tone of the others, 0 (black) to 1 (white).
    """

    open_field: NDArray[np.bool_]
    brightest: float = 12 / 255

    def __post_init__(self):
        if not 0 <= self.brightest <= 1:
            raise ValueError(f'brightest must be 0..1, got {self.brightest:g}')

    @cached_property
    def _shut(self) -> NDArray[np.bool_]:
        return ~self.open_field

    def apply(self, image: Image, state: Any, interval_s: float) -> tuple[Image, Any]:
        """Return the image with the shut part darkened."""
        if self.open_field.shape != image.shape:
            raise ValueError(
                f'open_field has shape {self.open_field.shape}, the image {image.shape}'
            )
        return np.minimum(image, np.float32(self.brightest), out=image, where=self._shut), None


def _toned(image: Image, low: float, high: float) -> Image:
    np.subtract(image, np.float32(low), out=image)
    return np.multiply(image, np.float32(1 / (high - low)), out=image)
