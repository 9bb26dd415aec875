"""Randomization of grey values: the transforms of SyntheX that leave labels where they are.

Each takes a normalised image, shape (rows, columns), float32, and a generator, and returns a new
image of the same shape. Ranges follow Gao et al., Nature Machine Intelligence 5 (2023), Methods;
those given there in parts of the full range are taken as parts of `RANGE` standard deviations.
`tone`, `annotate`, `starve` and `open_beam` are not among them: they stand for what chains of
acquisition and export do to frames.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
Transform = Callable[[Image, np.random.Generator], Image]

RANGE = 5.0
"""Width of a normalised image's grey values that is called the full range [std]."""


def _to_unit(image: Image) -> tuple[Image, float, float]:
    """Return the image scaled to about 0..1, with the low value and width to undo it."""
    sample = image[::4, ::4]
    low, high = (float(v) for v in np.percentile(sample, (0.5, 99.5)))
    width = max(high - low, 1e-3)
    return (image - np.float32(low)) * np.float32(1 / width), low, width


def _same_scale(image: Image, like: Image) -> Image:
    """Shift and scale an image to the mean and deviation of another."""
    mean, deviation = (float(a[0, 0]) for a in cv2.meanStdDev(image))
    wanted, spread = (float(a[0, 0]) for a in cv2.meanStdDev(like))
    gain = spread / max(deviation, 1e-3)
    return image * np.float32(gain) + np.float32(wanted - gain * mean)


def _float(pixels: NDArray) -> Image:
    """Return what OpenCV gives for a float32 image as what it is; no copy."""
    return np.asarray(pixels, np.float32)


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Image:
    return rng.standard_normal(shape, dtype=np.float32)


def gaussian_noise(image: Image, rng: np.random.Generator) -> Image:
    """Add white noise, deviation 0.005-0.1 of the range, small ones more often."""
    deviation = RANGE * np.exp(rng.uniform(np.log(0.005), np.log(0.1)))
    return image + np.float32(deviation) * _normal(rng, image.shape)


def gamma(image: Image, rng: np.random.Generator) -> Image:
    """Raise grey values to 0.7-1.3."""
    unit, low, width = _to_unit(image)
    power = np.float32(rng.uniform(0.7, 1.3))
    bent = np.sign(unit) * cv2.pow(np.abs(unit), float(power))
    return bent * np.float32(width) + np.float32(low)


def level(image: Image, rng: np.random.Generator) -> Image:
    """Shift and scale, as another collimation changes a frame's mean and deviation."""
    gain, offset = np.exp(rng.uniform(-1.2, 0.5)), rng.uniform(-0.8, 0.8)
    return image * np.float32(gain) + np.float32(offset)


def invert(image: Image, rng: np.random.Generator) -> Image:
    """Swap light and dark."""
    return _same_scale(-image, image)


def impulse(image: Image, rng: np.random.Generator) -> Image:
    """Put salt, pepper or both on up to 10 % of the pixels."""
    hit = rng.random(image.shape, dtype=np.float32) < rng.uniform(0.01, 0.10)
    low, high = float(image.min()), float(image.max())
    choices = [(low, high), (low, low), (high, high)][int(rng.integers(3))]
    values = np.where(rng.random(image.shape, dtype=np.float32) < 0.5, *choices)
    return np.where(hit, values.astype(np.float32), image)


def contrast(image: Image, rng: np.random.Generator) -> Image:
    """Stretch by a line, a logarithm or a sigmoid."""
    unit, _, _ = _to_unit(image)
    kind = int(rng.integers(3))
    if kind == 0:
        gain = np.float32(rng.uniform(0.5, 2.0))
        changed = np.clip((unit - np.float32(0.5)) * gain + np.float32(0.5), 0, 1)
    elif kind == 1:
        changed = np.log2(1 + np.clip(unit, 0, 1) * np.float32(rng.uniform(0.6, 1.4)))
    else:
        gain, middle = rng.uniform(3, 10), rng.uniform(0.3, 0.7)
        changed = 1 / (1 + np.exp(np.float32(-gain) * (unit - np.float32(middle))))
    return _same_scale(changed.astype(np.float32), image)


def blur(image: Image, rng: np.random.Generator) -> Image:
    """Blur by a Gaussian (deviation up to 2 px) or a box (2-5 px).

    SyntheX goes to 3 px and 7 px on frames of the same pitch; more than this wipes out notches.
    """
    if rng.random() < 0.5:
        return _float(cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.3, 2.0))))
    side = int(rng.integers(1, 3)) * 2 + 1
    return _float(cv2.blur(image, (side, side)))


