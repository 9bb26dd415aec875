"""A point on a ray at a known depth: where it is, and how sure that is."""

import numpy as np
import pytest

from synthex_ros.geometry import CArm
from synthex_ros.tracking.covariance import depth_sigma_m
from synthex_ros.tracking.depth import place_at_depth

VIEW = CArm(pixel_pitch_m=194e-6, detector_px=432, binning=1).view(0.3)
ANCHOR = np.array([0.004, 0.002, 0.006])


def test_the_point_is_seen_at_its_pixel_and_is_as_deep_as_the_anchor():
    pixel = np.array([310.2, 95.7])
    point, _ = place_at_depth(VIEW, pixel, ANCHOR, 0.5, 3e-3)
    np.testing.assert_allclose(VIEW.project(point), pixel, atol=1e-6)
    assert VIEW.to_source(point)[2] == pytest.approx(VIEW.to_source(ANCHOR)[2])
    again, _ = place_at_depth(VIEW, VIEW.project(ANCHOR), ANCHOR, 0.5, 3e-3)
    np.testing.assert_allclose(again, ANCHOR, atol=1e-9)


def test_the_covariance_is_that_of_drawn_pixels_and_depths():
    rng, pixel = np.random.default_rng(1), np.array([120.0, 300.0])
    forward = VIEW.world_from_source[:3, 2]
    _, covariance = place_at_depth(VIEW, pixel, ANCHOR, 1.5, 2e-3)
    drawn = np.array([
        place_at_depth(
            VIEW, pixel + rng.normal(0, 1.5, 2), ANCHOR + rng.normal(0, 2e-3) * forward, 1.5, 2e-3
        )[0]
        for _ in range(4000)
    ])  # fmt: skip
    np.testing.assert_allclose(np.cov(drawn.T), covariance, atol=0.06 * covariance.max())
    ray = VIEW.rays_world(pixel[None])[0]
    assert depth_sigma_m(covariance, ray) == pytest.approx(2e-3, rel=0.05)


def test_an_anchor_behind_the_source_is_refused():
    behind = VIEW.source_world_m - 0.1 * VIEW.world_from_source[:3, 2]
    with pytest.raises(ValueError, match='device_base_pose'):
        place_at_depth(VIEW, np.array([100.0, 100.0]), behind, 1.0, 1e-3)
