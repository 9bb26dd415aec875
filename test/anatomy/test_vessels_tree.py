"""Trees of vessels: centrelines of shapes with a formula, places, paths, procedural trees."""

import numpy as np
import pytest

from synthex_ros.anatomy.structures import TOTALSEGMENTATOR_IDS
from synthex_ros.anatomy.vessels import (
    SampledLumen,
    TreeShape,
    VesselTree,
    procedural_tree,
    save_mesh,
    vessel_model,
)
from synthex_ros.anatomy.vessels.centreline import centreline_tree
from synthex_ros.anatomy.vessels.distance import to_distance
from synthex_ros.anatomy.vessels.procedural import murray_angles_rad
from synthex_ros.anatomy.volume import Volume
from synthex_ros.geometry import make_pose, rotation


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))


def fork():
    """A trunk of 30 mm that forks into two branches of 20 mm; points every mm."""
    trunk = np.stack([np.zeros(31), np.zeros(31), np.arange(31)], axis=1)
    left = trunk[-1] + np.arange(1, 21)[:, None] * [0.6, 0, 0.8]
    right = trunk[-1] + np.arange(1, 21)[:, None] * [-0.6, 0, 0.8]
    points = 1e-3 * np.concatenate([trunk, left, right])
    parent = np.concatenate([np.arange(-1, 30), [30], np.arange(31, 50), [30], np.arange(51, 70)])
    kind = np.repeat([0, 1, 2], [31, 20, 20])
    names = ('aorta', 'common_carotid_artery_left', 'common_carotid_artery_right')
    places = {'descending_aorta': 0, names[1]: 50, names[2]: 70}
    return VesselTree(points, np.repeat([5e-3, 3e-3], [31, 40]), parent, kind, names, places)


def torus_lumen(ring_m=0.02, tube_m=0.004, step=0.8e-3, gap_rad=0.5):
    """Three quarters and more of a torus, on a grid."""
    z, y, x = np.meshgrid(
        np.arange(-0.008, 0.008, step), *[np.arange(-0.03, 0.03, step)] * 2, indexing='ij'
    )
    off = np.hypot(np.hypot(x, y) - ring_m, z)
    angle = np.abs(np.arctan2(y, x))
    field = np.minimum(tube_m - off, (np.pi - gap_rad / 2 - angle) * ring_m)
    distance = to_distance(field.astype(np.float32), step)
    return SampledLumen(distance, [-0.03, -0.03, -0.008], step, np.eye(3))


def test_the_centreline_of_a_torus_has_the_length_and_radius_of_its_formula():
    ring, tube, gap = 0.02, 0.004, 0.5
    tree = centreline_tree(torus_lumen(ring, tube, gap_rad=gap), np.array([-0.02, 0.005, 0]))
    assert len(tree.branches) == 1
    assert tree.length_m == pytest.approx(ring * (2 * np.pi - gap), rel=0.05)
    inner = tree.points_m[12:-12]
    assert np.abs(np.hypot(inner[:, 0], inner[:, 1]) - ring).max() < 0.3e-3
    assert np.abs(inner[:, 2]).max() < 0.3e-3
    np.testing.assert_allclose(tree.radius_m[12:-12], tube, rtol=0.03)


def test_a_path_climbs_to_the_fork_and_down_again():
    tree = fork()
    path = tree.path('common_carotid_artery_left', 'right common carotid')
    assert path.length_m == pytest.approx(0.04)
    assert path.nodes[0] == 50
    assert path.nodes[20] == 30
    assert path.nodes[-1] == 70
    np.testing.assert_allclose(np.diff(path.arc_m), 1e-3)


def test_branches_end_at_forks_and_add_up_to_the_tree():
    tree = fork()
    found = {b.name: (round(1e3 * b.length_m), b.is_tip) for b in tree.branches}
    assert found == {
        'aorta': (30, False),
        'common_carotid_artery_left': (20, True),
        'common_carotid_artery_right': (20, True),
    }
    assert sum(b.length_m for b in tree.branches) == pytest.approx(tree.length_m)