def box_corruption(image: Image, rng: np.random.Generator) -> Image:
    """Bury one to four boxes, up to a sixth of the image wide, in strong noise."""
    result = image.copy()
    for rows, columns in _boxes(image.shape, rng, int(rng.integers(1, 5)), 1 / 6):
        part = result[rows, columns]
        part += np.float32(RANGE * rng.uniform(0.1, 0.4)) * _normal(rng, part.shape)
    return result


def dropout(image: Image, rng: np.random.Generator) -> Image:
    """Black out 1-10 % single pixels, or rectangles that cover 2-5 %."""
    value = np.float32(rng.uniform(image.min(), image.max()))
    if rng.random() < 0.5:
        hit = rng.random(image.shape, dtype=np.float32) < rng.uniform(0.01, 0.10)
        return np.where(hit, value, image)
    result = image.copy()
    for rows, columns in _boxes(image.shape, rng, int(rng.integers(4, 12)), 1 / 8):
        result[rows, columns] = value
    return result


def _boxes(shape: tuple[int, ...], rng: np.random.Generator, count: int, side: float):
    """Return `count` random boxes as slices, up to `side` of the image long."""
    boxes = []
    for _ in range(count):
        start, extent = rng.uniform(0, 1, 2), rng.uniform(0.02, side, 2)
        low, high = start * shape, (start + extent) * shape
        rows, columns = (slice(int(a), int(b) + 1) for a, b in zip(low, high, strict=True))
        boxes.append((rows, columns))
    return boxes


def sharpen(image: Image, rng: np.random.Generator) -> Image:
    """Sharpen by an unsharp mask of 0.8-12 px, or emboss lightly along a random diagonal."""
    amount = float(rng.uniform(0.3, 1.2))
    if rng.random() < 0.7:
        width = float(np.exp(rng.uniform(np.log(0.8), np.log(12.0))))
        return image + np.float32(amount) * (image - _float(_soft(image, width)))
    kernel = np.array([[-1, -1, 0], [-1, 0, 1], [0, 1, 1]], np.float32) * amount * 0.5
    kernel[1, 1] = 1.0
    turned = np.rot90(kernel, int(rng.integers(4))).copy()
    return _float(cv2.filter2D(image, -1, turned))


