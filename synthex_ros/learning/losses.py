"""Losses: Dice with cross-entropy for the mask, squared error with NCC for the landmarks."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from synthex_ros.learning.fitted_places import fitted_places

TYPICAL_AREA_PX = 2000.0
"""Area of a device in a frame."""
_LEAST_AREA = 0.05
"""Part of it that an image's Dice begins with: what is smaller counts less."""
_EPSILON = 1e-6
_NEAR = 0.05
"""Part of the true Gaussian's height within which a peak is taken for the landmark's."""


def mask_loss(logits: Tensor, mask: Tensor, typical_area_px: float = TYPICAL_AREA_PX) -> Tensor:
    """Return soft Dice plus cross-entropy, mean over a batch, a scalar; 0 is perfect.

    Both are taken image by image, as they are evaluated: over a whole batch, or relative to the
    area of the images, a corner of a device at an edge costs next to nothing beside a whole one.

    Args:
        logits: foreground logits, shape (N, C - 1, H, W); the background's logit is 0.
        mask: class ids, shape (N, H, W), int64.
        typical_area_px: area of what is to be found, which the cross-entropy is relative to.
    """
    if logits.shape[1] == 1:
        # The same with one class, at a third of the time: softmax over (0, z) is a sigmoid.
        one = (mask[:, None] == 1).to(logits.dtype)
        return overlapping_mask_loss(logits, one, typical_area_px)
    background = torch.zeros_like(logits[:, :1])
    full = torch.cat([background, logits], dim=1)
    cross_entropy = functional.cross_entropy(full, mask, reduction='none').sum(dim=(1, 2))
    probability = torch.softmax(full, dim=1)[:, 1:]
    truth = functional.one_hot(mask, full.shape[1]).movedim(-1, 1)[:, 1:].to(probability.dtype)
    shown = truth.sum(dim=(1, 2, 3))
    dice = _soft_dice_loss(probability, truth, _LEAST_AREA * typical_area_px)
    return dice + (cross_entropy / (shown + typical_area_px)).mean()


def overlapping_mask_loss(
    logits: Tensor, masks: Tensor, typical_area_px: float = TYPICAL_AREA_PX
) -> Tensor:
    """Return soft Dice plus binary cross-entropy, mean over a batch, a scalar; 0 is perfect.

    Args:
        logits: a logit of each class, which may share pixels, shape (N, C - 1, H, W).
        masks: 1 where a class is and 0 elsewhere, same shape and type.
        typical_area_px: area of what is to be found, which the cross-entropy is relative to.
    """
    cross_entropy = functional.binary_cross_entropy_with_logits(logits, masks, reduction='none')
    relative = cross_entropy.sum(dim=(2, 3)) / (masks.sum(dim=(2, 3)) + typical_area_px)
    dice = _soft_dice_loss(torch.sigmoid(logits), masks, _LEAST_AREA * typical_area_px)
    return dice + relative.mean()


def _soft_dice_loss(probability: Tensor, truth: Tensor, least_px: float) -> Tensor:
    """Return 1 - Dice of maps (N, C - 1, H, W), mean over images and classes, a scalar."""
    overlap = (probability * truth).sum(dim=(2, 3))
    total = (probability + truth).sum(dim=(2, 3))
    return (1 - (2 * overlap + least_px) / (total + least_px)).mean()


def heatmap_loss(heatmaps: Tensor, target: Tensor, sigma_cells: float) -> Tensor:
    """Return squared error plus half of 1 - NCC of a batch, a scalar; 0 is perfect.

    The squared error is summed over a map and divided by pi sigma^2, the energy of a unit
    Gaussian: predicting nothing where there is a landmark costs 1. NCC counts only for
    landmarks that are there.

    Args:
        heatmaps: predicted maps, shape (N, L, h, w).
        target: true maps, same shape; all zero for an invisible landmark.
        sigma_cells: standard deviation of the Gaussian [cells].
    """
    squared = (heatmaps - target).square().sum(dim=(2, 3)) / (math.pi * sigma_cells**2)
    visible = (target.amax(dim=(2, 3)) > 0).to(heatmaps.dtype)
    ncc = correlation(heatmaps, target)
    shape_error = ((1 - ncc) * visible).sum() / visible.sum().clamp(min=1)
    return squared.mean() + 0.5 * shape_error


def position_loss(heatmaps: Tensor, target: Tensor, sigma_cells: float) -> Tensor:
    """Return how far decoded landmarks are from the true ones, mean over those there [cells].

    Decoded as the tracker does: a Gaussian is fitted to the map around its peak near the true
    place. The centre of mass near the true place would be no measure of it: a map that is flat
    there has its centre at the truth, so that a network learns to draw flat maps.

    Args:
        heatmaps: predicted maps, shape (N, L, h, w).
        target: true maps, same shape; all zero for an invisible landmark.
        sigma_cells: standard deviation of the Gaussian [cells].
    """
    visible = (target.amax(dim=(2, 3)) > 0).to(heatmaps.dtype)
    near = torch.where(target > _NEAR, heatmaps.detach(), -torch.inf)
    found = fitted_places(heatmaps, _peaks(near), sigma_cells)
    with torch.no_grad():
        true = fitted_places(target, _peaks(target), sigma_cells)
    distance = torch.linalg.vector_norm(found - true + _EPSILON, dim=-1)
    return (distance * visible).sum() / visible.sum().clamp(min=1)


def _peaks(maps: Tensor) -> Tensor:
    """Return the cell (column, row) of the greatest value of maps (N, L, h, w), (N, L, 2)."""
    index, columns = maps.flatten(2).argmax(dim=2), maps.shape[3]
    return torch.stack([index % columns, index // columns], dim=-1).to(maps.dtype)


def correlation(a: Tensor, b: Tensor) -> Tensor:
    """Return the normalised cross-correlation of maps (N, L, h, w), shape (N, L)."""
    a = a - a.mean(dim=(2, 3), keepdim=True)
    b = b - b.mean(dim=(2, 3), keepdim=True)
    norm = torch.sqrt(a.square().sum(dim=(2, 3)) * b.square().sum(dim=(2, 3)) + _EPSILON)
    return (a * b).sum(dim=(2, 3)) / norm
