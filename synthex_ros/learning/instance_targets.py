"""What the network for several devices learns: their centres and every pixel's way to its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from synthex_ros.learning.labelled import render_heatmaps
from synthex_ros.learning.losses import heatmap_loss
from synthex_ros.learning.networks.instances import VOTE_SCALE_PX
from synthex_ros.learning.networks.registry import HEATMAP_STRIDE
from synthex_ros.tracking.landmarks import cell_to_pixel


def instance_targets(
    masks: Sequence[NDArray[np.bool_]], shape: tuple[int, int], sigma_px: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return centre heat map (1, h, w) and votes (3, h, w) of devices, in heat map cells.

    The centre is the mean of a device's pixels. The first two maps of votes are vectors (du, dv)
    to it [px], the third is 1 where a device is; a later mask lies on an earlier one.

    Args:
        masks: one a device, shape (rows, columns).
        shape: rows and columns of the image.
        sigma_px: standard deviation of a centre's Gaussian [px].
    """
    cells = (shape[0] // HEATMAP_STRIDE, shape[1] // HEATMAP_STRIDE)
    centres = np.zeros((1, *cells), np.float32)
    votes = np.zeros((3, *cells), np.float32)
    v, u = np.meshgrid(
        *(cell_to_pixel(np.arange(n), HEATMAP_STRIDE) for n in cells), indexing='ij'
    )
    half = HEATMAP_STRIDE // 2
    for mask in masks:
        if not mask.any():
            continue
        rows, columns = np.nonzero(mask)
        centre = np.array([columns.mean(), rows.mean()])
        mark = np.array([[*centre, 1.0]])
        centres[0] = np.maximum(
            centres[0], render_heatmaps(mark, shape, HEATMAP_STRIDE, sigma_px)[0]
        )
        here = mask[half::HEATMAP_STRIDE, half::HEATMAP_STRIDE]
        votes[0][here], votes[1][here] = (centre[0] - u)[here], (centre[1] - v)[here]
        votes[2][here] = 1.0
    return centres, votes


def instance_loss(
    centres: Tensor, votes: Tensor, true_centres: Tensor, true_votes: Tensor, sigma_px: float
) -> Tensor:
    """Return the loss of centres and votes, a scalar; 0 is perfect.

    Args:
        centres: predicted heat map, shape (N, 1, h, w).
        votes: predicted vectors [px], shape (N, 2, h, w).
        true_centres: as `instance_targets` gives them, stacked.
        true_votes: as `instance_targets` gives them, stacked, shape (N, 3, h, w).
        sigma_px: standard deviation of a centre's Gaussian [px].
    """
    here = true_votes[:, 2:]
    away = ((votes - true_votes[:, :2]).abs() * here).sum() / here.sum().clamp(min=1)
    return heatmap_loss(centres, true_centres, sigma_px / HEATMAP_STRIDE) + away / VOTE_SCALE_PX
