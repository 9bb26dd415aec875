"""Foreign objects are closed bodies of the right size, placed by anatomy, and never the device."""

import numpy as np
import pytest

from synthex_ros.anatomy import load_volume
from synthex_ros.geometry import CArm, make_pose
from synthex_ros.learning.anatomies import draw_anatomy, load_anatomy, names_of, varied_phantom
from synthex_ros.learning.distractors import MIN_DEPTH_M, Distractors, draw_distractors
from synthex_ros.learning.shapes import SHAPES, merged, smooth_line, swept
from synthex_ros.learning.sites import SITES, find_sites, sites_for
from synthex_ros.xray.attenuation import density_g_cm3
from synthex_ros.xray.mesh_tracer import trace

SEEDS = range(6)


@pytest.fixture(scope='module')
def sites():
    return find_sites(load_volume('phantom'))


def straight(length_m, count=12):
    z = np.linspace(-length_m / 2, length_m / 2, count)
    return np.column_stack([np.zeros((count, 2)), z])


def is_closed(mesh):
    """Every edge is used as often in one direction as in the other."""
    edges = np.concatenate([mesh.faces[:, [i, (i + 1) % 3]] for i in range(3)])
    balance = {}
    for a, b in edges:
        key, sign = ((a, b), 1) if a < b else ((b, a), -1)
        balance[key] = balance.get(key, 0) + sign
    return not any(balance.values())


def test_a_swept_tube_has_the_volume_of_its_polygon():
    """n corners: n r^2 sin(2 pi / n) / 2 times the length."""
    tube = swept(straight(0.05), np.full(12, 2e-3), 16)
    area = 16 * 2e-3**2 * np.sin(2 * np.pi / 16) / 2
    assert tube.volume_m3() == pytest.approx(area * 0.05, rel=1e-9)
    lumen = swept(straight(0.05), np.full(12, 1e-3), 16, inward=True)
    assert merged([tube, lumen]).volume_m3() == pytest.approx(area * 0.05 * 0.75, rel=1e-9)


def test_a_lumen_takes_its_part_of_the_path():
    """Along a diameter a tube of 4 mm with a bore of 2 mm is 2 mm thick."""
    tube = merged([swept(straight(0.05), np.full(12, 2e-3), 64),
                   swept(straight(0.05), np.full(12, 1e-3), 64, True)])  # fmt: skip
    turn = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    corners = tube.vertices_m @ turn.T + [0, 0, 0.7]
    geometry = CArm().geometry()
    layer = trace(corners, tube.faces, geometry)
    image = np.zeros(geometry.shape_px)
    image[layer.slices] = layer.path_m
    row, column = (round(p) for p in geometry.piercing_px[::-1])
    assert image[row, column] == pytest.approx(2e-3, rel=0.02)
    assert image.min() >= 0


@pytest.mark.parametrize('kind', SHAPES)
def test_shapes_are_closed_solids_of_hand_size(kind):
    for seed in SEEDS:
        parts = SHAPES[kind](np.random.default_rng(seed))
        assert sum(mesh.volume_m3() for mesh, _ in parts) > 0
        for mesh, material in parts:
            assert is_closed(mesh)
            assert density_g_cm3(material) > 0
            size = np.ptp(mesh.vertices_m, axis=0).max()
            assert 1e-3 < size < 0.4, f'seed {seed}: {size:g} m'


@pytest.mark.parametrize('kind', SHAPES)
def test_same_seed_same_shape(kind):
    pair = [SHAPES[kind](np.random.default_rng(3)) for _ in range(2)]
    for (mesh, material), (other, same) in zip(*pair, strict=True):
        np.testing.assert_array_equal(mesh.vertices_m, other.vertices_m)
        assert material == same


def test_a_line_has_its_length_whatever_its_bend():
    for bend in (0.0, 0.5, 2.0):
        line = smooth_line(np.random.default_rng(1), 0.2, bend)
        assert np.linalg.norm(np.diff(line, axis=0), axis=1).sum() == pytest.approx(0.2)


