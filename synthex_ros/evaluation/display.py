"""Radiographs for people: one fixed window a run, radiological orientation, overlay on top.

A raw frame is seen from the tube, columns to the patient's right. Displays are seen from the
front, as is usual: image and overlay are flipped together, the patient's right is on the left.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from synthex_ros.evaluation.metrics import Array
from synthex_ros.xray.display import (
    AutomaticWindow,
    DisplayChain,
    FixedWindow,
    Logarithm,
    eight_bit,
)

Colour = tuple[int, int, int]

MASK: Colour = (34, 211, 238)
CENTERLINE: Colour = (251, 191, 36)
LANDMARKS: tuple[Colour, ...] = ((251, 146, 60), (244, 114, 182))
TARGET: Colour = (74, 222, 128)
TRUTH: Colour = (255, 255, 255)

_PERCENTILES = (0.5, 99.7)
_SUB = 4  # sub-pixel bits of drawing coordinates
_MASK_ALPHA = 0.16
_DETAIL_TEXT = 1.5  # details are shown small, several side by side


@dataclass(frozen=True)
class Display:
    """How the frames of one run are shown.

    Attributes:
        window: black and white level of log(1 + counts).
        shape_px: rows and columns of the raw frames.
        width_px: width of the picture [px].
    """

    window: tuple[float, float]
    shape_px: tuple[int, int]
    width_px: int = 640

    @classmethod
    def of_run(cls, images: Iterable[NDArray], width_px: int = 640) -> Display:
        """Return the display whose window holds percentiles 0.5 to 99.7 of several frames.

        Raises:
            ValueError: no frames.
        """
        some = [image[::4, ::4] for image in images]
        if not some:
            raise ValueError('a display window needs at least one frame')
        shape = (some[0].shape[0] * 4, some[0].shape[1] * 4)
        every = np.concatenate([image.ravel() for image in some])
        logs = DisplayChain([Logarithm()]).tones(every[None])
        window = AutomaticWindow(_PERCENTILES, max_samples=logs.size).measured(logs)
        return cls(window, shape, width_px)

    def resized(self, width_px: int) -> Display:
        """Return the same window at another picture width [px]."""
        return Display(self.window, self.shape_px, width_px)

    @property
    def scale(self) -> float:
        """Return picture pixels per detector pixel."""
        return self.width_px / self.shape_px[1]

    def points(self, pixels: Array) -> Array:
        """Map raw (u, v) [px], shape (..., 2), to the flipped picture, shape (..., 2)."""
        pixels = np.asarray(pixels, float)
        u = (self.shape_px[1] - 1 - pixels[..., 0] + 0.5) * self.scale - 0.5
        v = (pixels[..., 1] + 0.5) * self.scale - 0.5
        return np.stack([u, v], axis=-1)

    def picture(self, counts: NDArray) -> NDArray[np.uint8]:
        """Return a frame as RGB, shape (height, width, 3), flipped and scaled."""
        tones = DisplayChain([Logarithm(), FixedWindow(*self.window)]).tones(counts)
        grey = eight_bit(self._scaled(np.clip(tones, 0, 1), cv2.INTER_AREA))
        return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), np.uint8)

    def mask(self, mask: NDArray) -> NDArray[np.uint8]:
        """Return a label image as 0 or 255, flipped and scaled with smooth edges."""
        scaled = self._scaled((mask > 0).astype(np.float32), cv2.INTER_LINEAR)
        return np.where(scaled >= 0.5, 255, 0).astype(np.uint8)

    def _scaled(self, image: NDArray, shrink: int) -> NDArray:
        height = round(image.shape[0] * self.scale)
        how = cv2.INTER_CUBIC if self.scale > 1 else shrink
        return cv2.resize(image[:, ::-1], (self.width_px, height), interpolation=how)


@dataclass(frozen=True)
class Overlay:
    """What is drawn on one frame, in raw pixels (u, v); empty parts are not drawn.

    Attributes:
        mask: class ids of the tracker, shape (rows, columns), or None.
        landmarks: found landmarks, shape (L, 2).
        truth: true landmarks, shape (L, 2).
        centerline: projected centre line of the tracker, shape (N, 2).
        trail: true tip in the frames before, shape (M, 2).
        reference: path asked for, shape (K, 2).
        target: what the tip shall reach now, shape (2,), or None.
        lines: text, top left, top right, bottom left, bottom right.
    """

    mask: NDArray | None = None
    landmarks: Array = field(default_factory=lambda: np.empty((0, 2)))
    truth: Array = field(default_factory=lambda: np.empty((0, 2)))
    centerline: Array = field(default_factory=lambda: np.empty((0, 2)))
    trail: Array = field(default_factory=lambda: np.empty((0, 2)))
    reference: Array = field(default_factory=lambda: np.empty((0, 2)))
    target: Array | None = None
    lines: Sequence[str] = ('', '', '', '')


def draw(
    display: Display,
    counts: NDArray,
    overlay: Overlay,
    zoom: float = 1.0,
    centre_px: Array | None = None,
) -> Image.Image:
    """Return a frame with its overlay, as wide as the display and square where it is zoomed.

    Args:
        display: window and width of the picture.
        counts: raw frame, shape (rows, columns).
        overlay: what to draw.
        zoom: magnification of the detail shown; 1 shows the whole frame.
        centre_px: raw (u, v) in the middle of the detail [px].
    """
    size, unit = display.width_px, display.width_px / 640
    if zoom > 1:
        display = display.resized(round(size * zoom))
    picture = display.picture(counts)
    _draw_overlay(picture, display, overlay, unit)
    if zoom > 1 and centre_px is not None and np.all(np.isfinite(centre_px)):
        corner = np.round(display.points(centre_px) - size / 2)
        limit = np.maximum(np.array(picture.shape[1::-1]) - size, 0)
        x, y = np.clip(corner, 0, limit).astype(int)
        picture = np.ascontiguousarray(picture[y : y + size, x : x + size])
    return _write(picture, overlay.lines, unit * (_DETAIL_TEXT if zoom > 1 else 1))


def _draw_overlay(picture: NDArray, display: Display, overlay: Overlay, unit: float) -> None:
    if overlay.mask is not None:
        _draw_mask(picture, display.mask(overlay.mask), unit)
    thin, thick = max(1, round(1.2 * unit)), max(1, round(1.8 * unit))
    _draw_line(picture, display.points(overlay.reference), TARGET, thin, 0.6)
    _draw_line(picture, display.points(overlay.trail), TRUTH, thin, 0.5)
    _draw_line(picture, display.points(overlay.centerline), CENTERLINE, thick)
    for index, point in enumerate(display.points(overlay.landmarks)):
        colour = LANDMARKS[index % len(LANDMARKS)]
        _ring(picture, point, 7.5 * unit, colour, max(1, round(2 * unit)))
    for point in display.points(overlay.truth):
        _ring(picture, point, 2.2 * unit, TRUTH, -1)
    if overlay.target is not None:
        _cross(picture, display.points(overlay.target), unit)


def _draw_mask(picture: NDArray, mask: NDArray, unit: float) -> None:
    inside = mask > 0
    tint = np.array(MASK, np.float32) * _MASK_ALPHA
    picture[inside] = (picture[inside] * (1 - _MASK_ALPHA) + tint).astype(np.uint8)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    smooth = [cv2.approxPolyDP(contour, 0.6 * unit, True) for contour in contours]
    cv2.drawContours(picture, smooth, -1, MASK, max(1, round(1.2 * unit)), cv2.LINE_AA)


def _fixed(points: Array) -> NDArray[np.int32]:
    return np.round(points * 2**_SUB).astype(np.int32)


def _draw_line(
    picture: NDArray, points: Array, colour: Colour, width: int, alpha: float = 1.0
) -> None:
    points = points[np.all(np.isfinite(points), axis=-1)]
    if len(points) < 2:
        return
    layer = picture.copy() if alpha < 1 else picture
    cv2.polylines(layer, [_fixed(points)], False, colour, width, cv2.LINE_AA, _SUB)
    if alpha < 1:
        cv2.addWeighted(layer, alpha, picture, 1 - alpha, 0, dst=picture)


def _ring(picture: NDArray, point: Array, radius: float, colour: Colour, width: int) -> None:
    if not np.all(np.isfinite(point)):
        return
    centre = tuple(int(value) for value in _fixed(point))
    size = round(radius * 2**_SUB)
    if width > 0:
        cv2.circle(picture, centre, size, (0, 0, 0), width + 2, cv2.LINE_AA, _SUB)
    cv2.circle(picture, centre, size, colour, width, cv2.LINE_AA, _SUB)


def _cross(picture: NDArray, point: Array, unit: float) -> None:
    if not np.all(np.isfinite(point)):
        return
    for colour, width in (((0, 0, 0), 4), (TARGET, 2)):
        for direction in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            ends = [point + np.array(direction) * r * unit for r in (10.0, 20.0)]
            line = [tuple(int(v) for v in _fixed(end)) for end in ends]
            thick = max(1, round(width * unit))
            cv2.line(picture, line[0], line[1], colour, thick, cv2.LINE_AA, _SUB)


def _write(picture: NDArray, lines: Sequence[str], unit: float) -> Image.Image:
    """Write the four corner texts and the side marker."""
    image = Image.fromarray(picture)
    pen = ImageDraw.Draw(image)
    width, height, margin = image.width, image.height, 12 * unit
    corners = [(margin, margin, 'la'), (width - margin, margin, 'ra')]
    corners += [(margin, height - margin, 'ld'), (width - margin, height - margin, 'rd')]
    for text, (x, y, anchor) in zip(lines, corners, strict=True):
        _text(pen, x, y, text, anchor, font(15 * unit), unit)
    _text(pen, margin, height / 2, 'R', 'lm', font(20 * unit, bold=True), unit)
    return image


def _text(
    pen: ImageDraw.ImageDraw, x: float, y: float, text: str, anchor: str, face, unit: float
) -> None:
    if text:
        stroke = max(1, round(1.6 * unit))
        pen.text(
            (x, y), text, fill=(255, 255, 255), font=face, anchor=anchor,
            stroke_width=stroke, stroke_fill=(0, 0, 0),
        )  # fmt: skip


@lru_cache(maxsize=16)
def font(size_px: float, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Return DejaVu Sans, which comes with matplotlib, at a size [px]."""
    import matplotlib

    name = 'DejaVuSans-Bold.ttf' if bold else 'DejaVuSans.ttf'
    return ImageFont.truetype(
        str(Path(matplotlib.get_data_path()) / 'fonts' / 'ttf' / name), max(6, round(size_px))
    )
