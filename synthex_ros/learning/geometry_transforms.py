"""Randomization that moves things: image, mask and landmarks are always moved together."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from synthex_ros.learning.labelled import Labelled, with_visibility

Array = NDArray[np.float64]

_MIDDLE, _AT_EDGE = (0.12, 0.88), (0.0, 0.1)
"""Where along a side of a crop the device is put."""
_OVER_SIDES, _OVER_AT_EDGE = 0.1, 0.3
"""How far a turned crop may reach over the frame's sides, as a part of its own."""


def _labelled(image: NDArray, mask: NDArray, landmarks: Array) -> Labelled:
    """Wrap moved pixels, which OpenCV leaves in their type, in C order."""
    return Labelled(
        np.ascontiguousarray(image, np.float32), np.ascontiguousarray(mask, np.uint8), landmarks
    )


def warp(sample: Labelled, matrix: Array, size: int, fill: float) -> Labelled:
    """Move a sample by an affine map into a square image.

    Args:
        sample: image, mask and landmarks.
        matrix: maps source pixels (u, v, 1) to target pixels, shape (2, 3).
        size: side of the target image [px].
        fill: value of the image where the source does not reach; the mask is 0 there.
    """
    shift = matrix[:, 2]
    turned = np.array_equal(matrix[:, :2], np.eye(2)) and np.array_equal(shift, np.round(shift))
    sampling = cv2.INTER_NEAREST if turned else cv2.INTER_LINEAR
    image = cv2.warpAffine(
        sample.image, matrix, (size, size), flags=sampling, borderValue=float(fill)
    )
    mask = cv2.warpAffine(sample.mask, matrix, (size, size), flags=cv2.INTER_NEAREST)
    points = sample.landmarks.copy()
    points[:, :2] = points[:, :2] @ matrix[:, :2].T + shift
    return _labelled(image, mask, with_visibility(points, (size, size)))


def dihedral(sample: Labelled, quarter_turns: int, mirror: bool) -> Labelled:
    """Turn a square sample counter-clockwise after an optional left-right flip."""
    image, mask, points = sample.image, sample.mask, sample.landmarks.copy()
    last = image.shape[0] - 1
    if image.shape[0] != image.shape[1]:
        raise ValueError(f'quarter turns need a square image, got {image.shape}')
    if mirror:
        image, mask = image[:, ::-1], mask[:, ::-1]
        points[:, 0] = last - points[:, 0]
    for _ in range(quarter_turns % 4):
        points[:, :2] = np.column_stack([points[:, 1], last - points[:, 0]])
    return _labelled(np.rot90(image, quarter_turns), np.rot90(mask, quarter_turns), points)


def elastic(sample: Labelled, rng: np.random.Generator, amplitude_px: float) -> Labelled:
    """Bend a sample by a smooth random field of up to about `amplitude_px` [px]."""
    rows, columns = sample.image.shape
    coarse = rng.uniform(-amplitude_px, amplitude_px, (2, 6, 6)).astype(np.float32)
    field = [cv2.resize(c, (columns, rows), interpolation=cv2.INTER_CUBIC) for c in coarse]
    across, down = np.meshgrid(np.arange(columns, dtype=np.float32), np.arange(rows))
    map_u, map_v = across + field[0], down.astype(np.float32) + field[1]
    image = cv2.remap(
        sample.image, map_u, map_v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    mask = cv2.remap(sample.mask, map_u, map_v, cv2.INTER_NEAREST)
    points = sample.landmarks.copy()
    points[:, :2] = _undo_field(points[:, :2], field)
    return _labelled(image, mask, with_visibility(points, (rows, columns)))


def shutter(sample: Labelled, rng: np.random.Generator) -> Labelled:
    """Leave a disc of the picture, one grey around it, as image intensifiers show; see labels."""
    rows, columns = sample.image.shape
    radius = float(np.exp(rng.uniform(np.log(0.5), np.log(2.0)))) * rows
    bearing, share = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 0.95)
    middle = np.array([columns, rows]) / 2
    # The edge passes the middle at a part of half a side, so that more than half is shown.
    centre = middle - (radius - share * rows / 2) * np.array([np.cos(bearing), np.sin(bearing)])
    v, u = np.ogrid[:rows, :columns]
    shown = np.hypot(u - centre[0], v - centre[1]) <= radius
    low, high = float(sample.image.min()), float(sample.image.max())
    grey = np.float32(low if rng.random() < 0.7 else rng.uniform(low, high))
    points = sample.landmarks.copy()
    points[:, 2] *= np.linalg.norm(points[:, :2] - centre, axis=1) <= radius
    image = np.where(shown, sample.image, grey)
    return _labelled(image, sample.mask * shown.astype(np.uint8), points)


