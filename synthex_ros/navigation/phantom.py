"""A block of water around procedural vessels, so that X-rays have something to pass."""

from __future__ import annotations

import numpy as np

from synthex_ros.anatomy.vessels import VesselModel
from synthex_ros.anatomy.volume import Volume
from synthex_ros.geometry import make_pose

SPACING_M = 2.5e-3


def water_block(model: VesselModel, rim_m: float = 0.04) -> Volume:
    """Return a box of water in the frame of vessels, `rim_m` [m] wider than they are."""
    low = model.tree.points_m.min(axis=0) - rim_m
    high = model.tree.points_m.max(axis=0) + rim_m
    count = np.ceil((high - low) / SPACING_M).astype(int)[::-1] + 1
    hu = np.zeros(count, np.int16)
    pose = make_pose(translation_m=low)
    return Volume(hu, (SPACING_M,) * 3, pose, name='water')
