"""What a network for foreign objects learns: where their middles are, and their masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from synthex_ros.tracking.object_masks import CENTRE_STRIDE

_SPREAD_SHARE = 0.5
_LEAST_SPREAD_PX = 6.0
_MIDDLE = 0.5
_BALANCE_AREAS, _BALANCE_PX = 4.0, 1000.0


def centre_targets(
    masks: Sequence[NDArray[np.bool_]], shape: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the map of middles and whose middle each cell is, both (H / 8, W / 8).

    A middle is a Gaussian with the mean of an object's pixels and a share of their spread, so
    long and thin along a wire: nobody can tell the exact middle of what is long. Its highest cell
    is 1. The second map holds the number of the object whose Gaussian is highest where it is at
    least a half, and -1 elsewhere.

    Args:
        masks: one an object, shape (rows, columns), none empty.
        shape: rows and columns of the image.
    """
    cells = (shape[0] // CENTRE_STRIDE, shape[1] // CENTRE_STRIDE)
    heat, owner = np.zeros(cells, np.float32), np.full(cells, -1, np.int64)
    v, u = np.meshgrid(
        *(np.arange(n) * CENTRE_STRIDE + (CENTRE_STRIDE - 1) / 2 for n in cells), indexing='ij'
    )
    for number, mask in enumerate(masks):
        points = np.argwhere(mask).astype(float)
        middle = points.mean(axis=0)
        away = points - middle
        spread = _SPREAD_SHARE**2 * away.T @ away / len(points)
        inverse = np.linalg.inv(spread + _LEAST_SPREAD_PX**2 * np.eye(2))
        place = np.stack([v - middle[0], u - middle[1]], axis=-1)
        squared = np.einsum('yxi,ij,yxj->yx', place, inverse, place)
        height = np.exp(-0.5 * (squared - squared.min()))
        wins = height > heat
        owner[wins] = np.where(height[wins] >= _MIDDLE, number, -1)
        heat[wins] = height[wins]
    return heat, owner


def centre_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Return the quality focal loss of maps of middles, a scalar; 0 is perfect.

    Cross-entropy with the target as probability, weighted by the error (Li et al., Generalized
    Focal Loss, NeurIPS 2020, with power 1), over the number of cells that are a half or more.

    Args:
        logits: shape (N, 1, h, w).
        target: 0..1, same shape.
    """
    entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction='none')
    wrong = (torch.sigmoid(logits) - target).abs()
    return (wrong * entropy).sum() / (target >= _MIDDLE).sum().clamp(min=1)


def object_mask_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Return Dice and cross-entropy of objects, shape (K,); 0 is perfect.

    Cross-entropy is summed over pixels and divided by four times the object's area and some, so
    that a thin wire counts as much as a plate.

    Args:
        logits: shape (K, H, W).
        masks: 0 or 1, same shape, float32.
    """
    probability = torch.sigmoid(logits)
    overlap, area = (probability * masks).sum(dim=(1, 2)), masks.sum(dim=(1, 2))
    total = probability.square().sum(dim=(1, 2)) + area
    dice = 1 - (2 * overlap + 1) / (total + 1)
    entropy = functional.binary_cross_entropy_with_logits(logits, masks, reduction='none')
    return dice + entropy.sum(dim=(1, 2)) / (_BALANCE_AREAS * area + _BALANCE_PX)


def learning_cells(
    heat: NDArray[np.float32],
    owner: NDArray[np.int64],
    count: int,
    each: int,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Return (object, row, column) of cells that are to draw masks, shape (K, 3).

    For every object its highest cell and others of its middle at random, `each` in all; objects
    whose middle is another's are left out.

    Args:
        heat: map of middles.
        owner: whose they are.
        count: number of objects.
        each: greatest number of cells an object.
        rng: source of the draw.
    """
    chosen: list[tuple[int, int, int]] = []
    for number in range(count):
        own = np.argwhere(owner == number)
        if not len(own):
            continue
        heights = heat[own[:, 0], own[:, 1]]
        first = int(np.argmax(heights))
        rest = rng.permutation(np.delete(np.arange(len(own)), first))[: each - 1]
        chosen += [(number, int(own[k, 0]), int(own[k, 1])) for k in (first, *rest)]
    return np.array(chosen, np.int64).reshape(-1, 3)
