"""Laws of the magnetic controllers: physics of their models, stability with delay, learning."""

import math

import numpy as np
import pytest

from synthex_ros.control.magnetic.delayed_filter import DelayedFilter
from synthex_ros.control.magnetic.feed_settings import FeedSettings
from synthex_ros.control.magnetic.feeder import Feeder
from synthex_ros.control.magnetic.lumen_path import LumenPath
from synthex_ros.control.magnetic.planner import PlannerSettings, plan_along
from synthex_ros.control.magnetic.swimmer import DriftModel, SwimmerModel
from synthex_ros.control.magnetic.tip_angle import BendEstimator, FieldMemory, TipAngleGoal
from synthex_ros.control.magnetic.wire_model import WireModel, equilibrium_bend, field_angle
from synthex_ros.devices.magnetic.environment import Environment
from synthex_ros.devices.magnetic.even_field import EvenField
from synthex_ros.devices.magnetic.guidewire import GuidewirePlant
from synthex_ros.devices.magnetic.guidewire_parameters import GuidewireParameters
from synthex_ros.devices.magnetic.numbers import swimmer_numbers, wire_numbers
from synthex_ros.devices.magnetic.sphere import SphereParameters, SpherePlant

WIRE = WireModel(**wire_numbers())


@pytest.mark.parametrize('bend_deg', [10, 35, 60])
def test_the_field_for_a_bend_makes_that_bend_on_the_simulated_wire(bend_deg):
    """Model and rod simulation are independent: a couple's beam, and energy minimised."""
    angle = math.radians(bend_deg)
    field = BendEstimator(WIRE).field_for(np.array([angle, 0.0]), 0.018, 0.03, 1.1)
    plant = GuidewirePlant(GuidewireParameters(), Environment(source=EvenField(field)))
    plant.reset([0.02, 0.0])
    plant.step(0.5)
    along = plant.tip_pose(np.eye(4))[:3, 2]
    assert math.degrees(math.atan2(along[0], along[2])) == pytest.approx(bend_deg, abs=1.5)
    side, ahead = WIRE.tip_m(angle)
    behind = 0.05 - float(WIRE.node_m[-1])
    assert plant.tip_pose(np.eye(4))[:3, 3] == pytest.approx([side, 0, behind + ahead], abs=8e-4)


@pytest.mark.parametrize('strength', [0.3, 2.0, 8.0])
def test_field_angle_and_bend_are_inverse_and_the_field_stays_before_the_wire(strength):
    for bend in np.linspace(-1.0, 1.0, 9):
        phi = field_angle(strength, bend, math.radians(65))
        assert abs(phi - bend) <= math.radians(65) + 1e-9
        if abs(bend) < strength * math.sin(math.radians(65)):
            assert equilibrium_bend(strength, phi) == pytest.approx(bend, abs=1e-6)


def test_a_chord_gives_back_the_bend_that_it_was_made_of():
    for bend in np.linspace(-1.2, 1.2, 7):
        chord = math.atan2(*WIRE.tip_m(bend, WIRE.back_m))
        assert WIRE.bend_of_chord(chord) == pytest.approx(bend, abs=2e-3)


def test_strength_and_offset_are_learned_from_noisy_chords():
    """A wire a fifth weaker with a bend of 5 degrees of its own is known after 200 frames."""
    rng, learned = np.random.default_rng(3), BendEstimator(WIRE)
    side = np.array([1.0, 0.0])
    for frame in range(200):
        phi = 1.2 * math.sin(0.15 * frame)
        field = 0.02 * np.array([math.sin(phi), 0.0, math.cos(phi)])
        true = equilibrium_bend(0.8 * WIRE.strength(0.02), phi) + math.radians(5)
        seen = true + 0.035 * rng.standard_normal()
        learned.observe(round(frame * 66.7e6), field, seen, side, 0.035)
    assert learned.factor == pytest.approx(0.8, abs=0.05)
    assert learned.offset_rad[0] == pytest.approx(math.radians(5), abs=0.02)
    assert learned.offset_rad[1] == 0.0


