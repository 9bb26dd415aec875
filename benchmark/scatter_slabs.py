"""Scatter over primary of water slabs by the renderer's kernels, on the axis of square fields."""

from __future__ import annotations

import numpy as np

from synthex_ros.geometry import ProjectionGeometry
from synthex_ros.xray.beam import Beam
from synthex_ros.xray.scatter import COARSE_PX, KernelScatter, open_share

THICKNESS_CM = (10, 15, 20, 25, 30)
FIELD_CM = (10, 20, 30)
AIR_GAPS_CM = (0, 20)
DISTANCE_CM, WINDOW_CM = 102.0, 4.0
DETECTOR_PX, PITCH_M = 1024, 0.30 / 1024


def geometry() -> ProjectionGeometry:
    """Return a 30 cm x 30 cm detector at `DISTANCE_CM`."""
    middle = (DETECTOR_PX - 1) / 2
    return ProjectionGeometry(
        DISTANCE_CM / 100, (PITCH_M, PITCH_M), (middle, middle), (DETECTOR_PX, DETECTOR_PX)
    )


def field(side_cm: float, shape: tuple[int, int]) -> np.ndarray:
    """Return which part of each coarse cell a centred square field opens."""
    low = DETECTOR_PX / 2 - side_cm / 200 / PITCH_M
    box = (low, DETECTOR_PX - low, low, DETECTOR_PX - low)
    return open_share(box, geometry(), shape)


def kernel_ratio(beam: Beam, thickness_cm: float, gap_cm: float, side_cm: float) -> float:
    """Return scatter over primary of the renderer's kernels in the central window."""
    shape = (COARSE_PX, COARSE_PX)
    water = np.full((1, *shape), thickness_cm, np.float32)
    open_ = field(side_cm, shape)
    scatter = KernelScatter().on_detector(water, ('water',), beam, geometry(), gap_cm / 100, open_)
    depth = beam.mass_attenuation_cm2_g(('water',))[0] * thickness_cm
    primary = float(beam.pixel_weights(geometry())[0] @ np.exp(-depth))
    window = field(WINDOW_CM, shape)
    return float((scatter.signal_kev * window).sum() / window.sum() / primary)
