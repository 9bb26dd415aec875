"""A wire's end that is seen shorter than it is looks out of the plane by what is missing."""

import numpy as np
import pytest

from synthex_ros.geometry import CArm
from synthex_ros.tracking.known_length import KnownEnd
from synthex_ros.tracking.wire_depth import PlacedWire

VIEW = CArm(source_to_isocenter_m=0.7).view()
LENGTH_M = 0.0233


def wire(slope_rad, body_m=0.04):
    """Return a body along the detector's columns and an end that rises, (N, 3) in `world` [m]."""
    turn, source = VIEW.world_from_source[:3, :3], VIEW.source_world_m
    middle = source + 0.7 * turn[:, 2]
    body = np.linspace(-body_m, 0, 41)[:, None] * turn[:, 0]
    way = np.cos(slope_rad) * turn[:, 0] + np.sin(slope_rad) * turn[:, 2]
    end = np.linspace(0, LENGTH_M, 25)[1:, None] * way
    return middle + np.vstack([body, end]), middle


def as_route_has_it(line, rise_m, room_m=4e-3):
    """Return the wire as a route puts it on its rays: nearly flat, a little to the right side."""
    share = np.clip(np.linspace(-1, 1, len(line)), 0, 1)
    pixels = VIEW.project(line)
    placed = VIEW.point_on_ray(pixels, 0.7 + rise_m * share)
    return PlacedWire(placed, np.eye(3), np.zeros((3, 3)), np.full(len(line), room_m))


def angle_deg(line, true):
    a, b = line[-1] - line[-10], true[-1] - true[-10]
    return np.degrees(np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b)))


def tilted(end, given, marker):
    return end.tilted(VIEW, given, VIEW.project(marker))


@pytest.mark.parametrize('slope_deg', [-60, -40, -25, 25, 40, 60])
def test_in_a_narrow_vessel_the_end_gets_the_slope_that_its_length_tells(slope_deg):
    true, marker = wire(np.radians(slope_deg))
    rise_m = 0.7 * LENGTH_M * np.sin(np.radians(slope_deg))
    given = as_route_has_it(true, rise_m, room_m=2e-3)
    line = tilted(KnownEnd(LENGTH_M), given, marker)
    assert angle_deg(line, true) < min(5, angle_deg(given.line_world_m, true))
    assert np.allclose(VIEW.project(line), VIEW.project(true), atol=1e-6)
    steps = np.linalg.norm(np.diff(line, axis=0), axis=1)
    assert steps[40:].sum() == pytest.approx(LENGTH_M, rel=0.03)


def test_the_body_keeps_the_depth_of_its_vessel():
    true, marker = wire(np.radians(50))
    given = as_route_has_it(true, 8e-3)
    line = tilted(KnownEnd(LENGTH_M), given, marker)
    far = np.linalg.norm(given.line_world_m - marker, axis=1) > 0.022
    far[41:] = False
    assert np.allclose(line[far], given.line_world_m[far], atol=1e-5)


def test_an_end_that_is_seen_in_full_length_lies_flatter_than_its_route():
    true, marker = wire(0.0)
    given = as_route_has_it(true, 8e-3)
    line = tilted(KnownEnd(0.95 * LENGTH_M), given, marker)
    assert np.ptp(VIEW.to_source(line)[40:, 2]) < 4e-3


@pytest.mark.parametrize('sign', [-1, 1])
def test_a_side_that_neither_route_nor_frame_before_tells_is_not_claimed(sign):
    true, marker = wire(np.radians(sign * 40))
    line = tilted(KnownEnd(LENGTH_M), as_route_has_it(true, 0.0), marker)
    assert abs(np.diff(VIEW.to_source(line)[[40, -1], 2])[0]) < 1e-3


def test_the_frame_before_says_on_which_side_where_the_route_hardly_does():
    true, marker = wire(np.radians(45))
    end, wide_m = KnownEnd(LENGTH_M), 0.01
    tilted(end, as_route_has_it(true, 15e-3, wide_m), marker)
    other = as_route_has_it(true, -1e-3, wide_m)
    assert angle_deg(tilted(end, other, marker), true) < 15
    end.reset()
    assert angle_deg(tilted(end, other, marker), true) > 40


def test_a_side_that_was_wrong_is_left_when_the_route_tells_it():
    true, marker = wire(np.radians(35))
    end = KnownEnd(LENGTH_M)
    tilted(end, as_route_has_it(true, -15e-3, 0.01), marker)
    right = as_route_has_it(true, 6e-3, 3e-3)
    for _ in range(5):
        line = tilted(end, right, marker)
    assert angle_deg(line, true) < 10


def test_a_marker_beside_the_line_changes_nothing():
    true, marker = wire(np.radians(45))
    given = as_route_has_it(true, 2e-3)
    same = KnownEnd(LENGTH_M).tilted(VIEW, given, VIEW.project(marker) + [0, 20])
    assert np.array_equal(same, given.line_world_m)


@pytest.mark.parametrize('length', [0.0, np.nan, 2.0])
def test_a_length_that_no_wire_has_is_refused(length):
    with pytest.raises(ValueError, match='length_m must be'):
        KnownEnd(length)
