"""Whether simulated motion keeps up with the time that it runs in."""

from __future__ import annotations

import time

from synthex_ros.simulation.simulator import Simulator

_LEAST_SHARE = 0.05
"""Part of the time that may be left out before the machine is called too slow."""


class Lateness:
    """Looks now and then at how much time a simulator leaves out.

    Args:
        simulator: what is watched.
        time_mode: its mode, for the message.
    """

    def __init__(self, simulator: Simulator, time_mode: str) -> None:
        self._simulator, self._time_mode = simulator, time_mode
        self._left_out_s, self._steady_s = simulator.left_out_s, time.monotonic()

    def finding(self) -> str:
        """Return how much was left out since the last call, in words; '' for hardly any."""
        left_out_s, steady_s = self._simulator.left_out_s, time.monotonic()
        passed_s = max(steady_s - self._steady_s, 1e-3)
        share = (left_out_s - self._left_out_s) / passed_s
        self._left_out_s, self._steady_s = left_out_s, steady_s
        if share < _LEAST_SHARE:
            return ''
        return (
            f'too slow for {self._time_mode}: {100 * min(share, 1.0):.0f} % of the time is left '
            'out; lockstep waits'
        )
