"""Channel, lockstep, breathing and trajectories hold their physical promises."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim_node import clockwork
from sim_node.params import SimParams
from synthex_ros.geometry import CArm
from synthex_ros.simulation.breathing import Breathing
from synthex_ros.simulation.carm_axes import CArmAxes, CArmLimits
from synthex_ros.simulation.channel import FrameChannel
from synthex_ros.simulation.lockstep import LockstepGate
from synthex_ros.simulation.trajectory import JointTrajectory


def deliveries(latency_s, jitter_s, drop_rate, seed, frames=200):
    channel = FrameChannel(latency_s, jitter_s, drop_rate, seed)
    arrived = []
    for k in range(frames):
        channel.send(k * 66_000_000, k)
    while (due := channel.next_due_ns) is not None:
        arrived.append((due, channel.receive(due)))
    return arrived, channel.lost


@given(st.floats(0, 0.3), st.floats(0, 0.1), st.floats(0, 1), st.integers(0, 99))
def test_frames_come_in_order_never_early_and_none_vanishes_uncounted(latency, jitter, drop, seed):
    arrived, lost = deliveries(latency, jitter, drop, seed)
    assert len(arrived) + lost == 200
    assert all(due >= k * 66_000_000 + round(latency * 1e9) for due, k in arrived)
    assert [k for _, k in arrived] == sorted(k for _, k in arrived)


def test_same_seed_same_faults_and_other_seed_other_faults():
    assert deliveries(0.1, 0.02, 0.3, 5) == deliveries(0.1, 0.02, 0.3, 5)
    assert deliveries(0.1, 0.02, 0.3, 5) != deliveries(0.1, 0.02, 0.3, 6)


def test_drop_rate_is_met_within_binomial_bounds():
    _, lost = deliveries(0, 0, 0.25, 1, frames=4000)
    assert abs(lost - 1000) < 5 * np.sqrt(4000 * 0.25 * 0.75)


def test_channel_refuses_impossible_knobs():
    with pytest.raises(ValueError, match='drop_rate'):
        FrameChannel(0.0, 0.0, 1.5, 0)


def test_gate_opens_only_for_the_frame_that_is_open():
    gate = LockstepGate(timeout_s=1.0)
    gate.open(70, steady_s=10.0)
    assert not gate.answer(60)
    assert gate.open_ns == 70
    assert not gate.overdue(10.9)
    assert gate.overdue(11.1)
    assert gate.answer(70)
    assert gate.open_ns is None
    assert not gate.answer(70), 'a second answer is late'


def test_gate_waits_longer_for_the_very_first_answer():
    gate = LockstepGate(timeout_s=1.0, first_timeout_s=9.0)
    gate.open(70, steady_s=10.0)
    assert not gate.overdue(18.9)
    assert gate.overdue(19.1)
    assert gate.limit_s == 9.0
    assert gate.release() == 70
    gate.open(80, steady_s=20.0)
    assert gate.overdue(21.1)
    assert gate.limit_s == 1.0


class SlowFrames:
    """A simulator whose frames take a minute each to make."""

    now_ns = next_event_ns = 1_000_000_000

    def __init__(self, clock):
        self._clock = clock

    def start(self, now_ns):
        pass

    def advance_to_event(self):
        self._clock.now_s += 60.0
        return self.now_ns


class Clock:
    now_s = 0.0

    def monotonic(self):
        return self.now_s


def test_time_that_a_frame_takes_to_make_is_not_time_without_an_answer(monkeypatch):
    clock, late = Clock(), []
    monkeypatch.setattr(clockwork, 'time', clock)
    params = SimParams(time_mode='lockstep', answer_timeout_s=5.0, first_answer_timeout_s=5.0)
    work = clockwork.Clockwork(
        params, SlowFrames(clock), lambda: 0, lambda _: None, lambda *said: late.append(said)
    )
    work.start()
    for _ in range(3):
        work.turn()
        clock.now_s += 4.0
        work.turn()
        assert not late
        assert work.answer(SlowFrames.now_ns)
    work.turn()
    clock.now_s += 6.0
    work.turn()
    assert late == [(SlowFrames.now_ns, 5.0)]


def test_breathing_is_periodic_bounded_and_off_by_default():
    breathing = Breathing(amplitude_m=0.01, period_s=4.0)
    shifts = [
        np.linalg.norm(breathing.displacement(breathing.inspiration(t))[:3, 3])
        for t in np.linspace(0, 8, 81)
    ]
    assert max(shifts) == pytest.approx(0.01)
    assert np.allclose(shifts[:41], shifts[40:], atol=1e-12)
    assert np.array_equal(Breathing().displacement(1.0), np.eye(4))


@given(st.floats(0, 1))
def test_cached_phases_enclose_the_inspiration(share):
    low, high, weight = Breathing(0.01).neighbours(share)
    assert low <= share + 1e-9
    assert (1 - weight) * low + weight * high == pytest.approx(share)


def test_trajectory_interpolates_and_holds_its_ends():
    plan = JointTrajectory([0.0, 1.0], [1.0, 3.0], [[2.0, 1.0], [2.0, 5.0]])
    assert np.allclose(plan.at(0.5), [1.0, 1.0])
    assert np.allclose(plan.at(2.0), [2.0, 3.0])
    assert np.allclose(plan.at(99.0), [2.0, 5.0])


@pytest.mark.parametrize(
    ('times', 'table', 'words'),
    [
        ([1.0], [[1.0]], '2 joints'),
        ([0.0], [[1, 1]], 'increase'),
        ([1.0], [[1, np.nan]], 'finite'),
    ],
)
def test_trajectory_refuses_bad_plans(times, table, words):
    with pytest.raises(ValueError, match=words):
        JointTrajectory([0.0, 0.0], times, table)


def test_carm_moves_no_faster_than_its_limits_and_arrives():
    axes = CArmAxes(CArm(), (0.0, 0.0, 0.0, 1.02))
    axes.move([0.1], [[0.5, -0.2, 0.0, 1.02]])
    before = axes.positions
    for _ in range(300):
        axes.advance(0.01)
        assert np.all(
            np.abs(axes.positions - before) <= np.array(CArmLimits().speed) * 0.01 + 1e-12
        )
        before = axes.positions
    assert not axes.moving
    assert np.allclose(axes.positions, [0.5, -0.2, 0.0, 1.02])


def test_carm_refuses_degrees_and_stays_where_it_is():
    axes = CArmAxes(CArm(), (0.0, 0.0, 0.0, 1.02))
    with pytest.raises(ValueError, match='radians'):
        axes.move([1.0], [[30.0, 0.0, 0.0, 1.02]])
    assert not axes.moving
