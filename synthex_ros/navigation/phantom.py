"""A block of water around procedural vessels, so that X-rays have something to pass."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthex_ros.anatomy.vessels import Lumen, VesselModel
from synthex_ros.anatomy.volume import Volume
from synthex_ros.geometry import make_pose

SPACING_M = 2.5e-3
FINE_M = 1e-3


def water_block(model: VesselModel, rim_m: float = 0.04) -> Volume:
    """Return a box of water in the frame of vessels, `rim_m` [m] wider than they are."""
    return _block(model.tree.points_m, rim_m, SPACING_M)


def filled_block(
    points_m: NDArray[np.float64], lumen: Lumen, contrast_hu: float, rim_m: float = 0.03
) -> Volume:
    """Return a box of water with vessels full of contrast agent.

    Voxels at the wall are filled in part, so the vessels are round although voxels are not.

    Args:
        points_m: centre lines, shape (N, 3) [m].
        lumen: where the vessels are open, in the same frame.
        contrast_hu: CT number of the agent.
        rim_m: how much wider than the centre lines the box is [m].
    """
    volume = _block(points_m, rim_m, FINE_M)
    layers = [np.arange(count) * FINE_M for count in volume.hu.shape]
    low = volume.patient_from_grid[:3, 3]
    for row, z in enumerate(layers[0]):
        grid = np.stack(np.meshgrid(layers[2], layers[1], indexing='xy'), axis=-1).reshape(-1, 2)
        points = np.column_stack([grid, np.full(len(grid), z)]) + low
        share = np.clip(lumen.signed_distance_m(points)[0] / FINE_M + 0.5, 0, 1)
        volume.hu[row] = np.round(contrast_hu * share).reshape(volume.hu.shape[1:])
    return volume


def _block(points_m: NDArray[np.float64], rim_m: float, spacing_m: float) -> Volume:
    low, high = points_m.min(axis=0) - rim_m, points_m.max(axis=0) + rim_m
    count = np.ceil((high - low) / spacing_m).astype(int)[::-1] + 1
    pose = make_pose(translation_m=low)
    return Volume(np.zeros(count, np.int16), (spacing_m,) * 3, pose, name='water')
