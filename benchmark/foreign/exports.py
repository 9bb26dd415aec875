"""What becomes of a raw frame on its way out of a clinic: windows, filters, shutters, text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]

RESAMPLED_PX, RESAMPLED_PITCH_MM = 480, 0.5804
"""Size and pitch of SyntheX's published frames: 50 px cut off each side of 1536, then resized."""
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
        new_from_old: map of pixels (u, v, 1), shape (2, 3).
        overlay: pixels of burnt-in text, shape (rows, columns); None without.
    """

    picture: Image
    bits: int
    inverted: bool
    shutter: NDArray[np.bool_]
    pixel_pitch_mm: float
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


Step = Callable[[Export, np.random.Generator], Export]


def raw(counts: NDArray[np.uint16], bits: int, pixel_pitch_mm: float) -> Export:
    """Return a raw frame as it is."""
    picture = counts.astype(np.float32) / np.float32(2**bits - 1)
    return Export(picture, bits, False, np.ones(counts.shape, bool), pixel_pitch_mm)


def log(export: Export, rng: np.random.Generator) -> Export:
    """Take the logarithm, so that grey values are linear in path length."""
    least = np.float32(0.5 / (2**export.bits - 1))
    return replace(export, picture=np.log(export.picture + least))


def window(export: Export, rng: np.random.Generator) -> Export:
    """Stretch between percentiles and clip."""
    inside = export.picture[export.shutter]
    low, high = np.percentile(inside, (rng.uniform(0.2, 3.0), rng.uniform(96.0, 99.8)))
    width = max(float(high - low), 1e-6)
    return replace(export, picture=np.clip((export.picture - np.float32(low)) / width, 0, 1))


def eight_bits(export: Export, rng: np.random.Generator) -> Export:
    """Write 8 bits."""
    return replace(export, bits=8)


def sixteen_bits(export: Export, rng: np.random.Generator) -> Export:
    """Write 16 bits."""
    return replace(export, bits=16)


def invert(export: Export, rng: np.random.Generator) -> Export:
    """Show bone and metal white."""
    return replace(export, picture=1 - export.picture, inverted=not export.inverted)


def gamma(export: Export, rng: np.random.Generator) -> Export:
    """Bend by a power of 0.45-2.2."""
    power = float(np.exp(rng.uniform(np.log(0.45), np.log(2.2))))
    return replace(export, picture=np.clip(export.picture, 0, 1) ** np.float32(power))


def unsharp(export: Export, rng: np.random.Generator) -> Export:
    """Raise details of two sizes."""
    picture = export.picture
    for low, high, most in ((1.0, 2.0, 1.5), (6.0, 12.0, 0.8)):
        soft = cv2.GaussianBlur(export.picture, (0, 0), float(rng.uniform(low, high)))
        picture = picture + np.float32(rng.uniform(0.3, most)) * (export.picture - soft)
    return replace(export, picture=picture)


def equalised(export: Export, rng: np.random.Generator) -> Export:
    """Equalise the histogram locally."""
    tiles = int(rng.integers(4, 9))
    equaliser = cv2.createCLAHE(float(rng.uniform(1.5, 4.0)), (tiles, tiles))
    coded = np.rint(np.clip(export.picture, 0, 1) * 65535).astype(np.uint16)
    return replace(export, picture=equaliser.apply(coded).astype(np.float32) / 65535)


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
    picture = cv2.warpAffine(
        export.picture, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    shutter = cv2.warpAffine(
        export.shutter.astype(np.uint8), matrix, size, flags=cv2.INTER_NEAREST
    )
    return replace(
        export,
        picture=np.asarray(picture, np.float32),
        shutter=np.asarray(shutter) > 0,
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
) -> Export:
    """Return a raw frame after the export of a name; 'raw' leaves it as it is."""
    export = raw(counts, bits, pixel_pitch_mm)
    for step in EXPORTS[name] if name != 'raw' else ():
        export = step(export, rng)
    return export
