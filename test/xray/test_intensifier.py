"""The image intensifier: distortion that points and pixels share, light that is conserved."""

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from synthex_ros.bodies import Body, TriangleMesh
from synthex_ros.geometry import make_pose
from synthex_ros.xray.detector import Detector
from synthex_ros.xray.imaging_chain import ImagingChain
from synthex_ros.xray.intensifier import ImageIntensifier, scattered_light
from synthex_ros.xray.renderer import Renderer, Technique
from synthex_ros.xray.scatter import KernelScatter
from synthex_ros.xray.scene import Scene

from .boxes import blobs_volume, box_volume, view

SEEN = view(0.2, 0.1, 128)
GEOMETRY = SEEN.geometry
IDEAL = ImageIntensifier(0.0, 0.0, 0.0, 0.0)
BENT = ImageIntensifier(8.0, 3.0, 20.0, 0.1)


def renderer(tube, volume=None, **kwargs):
    chain = ImagingChain(scatter=KernelScatter(), intensifier=tube)
    return Renderer(Scene(volume or blobs_volume()), anatomy_px=64, chain=chain, **kwargs)


def ball(position_m, radius_m=0.004):
    mesh = trimesh.creation.icosphere(3, radius_m)
    triangles = TriangleMesh(np.array(mesh.vertices), np.ascontiguousarray(mesh.faces, np.int32))
    return Body(triangles, 'Fe', make_pose(None, position_m), 1)


@settings(deadline=None, max_examples=60)
@given(
    st.floats(0, 30), st.floats(-20, 20), st.floats(0.1, 1.0), st.floats(0, 127), st.floats(0, 127)
)
def test_distortion_and_its_inverse_are_one_map(percent, turn, share, u, v):
    tube = ImageIntensifier(percent, turn, field_share=share)
    there = tube.distort_points([u, v], GEOMETRY)
    np.testing.assert_allclose(tube.undistort_points(there, GEOMETRY), [u, v], atol=1e-6)


def test_edge_of_the_field_lies_too_far_out_by_the_per_cent_asked_for():
    tube = ImageIntensifier(8.0)
    middle, edge = np.array([63.5, 63.5]), np.array([127.5, 63.5])
    inner = tube.undistort_points(edge, GEOMETRY) - middle
    assert 64 / inner[0] == pytest.approx(1.08)
    assert inner[1] == pytest.approx(0)
    np.testing.assert_allclose(tube.distort_points(middle, GEOMETRY), middle)
    near = tube.distort_points(middle + [0.1, 0], GEOMETRY) - middle
    assert near[0] == pytest.approx(0.1, rel=1e-4)


def test_straight_lines_bend_outwards_and_the_s_turns_the_edge():
    """Pincushion: the middle of a line lies nearer to the image's middle than its ends."""
    line = np.stack([np.full(3, 100.0), [20.0, 63.5, 107.0]], axis=1)
    bent = ImageIntensifier(8.0).distort_points(line, GEOMETRY)
    assert bent[0, 0] == pytest.approx(bent[2, 0])
    assert bent[1, 0] < bent[0, 0]
    turned = ImageIntensifier(0.0, 5.0).distort_points([127.5, 63.5], GEOMETRY) - 63.5
    assert np.degrees(np.arctan2(turned[1], turned[0])) == pytest.approx(5.0)


def test_ideal_tube_changes_nothing_inside_its_circle():
    plain, tube = (renderer(t).expected_kev(SEEN, []) for t in (None, IDEAL))
    inside = IDEAL.field(GEOMETRY)
    rows, columns = np.nonzero(~inside)
    assert np.hypot(rows - 63.5, columns - 63.5).min() > 63.9
    np.testing.assert_allclose(tube.signal_kev[inside], plain.signal_kev[inside], rtol=1e-5)
    np.testing.assert_allclose(tube.variance_kev2[inside], plain.variance_kev2[inside], rtol=1e-5)
    assert not tube.signal_kev[~inside].any()


def test_light_is_moved_and_not_made():
    """The sum over the output is the sum over the part of the input that is shown."""
    tube = ImageIntensifier(10.0, 4.0, 0.0, 0.0)
    v, u = np.mgrid[:128, :128]
    image = (1 + 0.5 * np.sin(u / 9) * np.cos(v / 7)).astype(np.float32)
    radius = 64 / 1.1
    seen = np.hypot(u - 63.5, v - 63.5) <= radius
    assert tube.signal(image, GEOMETRY).sum() == pytest.approx(image[seen].sum(), rel=0.01)


