"""A wire through the frames: found, followed, lost and found again, and never a guess."""

import numpy as np
import pytest

from synthex_ros.evaluation.drawn_wire import DrawnWire
from synthex_ros.geometry import CArm, make_pose
from synthex_ros.tracking.region import RegionChooser, RegionSettings
from synthex_ros.tracking.route_depth import RouteDepth
from synthex_ros.tracking.vessel_routes import routes_from
from synthex_ros.tracking.wire_depth import PlaneDepth
from synthex_ros.tracking.wire_tracker import WireFrame, WireSettings, WireTracker

VIEW = CArm(binning=2).view()
SIDE, UP, FORWARD = (VIEW.world_from_source[:3, axis] for axis in range(3))
SHAPE = VIEW.geometry.shape_px
PERIOD_S, SPEED_M_S, RADIUS_M = 0.1, 0.012, 5e-3
MARKER_M = 0.02325
COUNTS = np.random.default_rng(0).normal(20000, 300, SHAPE).astype(np.uint16)

SHARE = np.linspace(0, 1, 200)[:, None]
VESSEL = (-0.10 + 0.20 * SHARE) * SIDE + 0.03 * np.sin(3 * SHARE) * UP + 0.02 * SHARE**2 * FORWARD
START = make_pose(
    np.stack([UP, np.cross(SIDE, UP), SIDE], axis=1) @ np.eye(3), VESSEL[0] - 1e-4 * SIDE
)
ROUTES = routes_from(START, VESSEL, np.full(200, RADIUS_M), np.arange(-1, 199))


def wire(inserted_m, aside_m=0.002):
    """Return a wire in the vessel from its entry, 2 mm off the middle, and marker and tip."""
    (route,) = ROUTES
    arc = np.append(np.arange(0, inserted_m, 1e-3), inserted_m)

    def at(places):
        line = np.stack([np.interp(places, route.arc_m, c) for c in route.points_m.T], axis=-1)
        return line + aside_m * UP

    return at(arc), at(np.array([inserted_m - MARKER_M, inserted_m]))


class Run:
    """A tracker, a stand-in for its network, and a wire that is fed."""

    def __init__(self, depth=None, regions=None, **drawn):
        self.network = DrawnWire(VIEW.geometry, **drawn)
        depth = depth or RouteDepth(ROUTES)
        self.tracker = WireTracker(self.network, depth, START[:3, 3], regions=regions)
        self.time_s, self.inserted_m = 0.0, 0.10

    def frame(self, counts=COUNTS, aside_m=0.002, **changes):
        self.time_s += PERIOD_S
        self.inserted_m += SPEED_M_S * PERIOD_S
        self.line, self.points = wire(self.inserted_m, aside_m)
        self.network.show(VIEW, self.line, self.points)
        values = {'inserted_m': self.inserted_m, 'time_s': self.time_s, **changes}
        return self.tracker.track(WireFrame(counts, VIEW, **values))


def across(error):
    return np.linalg.norm(error - (error @ FORWARD) * FORWARD)


def test_a_wire_that_is_fed_is_followed_in_space():
    run = Run(jitter_px=0.5, gaps_px=[(30, 40), (120, 134)], noise=0.05)
    for count in range(15):
        result = run.frame()
        assert not result.reason
        assert not result.lost
        error = result.world_from_tip[:3, 3] - run.line[-1]
        assert across(error) < 1.2e-3
        assert abs(error @ FORWARD) < RADIUS_M
        if count > 2:
            assert error @ np.linalg.solve(result.covariance_m2, error) < 16
        line = result.centerline_world_m
        length = np.linalg.norm(np.diff(line, axis=0), axis=1).sum()
        assert length == pytest.approx(0.085, rel=0.1)
        ahead = run.line[-1] - run.line[-8]
        assert result.world_from_tip[:3, 2] @ ahead / np.linalg.norm(ahead) > 0.97
        assert [one.name for one in result.landmarks] == ['marker', 'tip']
        assert all(one.score > 0.5 for one in result.landmarks)
        assert (
            np.hypot(
                *(VIEW.project(run.points[1]) - [result.landmarks[1].u, result.landmarks[1].v])
            )
            < 2.5
        )
        assert result.labels.dtype == np.uint8
        assert 0 < np.count_nonzero(result.labels) < 5000


