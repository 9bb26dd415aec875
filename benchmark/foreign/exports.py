"""What becomes of a raw frame on its way out of a clinic: windows, filters, shutters, text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]

RESAMPLED_PX, RESAMPLED_PITCH_MM = 480, 0.5804
"""Size and pitch of SyntheX's published frames: 50 px cut off each side of 1536, then resized."""
_LEAST_WIDTH = 0.05
_LEAST_UNBURNT_PX = 100
_LEAST_STEP = 0.5
_AROUND_PX = 9
_TEXT = ('HOSPITAL', '70 kV  3.2 mA', 'LAO 12  CRAN 4', 'SER 3  IM 17', 'R', '21-11-2026 10:42')


@dataclass(frozen=True, eq=False)
class Export:
    """A picture on its way.

    Attributes:
        picture: grey values, 0..1 where it has been windowed, shape (rows, columns), float32.
        bits: that it is written with.
        inverted: larger values are fewer X-rays.
        shutter: pixels that are shown, shape (rows, columns).
        pixel_pitch_mm: of the detector.
        burnt: pixels at full scale in the raw frame, shape (rows, columns).
        expected: pictures without noise that the same is done to.
        new_from_old: map of pixels (u, v, 1), shape (2, 3).
        overlay: pixels of burnt-in text, shape (rows, columns); None without.
    """

    picture: Image
    bits: int
    inverted: bool
    shutter: NDArray[np.bool_]
    pixel_pitch_mm: float
    burnt: NDArray[np.bool_]
    expected: tuple[Image, ...] = ()
    new_from_old: NDArray[np.float64] = field(default_factory=lambda: np.eye(2, 3))
    overlay: NDArray[np.bool_] | None = None

    def pixels(self) -> NDArray:
        """Return what is written, uint8 or uint16: 0 behind the shutter, text at full scale."""
        full = 2**self.bits - 1
        shown = np.where(self.shutter, np.clip(self.picture, 0, 1), 0)
        if self.overlay is not None:
            shown[self.overlay] = 1
        return np.rint(shown * full).astype(np.uint8 if self.bits == 8 else np.uint16)

    def points(self, points_px: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return where points (u, v) of the raw frame lie, shape (N, 2)."""
        return points_px @ self.new_from_old[:, :2].T + self.new_from_old[:, 2]

    def mask(self, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a mask of the raw frame on the pixels shown, shape (rows, columns), uint8."""
        rows, columns = self.picture.shape
        moved = cv2.warpAffine(mask.astype(np.float32), self.new_from_old, (columns, rows))
        return (np.asarray(moved) >= 0.5).astype(np.uint8) * self.shutter

    def left_of(self, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return what of a mask, shape (rows, columns), uint8, the file still shows.

        Around a pixel, half of the mask and more must differ between the expected pictures, with
        and without device, by half a grey value of the file: elsewhere a window has cut it off,
        or a few grey values have to do for all of it.
        """
        one, other = (np.clip(picture, 0, 1) for picture in self.expected)
        differs = (np.abs(one - other) * (2**self.bits - 1) >= _LEAST_STEP) & (mask > 0)
        size = (_AROUND_PX, _AROUND_PX)
        left, all_of_it = (
            cv2.boxFilter(pixels.astype(np.float32), -1, size, normalize=False)
            for pixels in (differs, mask > 0)
        )
        return mask * (left >= 0.5 * all_of_it)


Step = Callable[[Export, np.random.Generator], Export]


def raw(
    counts: NDArray[np.uint16], bits: int, pixel_pitch_mm: float, expected: Sequence[Image] = ()
) -> Export:
    """Return a raw frame as it is, with the counts expected in it, if they are known."""
    full = 2**bits - 1
    picture, *others = (one.astype(np.float32) / np.float32(full) for one in (counts, *expected))
    shutter, burnt = np.ones(counts.shape, bool), counts >= full
    return Export(picture, bits, False, shutter, pixel_pitch_mm, burnt, tuple(others))


def _each(export: Export, change: Callable[[Image], Image], **fields: Any) -> Export:
    """Do the same to the picture and to those expected."""
    expected = tuple(change(picture) for picture in export.expected)
    return replace(export, picture=change(export.picture), expected=expected, **fields)


def log(export: Export, rng: np.random.Generator) -> Export:
    """Take the logarithm, so that grey values are linear in path length."""
    least = np.float32(0.5 / (2**export.bits - 1))
    return _each(export, lambda picture: np.log(picture + least))


def window(export: Export, rng: np.random.Generator) -> Export:
    """Stretch between percentiles of what is not burnt out, and clip.

    A window has a width, whatever a picture shows: a twentieth of its range at least. What is
    all one grey value is white.
    """
    inside = export.picture[export.shutter]
    told = inside[~export.burnt[export.shutter]]
    if len(told) < _LEAST_UNBURNT_PX:
        told = inside
    low, high = np.percentile(told, (rng.uniform(0.2, 3.0), rng.uniform(96.0, 99.8)))
    width = np.float32(max(float(high - low), _LEAST_WIDTH * float(np.ptp(inside)), 1e-6))
    least = np.float32(high) - width
    return _each(export, lambda picture: np.clip((picture - least) / width, 0, 1))


def eight_bits(export: Export, rng: np.random.Generator) -> Export:
    """Write 8 bits."""
    return replace(export, bits=8)


def sixteen_bits(export: Export, rng: np.random.Generator) -> Export:
    """Write 16 bits."""
    return replace(export, bits=16)


def invert(export: Export, rng: np.random.Generator) -> Export:
    """Show bone and metal white."""
    return _each(export, lambda picture: 1 - picture, inverted=not export.inverted)


def gamma(export: Export, rng: np.random.Generator) -> Export:
    """Bend by a power of 0.45-2.2."""
    power = float(np.exp(rng.uniform(np.log(0.45), np.log(2.2))))
    return _each(export, lambda picture: np.clip(picture, 0, 1) ** np.float32(power))


def unsharp(export: Export, rng: np.random.Generator) -> Export:
    """Raise details of two sizes."""
    sizes = ((1.0, 2.0, 1.5), (6.0, 12.0, 0.8))
    drawn = [(float(rng.uniform(low, high)), rng.uniform(0.3, most)) for low, high, most in sizes]

    def raised(picture: Image) -> Image:
        details = (picture - cv2.GaussianBlur(picture, (0, 0), sigma) for sigma, _ in drawn)
        parts = (np.float32(gain) * one for one, (_, gain) in zip(details, drawn, strict=True))
        return picture + sum(parts, np.float32(0))

    return _each(export, raised)


def equalised(export: Export, rng: np.random.Generator) -> Export:
    """Equalise the histogram locally."""
    tiles = int(rng.integers(4, 9))
    equaliser = cv2.createCLAHE(float(rng.uniform(1.5, 4.0)), (tiles, tiles))

    def apply(picture: Image) -> Image:
        coded = np.rint(np.clip(picture, 0, 1) * 65535).astype(np.uint16)
        return equaliser.apply(coded).astype(np.float32) / 65535

    return _each(export, apply)


def round_shutter(export: Export, rng: np.random.Generator) -> Export:
    """Show a circle, black around it, as an image intensifier does."""
    rows, columns = export.picture.shape
    radius = rng.uniform(0.44, 0.52) * min(rows, columns)
    v, u = np.ogrid[:rows, :columns]
    circle = np.hypot(u - (columns - 1) / 2, v - (rows - 1) / 2) <= radius
    return replace(export, shutter=export.shutter & circle)


def text(export: Export, rng: np.random.Generator) -> Export:
    """Burn white text into corners, and a marker for the side."""
    rows, columns = export.picture.shape
    overlay = np.zeros((rows, columns), np.uint8)
    size = float(rng.uniform(0.4, 0.7))
    for words in rng.choice(_TEXT, int(rng.integers(2, 5)), replace=False):
        (width, height), _ = cv2.getTextSize(str(words), cv2.FONT_HERSHEY_SIMPLEX, size, 1)
        u = int(rng.choice([6, columns - width - 6]))
        v = int(rng.choice([1, 2, 3])) * (height + 8)
        place = (u, v if rng.random() < 0.5 else rows - v)
        cv2.putText(overlay, str(words), place, cv2.FONT_HERSHEY_SIMPLEX, size, 1, 1)
    return replace(export, overlay=overlay > 0)


def resampled(export: Export, rng: np.random.Generator) -> Export:
    """Cut and resize to 480 x 480 px of 0.5804 mm, as SyntheX's published frames are."""
    scale = export.pixel_pitch_mm / RESAMPLED_PITCH_MM
    rows, columns = export.picture.shape
    old = np.array([columns - 1, rows - 1]) / 2
    matrix = np.column_stack([np.eye(2) * scale, (RESAMPLED_PX - 1) / 2 - scale * old])
    size = (RESAMPLED_PX, RESAMPLED_PX)

    def resized(picture: Image) -> Image:
        new = cv2.warpAffine(
            picture, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
        return np.asarray(new, np.float32)

    shutter, burnt = (
        np.asarray(cv2.warpAffine(one.astype(np.uint8), matrix, size, flags=cv2.INTER_NEAREST)) > 0
        for one in (export.shutter, export.burnt)
    )
    return _each(
        export,
        resized,
        shutter=shutter,
        burnt=burnt,
        pixel_pitch_mm=RESAMPLED_PITCH_MM,
        new_from_old=matrix,
    )


EXPORTS: dict[str, tuple[Step, ...]] = {
    'log': (log, window, sixteen_bits),
    'window': (window, eight_bits),
    'inverted': (log, window, invert, eight_bits),
    'gamma': (window, gamma, eight_bits),
    'unsharp': (log, unsharp, window, sixteen_bits),
    'equalised': (log, window, equalised, eight_bits),
    'round field': (round_shutter,),
    'text': (log, window, text, eight_bits),
    '480 px': (resampled,),
    'all of it': (log, unsharp, resampled, round_shutter, window, gamma, invert, text, eight_bits),
}
"""What is done to a raw frame, by the name of its export."""


def exported(
    counts: NDArray[np.uint16],
    bits: int,
    pixel_pitch_mm: float,
    name: str,
    rng: np.random.Generator,
    expected: Sequence[Image] = (),
) -> Export:
    """Return a raw frame after the export of a name; 'raw' leaves it as it is.

    Args:
        counts: the frame, shape (rows, columns).
        bits: of the read-out.
        pixel_pitch_mm: of the detector.
        name: of `EXPORTS`, or 'raw'.
        rng: source of windows, filters and places.
        expected: counts without noise that the same is done to, each of shape (rows, columns).
    """
    export = raw(counts, bits, pixel_pitch_mm, expected)
    for step in EXPORTS[name] if name != 'raw' else ():
        export = step(export, rng)
    return export
