"""Arteries and veins of the chest CT: what is known of a human aorta and its branches."""

import numpy as np
import pytest

from synthex_ros.anatomy import samples
from synthex_ros.anatomy.vessels import vessel_model

pytestmark = pytest.mark.skipif(
    samples.find_chest() is None, reason='no chest sample here: run `synthex fetch chest`'
)


@pytest.fixture(scope='module')
def volume():
    return samples.load_sample('chest')


@pytest.fixture(scope='module')
def arteries(volume):
    return vessel_model(volume)


def branch(model, name):
    return next(b for b in model.tree.branches if b.name == name)


def test_the_arch_gives_off_three_branches_and_the_trunk_forks(arteries):
    """Five arteries end in the neck and shoulders, the aorta below and at the heart."""
    assert set(arteries.tree.places) == {
        'descending_aorta', 'ascending_aorta', 'brachiocephalic_trunk',
        'subclavian_artery_right', 'common_carotid_artery_right',
        'common_carotid_artery_left', 'subclavian_artery_left',
    } - {'brachiocephalic_trunk'}  # fmt: skip
    tree = arteries.tree
    for target in ('right_common_carotid', 'subclavian_artery_right'):
        on_way = tree.structure_of(tree.path('descending_aorta', target).nodes)
        assert list(dict.fromkeys(on_way))[:2] == ['aorta', 'brachiocephalic_trunk']
    assert sum(b.name.startswith('aorta') for b in tree.branches) == 4


def test_the_aorta_has_a_plausible_width_and_length(arteries):
    """Ascending 12..18 mm in radius, descending 8..15 mm (Erbel et al., Eur. Heart J. 2014)."""
    tree = arteries.tree
    path = tree.path('descending_aorta', 'ascending_aorta')
    assert 0.35 < path.length_m < 0.50
    near_heart = path.radius_m[path.arc_m > path.length_m - 0.06]
    low_down = path.radius_m[(path.arc_m > 0.02) & (path.arc_m < 0.15)]
    assert 0.012 < np.median(near_heart) < 0.018
    assert 0.008 < np.median(low_down) < 0.015
    steps = np.diff(path.points_m, axis=0)
    turn = np.einsum('ni,ni->n', steps[:-5], steps[5:])
    assert np.all(turn > 0), 'no hairpin within 5 mm'


def test_branches_have_the_width_of_human_arteries(arteries):
    for name in ('common_carotid_artery_left', 'subclavian_artery_left'):
        tip = arteries.tree.path('ascending_aorta', name)
        outer = tip.radius_m[tip.arc_m > tip.length_m - 0.05]
        assert 0.0015 < np.median(outer) < 0.006


def test_the_lumen_holds_what_the_voxels_hold_and_lies_about_the_centreline(volume, arteries):
    voxels = sum(
        np.count_nonzero(volume.structure_mask(name)) for name in arteries.tree.names
    ) * np.prod(volume.spacing_m)  # fmt: skip
    ends = 3e-6  # what is added where the CT cuts vessels off
    assert arteries.lumen.volume_m3() == pytest.approx(voxels + ends, rel=0.03)
    assert arteries.wall.volume_m3() == pytest.approx(arteries.lumen.volume_m3(), rel=0.02)
    room, _ = arteries.lumen.signed_distance_m(arteries.tree.points_m)
    assert room.min() > 0.5e-3


def test_every_edge_of_the_wall_belongs_to_two_triangles(arteries):
    faces = arteries.wall.faces
    edges = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    _, uses = np.unique(edges, axis=0, return_counts=True)
    assert (uses == 2).all()


def test_gradients_are_unit_near_the_wall(arteries):
    rng = np.random.default_rng(5)
    seeds = arteries.wall.vertices_m[rng.integers(len(arteries.wall.vertices_m), size=500)]
    points = seeds + rng.normal(0, 3e-4, seeds.shape)
    inside = arteries.tree.points_m[:, 2].max() - 0.01 > points[:, 2]
    points = points[inside & (points[:, 2] > arteries.tree.points_m[0, 2] + 0.01)]
    distance, normal = arteries.lumen.signed_distance_m(points)
    ahead, _ = arteries.lumen.signed_distance_m(points + 4e-4 * normal)
    behind, _ = arteries.lumen.signed_distance_m(points - 4e-4 * normal)
    assert np.median((ahead - behind) / 8e-4) == pytest.approx(1, abs=0.03)
    assert np.mean(np.abs((ahead - behind) / 8e-4 - 1) < 0.15) > 0.95


def test_both_sides_of_the_neck_drain_into_the_superior_vena_cava(volume):
    veins = vessel_model(volume, 'upper_veins')
    assert veins.tree.places['superior_vena_cava'] == 0
    left = veins.tree.path('superior_vena_cava', 'brachiocephalic_vein_left')
    right = veins.tree.path('superior_vena_cava', 'brachiocephalic_vein_right')
    assert left.length_m > right.length_m, 'the left one crosses the midline'