def test_places_are_understood_in_any_word_order_and_as_points():
    tree = fork()
    assert tree.node('left_common_carotid') == 50
    assert tree.node('Common carotid artery RIGHT') == 70
    assert tree.node([0.001, 0, 0.0102]) == 10


def test_moving_a_tree_keeps_lengths():
    tree = fork()
    moved = tree.moved(make_pose(rotation('y', 0.7), [0.1, 0, 0]))
    assert moved.length_m == pytest.approx(tree.length_m)
    assert moved.points_m[0] == pytest.approx([0.1, 0, 0])


@pytest.mark.parametrize(
    ('ask', 'match'),
    [
        (
            lambda t: t.node('common_carotid_left_arterie'),
            'did you mean common_carotid_artery_left',
        ),
        (lambda t: t.node('liver'), 'this tree has descending_aorta'),
        (lambda t: t.node([0.02, 0, 0.01]), 'lies 20.0 mm from the nearest centreline'),
        (lambda t: t.node([0.02, 0]), 'three finite numbers'),
        (lambda t: t.path('descending_aorta', [0, 0, 0]), 'same place'),
        (lambda t: VesselTree(t.points_m, t.radius_m, t.parent[::-1], t.structure, t.names), '-1'),
        (lambda t: VesselTree(t.points_m, t.radius_m[1:], t.parent, t.structure, ()), 'radius_m'),
    ],
)
def test_errors_say_what_is_there(ask, match):
    with pytest.raises(ValueError, match=match):
        ask(fork())


def arch_volume():
    """Two touching arteries on an aorta, in voxels of 1 x 1 x 2.5 mm, as TotalSegmentator labels.

    The aorta runs along z at x = 0, cut off by the CT below. The carotid leaves it at its top; the
    subclavian runs beside the carotid, wall to wall, and leaves the aorta lower down.
    """
    z, y, x = np.meshgrid(
        2.5e-3 * np.arange(36), 1e-3 * np.arange(-20, 21), 1e-3 * np.arange(-24, 25), indexing='ij'
    )
    labels = np.zeros(x.shape, np.uint8)

    def paint(region, name):
        labels[region & (labels == 0)] = TOTALSEGMENTATOR_IDS[name]

    paint((np.hypot(x, y) < 8e-3) & (z < 0.045), 'aorta')
    paint((np.hypot(x + 2e-3, y) < 4e-3) & (z >= 0.045), 'common_carotid_artery_left')
    slope = np.clip((z - 0.03) / 0.02, 0, 1)
    middle = 14e-3 - slope * 7.5e-3
    leaving = (np.hypot(y, z - 0.03) < 4e-3) & (x > 0) & (x < 14e-3)
    paint(leaving, 'subclavian_artery_left')
    paint((np.hypot(x - middle, y) < 4e-3) & (z >= 0.028), 'subclavian_artery_left')
    present = {n: i for n, i in TOTALSEGMENTATOR_IDS.items() if (labels == i).any()}
    hu = np.where(labels > 0, 300, 40).astype(np.int16)
    pose = make_pose(translation_m=[-0.024, -0.020, 0.1])
    return Volume(hu, (1e-3, 1e-3, 2.5e-3), pose, labels, present, 'arch')


def test_vessels_that_only_touch_stay_apart_and_joined_ones_open_into_each_other():
    volume = arch_volume()
    model = vessel_model(volume)
    tree, lumen = model.tree, model.lumen
    assert set(tree.places) == {
        'aorta', 'common_carotid_artery_left', 'subclavian_artery_left'
    }  # fmt: skip
    assert tree.places['aorta'] == 0
    assert tree.points_m[0, 2] < 0.1, 'a vessel that the CT cuts off goes on a little'
    path = tree.path('common_carotid_artery_left', 'subclavian_artery_left')
    assert path.length_m > 0.09, 'through the aorta, not through the wall between them'
    assert path.radius_m.min() > 2.5e-3
    between = np.array([[2.2e-3, 0, 0.1 + h] for h in np.linspace(0.06, 0.08, 9)])
    assert lumen.signed_distance_m(between)[0].max() < 0.4e-3
    opening = np.array([[-2e-3, 0, 0.1 + h] for h in np.linspace(0.03, 0.06, 9)])
    assert lumen.signed_distance_m(opening)[0].min() > 2.5e-3


