"""The order of events in simulated time: exposures, deliveries, commands, silence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from synthex_ros.simulation.channel import FrameChannel
from synthex_ros.simulation.room import Exposure, Room

LONGEST_STEP_S = 0.1
"""By so much the room moves on at once while time runs by itself [s]."""


class Sink(Protocol):
    """Who is told what happens."""

    def clock(self, now_ns: int) -> None:
        """Simulated time has reached `now_ns` [ns]."""

    def joints(self, now_ns: int) -> None:
        """The joints are measured at `now_ns` [ns]."""

    def frame(self, exposure: Exposure) -> None:
        """A frame arrives."""

    def silence(self, silent_s: float) -> None:
        """No command has come for `silent_s` [s]; the device is being held."""


class Simulator:
    """Advance a room through exposures and deliveries, in order of time.

    Exposures are due at start + k * period while the beam is on. A frame arrives when the channel
    delivers it. A device that gets no command for `command_timeout_s` is held.

    Args:
        room: patient, C-arm and device.
        hold: stops the device; called once a silence.
        channel: carries frames from exposure to delivery.
        period_ns: time between exposures [ns].
        command_timeout_s: longest silence of the controller [s].
        sink: who is told.

    Attributes:
        now_ns: present time [ns].
        beam_on: exposures are made.
        skipped: exposures left out because the imager was late.
        left_out_s: time that passed without the room, because it was late [s].
    """

    def __init__(
        self,
        room: Room,
        hold: Callable[[], None],
        channel: FrameChannel[Exposure],
        period_ns: int,
        command_timeout_s: float,
        sink: Sink,
    ) -> None:
        self._room, self._hold, self._channel, self._sink = room, hold, channel, sink
        self._period_ns = period_ns
        self._timeout_ns = round(command_timeout_s * 1e9)
        self.start(0)

    def start(self, now_ns: int) -> None:
        """Begin at `now_ns` [ns] with a clean channel; the first exposure is due at once."""
        self.now_ns = self._start_ns = now_ns
        self._next_exposure_ns = now_ns
        self._last_command_ns: int | None = None
        self._joints_ns = -1
        self._pulse = False
        self.beam_on = True
        self.skipped = 0
        self.left_out_s = 0.0
        self._channel.clear()

    @property
    def next_event_ns(self) -> int | None:
        """When something happens next [ns]; None with the beam off and nothing under way."""
        due = [self._channel.next_due_ns]
        if self.beam_on or self._pulse:
            due.append(max(self._next_exposure_ns, self.now_ns))
        return min((ns for ns in due if ns is not None), default=None)

    @property
    def frames_lost(self) -> int:
        """Frames lost in the channel since the start."""
        return self._channel.lost

    def pulse(self) -> None:
        """Ask for one exposure while the beam is off."""
        self._pulse = True

    def commanded(self) -> None:
        """Note that the device has accepted a command now."""
        self._last_command_ns = self.now_ns

    def advance_to(self, now_ns: int) -> int | None:
        """Let everything up to `now_ns` [ns] happen; return the stamp of a delivered frame [ns].

        An exposure that is more than a period late is skipped, not caught up: an imager that
        cannot keep its rate drops frames, it does not let them pile up. So with the room: it
        moves on by `LONGEST_STEP_S` at most. Where moving it takes longer than the time that
        passes, each step would else be longer than the one before, and nobody be heard.
        """
        late_periods = (now_ns - self._next_exposure_ns) // self._period_ns
        if late_periods > 0 and self.beam_on:
            self.skipped += late_periods
            self._next_exposure_ns += late_periods * self._period_ns
        self._move_to(now_ns, limited=True)
        self._expose_if_due()
        return self._deliver()

    def advance_to_event(self) -> int | None:
        """Advance exactly to the next event; return the stamp of a frame it delivered [ns]."""
        if (event_ns := self.next_event_ns) is None:
            return None
        self._move_to(event_ns)
        self._sink.clock(self.now_ns)
        self._expose_if_due()
        return self._deliver()

    def limit_step(self, passed_s: float) -> float:
        """Return by how much the room moves on at once [s]; the rest counts as left out.

        Args:
            passed_s: time that has passed by itself [s].
        """
        step_s = min(passed_s, LONGEST_STEP_S)
        self.left_out_s += passed_s - step_s
        return step_s

    def pause_at(self, now_ns: int) -> None:
        """Move on to `now_ns` [ns] without an exposure or a delivery."""
        self._move_to(now_ns)

    def _move_to(self, now_ns: int, limited: bool = False) -> None:
        passed_s = max(now_ns - self.now_ns, 0) * 1e-9
        self._room.advance(self.limit_step(passed_s) if limited else passed_s)
        self.now_ns = max(now_ns, self.now_ns)
        last_ns = self._last_command_ns
        if last_ns is not None and self.now_ns - last_ns > self._timeout_ns:
            self._hold()
            self._last_command_ns = None
            self._sink.silence((self.now_ns - last_ns) * 1e-9)

    def measure(self) -> None:
        """Report the joints now, once for each instant."""
        if self._joints_ns != self.now_ns:
            self._joints_ns = self.now_ns
            self._sink.joints(self.now_ns)

    def _expose_if_due(self) -> None:
        due = self.beam_on and self._next_exposure_ns <= self.now_ns
        if due:
            self._next_exposure_ns += self._period_ns
        if due or self._pulse:
            self._pulse = False
            self.measure()
            self._channel.send(self.now_ns, self._room.expose(self.now_ns))
        if not self.beam_on:
            self._next_exposure_ns = max(self._next_exposure_ns, self.now_ns)

    def _deliver(self) -> int | None:
        exposure = self._channel.receive(self.now_ns)
        if exposure is None:
            return None
        self.measure()
        self._sink.frame(exposure)
        return exposure.stamp_ns