def test_sites_lie_in_their_structures(sites):
    volume = load_volume('phantom')
    assert len(sites) > 20
    for name in ('heart', 'aorta', 'vertebrae_T6'):
        grid = np.linalg.inv(volume.patient_from_grid)
        points = np.c_[sites[name].points_m, np.ones(len(sites[name].points_m))] @ grid.T
        x, y, z = np.rint(points[:, :3] / volume.spacing_m).astype(int).T
        assert (volume.labels[z, y, x] == volume.structures[name]).all()
    assert abs(sites['aorta'].axis[2]) > 0.9, 'the aorta of the phantom runs along the body'
    assert np.all(sites['skin'].points_m[:, 1] < 0), 'the front of the patient'


def test_every_kind_has_a_place_in_the_phantom(sites):
    assert set(SITES) == set(SHAPES)
    for kind in SITES:
        assert sites_for(kind, sites), kind


def test_objects_are_in_the_picture_behind_the_tube_and_unlabelled(sites):
    view = CArm().view(0.2, 0.1)
    settings = Distractors(share=1.0, negative_share=1.0, most=4)
    volume = load_volume('phantom')
    pose, seen, kinds = make_pose(None, -volume.centre_patient_m), 0, set()
    for seed in range(12):
        bodies, names = draw_distractors(
            settings, view, 0.7, sites, pose, None, np.random.default_rng(seed)
        )
        kinds |= set(names)
        for body in bodies:
            depth = view.to_source(body.vertices_world_m())[:, 2]
            assert depth.min() > MIN_DEPTH_M
            assert body.label == 0
            pixels = view.project(body.vertices_world_m())
            seen += bool(np.any(np.all((pixels >= 0) & (pixels < 512), axis=1)))
    assert len(kinds) >= 6
    assert seen >= 12


def test_only_the_kinds_that_are_asked_for_are_drawn(sites):
    view, pose = CArm().view(0.0, 0.0), make_pose(None, -load_volume('phantom').centre_patient_m)
    settings = Distractors(negative_share=1.0, kinds=('drill', 'drill', 'coil'))
    drawn = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        drawn += draw_distractors(settings, view, 0.7, sites, pose, None, rng)[1]
    assert set(drawn) == {'drill', 'coil'}
    assert drawn.count('drill') > drawn.count('coil')
    with pytest.raises(ValueError, match=r"kinds must be of .* got \['spoon'\]"):
        Distractors(kinds=('spoon',))


def test_occluding_objects_lie_on_the_ray_of_the_device(sites):
    view = CArm().view(0.0, 0.0)
    device = view.world_from_source[:3, 3] + view.world_from_source[:3, 2] * 0.7
    settings = Distractors(share=1.0, most=1, occluding_share=1.0)
    for seed in SEEDS:
        bodies, _ = draw_distractors(
            settings, view, 0.7, sites, np.eye(4), device[None], np.random.default_rng(seed)
        )
        for body in bodies:
            at = view.project(body.world_from_mesh[None, :3, 3])[0]
            np.testing.assert_allclose(at, view.project(device[None])[0], atol=1e-6)


def test_phantoms_differ_in_size_and_texture_and_keep_their_organs():
    first, second = varied_phantom(1), varied_phantom(2)
    assert first.spacing_m != second.spacing_m
    assert not np.array_equal(first.hu, second.hu)
    assert {'heart', 'aorta', 'vertebrae_T6', 'rib_left_5'} <= set(first.structures)
    np.testing.assert_array_equal(varied_phantom(1).hu, first.hu)
    lung = np.isin(first.labels, [first.structures['lung_upper_lobe_left']])
    bone = first.labels == first.structures['vertebrae_T6']
    assert np.median(first.hu[lung]) < -700
    assert np.median(first.hu[bone]) > 100


def test_anatomies_are_drawn_by_weight():
    rng = np.random.default_rng(0)
    drawn = [draw_anatomy({'chest': 3.0, 'phantoms': 1.0}, 2, rng) for _ in range(2000)]
    assert drawn.count('chest') / 2000 == pytest.approx(0.75, abs=0.04)
    assert set(drawn) == {'chest', 'phantom:1', 'phantom:2'}
    assert names_of({'phantoms': 1.0, 'chest': 1.0}, 2) == ['chest', 'phantom:1', 'phantom:2']
    assert load_anatomy('phantom').name == 'phantom'
