"""Paths through vessels: clearance, length, waypoints, and refusals that say where and why."""

import json

import numpy as np
import pytest

from synthex_ros.anatomy.vessels import TubeLumen, VesselTree, procedural_tree
from synthex_ros.control.magnetic.planner import (
    PlannerSettings,
    UnreachableError,
    plan_along,
    plan_path,
)

BEND = TubeLumen(0.003, [0, 0, 0], [0, 0, 1], 0.03, np.pi / 2, [1, 0, 0])


def corner(radius_m=4e-3, narrow_m=None):
    """A trunk along z of 40 mm and a branch at right angles of 40 mm, points every mm."""
    up = np.stack([np.zeros(41), np.zeros(41), np.arange(41)], axis=1)
    side = up[-1] + np.arange(1, 41)[:, None] * [1, 0, 0]
    radius = np.full(81, radius_m)
    if narrow_m is not None:
        radius[60:63] = narrow_m
    kind = np.repeat([0, 1], [41, 40])
    places = {'entry': 0, 'side_branch': 80}
    points = 1e-3 * np.concatenate([up, side])
    return VesselTree(points, radius, np.arange(-1, 80), kind, ('trunk', 'side'), places)


def test_a_path_in_a_bend_keeps_to_the_axis_and_its_curvature():
    arc = np.linspace(-0.01, 0.057, 68)
    line = BEND.axis_m(arc)
    path = plan_along(line, np.full(68, 3e-3), ['tube'] * 68, PlannerSettings())
    assert path.length_m == pytest.approx(0.067, rel=0.01)
    off, _ = BEND.signed_distance_m(path.points_m)
    assert off.min() > 2.5e-3
    assert path.smallest_bend_radius_m == pytest.approx(0.03, rel=0.15)
    np.testing.assert_allclose(path.points_m[[0, -1]], line[[0, -1]], atol=1e-6)


def test_a_corner_is_rounded_inside_the_vessel():
    tree, settings = corner(), PlannerSettings()
    path = plan_path(tree, 'entry', 'side_branch', settings=settings)
    sharp = plan_path(tree, 'entry', 'side_branch', settings=PlannerSettings(smoothing_m=0))
    assert path.length_m < sharp.length_m
    assert path.smallest_bend_radius_m > 3e-3 > sharp.smallest_bend_radius_m
    assert path.room_m.min() >= settings.room_m - 1e-9
    away = np.linalg.norm(path.points_m[:, None] - tree.points_m[None], axis=2).min(axis=1)
    assert away.max() < 4e-3 - settings.room_m


def test_a_wide_margin_holds_the_path_nearer_to_the_middle():
    tree = corner()
    free = plan_path(tree, 'entry', 'side_branch', settings=PlannerSettings(smoothing_m=0.03))
    held = plan_path(
        tree, 'entry', 'side_branch', settings=PlannerSettings(0.5e-3, 2.9e-3, smoothing_m=0.03)
    )
    assert held.room_m.min() >= 3.4e-3 - 0.05e-3
    assert free.room_m.min() < held.room_m.min()


def test_arc_length_is_a_coordinate():
    path = plan_path(corner(), 'entry', 'side_branch')
    np.testing.assert_allclose(np.diff(path.arc_m), path.arc_m[1], rtol=2e-2)
    for arc in (0.0, 0.0123, 0.05, path.length_m):
        found, away = path.nearest(path.at(arc))
        assert found == pytest.approx(arc, abs=1e-6)
        assert away < 1e-9
    np.testing.assert_allclose(path.tangent(0.01), [0, 0, 1], atol=0.02)
    np.testing.assert_allclose(path.tangent(path.length_m - 0.01), [1, 0, 0], atol=0.02)
    np.testing.assert_allclose(path.at(1.0), path.points_m[-1])


def test_places_one_by_one_are_those_of_an_array():
    path = plan_path(corner(), 'entry', 'side_branch')
    arcs = np.linspace(-0.01, path.length_m + 0.01, 77)
    for of in (path.at, path.tangent):
        assert np.stack([of(float(arc)) for arc in arcs]) == pytest.approx(of(arcs), abs=1e-12)


def test_waypoints_come_in_order_mark_changes_and_end_at_the_target():
    path = plan_path(
        corner(), 'entry', 'side_branch', settings=PlannerSettings(waypoint_spacing_m=15e-3)
    )
    arcs = [waypoint.arc_m for waypoint in path.waypoints]
    assert np.all(np.diff([0, *arcs]) > 0)
    assert np.diff([0, *arcs]).max() <= 15e-3 + 1.1e-3
    names = [waypoint.name for waypoint in path.waypoints]
    assert names.count('into side') == 1
    assert names[-1] == 'target in side'
    np.testing.assert_allclose(path.waypoints[-1].position_m, [0.04, 0, 0.04], atol=1e-6)


def test_a_point_off_the_centreline_is_the_last_point():
    path = plan_path(corner(), 'entry', [0.03, 0.0015, 0.04])
    np.testing.assert_allclose(path.points_m[-1], [0.03, 0.0015, 0.04], atol=1e-6)


def test_paths_in_procedural_trees_keep_their_room():
    model = procedural_tree(3, 4, step_m=0.8e-3)
    settings = PlannerSettings(0.3e-3, 0.2e-3)
    for target in model.tree.places:
        if target == 'entry':
            continue
        path = plan_path(model.tree, 'entry', target, lumen=model.lumen, settings=settings)
        room, _ = model.lumen.signed_distance_m(path.points_m)
        assert room.min() >= settings.room_m - 0.1e-3
        along = model.tree.path('entry', target).length_m
        assert 0.9 * along < path.length_m <= 1.01 * along


def test_a_vessel_too_narrow_is_named_with_the_place():
    with pytest.raises(UnreachableError, match=r'side leaves 0.6. mm .* 6. mm from the entry'):
        plan_path(corner(narrow_m=0.6e-3), 'entry', 'side_branch')
    thin = PlannerSettings(0.2e-3, 0.2e-3)
    assert plan_path(corner(narrow_m=0.6e-3), 'entry', 'side_branch', settings=thin).length_m > 0


def test_a_target_at_the_wall_is_refused():
    with pytest.raises(UnreachableError, match='0.50 mm from the wall'):
        plan_path(corner(), 'entry', [0.03, 0.0035, 0.04])


def test_unknown_places_and_sizes_in_millimetres_are_refused():
    with pytest.raises(ValueError, match='side_branch'):
        plan_path(corner(), 'entry', 'side_branche')
    with pytest.raises(ValueError, match='nearest centreline'):
        plan_path(corner(), 'entry', [0.2, 0, 0])
    with pytest.raises(ValueError, match='looks like millimetres, pass 0.0005'):
        PlannerSettings(0.5)


def test_a_path_goes_through_json():
    path = plan_path(corner(), 'entry', 'side_branch')
    stored = json.loads(json.dumps(path.to_dict()))
    np.testing.assert_allclose(stored['points_m'], path.points_m, atol=1e-6)
    assert stored['waypoints'][-1]['name'] == 'target in side'
    assert len(stored['structures']) == len(stored['points_m'])
