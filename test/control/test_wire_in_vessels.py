"""A wire at the mouth of a branch: found, entered, missed, folded; the bend that meets an aim."""

import math

import numpy as np
import pytest

from synthex_ros.control.magnetic.feed_settings import FeedSettings
from synthex_ros.control.magnetic.feeder import Feeder
from synthex_ros.control.magnetic.guidewire import GuidewireLaw
from synthex_ros.control.magnetic.law import Seen
from synthex_ros.control.magnetic.line_of_sight import LineOfSight
from synthex_ros.control.magnetic.lumen_path import LumenPath
from synthex_ros.control.magnetic.lumen_steering import FieldRange, LumenSteering
from synthex_ros.control.magnetic.mouths import find_mouths
from synthex_ros.control.magnetic.planner import PlannerSettings, plan_along
from synthex_ros.control.magnetic.unseen_depth import taken_aside, worst_deviation
from synthex_ros.control.magnetic.wire_model import WireModel, bend_to_meet
from synthex_ros.control.magnetic.wire_sight import WireSight, line_end, points_behind
from synthex_ros.control.reference import Reference, TargetGoal
from synthex_ros.devices.magnetic.guidewire_parameters import GuidewireParameters
from synthex_ros.devices.magnetic.numbers import wire_numbers

WIRE = WireModel(**wire_numbers())
FIELDS = FieldRange(0.018, 0.028, math.radians(65), math.radians(80))
MOUTH_M, WIDE_M, NARROW_M = 0.10, 0.010, 0.003


def branching_path(narrow_m=NARROW_M, turn_deg=70.0):
    """Plan 100 mm along z and 40 mm into a branch that leaves towards +x."""
    turn = math.radians(turn_deg)
    trunk = np.linspace([0, 0, 0], [0, 0, MOUTH_M], 101)
    branch = trunk[-1] + np.linspace(0, 0.04, 41)[1:, None] * [math.sin(turn), 0, math.cos(turn)]
    radius = np.r_[np.full(101, WIDE_M), np.full(40, narrow_m)]
    names = ['trunk'] * 101 + ['branch'] * 40
    settings = PlannerSettings(smoothing_m=2e-3)
    return plan_along(np.vstack([trunk, branch]), radius, names, settings)


def line_of(points):
    return np.array(points, float)


def hook(turn_deg, body_m=0.05, tip_m=0.012):
    """Draw a straight body along z that ends in an arc by an angle, from the back to the tip."""
    turn = math.radians(turn_deg)
    share = np.linspace(0, 1, 25)[1:]
    radius = tip_m / max(turn, 1e-6)
    arc = np.stack(
        [radius * (1 - np.cos(share * turn)), 0 * share, radius * np.sin(share * turn)], axis=1
    )
    body = np.linspace([0, 0, -body_m], [0, 0, 0], 40)
    end = arc[-1] + np.linspace(0, 0.010, 6)[1:, None] * [math.sin(turn), 0, math.cos(turn)]
    return np.vstack([body, arc, end])


def test_a_mouth_is_where_a_narrower_vessel_turns_off():
    (mouth,) = find_mouths(branching_path())
    assert mouth.arc_m == pytest.approx(MOUTH_M, abs=3e-3)
    assert mouth.room_m == pytest.approx(NARROW_M, rel=0.05)
    assert mouth.vessel == pytest.approx([0, 0, 1], abs=0.05)
    assert find_mouths(branching_path(narrow_m=0.009)) == ()
    assert find_mouths(branching_path(turn_deg=5)) == ()


def test_a_tip_that_goes_past_a_mouth_gets_no_further_on_the_path():
    path = LumenPath(branching_path())
    for z in np.arange(0.0, 0.13, 1e-3):
        path.locate(np.array([0.0, 0.0, z]))
    assert path.missed
    assert path.arc_m == pytest.approx(MOUTH_M, abs=3e-3)
    assert Feeder(FeedSettings()).speed_m_s(path, 0.13, 0.0, 0.0) < 0


