"""Routes of a wire through a tree: they begin at the entry and end at every end ahead."""

import numpy as np
import pytest

from synthex_ros.geometry import make_pose, rotation
from synthex_ros.tracking.vessel_routes import STEP_M, routes_from

TRUNK = np.linspace([0, 0, 0], [0, 0, 0.1], 51)
LEFT = TRUNK[-1] + np.linspace(0, 0.05, 26)[1:, None] * np.array([-0.6, 0, 0.8])
RIGHT = TRUNK[-1] + np.linspace(0, 0.04, 21)[1:, None] * np.array([0.6, 0, 0.8])
POINTS = np.vstack([TRUNK, LEFT, RIGHT])
RADIUS = np.r_[np.full(51, 8e-3), np.full(25, 3e-3), np.full(20, 2e-3)]
PARENT = np.r_[np.arange(-1, 50), 50, np.arange(51, 75), 50, np.arange(76, 95)]


def routes(entry):
    return routes_from(entry, POINTS, RADIUS, PARENT)


def test_every_end_ahead_has_a_route_in_even_steps_from_the_entry():
    entry = make_pose(None, (0.002, 0.0, -0.01))
    found = sorted(routes(entry), key=lambda route: route.points_m[-1, 0])
    assert [route.arc_m[-1] for route in found] == pytest.approx([0.16, 0.15], abs=2e-3)
    for route in found:
        assert route.points_m[0] == pytest.approx(entry[:3, 3])
        steps = np.linalg.norm(np.diff(route.points_m, axis=0), axis=1)
        assert steps == pytest.approx(np.full(len(steps), STEP_M), rel=0.1)
    assert [route.radius_m[-1] for route in found] == pytest.approx([3e-3, 2e-3])


def test_a_route_goes_the_way_the_entry_looks():
    back = make_pose(rotation('x', np.pi), (0.0, 0.0, 0.05))
    (down,) = routes(back)
    assert down.points_m[-1] == pytest.approx([0, 0, 0], abs=2 * STEP_M)
    from_left_end = make_pose(rotation('y', np.pi + np.arctan2(-0.6, 0.8)), LEFT[-1])
    ends = {tuple(np.round(route.points_m[-1], 2)) for route in routes(from_left_end)}
    assert ends == {(0.0, 0.0, 0.0), (0.02, 0.0, 0.13)}


def test_an_entry_outside_the_vessels_or_looking_out_of_them_is_refused():
    with pytest.raises(ValueError, match='check device_base_pose and where the vessels'):
        routes(make_pose(None, (0.08, 0.0, 0.0)))
    with pytest.raises(ValueError, match='turn device_base_pose'):
        routes(make_pose(rotation('x', np.pi), (0.0, 0.0, 0.0)))
    with pytest.raises(ValueError, match='radii'):
        routes_from(np.eye(4), POINTS, RADIUS[1:], PARENT)
