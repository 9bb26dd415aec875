"""Steps that look at neighbours: edge enhancement, the frame before, and flips."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import cv2
import numpy as np

from synthex_ros.xray.display.chain import Image

_REACH = 2.5  # standard deviations
_SIGMA_PER_PIXEL = 0.8  # standard deviation over the side of a pixel of a shrunk image
_MOTION_BLUR_PX = 5


@dataclass(frozen=True)
class EdgeEnhancement:
    """Unsharp mask: the difference to a blurred copy is added to the image.

    Detail of spatial frequency f is amplified by 1 + strength * (1 - exp(-2 (pi radius f)^2)), an
    even area keeps its grey. The radius is a length on the detector, so that binning does not
    change what is enhanced.

    Attributes:
        strength: part of the difference that is added; 0 is off, 0.5 to 2 is usual.
        radius_m: standard deviation of the blur on the detector [m].
        pixel_pitch_m: detector pitch as (row, column) [m].
    """

    strength: float
    radius_m: float
    pixel_pitch_m: tuple[float, float]

    def __post_init__(self):
        if not 0 <= self.strength <= 20:
            raise ValueError(f'strength must be 0..20, got {self.strength:g}')
        if not 0 < self.radius_m <= 0.05:
            slip = f'; 1 mm is {self.radius_m / 1000:g}' if self.radius_m > 0.05 else ''
            raise ValueError(f'radius_m must be above 0, up to 0.05, got {self.radius_m:g}{slip}')
        if not all(pitch > 0 for pitch in self.pixel_pitch_m):
            raise ValueError(f'pixel_pitch_m must be positive, got {self.pixel_pitch_m}')

    def apply(self, image: Image, state: Any, interval_s: float) -> tuple[Image, Any]:
        """Return the image with its detail amplified."""
        blurred = _blurred(image, *(self.radius_m / pitch for pitch in self.pixel_pitch_m))
        np.multiply(blurred, np.float32(-self.strength), out=blurred)
        np.multiply(image, np.float32(1 + self.strength), out=image)
        return np.add(image, blurred, out=image), None


@dataclass(frozen=True)
class TemporalFilter:
    """Recursive mean of the frames: each moves the picture by its weight.

    White noise is left with a variance of weight / (2 - weight). What moves leaves a trail, unless
    `motion` is set: then the weight grows to 1 with the square of the change, so that the picture
    follows motion at once and is noisier there. State: the picture so far, float32.

    Attributes:
        weight: of a new frame, above 0 to 1; 1 is off.
        motion: change of the value, in the unit that the step before leaves, that is taken wholly
            as motion; it is looked at as a mean of 5 x 5 pixels. None is off.
    """

    weight: float
    motion: float | None = None

    def __post_init__(self):
        if not 0 < self.weight <= 1:
            raise ValueError(f'weight must be above 0, up to 1, got {self.weight:g}')
        if self.motion is not None and not self.motion > 0:
            raise ValueError(f'motion must be positive or None, got {self.motion:g}')

    def apply(
        self, image: Image, state: Image | None, interval_s: float
    ) -> tuple[Image, Image | None]:
        """Return the picture so far; a frame of another size starts anew."""
        if state is None or state.shape != image.shape:
            return image, image.copy()
        np.subtract(image, state, out=image)
        if self.motion is None:
            np.multiply(image, np.float32(self.weight), out=image)
        else:
            np.multiply(image, self._weights(image), out=image)
        np.add(image, state, out=image)
        np.copyto(state, image)
        return image, state

    def _weights(self, change: Image) -> Image:
        size = (_MOTION_BLUR_PX, _MOTION_BLUR_PX)
        mean = np.asarray(cv2.blur(change, size), np.float32).reshape(change.shape)
        np.multiply(mean, np.float32(1 / (self.motion or 1)), out=mean)
        np.multiply(mean, mean, out=mean)
        np.minimum(mean, np.float32(1), out=mean)
        np.multiply(mean, np.float32(1 - self.weight), out=mean)
        return np.add(mean, np.float32(self.weight), out=mean)


@dataclass(frozen=True)
class Flip:
    """Mirrors the picture, never the detector's counts.

    Attributes:
        horizontal: columns in opposite order; turns what the tube sees into the radiological view.
        vertical: rows in opposite order.
    """

    horizontal: bool = False
    vertical: bool = False
    keeps_values: ClassVar[bool] = True

    def apply(self, image: Image, state: Any, interval_s: float) -> tuple[Image, Any]:
        """Return the mirrored image."""
        if not self.horizontal and not self.vertical:
            return image, None
        way = -1 if self.horizontal and self.vertical else int(self.horizontal)
        return np.asarray(cv2.flip(image, way), image.dtype).reshape(image.shape), None


def _blurred(image: Image, down_px: float, across_px: float) -> Image:
    """Return an image after a Gaussian of two deviations [px].

    Wide ones act on an image of fewer pixels: taking means of n pixels and interpolating between
    them widens a point by a variance of about n^2 / 4, which the Gaussian then lacks.
    """
    shrink = max(1, int(min(down_px, across_px) / _SIGMA_PER_PIXEL))
    small = image
    if shrink > 1:
        size = tuple(-(-side // shrink) for side in image.shape[::-1])
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA).reshape(size[::-1])
    lost = shrink**2 / 4 if shrink > 1 else 0.0
    down, across = (math.sqrt(s**2 - lost) / shrink for s in (down_px, across_px))
    taps = (2 * math.ceil(_REACH * across) + 1, 2 * math.ceil(_REACH * down) + 1)
    smooth = cv2.GaussianBlur(small, taps, across, sigmaY=down, borderType=cv2.BORDER_REPLICATE)
    if shrink > 1:
        smooth = cv2.resize(smooth, image.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(smooth, np.float32).reshape(image.shape)
