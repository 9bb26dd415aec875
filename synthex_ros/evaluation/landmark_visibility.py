"""Landmark errors by how well an ideal observer could tell where each landmark is.

Data sets that say `keypoint_snr` (`synthex_ros.learning.device_labels`) call a landmark hidden
below a ratio. Nothing hides behind that line: errors of hidden landmarks are told as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from synthex_ros.evaluation.metrics import NCC_GATE, Array, summarize
from synthex_ros.evaluation.model_evaluation import FrameResult
from synthex_ros.evaluation.model_scores import plain, share
from synthex_ros.learning.coco import LABELLED, VISIBLE
from synthex_ros.learning.visibility import ROSE_SNR

Values = dict[str, Any]

RATIOS = (0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, float('inf'))


def errors_by_snr(results: Sequence[FrameResult]) -> dict[str, Values]:
    """Return the landmark errors of each bin of signal-to-noise ratio; empty where none is known.

    From `ROSE_SNR` on landmarks count where they are visible: others are hidden for another
    reason, such as the border. Below it, all that lie on the image count.
    """
    ratio, level, score = (
        np.stack(rows)
        for rows in (
            [r.landmark_snr for r in results],
            [r.truth[:, 2] for r in results],
            [r.found[:, 2] for r in results],
        )
    )
    errors_mm = np.stack([_errors_mm(r) for r in results])
    counts = (level >= VISIBLE) | ((level >= LABELLED) & (ratio < ROSE_SNR))
    parts = {}
    for low, high in zip(RATIOS, RATIOS[1:], strict=False):
        inside = counts & (ratio >= low) & (ratio < high)
        if not inside.any():
            continue
        name = f'{low:g} to {high:g}' if np.isfinite(high) else f'above {low:g}'
        parts[name] = {
            'visible': int((inside & (level >= VISIBLE)).sum()),
            'error_mm': plain(summarize(errors_mm[inside])),
            'claimed': share(int((inside & (score > NCC_GATE)).sum()), int(inside.sum())),
        }
    return parts


def _errors_mm(result: FrameResult) -> Array:
    """Return the errors of all landmarks on the detector [mm], visible or not, shape (L,)."""
    away = np.linalg.norm(result.found[:, :2] - result.truth[:, :2], axis=-1)
    return away * result.pixel_pitch_mm