def test_a_missed_tip_is_drawn_back_until_it_is_before_the_mouth_again():
    path, feeder = LumenPath(branching_path()), Feeder(FeedSettings())
    for z in np.arange(0.0, 0.13, 1e-3):
        path.locate(np.array([0.0, 0.0, z]))
    z = 0.13
    while feeder.speed_m_s(path, z, 0.0, 0.0) < 0:
        z -= 1e-3
        path.locate(np.array([0.0, 0.0, z]))
    assert z < MOUTH_M - 8e-3
    assert not path.missed
    assert feeder.attempts == 1


def test_a_tip_in_the_branch_gets_on():
    path = LumenPath(branching_path())
    for arc in np.arange(0.0, 0.13, 1e-3):
        path.locate(path.path.at(arc))
        assert not path.missed
    assert path.arc_m == pytest.approx(0.129, abs=2e-3)
    assert not path.at_mouth


def test_a_tip_in_another_vessel_is_drawn_back_until_it_is_on_its_way_again():
    path, feeder = LumenPath(branching_path(narrow_m=0.009)), Feeder(FeedSettings())
    for z in np.arange(0.0, 0.14, 1e-3):
        path.locate(np.array([0.0, 0.0, z]))
    assert path.missed
    strayed_m = path.arc_m
    assert feeder.speed_m_s(path, 0.14, 0.0, 0.0) < 0
    while path.missed:
        z -= 1e-3
        path.locate(np.array([0.0, 0.0, z]))
    assert path.arc_m < strayed_m - 7e-3


def test_a_tip_that_strays_before_a_mouth_is_drawn_back():
    """Within 50 mm of the next mouth, too: a fork on the way there is none."""
    path, feeder = LumenPath(branching_path(narrow_m=0.006)), Feeder(FeedSettings())
    for z in np.arange(0.0, 0.06, 1e-3):
        path.locate(np.array([0.0, 0.0, z]))
    assert path.mouth is not None
    assert not path.missed
    for aside in np.arange(0.0, 0.02, 1e-3):
        path.locate(np.array([aside, 0.0, 0.06]))
    assert path.missed
    assert feeder.speed_m_s(path, 0.06, 0.0, 0.0) < 0
    for z in np.arange(0.06, 0.04, -1e-3):
        path.locate(np.array([0.0, 0.0, z]))
    assert not path.missed


def test_in_a_narrow_vessel_the_tip_that_is_seen_is_turned():
    radii = {'wide': 6e-3, 'narrow': 3.5e-3}
    line = np.linspace([0, 0, 0], [0, 0, 0.1], 101)
    for name, radius in radii.items():
        path = LumenPath(plan_along(line, np.full(101, radius), ['a'] * 101, PlannerSettings()))
        path.locate(line[50])
        assert path.in_branch is (name == 'narrow')


def test_a_tip_that_cannot_be_turned_to_its_aim_is_drawn_back():
    """It does not wait for ever: feeding stops while it looks elsewhere."""
    path, settings = LumenPath(branching_path()), FeedSettings()
    path.locate(path.path.at(0.12))
    feeder = Feeder(settings)
    speeds = [
        feeder.speed_m_s(path, 0.12, 0.0, 0.0, tip_off_rad=2.0)
        for _ in range(settings.stuck_commands + 1)
    ]
    assert speeds[:-1] == [0.0] * settings.stuck_commands
    assert speeds[-1] < 0


def test_a_wire_that_lies_in_a_loop_is_drawn_straight():
    path, settings = LumenPath(branching_path()), FeedSettings()
    path.locate(np.array([0.0, 0.0, 0.02]))
    feeder, fed = Feeder(settings), 0.05
    feeder.speed_m_s(path, fed, 0.0, 0.0)
    looped = fed + settings.loop_m + 1e-3
    assert feeder.speed_m_s(path, looped, 0.0, 0.0) < 0
    assert feeder.speed_m_s(path, fed + 0.6 * settings.loop_m, 0.0, 0.0) < 0
    assert feeder.speed_m_s(path, fed + 0.4 * settings.loop_m, 0.0, 0.0) >= 0


