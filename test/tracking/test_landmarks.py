"""Landmarks come back from heat maps at sub-pixel accuracy, with an honest score."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthex_ros.tracking.landmarks import cell_to_pixel, decode, locate, pixel_to_cell
from synthex_ros.tracking.metadata import ModelMetadata

SIGMA = 1.75
SHAPE = (64, 80)


def gaussian(column, row, height=1.0, sigma=SIGMA):
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    squared = (columns - column) ** 2 + (rows - row) ** 2
    return (height * np.exp(-0.5 * squared / sigma**2)).astype(np.float32)


def metadata(stride=4):
    return ModelMetadata(
        version='t',
        input_name='image',
        input_shape=(1, 1, SHAPE[0] * stride, SHAPE[1] * stride),
        pixel_pitch_mm=0.5,
        mask_name='mask',
        heatmaps_name='heatmaps',
        classes=('background', 'continuum_manipulator'),
        landmarks=('base', 'tip'),
        heatmap_sigma_px=SIGMA * stride,
        heatmap_stride=stride,
        mask_stride=1,
    )


@settings(deadline=None, max_examples=60)
@given(st.floats(0, SHAPE[1] - 1), st.floats(0, SHAPE[0] - 1), st.floats(0.3, 1.5))
def test_peak_is_found_anywhere_up_to_the_border(column, row, height):
    x, y, score, _ = locate(gaussian(column, row, height), SIGMA)
    assert (x, y) == pytest.approx((column, row), abs=1e-3)
    assert score == pytest.approx(1, abs=1e-6)


def test_noise_moves_the_peak_by_less_than_a_twentieth_of_a_cell():
    rng = np.random.default_rng(3)
    errors = []
    for _ in range(50):
        column, row = rng.uniform(10, 50, 2)
        noisy = gaussian(column, row) + rng.normal(0, 0.03, SHAPE).astype(np.float32)
        x, y, *_ = locate(noisy, SIGMA)
        errors.append(np.hypot(x - column, y - row))
    # Cramer-Rao bound of a Gaussian in white noise: deviation noise / sqrt(pi/2) a coordinate.
    assert np.sqrt(np.mean(np.square(errors))) < 1.3 * 0.03 / np.sqrt(np.pi / 2) * np.sqrt(2)


def test_strongest_of_two_peaks_wins_whatever_is_stored_first():
    both = gaussian(10, 12, 0.5) + gaussian(60, 40, 0.9)
    x, y, *_ = locate(both, SIGMA)
    assert (x, y) == pytest.approx((60, 40), abs=0.01)


def test_one_bright_cell_is_no_landmark():
    spike = gaussian(20, 20, 0.8)
    spike[50, 70] = 1.0
    x, y, score, _ = locate(spike, SIGMA)
    assert (x, y) == pytest.approx((20, 20), abs=0.01)
    assert score > 0.9


@pytest.mark.parametrize('height', [0.0, 0.05])
def test_empty_and_faint_maps_score_zero(height):
    assert locate(gaussian(30, 30, height), SIGMA)[2] == 0


def test_score_falls_with_the_wrong_shape():
    right = locate(gaussian(30, 30), SIGMA)[2]
    smeared = locate(gaussian(30, 30, sigma=2 * SIGMA), SIGMA)[2]
    doubled = locate(gaussian(30, 30) + gaussian(36, 30), SIGMA)[2]
    assert right > 0.99
    assert smeared < 0.9
    assert doubled < 0.9


def test_decoding_gives_input_pixels():
    """A cell's centre is the middle of its pixels: cell 0 of stride 4 is at pixel 1.5."""
    meta = metadata(stride=4)
    u, v = 101.3, 57.8
    maps = np.stack([gaussian(pixel_to_cell(u, 4), pixel_to_cell(v, 4)), gaussian(0, 0)])
    base, tip = decode(maps, meta)
    assert (base.name, tip.name) == ('base', 'tip')
    assert (base.u, base.v) == pytest.approx((u, v), abs=0.01)
    assert (tip.u, tip.v) == pytest.approx((1.5, 1.5), abs=0.01)


@given(st.floats(-100, 600), st.sampled_from([1, 2, 4, 8]))
def test_cells_and_pixels_are_inverse(pixel, stride):
    assert cell_to_pixel(pixel_to_cell(pixel, stride), stride) == pytest.approx(pixel, abs=1e-9)


@settings(deadline=None, max_examples=40)
@given(st.floats(2, 317), st.floats(2, 253), st.integers(0, 1000))
def test_decoding_is_sub_pixel_under_the_noise_of_a_trained_network(u, v, seed):
    """A tenth of a cell, six deviations; of half a peak 2.35, of a quarter 3.3 times as much.

    Fisher's information of a Gaussian's centre, its height unknown as well: of a half along the
    cut 0.285 of 1.571, of a quarter 0.143.
    """
    cuts = sum(min(x, 4 * n - 1 - x) < 4 * SIGMA for x, n in ((u, SHAPE[1]), (v, SHAPE[0])))
    limit = 4 * 0.1 * (1, 2.35, 3.3)[cuts]
    noise = np.random.default_rng(seed).normal(0, 0.02, (2, *SHAPE)).astype(np.float32)
    cells = [pixel_to_cell(value, 4) for value in (u, v)]
    for landmark in decode(gaussian(*cells) + noise, metadata()):
        assert np.hypot(landmark.u - u, landmark.v - v) < limit
        assert landmark.score > 0.9


@pytest.mark.parametrize('level', [0.05, 0.3, 1.0])
def test_noise_alone_never_passes_as_a_landmark(level):
    """The gate for a detection is an NCC of 0.9."""
    for seed in range(30):
        noise = np.random.default_rng(seed).normal(0, level, SHAPE).astype(np.float32)
        assert locate(noise, SIGMA)[2] < 0.6


@pytest.mark.parametrize('value', [0.0, 0.5, 1.0, -1.0])
def test_flat_map_is_no_landmark(value):
    assert locate(np.full(SHAPE, value, np.float32), SIGMA)[2] < 0.5


@pytest.mark.parametrize('distance', [4, 6, 8])
@pytest.mark.parametrize('direction', [(1, 0), (0, 1), (0.7, 0.7)])
def test_two_equal_peaks_are_ambiguous(distance, direction):
    across, down = distance * np.array(direction)
    doubled = gaussian(30, 30) + gaussian(30 + across, 30 + down)
    assert locate(doubled, SIGMA)[2] < 0.9


def test_damaged_map_scores_zero():
    maps = np.stack([np.full(SHAPE, np.nan, np.float32), gaussian(20, 20)])
    lost, found = decode(maps, metadata())
    assert lost.score == 0
    assert found.score > 0.99
