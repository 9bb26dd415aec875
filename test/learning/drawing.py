"""Labelled pictures of which every label can be measured from the pixels."""

import cv2
import numpy as np

from synthex_ros.learning.labelled import Labelled

HEIGHT = 10.0
RADIUS_PX = 6


def blob_at(points, shape, which):
    """Draw a bright blob at one of the points, and a disc of class i + 1 around every point."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    mask = np.zeros(shape, np.uint8)
    for label, (u, v) in enumerate(points, start=1):
        mask[(columns - u) ** 2 + (rows - v) ** 2 < RADIUS_PX**2] = label
    u, v = points[which]
    image = HEIGHT * np.exp(-0.5 * ((columns - u) ** 2 + (rows - v) ** 2) / 3.0**2)
    landmarks = np.column_stack([points, np.ones(len(points))])
    return Labelled(image.astype(np.float32), mask, landmarks)


def blob_centre(image):
    """Measure where the blob is, (u, v) [px]."""
    return centroid(np.maximum(image - HEIGHT / 2, 0))


def centroid(weights):
    """Return the centre of mass of an image, (u, v) [px]."""
    rows, columns = np.indices(weights.shape)
    total = weights.sum(dtype=float)
    return np.array([(columns * weights).sum() / total, (rows * weights).sum() / total])


def sharp_scene(size=96, seed=0):
    """Draw bright and dark discs and bars with hard edges, as a normalised image."""
    rng = np.random.default_rng(seed)
    canvas = rng.normal(0, 0.03, (size, size)).astype(np.float32)
    for _ in range(14):
        centre = tuple(int(c) for c in rng.integers(8, size - 8, 2))
        cv2.circle(canvas, centre, int(rng.integers(3, 9)), float(rng.choice([-1.5, 2.0])), -1)
    cv2.line(canvas, (10, 20), (size - 12, size - 25), 3.0, 5)
    return (canvas - canvas.mean()) / canvas.std()


def edge_shift(before, after):
    """Measure how far the edges of a picture moved, (u, v) [px], whatever their contrast."""
    spectra = [np.fft.fft2(_edges(picture)) for picture in (before, after)]
    match = np.fft.fftshift(np.fft.ifft2(spectra[0].conj() * spectra[1]).real)
    row, column = np.unravel_index(np.argmax(match), match.shape)
    top = match[row, column]
    across = _vertex(match[row, column - 1], top, match[row, column + 1])
    down = _vertex(match[row - 1, column], top, match[row + 1, column])
    return np.array([column + across, row + down]) - np.array(match.shape[::-1]) // 2


def _vertex(before, top, after):
    return (before - after) / (2 * (before - 2 * top + after))


def _edges(image):
    across = cv2.Sobel(image, cv2.CV_32F, 1, 0)
    down = cv2.Sobel(image, cv2.CV_32F, 0, 1)
    strength = np.minimum(np.hypot(across, down), 8)
    return strength - strength.mean()