def test_feeding_slows_at_a_mouth():
    path, feeder = LumenPath(branching_path()), Feeder(FeedSettings())
    speeds = {}
    for arc in np.arange(0.0, 0.098, 1e-3):
        path.locate(path.path.at(arc))
        speeds[round(1e3 * arc)] = feeder.speed_m_s(path, arc, 0.0, 0.0)
    assert speeds[95] < 0.6 * speeds[60]


@pytest.mark.parametrize('aside_m', [0.0, 0.01, 0.03])
def test_the_continuation_of_a_bend_meets_the_aim(aside_m):
    front = WIRE.front(0.026)
    bend = bend_to_meet(front, 0.05, aside_m, math.radians(80))
    side, ahead = front.tip_m(bend)
    left = np.array([aside_m - side, 0.05 - ahead])
    assert left[0] * math.cos(bend) - left[1] * math.sin(bend) == pytest.approx(0, abs=1e-6)
    assert bend == pytest.approx(math.atan2(aside_m, 0.05), abs=0.3)


def test_an_aim_that_cannot_be_met_asks_for_the_greatest_bend():
    front = WIRE.front(0.026)
    assert bend_to_meet(front, 0.005, 0.05, 1.2) == 1.2
    assert bend_to_meet(front, -0.05, 0.01, 1.2) == 1.2


def test_the_front_of_a_wire_is_stiffer_than_the_whole():
    front = WIRE.front(0.026)
    assert front.node_m[-1] == pytest.approx(0.026)
    assert front.compliance_rad_n_m < WIRE.compliance_rad_n_m
    assert front.tip_m(0.0) == pytest.approx((0.0, 0.026))


def test_points_behind_the_tip_are_found_along_the_line():
    line = hook(90)
    near, beyond = points_behind(line, (0.010, 1.0))
    assert near == pytest.approx(line[-6], abs=1e-4)
    assert beyond is None
    assert len(line_end(line, 0.0101)) == 6


@pytest.mark.parametrize(('turn_deg', 'folded'), [(0, False), (80, False), (150, True)])
def test_a_tip_that_turned_back_is_seen(turn_deg, folded):
    sight = WireSight()
    sight.see(hook(turn_deg))
    assert sight.folded is folded
    assert sight.behind == pytest.approx([0, 0, 1], abs=0.02)
    turn = math.radians(turn_deg)
    assert sight.tip == pytest.approx([math.sin(turn), 0, math.cos(turn)], abs=0.05)


def test_a_fold_is_over_when_the_tip_is_straight_again_and_not_before():
    sight = WireSight()
    for turn_deg in [150] * 3 + [90] * 20:
        sight.see(hook(turn_deg))
    assert sight.folded
    for _ in range(20):
        sight.see(hook(30))
    assert not sight.folded
    sight.see(None)
    assert sight.behind is None


@pytest.mark.parametrize('length_m', [0.0, 0.005, 0.02, 0.035])
def test_a_line_too_short_to_tell_directions_is_done_without(length_m):
    """The directions of the path stand in for those that the line does not show."""
    end = line_end(hook(0), length_m)
    sight = WireSight()
    sight.see(hook(40))
    sight.see(end)
    assert (sight.tip is not None) == (length_m > 0.01)
    assert sight.behind is None
    path, tip = LumenPath(branching_path()), np.array([0.0, 0.0, 0.04])
    path.locate(tip)
    field = LumenSteering(WIRE, FIELDS).field(path, tip, sight, 0, 1.0, 0.07)[1]
    assert np.all(np.isfinite(field))
    assert math.degrees(math.atan2(np.hypot(*field[:2]), field[2])) < 20


def test_a_line_without_points_or_with_nan_says_nothing():
    assert line_end(np.zeros((0, 3)), 0.06).shape == (0, 3)
    for line in (np.zeros((0, 3)), np.zeros((1, 3)), np.full((9, 3), np.nan)):
        sight = WireSight()
        sight.see(hook(30))
        sight.see(line)
        assert sight.tip is sight.behind is sight.body_m is None


