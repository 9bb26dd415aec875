"""Depth of a wire from the vessels: on a route, where routes cross, and never surer than that."""

import numpy as np
import pytest

from synthex_ros.geometry import CArm, make_pose, rotation
from synthex_ros.tracking.covariance import depth_sigma_m
from synthex_ros.tracking.route_depth import RouteDepth
from synthex_ros.tracking.vessel_routes import routes_from
from synthex_ros.tracking.wire_depth import PlacedWire, PlaneDepth

VIEW = CArm(binning=2).view()
FORWARD = VIEW.world_from_source[:3, 2]
SIDE, UP = VIEW.world_from_source[:3, 0], VIEW.world_from_source[:3, 1]
FORK_M, RADIUS_M = 0.10, 4e-3


def place(side_m, up_m, forward_m):
    return (
        np.multiply.outer(side_m, SIDE)
        + np.multiply.outer(up_m, UP)
        + np.multiply.outer(forward_m, FORWARD)
    )


def crossing_tree(apart_m=0.04):
    """A trunk that forks; both branches look the same for 60 mm, but one lies behind the other."""
    trunk = np.linspace(place(-0.12, 0, 0), place(-0.12 + FORK_M, 0, 0), 51)
    along = np.linspace(0, 0.09, 46)[1:]
    depth = apart_m / 2 * (1 - np.cos(np.minimum(along / 0.03, 1) * np.pi)) / 2
    start = trunk[-1]
    near = start + place(along, 0 * along, -depth)
    far = start + place(along, 0 * along, depth)
    points = np.vstack([trunk, near, far])
    parent = np.r_[np.arange(-1, 50), 50, np.arange(51, 95), 50, np.arange(96, 140)][: len(points)]
    return points, np.full(len(points), RADIUS_M), parent


def entry():
    turn = np.stack([UP, np.cross(SIDE, UP), SIDE], axis=1)
    return make_pose(turn, place(-0.12, 0, 0))


def line_of(route, tip_m, length_m=0.07, aside_m=0.0):
    """Return a wire in a route up to `tip_m` along it, in space and in the image."""
    inside = (route.arc_m <= tip_m) & (route.arc_m >= tip_m - length_m)
    wire = route.points_m[inside] + aside_m * UP
    return wire, VIEW.project(wire)


def deep(points):
    return VIEW.to_source(points)[..., 2]


def single():
    points = np.linspace(place(-0.12, 0, 0), place(0.05, 0.02, 0.03), 90)
    return routes_from(entry(), points, np.full(90, RADIUS_M), np.arange(-1, 89))


def test_a_wire_in_the_middle_of_its_vessel_is_placed_where_it_is():
    routes = single()
    wire, pixels = line_of(routes[0], 0.12)
    found = RouteDepth(routes).place(VIEW, pixels, 0.12, 1.0)
    assert np.linalg.norm(found.line_world_m - wire, axis=1).max() < 0.5e-3
    np.testing.assert_allclose(VIEW.project(found.line_world_m), pixels, atol=1e-6)


def test_a_wire_at_the_wall_is_missed_by_no_more_than_the_radius_and_the_covariance_says_so():
    routes = single()
    for deeper in (-0.9, 0.9):
        wire, _ = line_of(routes[0], 0.12)
        wire = wire + deeper * RADIUS_M * FORWARD
        found = RouteDepth(routes).place(VIEW, VIEW.project(wire), 0.12, 1.0)
        error = found.line_world_m[-1] - wire[-1]
        assert abs(deep(found.line_world_m[-1]) - deep(wire[-1])) < 1.2 * RADIUS_M
        assert error @ np.linalg.solve(found.covariance_m2, error) < 9
        ray = VIEW.rays_world(VIEW.project(wire[-1]))
        assert depth_sigma_m(found.covariance_m2, ray) >= 0.95 * RADIUS_M / np.sqrt(2)
        shared = found.covariance_m2 - found.shared_m2
        assert np.linalg.eigvalsh(shared).min() > 0