def test_vignetting_falls_with_the_square_of_the_radius():
    ones = np.ones((128, 128), np.float32)
    dark = ImageIntensifier(0.0, 0.0, 20.0, 0.0).signal(ones, GEOMETRY)[64]
    assert dark[64] == pytest.approx(1, abs=1e-3)
    assert dark[127] == pytest.approx(1 - 0.2 * (63.5 / 64) ** 2, abs=1e-3)
    assert dark[96] == pytest.approx(0.95, abs=2e-3)


def test_glare_behind_a_lead_disc_is_that_of_its_transfer_function():
    """In the middle of a disc of radius a in a field of radius R the veil is the integral of the
    point spread over the ring between: exp(-a / k) - exp(-R / k).
    """  # fmt: skip
    pitch, reach_m, disc_m, field_m = 1e-3, 0.025, 0.02, 0.12
    v, u = np.mgrid[:256, :256]
    radius = pitch * np.hypot(u - 127.5, v - 127.5)
    image = ((radius > disc_m) & (radius < field_m)).astype(np.float32)
    veil = scattered_light(image, (pitch, pitch), reach_m)[126:130, 126:130].mean()
    expected = np.exp(-disc_m / reach_m) - np.exp(-field_m / reach_m)
    assert veil == pytest.approx(expected, rel=0.01)


def test_glare_keeps_the_light_of_a_wide_field():
    image = np.zeros((128, 128), np.float32)
    image[60:68, 60:68] = 1
    veil = scattered_light(image, (5e-3, 5e-3), 0.01)
    assert veil.sum() == pytest.approx(image.sum(), rel=0.02)
    assert veil.min() >= 0


def test_landmarks_mask_and_pixels_move_together():
    """The centre of a ball, its label and its shadow lie on one point of the distorted image."""
    body = [ball((0.05, 0.0, 0.055))]
    made = renderer(BENT, box_volume())
    pixel = made.project(SEEN, np.array([0.05, 0.0, 0.055]))
    straight = SEEN.project(np.array([0.05, 0.0, 0.055]))
    assert np.hypot(*(pixel - straight)) > 1.0
    image, empty = made.expected_kev(SEEN, body), made.expected_kev(SEEN, [])
    rows, columns = np.nonzero(image.mask)
    np.testing.assert_allclose([columns.mean(), rows.mean()], pixel, atol=0.5)
    lost = np.clip(empty.signal_kev - image.signal_kev, 0, None)
    lost[lost < 0.2 * lost.max()] = 0
    v, u = np.mgrid[:128, :128]
    np.testing.assert_allclose(
        [(u * lost).sum() / lost.sum(), (v * lost).sum() / lost.sum()], pixel, atol=0.5
    )


def test_frames_are_exposed_to_the_expected_image():
    """Counts are Poisson-like around the expected signal: the mean and the camera's variance."""
    panel = Detector(blur_m=0.0, electronic_noise_counts=0.0)
    made = renderer(BENT, technique=Technique(charge_mas=1.0), detector=panel)
    expected = made.expected_kev(SEEN, [])
    gain = made.beam().gain_counts_kev(GEOMETRY)
    frames = np.array([
        made.render(SEEN, [], np.random.default_rng(n)).counts for n in range(40)
    ], float)  # fmt: skip
    bright = expected.signal_kev > 0.05 * expected.signal_kev.max()
    ratio = frames.mean(axis=0)[bright] / (gain * expected.signal_kev[bright])
    assert np.mean(ratio) == pytest.approx(1, abs=2e-3)
    light = 1 / panel.swank_factor
    spread = frames.var(axis=0, ddof=1)[bright] / (
        gain**2 * light * expected.variance_kev2[bright]
    )
    assert np.mean(spread) == pytest.approx(1, abs=0.03)
    assert not frames[:, 0, 0].any()


def test_without_a_tube_the_expected_image_is_anatomy_and_scatter():
    made = renderer(None)
    layer, image = made.anatomy(SEEN), made.expected_kev(SEEN, [])
    np.testing.assert_array_equal(image.primary_kev, layer.signal_kev)
    assert image.scatter_kev.min() > 0
    assert np.all(image.variance_kev2 > layer.variance_kev2)
    pixels = made.project(SEEN, np.zeros(3))
    np.testing.assert_array_equal(pixels, SEEN.project(np.zeros(3)))


def test_refused_with_the_range():
    with pytest.raises(ValueError, match=r'pincushion_percent must be 0\.\.30, got -5'):
        ImageIntensifier(-5.0)
    with pytest.raises(ValueError, match=r'glare_fraction must be 0\.\.0\.5, got 10'):
        ImageIntensifier(glare_fraction=10)
    with pytest.raises(ValueError, match='the image has shape'):
        IDEAL.signal(np.ones((4, 4), np.float32), GEOMETRY)