def steered(line, at_m, **more):
    """Return the field for a wire with this line, moved so that its tip is at a point."""
    path, sight = LumenPath(branching_path()), WireSight()
    for arc in np.arange(0, at_m[2], 1e-3):
        path.locate(np.array([0, 0, arc]))
    path.locate(np.array(at_m))
    sight.see(line - line[-1] + at_m)
    steering = LumenSteering(WIRE, FIELDS)
    return steering.field(path, np.array(at_m), sight, 0, 1.0, more.get('interval_s', 0.07))[1]


def fed_to(stop_m, from_m=0.08, speed_m_s=4.8e-3, interval_s=0.067):
    """Return the field for a wire that stays straight while it is fed along z to a place."""
    path, sight, steering = LumenPath(branching_path()), WireSight(), LumenSteering(WIRE, FIELDS)
    for z in np.arange(0.0, stop_m, speed_m_s * interval_s):
        tip = np.array([0.0, 0.0, z])
        path.locate(tip)
        sight.see(hook(0) - hook(0)[-1] + tip)
        if z > from_m:
            field = steering.field(path, tip, sight, 0, 1.0, interval_s)[1]
    return field


def test_the_field_turns_the_tip_to_the_branch_before_it_gets_there():
    far = steered(hook(0), (0.0, 0.0, 0.04))
    near = fed_to(MOUTH_M)
    assert math.degrees(math.atan2(far[0], far[2])) < 10
    assert math.degrees(math.atan2(near[0], near[2])) > 60
    assert np.linalg.norm(near) <= FIELDS.field_max_t * 1.001


@pytest.mark.parametrize('tip_deg', [0, 40, 110])
def test_in_a_branch_the_field_turns_to_where_the_tip_lacks(tip_deg):
    """A tip that looks along its branch needs no turn; one that does not, a turn that way."""
    path, sight, steering = LumenPath(branching_path()), WireSight(), LumenSteering(WIRE, FIELDS)
    for arc in np.arange(0.0, MOUTH_M + 0.02, 1e-3):
        path.locate(path.path.at(arc))
    tip = path.path.at(MOUTH_M + 0.02)
    sight.see(hook(tip_deg) - hook(tip_deg)[-1] + tip)
    along = np.array([math.sin(math.radians(tip_deg)), 0, math.cos(math.radians(tip_deg))])
    for _ in range(15):
        field = steering.field(path, tip, sight, 0, 1.0, 0.067)[1]
    turned = math.degrees(math.atan2(field[0], field[2])) - tip_deg
    assert math.copysign(1, turned) == math.copysign(1, 70 - tip_deg)
    assert abs(turned) > 0.4 * abs(70 - tip_deg)
    assert field @ along > 0


class Halves:
    """Two halves of space with a wall in between, x = 0, that is open beyond z = 20 mm."""

    def signed_distance_m(self, points):
        beyond = np.maximum(0.02 - points[:, 2], 0.0)
        room = np.where(beyond > 0, np.abs(points[:, 0]) - 1e-3, 5e-3)
        return room, np.tile([1.0, 0, 0], (len(points), 1))


def test_a_tip_does_not_aim_through_a_wall():
    sight = LineOfSight(Halves())
    ahead = np.array([[-0.01, 0, z] for z in (-0.02, 0.0, 0.05)])
    assert sight.best(np.array([0.01, 0, 0.0]), ahead) == 2
    assert sight.best(np.array([-0.01, 0, 0.01]), ahead) == 0


def test_a_place_that_seems_to_be_in_the_wall_is_taken_beside_it():
    inside = LineOfSight(Halves()).inside(np.array([5e-4, 0, 0]))
    assert inside[0] > 1e-3


def test_at_an_end_in_a_wide_vessel_the_tip_must_come_near_it():
    radius = np.full(101, WIDE_M)
    line = np.linspace([0, 0, 0], [0, 0, 0.1], 101)
    path = LumenPath(plan_along(line, radius, ['trunk'] * 101, PlannerSettings()))
    for z in np.arange(0.0, 0.1, 1e-3):
        path.locate(np.array([8e-3, 0, z]))
    path.locate(np.array([8e-3, 0, 0.1]))
    assert path.wide_end
    assert not path.arrived
    path.locate(np.array([2e-3, 0, 0.1]))
    assert path.arrived