def test_across_the_ray_a_wire_is_as_sure_as_its_pixel():
    routes = single()
    _, pixels = line_of(routes[0], 0.12)
    found = RouteDepth(routes).place(VIEW, pixels, 0.12, 1.0)
    px_m = VIEW.geometry.pixel_pitch_m[0] / VIEW.geometry.magnification(
        deep(found.line_world_m[-1])
    )
    up = np.sqrt(UP @ found.covariance_m2 @ UP)
    assert up == pytest.approx(px_m, rel=0.1)


def test_where_branches_look_the_same_the_covariance_holds_both():
    routes = routes_from(entry(), *crossing_tree())
    assert len(routes) == 2
    wires = [line_of(route, 0.15) for route in routes]
    found = RouteDepth(routes).place(VIEW, wires[0][1], 0.15, 1.0)
    ray = VIEW.rays_world(wires[0][1][-1])
    assert depth_sigma_m(found.covariance_m2, ray) > 0.012  # of 40 mm between the two
    for wire, _ in wires:
        error = found.line_world_m[-1] - wire[-1]
        assert abs(error @ ray) < 3 * depth_sigma_m(found.covariance_m2, ray)


def test_a_track_stays_in_its_branch_where_another_crosses_it_in_the_image():
    """Seen from the side at first, branches are told apart; later they look the same."""
    side_on = CArm(binning=2).view(np.radians(60))
    routes = routes_from(entry(), *crossing_tree())
    for own in (0, 1):
        depth = RouteDepth(routes)
        wire, _ = line_of(routes[own], 0.15)
        depth.place(side_on, side_on.project(wire), 0.15, 1.0)
        first = depth.place(side_on, side_on.project(wire), 0.15, 1.0)
        assert np.linalg.norm(first.line_world_m[-1] - wire[-1]) < 2e-3


def test_the_inserted_length_tells_which_pass_of_a_bent_vessel_the_tip_is_in():
    """A hairpin along the rays: way in and way out lie behind one another in the image."""
    out = np.linspace(place(-0.12, 0, 0), place(0.0, 0, 0), 60)
    turn = np.linspace(0, np.pi, 30)[1:]
    bend = place(0.02 * np.sin(turn), 0 * turn, 0.02 * (1 - np.cos(turn)))
    back = np.linspace(bend[-1], place(-0.10, 0, 0.04), 50)[1:]
    points = np.vstack([out, bend, back])
    routes = routes_from(
        entry(), points, np.full(len(points), RADIUS_M), np.arange(-1, len(points) - 1)
    )
    (route,) = routes
    for tip_m in (0.08, 0.22):
        wire, pixels = line_of(route, tip_m, 0.03)
        found = RouteDepth(routes).place(VIEW, pixels, tip_m + 0.005, 1.0)
        assert deep(found.line_world_m[-1]) == pytest.approx(deep(wire[-1]), abs=2e-3)


def test_a_tip_outside_all_vessels_and_a_length_that_cannot_be_are_said():
    routes = single()
    _, pixels = line_of(routes[0], 0.12)
    depth = RouteDepth(routes)
    assert depth.place(VIEW, pixels + [0, 60], 0.12, 1.0) == 'off_vessels'
    assert depth.place(VIEW, pixels, 0.40, 1.0) == 'no_route'
    assert isinstance(depth.place(VIEW, pixels, 0.12, 1.0), PlacedWire)


def test_without_vessels_a_wire_lies_in_the_plane_of_its_entry():
    pose = entry()
    found = PlaneDepth(pose, 4e-3).place(
        VIEW, np.array([[300.0, 350.0], [310.0, 352.0]]), 0.1, 1.0
    )
    assert deep(found.line_world_m) == pytest.approx(np.full(2, deep(pose[:3, 3])))
    ray = VIEW.rays_world(np.array([310.0, 352.0]))
    assert depth_sigma_m(found.covariance_m2, ray) == pytest.approx(4e-3, rel=0.05)


def test_an_entry_behind_the_source_is_refused():
    behind = make_pose(rotation('x', 0.0), VIEW.source_world_m - 0.1 * FORWARD)
    with pytest.raises(ValueError, match='device_base_pose'):
        PlaneDepth(behind, 1e-3).place(VIEW, np.array([[1.0, 2.0], [3.0, 4.0]]), 0.1, 1.0)