def pooling(image: Image, rng: np.random.Generator) -> Image:
    """Replace by local mean, maximum, minimum or median over 2-4 px, at the same size.

    Even windows move the picture by half a pixel, so only the mean of aligned 2 px blocks and
    centred 3 px windows are used.
    """
    kind = int(rng.integers(4))
    if kind == 0:
        rows, columns = image.shape
        small = cv2.resize(image, (columns // 2, rows // 2), interpolation=cv2.INTER_AREA)
        return _float(cv2.resize(small, (columns, rows), interpolation=cv2.INTER_NEAREST))
    window = np.ones((3, 3), np.uint8)
    if kind == 1:
        return _float(cv2.dilate(image, window))
    return _float(cv2.erode(image, window) if kind == 2 else cv2.medianBlur(image, 3))


def multiply(image: Image, rng: np.random.Generator) -> Image:
    """Multiply by 50-150 %, one factor for all or one a pixel (then 80-120 %)."""
    unit, low, width = _to_unit(image)
    if rng.random() < 0.5:
        factor: Image | np.float32 = np.float32(rng.uniform(0.5, 1.5))
    else:
        factor = rng.random(image.shape, dtype=np.float32) * np.float32(0.4) + np.float32(0.8)
    return (unit * factor * np.float32(width) + np.float32(low)).astype(np.float32, copy=False)


def _soft(image: Image, width: float) -> NDArray:
    """Blur by a Gaussian; wide ones at a quarter of the size."""
    if width < 4:
        return cv2.GaussianBlur(image, (0, 0), width)
    rows, columns = image.shape
    small = cv2.resize(image, (columns // 4, rows // 4), interpolation=cv2.INTER_AREA)
    return cv2.resize(cv2.GaussianBlur(small, (0, 0), width / 4), (columns, rows))


def tone(image: Image, rng: np.random.Generator) -> Image:
    """Bend by a rising curve: logarithm, exponential, window with a power, or any smooth one.

    Whoever wrote a file may have taken a logarithm of it already, or none, or another window.
    """
    unit, _, _ = _to_unit(image)
    kind = int(rng.integers(4))
    if kind == 0:
        offset = np.float32(np.exp(rng.uniform(np.log(0.004), 0.0)))
        changed = np.log(np.clip(unit, 0, None) + offset)
    elif kind == 1:
        changed = np.exp(np.float32(rng.uniform(0.5, 4.0)) * np.clip(unit, 0, 1.2))
    elif kind == 2:
        low, high = rng.uniform(0.0, 0.1), rng.uniform(0.8, 1.0)
        shown = np.clip((unit - np.float32(low)) * np.float32(1 / (high - low)), 0, 1)
        changed = _float(cv2.pow(shown, float(np.exp(rng.uniform(np.log(0.45), np.log(2.2))))))
    else:
        rise = np.cumsum(np.exp(rng.normal(0, 0.7, 6)))
        curve = np.interp(np.linspace(0, 5, 256), np.arange(6), rise).astype(np.float32)
        changed = curve[(np.clip(unit, 0, 1) * np.float32(255)).astype(np.uint8)]
    return _same_scale(changed.astype(np.float32, copy=False), image)


def starve(image: Image, rng: np.random.Generator) -> Image:
    """Expose again with few photons, scatter or an offset on top, counted in whole steps.

    The picture is taken for a logarithm of X-rays, of any width. Behind what is dense there are
    few photons or none: speckle, and contrast that a veil takes away; what is bright stays as it
    is. That is what a raw frame of a low dose looks like.
    """
    unit, _, _ = _to_unit(image)
    signal = np.exp(np.float32(rng.uniform(1.5, 6.0)) * (np.clip(unit, -0.2, 1.2) - np.float32(1)))
    if rng.random() < 0.5:
        signal += np.float32(np.exp(rng.uniform(np.log(0.003), np.log(0.3))))
    photons = np.float32(np.exp(rng.uniform(np.log(50), np.log(10000)))) * signal
    photons += np.sqrt(photons) * _normal(rng, image.shape)
    counts = np.floor(np.maximum(photons, 0))
    floor = counts.mean() * np.float32(np.exp(rng.uniform(np.log(1 / 200), np.log(1 / 50))))
    return _same_scale(np.log1p(np.maximum(counts, floor)), image)


def open_beam(image: Image, rng: np.random.Generator) -> Image:
    """Let the patient end in the picture: beyond a smooth edge there is nothing but air.

    Mean and deviation are those of the whole picture then, as a head in a wide field has them:
    what lies in the patient takes a small part of the range.
    """
    rows, columns = image.shape
    bearing, reach = rng.uniform(0, 2 * np.pi), rng.uniform(-0.3, 0.4)
    v, u = np.ogrid[:rows, :columns]
    along = np.cos(bearing) * (u / columns - 0.5) + np.sin(bearing) * (v / rows - 0.5)
    across = np.cos(bearing) * (v / rows - 0.5) - np.sin(bearing) * (u / columns - 0.5)
    beyond = along - reach + rng.uniform(0.0, 1.5) * across**2
    edge = np.clip(beyond / rng.uniform(0.03, 0.4), 0, 1).astype(np.float32)
    changed = image + np.float32(rng.uniform(1.0, 5.0)) * np.sqrt(edge)
    mean, deviation = (float(a[0, 0]) for a in cv2.meanStdDev(changed))
    return (changed - np.float32(mean)) * np.float32(1 / max(deviation, 1e-3))


_LETTERS = np.array(list('ABCDEFGHIKLMNOPRSTUVXYZ0123456789./-:  '))
_FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_PLAIN, cv2.FONT_HERSHEY_DUPLEX)


def annotate(image: Image, rng: np.random.Generator) -> Image:
    """Burn one to four random words or lines into the picture, as bright or dark as it goes."""
    value = image.max() if rng.random() < 0.8 else image.min()
    rows, columns = image.shape
    written = np.zeros(image.shape, np.uint8)
    for _ in range(int(rng.integers(1, 5))):
        place = int(rng.integers(columns)), int(rng.integers(rows))
        if rng.random() < 0.2:
            end = place[0] + int(rng.normal(0, 60)), place[1] + int(rng.normal(0, 60))
            cv2.line(written, place, end, 1, 1)
            continue
        words = ''.join(rng.choice(_LETTERS, int(rng.integers(1, 14))))
        font, size = _FONTS[int(rng.integers(len(_FONTS)))], float(rng.uniform(0.4, 0.9))
        cv2.putText(written, words, place, font, size, 1, 1)
    return np.where(written > 0, value, image)


REGULAR: dict[str, Transform] = {'level': level, 'gamma': gamma, 'gaussian_noise': gaussian_noise}
STRONG: dict[str, Transform] = {
    'invert': invert,
    'impulse': impulse,
    'contrast': contrast,
    'blur': blur,
    'box_corruption': box_corruption,
    'dropout': dropout,
    'sharpen': sharpen,
    'pooling': pooling,
    'multiply': multiply,
    'tone': tone,
    'annotate': annotate,
    'starve': starve,
    'open_beam': open_beam,
}

FAVOURED = {'invert': 2.0, 'tone': 3.0, 'starve': 3.0, 'open_beam': 2.0}
"""Strong transforms drawn more often than the others, by how much."""
