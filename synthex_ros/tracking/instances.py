"""Several devices in one frame: masks and landmarks shared among centres by votes.

Every peak of the centre map is a device. A pixel of the mask belongs to the device whose centre is
nearest to the one that it votes for (Cheng et al., CVPR 2020), and so does every peak of a
landmark's heat map.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from synthex_ros.tracking.landmarks import Landmark, cell_to_pixel, locate
from synthex_ros.tracking.metadata import ModelMetadata, ModelMismatch
from synthex_ros.tracking.model import Prediction

Array = NDArray[np.float64]

_ASTRAY_PX = 48.0
"""A vote that ends further than this from every centre belongs to none."""

_LEAST_PIXELS = 12


@dataclass(frozen=True)
class Instance:
    """One device of a frame.

    Attributes:
        label: its class id.
        score: height of its peak in the centre map, 0..1.
        centre_px: (u, v) of the peak [px].
        mask: its pixels, shape (rows, columns).
        landmarks: in the order of the metadata; score 0 is not seen.
    """

    label: int
    score: float
    centre_px: tuple[float, float]
    mask: NDArray[np.bool_]
    landmarks: tuple[Landmark, ...]


def decode_instances(
    prediction: Prediction, metadata: ModelMetadata, min_score: float = 0.3
) -> list[Instance]:
    """Return the devices of a frame, the surest first.

    Args:
        prediction: of a model that tells devices apart.
        metadata: of the model.
        min_score: least height of a centre's peak.

    Raises:
        ModelMismatch: the model gives no centres and votes.
    """
    if prediction.centres is None or prediction.votes is None:
        raise ModelMismatch('the model gives no centres and votes; train network: instances')
    stride, sigma = metadata.heatmap_stride, metadata.heatmap_sigma_px / metadata.heatmap_stride
    peaks = _peaks(prediction.centres, sigma, min_score)
    if not peaks:
        return []
    centres = np.array([[cell_to_pixel(c, stride) for c in peak[:2]] for peak in peaks])
    owner, labels = _shared_mask(prediction, centres, stride)
    marks = _shared_landmarks(prediction, metadata, centres, min_score)
    found = []
    for k, (_, _, score) in enumerate(peaks):
        mask = owner == k
        if np.count_nonzero(mask) < _LEAST_PIXELS:
            continue
        label = int(np.bincount(labels[mask]).argmax())
        centre = (float(centres[k, 0]), float(centres[k, 1]))
        found.append(Instance(label, score, centre, mask, marks[k]))
    return found


def _peaks(
    heatmap: NDArray[np.float32], sigma: float, least: float
) -> list[tuple[float, float, float]]:
    """Return (column, row, height) of separate peaks, the highest first; sub-cell."""
    side = 2 * int(round(sigma)) + 1
    highest = heatmap >= cv2.dilate(heatmap, np.ones((side, side), np.uint8))
    rows, columns = np.nonzero(highest & (heatmap >= least))
    order = np.argsort(-heatmap[rows, columns], kind='stable')
    found = []
    for row, column in zip(rows[order], columns[order], strict=True):
        x, y, score, _ = locate(heatmap, sigma, (float(column), float(row)))
        if score > 0:
            found.append((x, y, float(heatmap[row, column])))
    return found


def _shared_mask(
    prediction: Prediction, centres: Array, stride: int
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Return the number of each pixel's device, -1 for none, and its class id."""
    labels = prediction.labels()
    rows, columns = np.nonzero(labels)
    votes = prediction.votes[:, rows // stride, columns // stride]  # type: ignore[index]
    owner = np.full(labels.shape, -1, np.int64)
    if len(rows):
        owner[rows, columns] = _nearest(np.stack([columns, rows]) + votes.astype(float), centres)
    return owner, labels


def _shared_landmarks(
    prediction: Prediction, metadata: ModelMetadata, centres: Array, min_score: float
) -> list[tuple[Landmark, ...]]:
    """Return the landmarks of each device."""
    stride, sigma = metadata.heatmap_stride, metadata.heatmap_sigma_px / metadata.heatmap_stride
    columns: list[list[Landmark]] = []
    for name, heatmap in zip(metadata.landmarks, prediction.heatmaps, strict=True):
        own = [Landmark(name, float('nan'), float('nan'), 0.0) for _ in centres]
        for x, y, _ in _peaks(heatmap, sigma, max(min_score, metadata.least_peak)):
            score = locate(heatmap, sigma, (x, y))[2]
            point = np.array([cell_to_pixel(x, stride), cell_to_pixel(y, stride)])
            cell = np.clip([round(y), round(x)], 0, np.array(heatmap.shape) - 1)
            vote = prediction.votes[:, cell[0], cell[1]]  # type: ignore[index]
            device = int(_nearest((point + vote.astype(float))[:, None], centres)[0])
            if device >= 0 and score > own[device].score:
                own[device] = Landmark(name, float(point[0]), float(point[1]), score)
        columns.append(own)
    return [tuple(own) for own in zip(*columns, strict=True)]


def _nearest(points: Array, centres: Array) -> NDArray[np.int64]:
    """Return the number of the centre nearest to each point (2, N), -1 where none is near."""
    away = np.linalg.norm(points.T[:, None] - centres, axis=2)
    nearest = np.argmin(away, axis=1)
    return np.where(away[np.arange(len(nearest)), nearest] <= _ASTRAY_PX, nearest, -1)
