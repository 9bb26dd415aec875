"""Looking at a part of the frame: where it lies, when it is given up, that the tip stays."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthex_ros.learning.labelled import render_heatmaps
from synthex_ros.tracking.filter import PointFilter
from synthex_ros.tracking.metadata import ModelMetadata
from synthex_ros.tracking.model import Prediction
from synthex_ros.tracking.pipeline import TipFrame, TipTracker
from synthex_ros.tracking.region import (
    GRID_PX,
    Region,
    RegionChooser,
    RegionSettings,
    region_around,
)
from synthex_ros.tracking.shape import ShapeFitter

from .scenes import KINEMATICS, base_pose, observe, view_from

SHAPE = (512, 512)


class SeeingModel:
    """Shows a drawn scene to whoever looks where it is; counts who asked for what."""

    metadata = ModelMetadata(
        '1', 'image', (1, 1, *SHAPE), 0.582, 'mask', 'heatmaps',
        ('background', 'continuum_manipulator'), ('base', 'tip'), 7.0, 4, 1,
    )  # fmt: skip

    def __init__(self):
        self.asked = []
        self.hidden = False

    def check_frame(self, geometry):
        pass

    def require_regions(self):
        pass

    def show(self, mask, points):
        marks = np.array([[p.u, p.v, 1.0] for p in points])
        self.mask, self.heatmaps = mask, render_heatmaps(marks, SHAPE, 4, 7.0)

    def infer(self, counts, region=None):
        self.asked.append(region)
        mask, heatmaps = np.zeros_like(self.mask), np.zeros_like(self.heatmaps)
        seen = region or Region(0, 0, *SHAPE)
        if not self.hidden:
            seen.of(mask)[:] = seen.of(self.mask)
            seen.of(heatmaps, 4)[:] = seen.of(self.heatmaps, 4)
        return Prediction(np.stack([1 - mask, mask]), heatmaps)


def tracked(frames, regions, hidden=(), bends=0.01):
    """Track a device that bends slowly; return results and model."""
    view, base, model = view_from(20), base_pose(np.pi / 2), SeeingModel()
    tracker = TipTracker(model, ShapeFitter(KINEMATICS), PointFilter(), regions=regions)
    results = []
    rng = np.random.default_rng(0)
    for k in range(frames):
        control = np.full(5, 0.005 + bends * k / 15)
        mask, points, _ = observe(view, control, base)
        model.show(mask, points)
        model.hidden = k in hidden
        counts = rng.integers(900, 1100, SHAPE).astype(np.uint16)
        results.append(tracker.track(TipFrame(counts, view, base, control, k / 15)))
    return results, model


@given(
    low=st.tuples(st.floats(0, 400), st.floats(0, 400)),
    extent=st.tuples(st.floats(0, 150), st.floats(0, 150)),
)
def test_region_holds_the_device_with_its_margin_and_lies_on_the_grid(low, extent):
    points = np.array([low, np.add(low, extent)])
    region = region_around(points, SHAPE, RegionSettings(max_share=1.0))
    for corner in (region.top, region.left, region.rows, region.columns):
        assert corner % GRID_PX == 0
    ends = np.array([[region.left, region.top]])
    ends = np.vstack([ends, ends + [region.columns - 1, region.rows - 1]])
    wanted = np.clip([points.min(axis=0) - 36, points.max(axis=0) + 36], 0, 511)
    assert np.all(ends[0] <= wanted[0])
    assert np.all(ends[1] >= wanted[1])
    assert np.all(ends >= 0)
    assert np.all(ends <= 511)


@pytest.mark.parametrize(
    'points',
    [np.array([[10.0, 10.0], [500.0, 500.0]]), np.array([[np.nan, 3.0]]), np.zeros((0, 2))],
)
def test_large_or_unknown_device_takes_the_whole_frame(points):
    assert region_around(points, SHAPE, RegionSettings()) is None


def test_region_of_cells_is_where_its_pixels_are():
    image = np.arange(64 * 64).reshape(64, 64)
    region = Region(32, 0, 32, 64)
    cells = image[2::4, 2::4]
    np.testing.assert_array_equal(region.of(cells, 4), region.of(image)[2::4, 2::4])


def test_once_locked_only_the_device_is_looked_at_and_the_tip_is_the_same():
    parts, model = tracked(12, RegionChooser())
    whole, _ = tracked(12, None)
    assert model.asked[0] is None
    assert all(region is not None for region in model.asked[1:])
    assert max(region.rows * region.columns for region in model.asked[1:]) < 0.25 * 512**2
    for part, full in zip(parts, whole, strict=True):
        np.testing.assert_allclose(part.world_from_tip, full.world_from_tip, atol=1e-6)


def test_whole_frame_now_and_then():
    _, model = tracked(12, RegionChooser(RegionSettings(full_every=4)))
    assert [region is None for region in model.asked] == [k % 4 == 0 for k in range(12)]


def test_device_that_is_not_in_its_region_has_the_same_frame_looked_at_whole():
    results, model = tracked(8, RegionChooser(), hidden={4})
    assert model.asked[4] is not None
    assert model.asked[5] is None
    assert results[4].region is None
    assert results[4].reason == 'tip_score'
    # The frame after it is looked at whole too, the next in a region again.
    assert model.asked[6] is None
    assert model.asked[7] is not None


def test_settings_without_sense_are_named():
    with pytest.raises(ValueError, match='full_every at least 1'):
        RegionSettings(full_every=0)
    with pytest.raises(ValueError, match=r'min_score must be 0\.\.1'):
        RegionSettings(min_score=2.0)
