"""Exposures as nobody should take them: each renders correctly, or says what is wrong."""

import numpy as np
import pytest
import trimesh

from synthex_ros.bodies import Body, TriangleMesh
from synthex_ros.geometry import CArm, ProjectionGeometry, View, make_pose
from synthex_ros.xray.beam import Technique
from synthex_ros.xray.imaging_chain import ImagingChain
from synthex_ros.xray.intensifier import ImageIntensifier
from synthex_ros.xray.ray_marcher import RayMarcher
from synthex_ros.xray.renderer import Renderer
from synthex_ros.xray.scene import Scene

from .boxes import box_volume, linear_table, view

SEEN = view(pixels=33)


def box(sides_m, position_m=(0, 0, 0), material='water', label=1):
    mesh = trimesh.creation.box(sides_m)
    faces = np.asarray(mesh.faces, np.int32)
    pose = make_pose(translation_m=position_m)
    return Body(TriangleMesh(np.asarray(mesh.vertices), faces), material, pose, label)


def shot(seen, bodies=(), volume=None, chain=None, **technique):
    made = Renderer(
        Scene(volume or box_volume()), Technique(**technique), anatomy_px=64, chain=chain
    )
    return made.render(seen, bodies, np.random.default_rng(0))


def inside(pixels=33):
    """A view whose focal spot lies in the middle of the patient."""
    geometry = CArm().geometry().resized((pixels, pixels))
    return View(geometry, SEEN.world_from_source @ make_pose(translation_m=(0, 0, 0.7)))


@pytest.mark.parametrize('chain', [None, ImagingChain.full()], ids=['ideal', 'full'])
def test_a_focal_spot_inside_the_patient_sees_what_lies_ahead(chain):
    """Half of a box 12 cm deep: 6 g/cm^2, as the plain marcher counts it."""
    seen = inside()
    volume = box_volume(shape=(60, 60, 60))
    made = Renderer(Scene(volume), anatomy_px=64, chain=chain)
    layer = made.anatomy(seen)
    total = np.asarray(layer.area_density_g_cm2).sum(0)
    slow = RayMarcher(5e-4).area_density_g_cm2(volume, linear_table(), seen, np.eye(4))[0]
    assert slow[16, 16] == pytest.approx(6.0, rel=0.02)
    assert total[total.shape[0] // 2, total.shape[1] // 2] == pytest.approx(6.2, rel=0.08)
    frame = made.render(seen, [], np.random.default_rng(0))
    assert frame.counts.shape == (33, 33)
    assert 0 < frame.counts[16, 16] < frame.counts.dtype.type(65535)


STEEL = box((0.6, 0.5, 0.6), material='stainless_steel')


def test_where_no_photon_arrives_only_read_out_noise_is_left():
    """Behind half a metre of steel: dark, without NaN or counts that wrap round."""
    frame = shot(SEEN, [STEEL])
    assert frame.mask.all()
    assert frame.counts.max() < 100


def test_what_is_left_behind_a_device_is_scatter_of_the_patient():
    """Scatter is that of the anatomy: no device stops it, and none adds to it."""
    seen = [shot(SEEN, bodies, chain=ImagingChain.full()) for bodies in ([], [STEEL])]
    bare, dark = (frame.counts.astype(float) for frame in seen)
    assert np.all(dark < 0.5 * bare)


def test_a_pulse_of_almost_no_photons_is_mostly_empty_pixels():
    """Behind 20 cm of water a thousandth of a quantum reaches a pixel; gain makes it a flash."""
    geometry = ProjectionGeometry(1.02, (1e-4, 1e-4), (31.5, 31.5), (64, 64))
    seen = View(geometry, SEEN.world_from_source)
    made = Renderer(
        Scene(box_volume(shape=(60, 100, 60))), Technique(charge_mas=1e-5), anatomy_px=64
    )
    rng = np.random.default_rng(0)
    frames = np.stack([made.render(seen, [], rng).counts for _ in range(10)])
    assert np.mean(frames < 100) > 0.5
    assert frames.max() > 1000


def test_no_charge_at_all_is_refused():
    with pytest.raises(ValueError, match='charge_mas'):
        Technique(charge_mas=0.0)


@pytest.mark.parametrize(
    'chain',
    [None, ImagingChain.full(), ImagingChain(intensifier=ImageIntensifier(), panel_seed=1)],
    ids=['ideal', 'full', 'intensifier'],
)
def test_one_pixel_is_an_image(chain):
    geometry = ProjectionGeometry(1.02, (1e-3, 1e-3), (0.0, 0.0), (1, 1))
    seen = View(geometry, SEEN.world_from_source)
    frame = shot(seen, [box((0.01, 0.01, 0.01))], chain=chain)
    assert frame.counts.shape == frame.mask.shape == (1, 1)
    assert frame.mask[0, 0] == 1
    assert 0 < frame.counts[0, 0] < 65535


def test_a_device_beside_the_beam_changes_nothing():
    bare, beside = (shot(SEEN, bodies) for bodies in ([], [box((0.01,) * 3, (0.9, 0, 0))]))
    np.testing.assert_array_equal(bare.counts, beside.counts)
    assert not beside.mask.any()


def test_a_device_at_the_focal_spot_is_refused():
    at = SEEN.source_world_m
    with pytest.raises(ValueError, match='focal spot'):
        shot(SEEN, [box((0.05,) * 3, at)])


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda: Technique(tube_voltage_kv=80_000).spectrum(), 'looks like volts'),
        (
            lambda: CArm(pixel_pitch_m=0.194).geometry(),
            'pixel_pitch_m must be .*0.194 mm is 0.000194',
        ),
        (lambda: CArm(source_to_detector_m=1020).geometry(), 'looks like millimetres, pass 1.02'),
    ],
)
def test_units_that_slipped_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
