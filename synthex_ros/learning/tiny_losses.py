"""Losses of the detector of tiny devices: focal loss of centres, overlap of boxes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_CENTRE_POWER, _AWAY_POWER = 2.0, 4.0
_PLAIN_WEIGHT = 0.25
_LEAST_LOG, _LARGEST_LOG = -2.0, 6.0


def centre_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Return the focal loss of centre maps, a scalar; 0 is perfect.

    Cells near a centre count less as background (CornerNet, Law and Deng, ECCV 2018).

    Args:
        logits: shape (N, K, h, w).
        target: Gaussians with 1 at the centres' cells, same shape.
    """
    probability = torch.sigmoid(logits)
    here = (target == 1).to(logits.dtype)
    seen = functional.logsigmoid(logits) * (1 - probability) ** _CENTRE_POWER * here
    away = (1 - target) ** _AWAY_POWER * (1 - here)
    missed = functional.logsigmoid(-logits) * probability**_CENTRE_POWER * away
    return -(seen + missed).sum() / here.sum().clamp(min=1)


def box_loss(boxes: Tensor, target: Tensor) -> Tensor:
    """Return the loss of the boxes of maps, a scalar; 0 is perfect.

    Args:
        boxes: offset (u, v) of the centre [px] and logarithm of width and height [px], shape
            (N, 4, h, w).
        target: the same and how much each cell counts, shape (N, 5, h, w).
    """
    weight = target[:, 4]
    cells = weight > 0
    if not bool(cells.any()):
        return 0 * boxes.sum()
    found, true = (maps.movedim(1, -1)[cells] for maps in (boxes, target[:, :4]))
    return (each_box_loss(found, true) * weight[cells]).sum() / weight[cells].sum()


def each_box_loss(found: Tensor, true: Tensor) -> Tensor:
    """Return the loss of each box, shape (N,); 0 is perfect.

    One less the generalised overlap (Rezatofighi et al., CVPR 2019), for which half a pixel is
    much for a device of three pixels and little for one of twenty, and a part of the absolute
    error, which helps where boxes do not meet.

    Args:
        found: offset (u, v) of the centre [px] and logarithm of width and height [px], shape
            (N, 4).
        true: the same of the truth.
    """
    plain = functional.smooth_l1_loss(found, true, reduction='none').sum(dim=1)
    return 1 - generalised_overlap(found, true) + _PLAIN_WEIGHT * plain


def generalised_overlap(a: Tensor, b: Tensor) -> Tensor:
    """Return the generalised IoU of boxes of one cell each, -1..1, shape (N,).

    Args:
        a: offsets (u, v) [px] and logarithms of width and height [px], shape (N, 4).
        b: the same of other boxes.
    """
    (low_a, high_a, size_a), (low_b, high_b, size_b) = _edges(a), _edges(b)
    shared = (torch.minimum(high_a, high_b) - torch.maximum(low_a, low_b)).clamp(min=0).prod(dim=1)
    around = (torch.maximum(high_a, high_b) - torch.minimum(low_a, low_b)).prod(dim=1)
    together = size_a.prod(dim=1) + size_b.prod(dim=1) - shared
    return shared / together - (around - together) / around


def _edges(boxes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    size = boxes[:, 2:].clamp(_LEAST_LOG, _LARGEST_LOG).exp()
    return boxes[:, :2] - size / 2, boxes[:, :2] + size / 2, size