def test_a_wire_not_seen_is_lost_after_three_frames_and_found_after_two():
    run = Run()
    assert not [run.frame().reason for _ in range(4)][-1]
    run.network.hidden = True
    hidden = [run.frame() for _ in range(4)]
    assert [one.lost for one in hidden] == [False, False, True, True]
    assert {one.reason for one in hidden} == {'tip_score'}
    assert all(one.centerline_world_m is None for one in hidden)
    assert all(mark.score == 0 for one in hidden for mark in one.landmarks)
    assert hidden[-1].world_from_tip is None
    assert np.all(np.isnan(hidden[-1].covariance_m2))
    run.network.hidden = False
    found = [run.frame() for _ in range(3)]
    assert [one.lost for one in found] == [True, False, False]
    assert found[0].landmarks[1].score == 0
    assert found[-1].centerline_world_m is not None


@pytest.mark.parametrize(
    ('counts', 'reason'),
    [
        (np.full(SHAPE, 3000, np.uint16), 'constant image'),
        (np.where(np.arange(SHAPE[1]) < 700, 65535, 20000)[None] * np.ones(SHAPE), 'saturated'),
    ],
)
def test_a_picture_of_nothing_is_no_measurement(counts, reason):
    run = Run()
    run.frame()
    result = run.frame(np.asarray(counts, np.uint16))
    assert result.reason.startswith(reason)
    assert result.centerline_world_m is None


def test_a_tip_beside_the_wire_is_not_believed():
    run = Run()
    run.frame()
    line, points = wire(run.inserted_m)
    run.network.draw(VIEW.project(line), VIEW.project(points) + [0, 60])
    frame = WireFrame(COUNTS, VIEW, run.inserted_m, run.time_s + PERIOD_S)
    assert run.tracker.track(frame).reason == 'tip_off_mask'


def test_a_jump_is_refused_until_it_stays():
    run = Run(depth=PlaneDepth(START, 4e-3))
    for _ in range(4):
        run.frame()
    jumped = [run.frame(aside_m=0.06) for _ in range(6)]
    assert [one.reason for one in jumped[:3]] == ['gate'] * 3
    assert jumped[2].lost
    assert not jumped[-1].lost
    error = jumped[-1].world_from_tip[:3, 3] - run.line[-1]
    assert across(error) < 2e-3


def test_a_length_or_a_place_that_no_vessel_explains_is_said():
    run = Run()
    assert run.frame(inserted_m=0.4).reason == 'no_route'
    assert run.frame(aside_m=0.03).reason == 'off_vessels'
    with pytest.raises(ValueError, match='inserted_m must be finite'):
        run.frame(inserted_m=np.nan)


def test_without_vessels_the_tip_is_in_the_plane_of_the_entry():
    run = Run(depth=PlaneDepth(START, 4e-3))
    result = [run.frame() for _ in range(3)][-1]
    assert not result.reason
    depth = VIEW.to_source(result.world_from_tip[:3, 3])[2]
    assert depth == pytest.approx(VIEW.to_source(START[:3, 3])[2], abs=1e-3)
    assert np.sqrt(FORWARD @ result.covariance_m2 @ FORWARD) >= 3.5e-3


def test_once_locked_only_the_surroundings_of_the_wire_are_looked_at():
    run = Run(regions=RegionChooser(RegionSettings(full_every=5)))
    whole = Run()
    for _ in range(12):
        small, large = run.frame(), whole.frame()
        np.testing.assert_allclose(small.world_from_tip, large.world_from_tip, atol=1e-6)
    looked = run.network.looked
    assert [region is None for region in looked] == [True] + ([False] * 4 + [True]) * 2 + [False]
    areas = [region.rows * region.columns for region in looked if region is not None]
    assert max(areas) < 0.4 * np.prod(SHAPE)
    run.network.hidden = True
    asked = len(looked)
    run.frame()
    assert looked[asked] is not None
    assert looked[asked + 1] is None  # not seen there: the whole frame, at once


def test_a_marker_outside_the_image_is_not_needed():
    run = Run(regions=RegionChooser())
    run.inserted_m = 0.05
    result = [run.frame(aside_m=0.0) for _ in range(3)][-1]
    assert not result.reason
    run.network.draw(
        VIEW.project(run.line), np.array([[-300.0, -300.0], VIEW.project(run.line[-1])])
    )
    frame = WireFrame(COUNTS, VIEW, run.inserted_m, run.time_s + PERIOD_S)
    seen = run.tracker.track(frame)
    assert not seen.reason
    assert [one.score > 0.5 for one in seen.landmarks] == [False, True]
    assert seen.region is not None


def test_time_set_back_is_not_believed_until_the_track_starts_anew():
    run = Run()
    for _ in range(15):
        run.frame()
    late = run.frame(time_s=0.1)
    assert (late.lost, late.reason) == (True, 'older_than_history')
    run.tracker.reset()
    assert not run.frame(time_s=0.2).reason


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match=r'line_m must be 0.005..0.5, got 85'):
        WireSettings(line_m=85)
