"""How sure a network must be before something counts as found, chosen on frames without a device.

A peak's height and the sum of a mask's probabilities are about how probable the device is; where
the line is drawn trades missed devices for false alarms. Both lines are drawn so that at most a
given share of frames without a device is above either.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthex_ros.learning.dataset import FrameSet
from synthex_ros.tracking.landmarks import NCC_GATE, decode
from synthex_ros.tracking.mask_parts import mask_parts
from synthex_ros.tracking.metadata import LEAST_PEAK, ModelMetadata
from synthex_ros.tracking.model import Prediction

FEWEST = 50
"""Frames without a device below which a share of false alarms says too little."""

_HIGHEST_PEAK = 0.9
_ABOVE = 1.001
_LEAST_LINE_PX = 1.0


@dataclass(frozen=True)
class Evidence:
    """What a network claims of a frame.

    Attributes:
        peak: height of the highest landmark that passes the NCC gate; 0 where none does.
        mask_px: greatest sum of probabilities of a connected part of the mask [px].
    """

    peak: float
    mask_px: float


def evidence(prediction: Prediction, metadata: ModelMetadata) -> Evidence:
    """Return what a network claims of a frame, whatever line is drawn now."""
    open_to_all = dataclasses.replace(metadata, least_peak=LEAST_PEAK)
    found = decode(prediction.heatmaps, open_to_all, prediction.mask, prediction.places)
    heights = [mark.height for mark in found if mark.score > NCC_GATE]
    return Evidence(max([0.0, *heights]), float(mask_parts(prediction.classes)[1].max()))


def operating_point(
    infer: Callable[[NDArray[np.uint16]], Prediction],
    metadata: ModelMetadata,
    frames: FrameSet,
    false_alarms: float,
) -> ModelMetadata:
    """Return the metadata with the lines that hold false alarms down on frames without a device.

    Args:
        infer: from detector counts to a prediction, nothing of it dropped.
        metadata: of the network.
        frames: not those that the network is tested on; frames with a device are left out.
        false_alarms: greatest share of those frames with a landmark or a mask.

    Raises:
        ValueError: too few frames show no device, or the share is not in 0..1.
    """
    if not 0 <= false_alarms < 1:
        raise ValueError(f'the share of false alarms must be in [0, 1), got {false_alarms:g}')
    empty = [row for row in range(len(frames)) if not frames.shows_device(row)]
    if len(empty) < FEWEST:
        raise ValueError(
            f'{frames.folder.root} has {len(empty)} frames without a device, at least {FEWEST} '
            'are needed to choose by; generate more, with negative_share: 1.0'
        )
    claims = [evidence(infer(frames.counts(row)), metadata) for row in empty]
    allowed = math.floor(false_alarms * len(claims))
    for rank in range(allowed, -1, -1):
        peak = _line([claim.peak for claim in claims], rank)
        mask_px = _line([claim.mask_px for claim in claims], rank)
        if sum(claim.peak > peak or claim.mask_px > mask_px for claim in claims) <= allowed:
            break
    peak = float(np.clip(peak, LEAST_PEAK, _HIGHEST_PEAK))
    if mask_px < _LEAST_LINE_PX:
        mask_px = 0.0  # it would drop next to nothing and still cost a search for parts
    return dataclasses.replace(metadata, least_peak=peak, least_mask_px=mask_px)


def _line(claims: list[float], rank: int) -> float:
    """Return the lowest line that `rank` of the claims are above."""
    return round(_ABOVE * sorted(claims, reverse=True)[rank], 3)