def test_a_chord_that_cannot_be_teaches_nothing():
    learned = BendEstimator(WIRE)
    before = learned.offset_rad.copy()
    field = np.array([0.0, 0.0, 0.02])
    assert not learned.observe(0, field, 1.5, np.array([1.0, 0.0]), 0.03)
    assert np.array_equal(learned.offset_rad, before)


def test_field_memory_is_a_first_order_lag():
    memory = FieldMemory(lag_s=0.05)
    memory.commanded(0, [0.02, 0, 0])
    for k in range(1, 21):
        memory.advance(k * 10_000_000)
    for time_s in (0.05, 0.1, 0.2):
        wanted = 0.02 * (1 - math.exp(-time_s / 0.05))
        assert memory.at(round(time_s * 1e9))[0] == pytest.approx(wanted, rel=1e-6)


def played(late_frames):
    """Return the filter after a second of known motion and ten frames, late or not."""
    model = DriftModel()
    one = DelayedFilter(model)
    one.start(0, DriftModel.first_mean(np.zeros(3)), model.first_covariance(1e-6 * np.eye(3)))
    inputs = np.array([2e-3, 0, 0, 0, 0, 1e-2])
    late = []
    for k in range(1, 101):
        now_ns = k * 10_000_000
        one.advance(now_ns, inputs)
        if k % 10 == 0:
            late.append((now_ns, np.array([2.5e-5 * k, 1e-5 * k, 1e-4 * k])))
            if not late_frames:
                assert one.measure(*late.pop(), 1e-7 * np.eye(3))
        if late_frames and k % 10 == 5 and late:
            assert one.measure(*late.pop(0), 1e-7 * np.eye(3))
    for entry in late:
        assert one.measure(*entry, 1e-7 * np.eye(3))
    return one


