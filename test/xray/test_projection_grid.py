"""The coarse grid of a view: where its samples lie, and what splines make of them at pixels."""

import numpy as np
import pytest
from scipy import ndimage

from synthex_ros.geometry import CArm, ProjectionGeometry
from synthex_ros.xray.anatomy_layer import expose_anatomy
from synthex_ros.xray.beam import Beam, Technique
from synthex_ros.xray.detector import Detector
from synthex_ros.xray.kernels import OVERSHOOT
from synthex_ros.xray.projection_grid import BORDER, ProjectionGrid, to_coefficients

SHAPES = [(512, 512), (300, 500), (97, 64), (1, 200), (1, 1)]


def geometry(shape, pitch_m=5e-4):
    rows, columns = shape
    return ProjectionGeometry(1.0, (pitch_m, pitch_m), (0.4 * columns, 0.55 * rows), shape)


def beam():
    return Beam(Technique(), Detector())


def exposed(area, grid, seen):
    return expose_anatomy(area, ('water',), seen, np.eye(4), beam(), None, grid)


@pytest.mark.parametrize('shape', SHAPES)
@pytest.mark.parametrize('detail', [40, 64, 1000])
def test_samples_lie_where_their_pixels_see_them(shape, detail):
    """A field that is linear on the detector is itself at the pixels, from samples."""
    pixels = geometry(shape)
    grid = ProjectionGrid.of(pixels, detail)

    def ramp(seen):
        (pitch_v, pitch_u), (u0, v0) = seen.pixel_pitch_m, seen.piercing_px
        v, u = np.indices(seen.shape_px)
        return (3 + 7 * (u - u0) * pitch_u - 5 * (v - v0) * pitch_v).astype(np.float32)[None]

    samples = ramp(grid.samples)
    np.testing.assert_allclose(grid.pixels(samples), ramp(pixels), atol=2e-5)
    assert max(grid.samples.shape_px) <= min(detail, max(shape)) + 2 * BORDER
    inner = grid.inner(samples)
    assert inner.shape[1] * grid.samples.pixel_pitch_m[0] >= shape[0] * 5e-4 - 1e-9


@pytest.mark.parametrize('shape', [(40, 61), (2, 3), (3, 2), (1, 9), (9, 1)])
def test_coefficients_are_those_of_scipy(shape):
    images = np.random.default_rng(0).random((2, *shape)).astype(np.float32)
    expected = np.array(images, float)
    for axis in (1, 2):
        if images.shape[axis] > 1:
            expected = ndimage.spline_filter1d(expected, 3, axis, mode='mirror')
    np.testing.assert_allclose(to_coefficients(images), expected, atol=2e-6)


@pytest.mark.parametrize('shape', [(64, 64), (1, 1), (30, 7)])
def test_one_sample_a_pixel_is_beer_lambert_there(shape):
    """Without up-sampling the splines return the signal behind each pixel's own path."""
    pixels = geometry(shape)
    seen = CArm().view(0.0, 0.0)
    seen = type(seen)(pixels, seen.world_from_source)
    area = (40 * np.random.default_rng(1).random((1, *shape))).astype(np.float32)
    layer = exposed(area, ProjectionGrid.by_pixel(pixels), seen)
    used = beam()
    mu, weights = used.mass_attenuation_cm2_g(('water',))[0], used.pixel_weights(pixels)
    (pitch, _), (u0, v0) = pixels.pixel_pitch_m, pixels.piercing_px
    v, u = np.indices(shape)
    cosine = 1 / np.sqrt(1 + ((u - u0) * pitch) ** 2 + ((v - v0) * pitch) ** 2)
    passed = np.exp(-area[0][..., None] * mu) * cosine[..., None] ** 3
    # Splines that bend far from the straight line between noise are held; the pixels are not.
    np.testing.assert_allclose(layer.signal_kev, passed @ weights[0], rtol=3e-5)
    np.testing.assert_allclose(layer.variance_kev2, passed @ weights[1], rtol=3e-5)
    np.testing.assert_allclose(layer.area_density_g_cm2, area, rtol=1e-5)


def test_no_halo_beside_the_shadow_of_metal():
    """A step of thirty attenuation lengths: beside it the signal is the open beam's, nearly."""
    pixels = geometry((256, 256))
    grid = ProjectionGrid.of(pixels, 64)
    seen = CArm().view(0.0, 0.0)
    seen = type(seen)(pixels, seen.world_from_source)
    area = np.full((1, *grid.samples.shape_px), 2.0, np.float32)
    area[:, :, 35:] = 150.0
    layer = exposed(area, grid, seen)
    even = exposed(np.full_like(area, 2.0), grid, seen)
    ratio = layer.signal_kev / even.signal_kev
    assert ratio.max() <= np.exp(OVERSHOOT) * (1 + 1e-5)
    assert ratio[:, -60:].max() < 1e-4
    np.testing.assert_allclose(ratio[:, :90], 1, rtol=1e-3)
    assert np.all(layer.area_density_g_cm2 >= 0)


def test_a_finer_grid_comes_closer_to_a_rod_of_bone():
    """The error of a soft shadow falls with the samples, and is small where they are enough."""
    pixels = geometry((512, 512))
    seen = CArm().view(0.0, 0.0)
    seen = type(seen)(pixels, seen.world_from_source)

    def shadow(shown):
        (pitch_v, pitch_u), (u0, v0) = shown.pixel_pitch_m, shown.piercing_px
        v, u = np.indices(shown.shape_px)
        distance = np.hypot((u - u0) * pitch_u, (v - v0) * pitch_v)
        return (20 + 10 / (1 + np.exp((distance - 0.05) / 1e-3))).astype(np.float32)[None]

    truth = exposed(shadow(pixels), ProjectionGrid.by_pixel(pixels), seen).signal_kev
    errors = []
    for detail in (64, 128, 256):
        grid = ProjectionGrid.of(pixels, detail)
        signal = exposed(shadow(grid.samples), grid, seen).signal_kev
        errors.append(np.sqrt(np.mean((signal / truth - 1) ** 2)))
    assert errors[0] > 2 * errors[1] > 4 * errors[2]
    assert errors[2] < 1e-3