def test_a_wire_at_the_outer_walls_is_longer_than_its_path_and_not_caught():
    settings = FeedSettings()
    path, feeder = LumenPath(branching_path()), Feeder(settings)
    for arc in np.arange(0.0, MOUTH_M + 0.02, 1e-3):
        path.locate(path.path.at(arc))
        feeder.speed_m_s(path, arc, 0.0, 0.0)
    here = MOUTH_M + 0.02
    slack_m = settings.slack_share * here
    assert feeder.speed_m_s(path, here + 0.9 * slack_m, 0.0, 0.0) > 0
    fed = here + slack_m
    while feeder.speed_m_s(path, fed, 0.0, 0.0) > 0:
        fed += 1e-4
    assert fed - here - slack_m == pytest.approx(WIDE_M - settings.caught_m, abs=2e-3)


def test_a_target_does_not_pull_a_wire_off_its_path_through_vessels():
    limits = GuidewireParameters().limits
    law = GuidewireLaw(WIRE, np.eye(4), limits)
    path, joints, now = LumenPath(branching_path()), np.array([0.05, 0.0]), 10**9
    tip = np.array([0.0, 0.0, 0.05])
    law.observe(Seen(now, tip, np.eye(3) * 1e-7, np.array([0, 1.0, 0])), joints, now)
    at = Reference('target', 1, tip, np.zeros(3), math.inf)
    before = law.command(at, path, now, joints, now, 0.067)
    law.sent(now, before)
    wish = law.command(at, TargetGoal([0.02, 0, 0.05]), now, joints, now, 0.067)
    assert wish.kind == 'target_in_vessel'
    assert 'path' in wish.reason
    assert law.command(at, path, now, joints, now, 0.067).kind == ''
    law.reset()
    law.observe(Seen(now, tip, np.eye(3) * 1e-7, np.array([0, 1.0, 0])), joints, now)
    assert law.command(at, TargetGoal([0.0, 0, 0.06]), now, joints, now, 0.067).kind == ''


def test_the_field_never_points_behind_the_tip_that_is_seen():
    """At more than 90 degrees the torque falls, and a tip that comes free folds back."""
    field = steered(hook(0), (0.0, 0.0, 0.095))
    assert field @ [0, 0, 1] >= 0
    folded = steered(hook(150), (0.0, 0.0, 0.095))
    tip = np.array([math.sin(math.radians(150)), 0, math.cos(math.radians(150))])
    assert folded @ tip >= -1e-3 * np.linalg.norm(folded)


def test_a_tip_that_was_caught_is_looked_for_on_both_sides_of_where_one_view_puts_it():
    """One view does not show the wall that a tip lies at; a good measurement is not doubted."""
    along_ray = np.diag([1e-7, 1e-7, 9e-6])
    doubt = worst_deviation(along_ray)
    assert np.allclose(np.abs(doubt), [0, 0, 3e-3])
    moves = [taken_aside(doubt, attempts) @ doubt for attempts in range(4)]
    assert np.allclose(moves, [0.0, 9e-6, -9e-6, 0.0])
    assert worst_deviation(np.diag([9e-8, 9e-8, 9e-8])) is None
    assert not np.any(taken_aside(None, 1))


def test_a_tip_that_has_arrived_beside_the_end_is_turned_to_it():
    """In a narrow vessel as well: it lies at the wall, and more wire would only push it past."""
    path, sight, steering = LumenPath(branching_path()), WireSight(), LumenSteering(WIRE, FIELDS)
    for arc in np.arange(0.0, path.path.length_m, 1e-3):
        path.locate(path.path.at(arc))
    along = path.path.tangent(path.path.length_m)
    side = np.cross(along, [0.0, 1.0, 0.0])
    tip = path.path.points_m[-1] + 2e-3 * side
    path.locate(tip)
    assert path.arrived
    line = tip - np.linspace(0.06, 0, 61)[:, None] * along
    sight.see(line)
    for _ in range(30):
        field = steering.field(path, tip, sight, 0, 1.0, 0.067)[1]
    assert field @ side < -0.2 * np.linalg.norm(field)
    assert field @ along > 0
