"""Events happen in order, once, at their time; silence holds the device."""

from dataclasses import dataclass, field

import pytest

from synthex_ros.simulation.channel import FrameChannel
from synthex_ros.simulation.simulator import LONGEST_STEP_S, Simulator

PERIOD_NS = 100_000_000


@dataclass(frozen=True)
class Shot:
    stamp_ns: int


@dataclass
class StillRoom:
    """A room in which an exposure is just its stamp."""

    time_s: float = 0.0
    exposures: list = field(default_factory=list)

    def advance(self, duration_s):
        assert duration_s >= 0
        self.time_s += duration_s

    def expose(self, stamp_ns):
        self.exposures.append(stamp_ns)
        return Shot(stamp_ns)


@dataclass
class Log:
    """Remembers what it is told."""

    events: list = field(default_factory=list)

    def clock(self, now_ns):
        self.events.append(('clock', now_ns))

    def joints(self, now_ns):
        self.events.append(('joints', now_ns))

    def frame(self, exposure):
        self.events.append(('frame', exposure.stamp_ns))

    def silence(self, silent_s):
        self.events.append(('silence', silent_s))


def make(latency_s=0.0, timeout_s=0.25):
    room, log, holds = StillRoom(), Log(), []
    channel = FrameChannel(latency_s, 0.0, 0.0, 0)
    simulator = Simulator(room, lambda: holds.append(1), channel, PERIOD_NS, timeout_s, log)
    simulator.start(1_000_000_000)
    return simulator, room, log, holds


def test_room_moves_on_by_a_limited_step_and_what_is_left_out_is_counted():
    simulator, room, log, _ = make()
    for _ in range(5):
        simulator.advance_to(simulator.now_ns + 400_000_000)
    assert simulator.now_ns == 3_000_000_000
    assert room.time_s == pytest.approx(5 * LONGEST_STEP_S)
    assert simulator.left_out_s == pytest.approx(2.0 - room.time_s)
    assert [ns for kind, ns in log.events if kind == 'frame'][-1] == simulator.now_ns
    for _ in range(3):
        simulator.advance_to_event()
    simulator.pause_at(simulator.now_ns + 500_000_000)
    assert room.time_s == pytest.approx(5 * LONGEST_STEP_S + simulator.now_ns * 1e-9 - 3)


def test_time_that_a_step_leaves_out_is_counted_once():
    simulator, room, _, _ = make()
    assert simulator.limit_step(0.4) == LONGEST_STEP_S
    assert simulator.limit_step(0.5 * LONGEST_STEP_S) == 0.5 * LONGEST_STEP_S
    assert simulator.left_out_s == pytest.approx(0.4 - LONGEST_STEP_S)
    simulator.advance_to(simulator.now_ns + round(LONGEST_STEP_S * 1e9))
    assert room.time_s == pytest.approx(LONGEST_STEP_S)
    assert simulator.left_out_s == pytest.approx(0.4 - LONGEST_STEP_S)


def test_lockstep_delivers_each_exposure_after_its_latency_and_clock_never_goes_back():
    simulator, room, log, _ = make(latency_s=0.15)
    while simulator.now_ns < 2_000_000_000:
        simulator.advance_to_event()
    frames = [ns for kind, ns in log.events if kind == 'frame']
    clocks = [ns for kind, ns in log.events if kind == 'clock']
    assert frames == room.exposures[: len(frames)]
    assert room.exposures[:3] == [1_000_000_000, 1_100_000_000, 1_200_000_000]
    assert clocks == sorted(clocks)
    assert room.time_s == pytest.approx(1.0)
    first = log.events.index(('frame', 1_000_000_000))
    assert log.events[:first][-1] == ('joints', 1_150_000_000)


def test_joints_are_measured_once_an_instant():
    simulator, _, log, _ = make(latency_s=0.0)
    for _ in range(5):
        simulator.advance_to_event()
    stamps = [ns for kind, ns in log.events if kind == 'joints']
    assert stamps == sorted(set(stamps))


def test_silence_holds_the_device_once_and_a_command_ends_it():
    simulator, _, log, holds = make(timeout_s=0.25)
    simulator.commanded()
    for _ in range(8):
        simulator.advance_to_event()
    assert len(holds) == 1
    simulator.commanded()
    simulator.advance_to(simulator.now_ns + 200_000_000)
    assert len(holds) == 1
    simulator.advance_to(simulator.now_ns + 100_000_000)
    assert len(holds) == 2
    assert [kind for kind, _ in log.events].count('silence') == 2


def test_beam_off_makes_no_exposure_but_a_pulse_makes_one():
    simulator, room, _, _ = make()
    simulator.beam_on = False
    assert simulator.next_event_ns is None
    simulator.advance_to(simulator.now_ns + 10 * PERIOD_NS)
    assert room.exposures == []
    simulator.pulse()
    simulator.advance_to(simulator.now_ns + PERIOD_NS)
    simulator.advance_to(simulator.now_ns + PERIOD_NS)
    assert len(room.exposures) == 1


def test_beam_switched_on_again_exposes_at_once_and_does_not_catch_up():
    simulator, room, _, _ = make()
    simulator.beam_on = False
    simulator.advance_to(simulator.now_ns + 5 * PERIOD_NS)
    simulator.beam_on = True
    simulator.advance_to(simulator.now_ns + 1)
    assert len(room.exposures) == 1


def test_late_imager_skips_exposures_and_counts_them():
    simulator, room, _, _ = make()
    simulator.advance_to(simulator.now_ns)
    simulator.advance_to(simulator.now_ns + 5 * PERIOD_NS + 1)
    assert len(room.exposures) == 2
    assert simulator.skipped == 4
