"""A wire's end that is seen shorter than it is looks out of the plane by what is missing."""

import numpy as np
import pytest

from synthex_ros.geometry import CArm
from synthex_ros.tracking.known_length import KnownEnd

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


def as_route_has_it(line, rise_m):
    """Return the line as a route puts it on its rays: nearly flat, a little to the right side."""
    share = np.clip(np.linspace(-1, 1, len(line)), 0, 1)
    pixels = VIEW.project(line)
    return VIEW.point_on_ray(pixels, 0.7 + rise_m * share)


def angle_deg(line, true):
    a, b = line[-1] - line[-10], true[-1] - true[-10]
    return np.degrees(np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b)))


@pytest.mark.parametrize('slope_deg', [-60, -40, -25, 25, 40, 60])
def test_the_end_gets_the_slope_that_its_length_tells(slope_deg):
    true, marker = wire(np.radians(slope_deg))
    given = as_route_has_it(true, np.sign(slope_deg) * 2e-3)
    assert angle_deg(given, true) > 15
    tilted = KnownEnd(LENGTH_M).tilted(VIEW, given, VIEW.project(marker))
    assert angle_deg(tilted, true) < 5
    assert np.allclose(VIEW.project(tilted), VIEW.project(true), atol=1e-6)
    steps = np.linalg.norm(np.diff(tilted, axis=0), axis=1)
    assert steps[40:].sum() == pytest.approx(LENGTH_M, rel=0.03)


def test_the_body_keeps_the_depth_of_its_vessel():
    true, marker = wire(np.radians(50))
    given = as_route_has_it(true, 2e-3)
    tilted = KnownEnd(LENGTH_M).tilted(VIEW, given, VIEW.project(marker))
    far = np.linalg.norm(given - marker, axis=1) > 0.022
    far[41:] = False
    assert np.allclose(tilted[far], given[far], atol=1e-5)


def test_an_end_that_is_seen_in_full_length_lies_flat():
    true, marker = wire(0.0)
    given = as_route_has_it(true, 5e-3)
    tilted = KnownEnd(0.9 * LENGTH_M).tilted(VIEW, given, VIEW.project(marker))
    depth = VIEW.to_source(tilted)[40:, 2]
    assert np.ptp(depth) < 1e-6


def test_the_frame_before_says_on_which_side_where_the_route_hardly_does():
    true, marker = wire(np.radians(45))
    end = KnownEnd(LENGTH_M)
    end.tilted(VIEW, as_route_has_it(true, 3e-3), VIEW.project(marker))
    other = as_route_has_it(true, -1e-3)
    assert angle_deg(end.tilted(VIEW, other, VIEW.project(marker)), true) < 5
    end.reset()
    assert angle_deg(end.tilted(VIEW, other, VIEW.project(marker)), true) > 60


def test_a_marker_beside_the_line_changes_nothing():
    true, marker = wire(np.radians(45))
    given = as_route_has_it(true, 2e-3)
    same = KnownEnd(LENGTH_M).tilted(VIEW, given, VIEW.project(marker) + [0, 20])
    assert np.array_equal(same, given)


@pytest.mark.parametrize('length', [0.0, np.nan, 2.0])
def test_a_length_that_no_wire_has_is_refused(length):
    with pytest.raises(ValueError, match='length_m must be'):
        KnownEnd(length)