def superpose(image: NDArray, behind: NDArray, rng: np.random.Generator) -> NDArray[np.float32]:
    """Put another picture without a device behind one: logarithms of X-rays add up.

    Args:
        image: normalised logarithm of a radiograph, shape (rows, columns).
        behind: another one of that shape; its labels say that no device is in it.
    """
    weight = np.float32(rng.uniform(0.1, 0.5))
    return np.asarray(image + weight * (behind - behind.mean()), np.float32)


def _undo_field(points: Array, field: list[NDArray[np.float32]]) -> Array:
    """Solve target + field(target) = source by fixed-point iteration (the field is smooth)."""
    target = points.copy()
    if not len(points):  # OpenCV refuses to look up nothing
        return target
    for _ in range(8):
        u, v = np.moveaxis(target.astype(np.float32)[None], -1, 0)
        offset = [
            cv2.remap(f, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for f in field
        ]
        target = points - np.stack([o[0] for o in offset], axis=-1)
    return target


@dataclass(frozen=True)
class Placement:
    """How a crop is taken from a frame.

    Attributes:
        size_px: side of the crop [px].
        device_share: part of the crops that are placed to hold the device, where there is one.
        plain_share: part of the crops taken without rotation and scaling (still flipped).
        scale: smallest and largest scaling.
        edge_share: part of the turned crops whose device lies at one of their edges, which most
            often cuts it.
        margin_px: landmarks nearer to an edge of a crop are not visible: at a shaft that leaves
            the picture nothing tells where a device begins.
    """

    size_px: int = 256
    device_share: float = 0.8
    plain_share: float = 0.4
    scale: tuple[float, float] = (0.8, 1.25)
    edge_share: float = 0.3
    margin_px: float = 8.0

    def taken(self, sample: Labelled, rng: np.random.Generator) -> Labelled:
        """Return a crop of a frame."""
        return random_crop(sample, self, rng)


@dataclass(frozen=True)
class WholeFrame:
    """How a whole frame is moved a little; its left and right stay what they are.

    Attributes:
        size_px: side of the result [px]; the frame's own, or its middle is taken.
        plain_share: part of the frames that stay as they are.
        rotation_deg: greatest rotation.
        shift_share: greatest shift along each axis, as a part of the side.
        scale: smallest and largest scaling.
    """

    size_px: int
    plain_share: float = 0.25
    rotation_deg: float = 15.0
    shift_share: float = 0.1
    scale: tuple[float, float] = (0.85, 1.18)

    def taken(self, sample: Labelled, rng: np.random.Generator) -> Labelled:
        """Return a frame, turned and scaled about its middle and shifted."""
        angle, scale, shift = 0.0, 1.0, np.zeros(2)
        if rng.random() >= self.plain_share:
            angle = np.radians(rng.uniform(-self.rotation_deg, self.rotation_deg))
            scale = float(np.exp(rng.uniform(*np.log(self.scale))))
            shift = rng.uniform(-self.shift_share, self.shift_share, 2) * self.size_px
        cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
        linear = np.array([[cosine, -sine], [sine, cosine]])
        middle = (np.array(sample.image.shape[::-1]) - 1) / 2
        target = (self.size_px - 1) / 2 + shift
        matrix = np.column_stack([linear, target - linear @ middle])
        return warp(sample, matrix, self.size_px, rng.uniform(-2.5, 1.5))


def random_crop(sample: Labelled, placement: Placement, rng: np.random.Generator) -> Labelled:
    """Take a crop at a random place, rotated, scaled and flipped at random."""
    size = placement.size_px
    focus = _focus(sample, placement, rng)
    aim = rng.uniform(*_MIDDLE, 2)
    fill = rng.uniform(-2.5, 1.5)
    if rng.random() < placement.plain_share:
        matrix = np.column_stack([np.eye(2), np.floor(aim * size) - np.floor(focus)])
        moved = warp(sample, _within(matrix, sample.image.shape, size), size, fill)
    else:
        scale = np.exp(rng.uniform(*np.log(placement.scale)))
        angle = rng.uniform(-np.pi, np.pi)
        cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
        linear = np.array([[cosine, -sine], [sine, cosine]])
        over = _OVER_SIDES
        if rng.random() < placement.edge_share:
            aim[rng.integers(2)] = rng.uniform(*_AT_EDGE)  # flips make it any of the four
            over = _OVER_AT_EDGE
        matrix = np.column_stack([linear, np.floor(aim * size) - linear @ focus])
        moved = warp(sample, _mostly_within(matrix, sample.image.shape, size, over), size, fill)
    seen = with_visibility(moved.landmarks, (size, size), placement.margin_px)
    return dihedral(replace(moved, landmarks=seen), int(rng.integers(4)), bool(rng.integers(2)))


def _focus(sample: Labelled, placement: Placement, rng: np.random.Generator) -> Array:
    """Return the source point that the crop is placed by [px].

    Of a device whose landmarks are not visible, such as a piece at an edge, it is the middle.
    """
    rows, columns = sample.image.shape
    seen = sample.landmarks[sample.landmarks[:, 2] > 0, :2]
    piece = not len(seen) and len(sample.landmarks) and sample.mask.any()
    if (len(seen) or piece) and rng.random() < placement.device_share:
        if piece:
            return cv2.findNonZero(sample.mask).reshape(-1, 2).mean(axis=0)
        return rng.dirichlet(np.ones(len(seen))) @ seen
    return rng.uniform(0, 1, 2) * [columns, rows]


def _mostly_within(matrix: Array, shape: tuple[int, int], size: int, over: float) -> Array:
    """Shift a turned crop so that it reaches over the frame's sides by little.

    Otherwise a crop as large as its frame would most often be half empty, as no radiograph is.

    Args:
        matrix: of the crop, as `warp` takes it.
        shape: of the frame.
        size: side of the crop [px].
        over: part of its side by which the crop may reach over the frame's, beside what it is
            larger than the frame and the corners that the turn leaves empty.
    """
    linear = matrix[:, :2]
    scale = np.sqrt(abs(np.linalg.det(linear)))
    middle = np.linalg.solve(linear, (size - 1) / 2 - matrix[:, 2])
    lengths = np.array(shape[::-1], float)
    spare = np.maximum((lengths - size / scale) / 2, 0) + over * size / scale
    middle = np.clip(middle, (lengths - 1) / 2 - spare, (lengths - 1) / 2 + spare)
    return np.column_stack([linear, (size - 1) / 2 - linear @ middle])


def _within(matrix: Array, shape: tuple[int, int], size: int) -> Array:
    """Shift an unrotated crop so that it stays on the frame where the frame is large enough."""
    result = matrix.copy()
    for axis, length in ((0, shape[1]), (1, shape[0])):
        if length >= size:
            result[axis, 2] = np.clip(result[axis, 2], size - length, 0)
    return result