def test_late_frames_give_the_same_state_as_frames_in_time():
    """Rolled back and played again is not an approximation."""
    late, prompt = played(True), played(False)
    np.testing.assert_allclose(late.mean, prompt.mean, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(late.covariance, prompt.covariance, rtol=1e-9, atol=1e-20)


def test_a_frame_far_off_or_too_old_changes_nothing():
    one = played(False)
    before = one.mean.copy()
    assert not one.measure(one.now_ns, before[:3] + [0.02, 0, 0], 1e-7 * np.eye(3))
    assert not one.measure(one.now_ns - 2_000_000_000, before[:3], 1e-7 * np.eye(3))
    assert np.array_equal(one.mean, before)


def test_force_and_swimming_velocity_are_inverse():
    model = SwimmerModel(5e-5, 600.0, 1e-4, np.array([0.0, 4e-5, 0.0]))
    for velocity in ([0.02, 0.0, 0.0], [0.0, -0.1, 0.05], [0, 0, 0]):
        assert model.swimming_m_s(model.force_n(velocity)) == pytest.approx(velocity, abs=1e-9)


def test_nominal_numbers_move_the_simulated_sphere_as_the_model_says():
    """Model against plant in open fluid: terminal velocity under weight alone."""
    parameters = SphereParameters(density_kg_m3=1200.0)
    model = SwimmerModel(**swimmer_numbers(parameters, field_t=0.01))
    plant = SpherePlant(parameters)
    plant.step(0.5)
    assert plant.state.velocity_base_m_s == pytest.approx(
        model.swimming_m_s(np.zeros(3)), rel=1e-3, abs=1e-9
    )


def straight_path(length_m=0.1, room_m=3e-3):
    points = np.linspace([0, 0, 0], [0, 0, length_m], 101)
    settings = PlannerSettings(waypoint_spacing_m=0.04)
    return plan_along(points, np.full(101, room_m), ['vessel'] * 101, settings)


def test_a_path_waits_at_its_waypoints_until_they_are_confirmed():
    path = LumenPath(straight_path(), mode='confirm')
    feeder = Feeder(FeedSettings())
    visited = []
    for arc in np.linspace(0, 0.1, 201):
        path.locate(np.array([0, 0, arc]))
        if path.waiting:
            assert feeder.speed_m_s(path, arc, 0.0, 0.0) == 0.0
            visited.append(path.stop_arc_m)
            assert path.confirm()
            assert not path.waiting
    assert visited == pytest.approx([0.033, 0.067], abs=2e-3)
    assert path.arrived
    assert not path.confirm()


def test_feeding_waits_for_steering_and_yields_to_the_wall():
    narrow, path = LumenPath(straight_path()), LumenPath(straight_path(room_m=6e-3))
    settings = FeedSettings()
    for one in (narrow, path):
        one.locate(np.array([0, 0, 0.02]))
    in_narrow = settings.branch_share * settings.speed_m_s
    assert Feeder(settings).speed_m_s(narrow, 0.02, 0.0, 0.0) == pytest.approx(in_narrow)
    feeder = Feeder(settings)
    assert feeder.speed_m_s(path, 0.02, 0.0, 0.0) == pytest.approx(settings.speed_m_s)
    assert feeder.speed_m_s(path, 0.02, settings.field_off_rad, 0.0) == 0.0
    slow = feeder.speed_m_s(path, 0.02, 0.0, 0.8 * settings.warn_force_n)
    assert 0 < slow < 0.5 * settings.speed_m_s
    assert feeder.speed_m_s(path, 0.02, 0.0, settings.warn_force_n) < 0


def test_a_tip_that_does_not_get_on_is_drawn_back_and_tried_anew():
    path, settings = LumenPath(straight_path()), FeedSettings()
    feeder, insertion, low = Feeder(settings), 0.03, 1.0
    for _ in range(1000):
        path.locate(np.array([0, 0, min(0.02, insertion)]))
        insertion += 0.01 * feeder.speed_m_s(path, insertion, 0.0, 0.0)
        low = min(low, insertion)
    assert low < 0.03
    assert feeder.attempts >= 1
    feeder.attempts = 1
    assert feeder.oversteer > 1.0
    feeder.attempts = 2
    assert feeder.oversteer < 1.0


@pytest.mark.parametrize(('room_m', 'patience_m'), [(3e-3, 8e-3), (12e-3, 24e-3)])
def test_patience_with_a_tip_goes_with_the_room_to_the_wall(room_m, patience_m):
    """In a wide vessel a wire may move to the other wall before its tip gets on."""
    path, fed = LumenPath(straight_path(room_m=room_m)), np.arange(0, 0.03, 1e-4)
    path.locate(np.array([0, 0, 0.02]))
    feeder = Feeder(FeedSettings())
    speeds = [feeder.speed_m_s(path, 0.03 + extra, 0.0, 0.0) for extra in fed]
    drawn_back = fed[np.argmax(np.array(speeds) < 0)]
    assert drawn_back == pytest.approx(patience_m, abs=2e-4)


def test_a_field_that_stays_away_from_where_it_shall_be_draws_the_tip_back():
    path, settings = LumenPath(straight_path()), FeedSettings()
    path.locate(np.array([0, 0, 0.02]))
    feeder, off = Feeder(settings), settings.field_off_rad
    waiting = [feeder.speed_m_s(path, 0.03, off, 0.0) for _ in range(settings.stuck_commands)]
    assert waiting == [0.0] * settings.stuck_commands
    assert feeder.speed_m_s(path, 0.03, off, 0.0) == -settings.speed_m_s
    assert feeder.attempts == 1
    one_good = Feeder(settings)
    for index in range(3 * settings.stuck_commands):
        away = 0.0 if index % settings.stuck_commands == 0 else off
        assert one_good.speed_m_s(path, 0.03, away, 0.0) >= 0


def test_a_goal_without_direction_is_refused():
    with pytest.raises(ValueError, match='direction must not be zero'):
        TipAngleGoal([0, 0, 0])
    with pytest.raises(ValueError, match='three finite'):
        TipAngleGoal([np.nan, 0, 1])