def test_vessels_are_made_once_and_then_come_from_the_cache(monkeypatch):
    volume = arch_volume()
    first = vessel_model(volume, step_m=1.2e-3)
    monkeypatch.setattr('synthex_ros.anatomy.vessels.model.tree_field', None)
    second = vessel_model(volume, step_m=1.2e-3)
    np.testing.assert_array_equal(first.lumen.distance_m, second.lumen.distance_m)
    assert first.tree.places == second.tree.places


def test_a_volume_without_the_vessels_says_what_it_has():
    volume = arch_volume()
    with pytest.raises(ValueError, match='no inferior_vena_cava, the root'):
        vessel_model(volume, 'lower_veins')
    with pytest.raises(ValueError, match='arteries, upper_veins, lower_veins'):
        vessel_model(volume, 'aorta')
    with pytest.raises(ValueError, match='0.8 mm is 0.0008'):
        vessel_model(volume, step_m=0.8)


def test_a_procedural_tree_is_the_same_for_the_same_seed():
    first, again, other = (procedural_tree(seed, 3, step_m=1e-3) for seed in (4, 4, 5))
    np.testing.assert_array_equal(first.tree.points_m, again.tree.points_m)
    np.testing.assert_array_equal(first.lumen.distance_m, again.lumen.distance_m)
    assert first.tree.points_m.shape != other.tree.points_m.shape or not np.allclose(
        first.tree.points_m, other.tree.points_m
    )


@pytest.mark.parametrize('forks', [3, 6])
def test_procedural_trees_follow_murrays_law_and_stay_inside_their_lumen(forks):
    model = procedural_tree(11, forks, step_m=0.8e-3)
    tree = model.tree
    children = [np.flatnonzero(tree.parent == node) for node in range(len(tree.parent))]
    nodes = [node for node, own in enumerate(children) if len(own) == 2]
    assert len(nodes) == forks
    for node in nodes:
        cubes = (tree.radius_m[children[node]] ** 3).sum()
        assert cubes == pytest.approx(tree.radius_m[node] ** 3, rel=1e-6)
    room, _ = model.lumen.signed_distance_m(tree.points_m)
    assert np.all(room > tree.radius_m - 0.75e-3), 'linear between points 0.8 mm apart'
    np.testing.assert_array_less(
        tree.radius_m, 1.04 * model.lumen.inscribed_radius_m(tree.points_m)
    )
    assert model.wall.volume_m3() == pytest.approx(model.lumen.volume_m3(), rel=0.03)
    assert len(tree.places) == forks + 2


def test_equal_children_turn_by_murrays_angle():
    """Cube root of 1/2 in radius gives 37.5 degrees on both sides (Murray 1926)."""
    child = 0.5 ** (1 / 3)
    first, second = murray_angles_rad(1.0, child, child)
    assert np.degrees([first, second]) == pytest.approx([37.47, 37.47], abs=0.01)
    wide, narrow = murray_angles_rad(1.0, 0.9 ** (1 / 3), 0.1 ** (1 / 3))
    assert narrow > wide


@pytest.mark.parametrize(
    ('arguments', 'match'),
    [
        ({'seed': -1}, 'seed must be >= 0'),
        ({'seed': 0, 'forks': 12}, 'forks 1..8'),
        ({'seed': 0, 'forks': 8, 'shape': TreeShape(3e-3, 2.9e-3)}, 'no room for 8 forks'),
    ],
)
def test_a_tree_that_cannot_grow_says_why(arguments, match):
    with pytest.raises(ValueError, match=match):
        procedural_tree(**arguments)


def test_a_wall_is_written_in_millimetres(tmp_path):
    import trimesh

    wall = procedural_tree(1, 1, step_m=1e-3).wall
    for suffix in ('stl', 'ply'):
        loaded = trimesh.load(save_mesh(wall, tmp_path / f'wall.{suffix}'))
        assert loaded.is_watertight
        assert loaded.volume == pytest.approx(1e9 * wall.volume_m3(), rel=1e-3)
    with pytest.raises(ValueError, match='.stl, .ply, .obj'):
        save_mesh(wall, tmp_path / 'wall.dxf')
