"""Where the line between a device and none is drawn."""

import dataclasses

import numpy as np
import pytest

pytest.importorskip('torch', reason='training needs torch (extra `train`)')

from synthex_ros.learning.operating_point import evidence, operating_point  # noqa: E402
from synthex_ros.tracking.landmarks import decode  # noqa: E402
from synthex_ros.tracking.model import Prediction  # noqa: E402

from .metadata import cm_metadata  # noqa: E402

META = cm_metadata(128)
FRAMES = 100


class Frames:
    """Frames of which every fifth shows a device; the counts are the row."""

    class folder:  # noqa: N801
        root = 'frames'

    def __init__(self, count=FRAMES * 5 // 4):
        self._count = count

    def __len__(self):
        return self._count

    def shows_device(self, row):
        return row % 5 == 0

    def counts(self, row):
        return np.full((1, 1), row, np.uint16)


def said(peak, mask_px):
    """Return a prediction with one landmark of that height and a mask of that sum."""
    v, u = np.mgrid[:32, :32]
    heatmaps = np.zeros((2, 32, 32), np.float32)
    heatmaps[1] = peak * np.exp(-((u - 12) ** 2 + (v - 15) ** 2) / (2 * 1.75**2))
    device = np.zeros((128, 128), np.float32)
    device[:10, : round(mask_px / 8)] = 0.8
    return Prediction(np.stack([1 - device, device]), heatmaps)


def claims(row):
    """Claims that grow with the row; those with a device are surest."""
    if row % 5 == 0:
        return said(0.95, 900)
    return said(0.2 + 0.5 * row / (FRAMES * 5 / 4), 8 + 4 * row)


def test_evidence_is_the_height_of_the_peak_and_the_sum_of_the_mask():
    found = evidence(said(0.4, 80), dataclasses.replace(META, least_peak=0.8))
    assert found.peak == pytest.approx(0.4, rel=1e-3)
    assert found.mask_px == pytest.approx(80, rel=1e-3)
    assert evidence(said(0.05, 0), META).peak == 0


@pytest.mark.parametrize('share', [0.0, 0.05, 0.2])
def test_no_more_than_the_share_of_frames_without_device_is_above_the_lines(share):
    chosen = operating_point(lambda counts: claims(int(counts[0, 0])), META, Frames(), share)
    above = 0
    for row in range(FRAMES * 5 // 4):
        prediction = claims(row)
        marks = decode(prediction.heatmaps, chosen, prediction.mask)
        claimed = max(mark.score for mark in marks) > 0.9
        claimed |= evidence(prediction, META).mask_px > chosen.least_mask_px
        if row % 5 == 0:
            assert claimed
        else:
            above += claimed
    assert above <= share * FRAMES
    assert above >= share * FRAMES - 1


def test_too_few_frames_and_shares_that_are_none_are_refused():
    with pytest.raises(ValueError, match=r'has 8 frames without a device, at least 50'):
        operating_point(lambda counts: claims(0), META, Frames(10), 0.01)
    with pytest.raises(ValueError, match=r'must be in \[0, 1\), got 1'):
        operating_point(lambda counts: claims(0), META, Frames(), 1.0)


def test_a_line_below_a_pixel_is_not_drawn():
    """It would drop next to nothing, and look for connected parts in every frame."""
    chosen = operating_point(lambda counts: said(0.5, 0), META, Frames(), 0.0)
    assert chosen.least_mask_px == 0
