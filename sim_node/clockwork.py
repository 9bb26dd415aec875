"""What drives simulated time: the wall, the wall at a speed, or the answers to frames."""

from __future__ import annotations

import time
from collections.abc import Callable

from sim_node.params import SimParams
from synthex_ros.simulation.lockstep import LockstepGate
from synthex_ros.simulation.simulator import Simulator

_EVENTS_A_TURN = 20
_CLOCK_REPEAT_S = 0.2
_IDLE_STEP_NS = 10_000_000


class Clockwork:
    """Advance the simulator at each turn, in the node's time mode.

    Args:
        params: time mode, speed, time-out and policy.
        simulator: what is advanced.
        wall_ns: the time that stamps are made of in real_time [ns].
        publish_clock: tells the graph the simulated time [ns].
        unanswered: called with a stamp [ns] to which no command came, and the wait for it [s].
    """

    def __init__(
        self,
        params: SimParams,
        simulator: Simulator,
        wall_ns: Callable[[], int],
        publish_clock: Callable[[int], None],
        unanswered: Callable[[int, float], None],
    ) -> None:
        self._params, self._simulator = params, simulator
        self._wall_ns, self._publish_clock = wall_ns, publish_clock
        self._unanswered = unanswered
        self._gate = LockstepGate(params.answer_timeout_s, params.first_answer_timeout_s)
        self._steady_s = self._clock_s = time.monotonic()
        self._idle_ns = 0
        self.paused = params.start_paused
        self.steps = 0
        """Frames to deliver although paused, in lockstep."""

    def start(self) -> None:
        """Set the simulator to the time at start."""
        start_ns = round(self._params.start_time_s * 1e9)
        real = self._params.time_mode == 'real_time'
        self._simulator.start(self._wall_ns() if real else start_ns)
        self._gate.release()
        self._steady_s = time.monotonic()
        self._publish_clock(self._simulator.now_ns)

    def answer(self, stamp_ns: int) -> bool:
        """Take a command stamped `stamp_ns` [ns]; False if it answers no open frame."""
        return self._params.time_mode != 'lockstep' or self._gate.answer(stamp_ns)

    def now_ns(self) -> int:
        """Return the present time on the clock of the stamps [ns]."""
        real = self._params.time_mode == 'real_time'
        return self._wall_ns() if real else self._simulator.now_ns

    def turn(self) -> None:
        """Let happen what is due."""
        steady_s = time.monotonic()
        elapsed_s, self._steady_s = steady_s - self._steady_s, steady_s
        if self._params.time_mode == 'lockstep':
            self._turn_lockstep(steady_s, elapsed_s)
        elif self._params.time_mode == 'paced':
            if not self.paused:
                ahead_s = self._simulator.limit_step(elapsed_s * self._params.speed_factor)
                self._simulator.advance_to(self._simulator.now_ns + round(ahead_s * 1e9))
                self.paused = 0 < self._params.end_time_s * 1e9 <= self._simulator.now_ns
            self._publish_clock(self._simulator.now_ns)
        elif not self.paused:
            self._simulator.advance_to(self._wall_ns())

    def _at_the_end(self) -> bool:
        """Pause exactly at the end time, once nothing happens before it."""
        end_ns = round(self._params.end_time_s * 1e9)
        event_ns = self._simulator.next_event_ns
        if self._simulator.now_ns > end_ns or (event_ns is not None and event_ns < end_ns):
            return False
        self._simulator.pause_at(end_ns)
        self._publish_clock(end_ns)
        self.paused = True
        return True

    def _idle(self, elapsed_s: float) -> None:
        """Pass time at the pace of the wall, in equal steps, while there is nothing to wait for.

        The simulated times are then the same in every run, whatever the machine was doing.
        """
        self._idle_ns += round(elapsed_s * 1e9)
        while self._idle_ns >= _IDLE_STEP_NS and self._simulator.next_event_ns is None:
            self._idle_ns -= _IDLE_STEP_NS
            self._simulator.advance_to(self._simulator.now_ns + _IDLE_STEP_NS)
            self._publish_clock(self._simulator.now_ns)

    def _turn_lockstep(self, steady_s: float, elapsed_s: float) -> None:
        if self._gate.overdue(steady_s):
            stamp_ns = self._gate.release()
            if stamp_ns is not None:
                self._unanswered(stamp_ns, self._gate.limit_s)
        waiting = self._gate.open_ns is not None or (self.paused and not self.steps)
        if waiting and steady_s - self._clock_s > _CLOCK_REPEAT_S:
            self._clock_s = steady_s
            self._publish_clock(self._simulator.now_ns)
        if waiting:
            return
        if self._at_the_end():
            return
        if self._simulator.next_event_ns is None:
            self._idle(elapsed_s)
            return
        for _ in range(_EVENTS_A_TURN):
            stamp_ns = self._simulator.advance_to_event()
            if stamp_ns is not None:
                self.steps = max(self.steps - 1, 0)
                # Making a frame takes time, the first one a lot: the wait begins after it.
                self._gate.open(stamp_ns, time.monotonic())
                break
