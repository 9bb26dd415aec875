"""From the outputs of a network for foreign objects to objects: peaks, masks, no doubles.

Each peak of the map of centres has the weights of a tiny network of its own, which draws its mask
from features that all peaks share (CondInst, Tian et al., ECCV 2020). Of two peaks whose masks
overlap too much the surer one stays.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Maps = NDArray[np.float32]

CENTRE_STRIDE, COARSE_STRIDE = 8, 4
"""Input pixels a cell of centres and weights, and a cell of coarse features, per side."""

COARSE, FINE, HIDDEN = 8, 8, 8
"""Coarse and fine features, and hidden units of a mask's network."""

WEIGHTS = HIDDEN * (COARSE + 3) + HIDDEN + 1 + FINE
"""Weights of a mask's network: of features, place and bias; of hidden units and bias; of edges."""

POSITION_SCALE_PX = 64.0
"""A way of 1 from its cell, as a mask's network reads it, is this many pixels."""

LEAST_SCORE = 0.05
LEAST_PIXELS = 20
GREATEST_OVERLAP = 0.5
"""Intersection over union from which on two masks are one object."""

BACKGROUND = -2.0
"""Logit of a mask's network that gives nothing."""

_MOST_PEAKS = 40


@dataclass(frozen=True, eq=False)
class ObjectMaps:
    """Outputs of the network for one image.

    Attributes:
        centres: probability that an object is centred here, shape (H / 8, W / 8).
        weights: of the masks' networks, shape (105, H / 8, W / 8).
        coarse: features, shape (8, H / 4, W / 4).
        fine: features, shape (8, H, W).
    """

    centres: Maps
    weights: Maps
    coarse: Maps
    fine: Maps


@dataclass(frozen=True, eq=False)
class FoundObject:
    """An object of a frame.

    Attributes:
        score: how sure it is, 0..1.
        mask: its pixels, shape (rows, columns).
    """

    score: float
    mask: NDArray[np.bool_]

    @property
    def box_px(self) -> tuple[float, float, float, float]:
        """Left and top edge, width and height [px]; pixel k reaches from k to k + 1."""
        rows, columns = (np.flatnonzero(self.mask.any(axis=axis)) for axis in (1, 0))
        top, left = float(rows[0]), float(columns[0])
        return left, top, float(columns[-1] + 1) - left, float(rows[-1] + 1) - top


def decode_objects(maps: ObjectMaps, least_score: float = LEAST_SCORE) -> list[FoundObject]:
    """Return the objects of an image, the surest first.

    An object's score is the height of its peak times the mean probability of its pixels, so that
    a mask that is not sure of itself counts less (Wang et al., SOLO, ECCV 2020).

    Args:
        maps: of the image.
        least_score: least height of a peak, and least score.
    """
    cells = _peaks(maps.centres, least_score)
    found = []
    for (row, column), logits in zip(cells, draw_masks(maps, cells), strict=True):
        mask = logits > 0
        if np.count_nonzero(mask) < LEAST_PIXELS:
            continue
        sure = float(np.mean(1 / (1 + np.exp(-logits[mask]))))
        found.append(FoundObject(float(maps.centres[row, column]) * sure, mask))
    found.sort(key=lambda item: -item.score)
    return _without_doubles([item for item in found if item.score >= least_score])


def draw_masks(maps: ObjectMaps, cells: NDArray[np.int64]) -> Maps:
    """Return the masks of some cells, logits, shape (K, H, W).

    Args:
        maps: of the image.
        cells: (row, column) in the map of centres, shape (K, 2).
    """
    count, (rows, columns) = len(cells), maps.coarse.shape[1:]
    shape = (rows * COARSE_STRIDE, columns * COARSE_STRIDE)
    if not count:
        return np.zeros((0, *shape), np.float32)
    weights = maps.weights[:, cells[:, 0], cells[:, 1]].T
    inner = weights[:, : HIDDEN * (COARSE + 3)].reshape(count, HIDDEN, COARSE + 3)
    outer = weights[:, inner[0].size : inner[0].size + HIDDEN + 1]
    sharp = weights[:, -FINE:]
    v, u = np.meshgrid(
        *(np.arange(n) * COARSE_STRIDE + (COARSE_STRIDE - 1) / 2 for n in (rows, columns)),
        indexing='ij',
    )
    places = (np.stack([v, u]).reshape(2, -1) / POSITION_SCALE_PX).astype(np.float32)
    read = np.concatenate([maps.coarse.reshape(COARSE, -1), places])
    middle = (cells * CENTRE_STRIDE + (CENTRE_STRIDE - 1) / 2) / POSITION_SCALE_PX
    shift = inner[..., -1] - np.einsum('khp,kp->kh', inner[..., COARSE:-1], middle)
    logits = np.empty((count, *shape), np.float32)
    for k in range(count):
        hidden = np.maximum(inner[k, :, :-1] @ read + shift[k][:, None], 0)
        member = (outer[k, :-1] @ hidden + outer[k, -1]).astype(np.float32)
        raised = cv2.resize(member.reshape(rows, columns), shape[::-1])
        edge = sharp[k] @ maps.fine.reshape(FINE, -1)
        logits[k] = raised + edge.reshape(shape) + BACKGROUND
    return logits


def _peaks(centres: Maps, least: float) -> NDArray[np.int64]:
    """Return (row, column) of the highest peaks of 3 x 3 cells, the highest first, (K, 2)."""
    highest = centres >= cv2.dilate(centres, np.ones((3, 3), np.uint8))
    rows, columns = np.nonzero(highest & (centres >= least))
    order = np.argsort(-centres[rows, columns], kind='stable')[:_MOST_PEAKS]
    return np.stack([rows[order], columns[order]], axis=1)


def _without_doubles(found: list[FoundObject]) -> list[FoundObject]:
    """Return objects, the surest first, without those that overlap a surer one too much."""
    if not found:
        return []
    flat = np.stack([item.mask.reshape(-1) for item in found]).astype(np.float32)
    shared, areas = flat @ flat.T, flat.sum(axis=1)
    doubles = shared > GREATEST_OVERLAP * (areas[:, None] + areas - shared)
    kept: list[int] = []
    for number in range(len(found)):
        if not doubles[number, kept].any():
            kept.append(number)
    return [found[number] for number in kept]
