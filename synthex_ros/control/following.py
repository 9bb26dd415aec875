"""Whether joints follow their commands: a device that refuses them must not be led on."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from synthex_ros.control.delay import JointHistory
from synthex_ros.joints import JointLimits

Array = NDArray[np.float64]

_WINDOW_NS = 500_000_000
_SLACK_S = 0.15


class Following:
    """Compares measured joints with the commands that they had half a second to follow.

    A device that is disabled, not connected yet, or whose guard refuses what it is sent stays
    where it is. Set-points that go on from the last one run away from it, and the farther they
    are the surer they are refused. The one that finds this out has to start anew from the joints
    as measured.

    Args:
        limits: limits of the joints; off by more than 0.15 s at the highest rate is not followed.
        history: measured joints.
    """

    def __init__(self, limits: JointLimits, history: JointHistory) -> None:
        self._names, self._history = limits.names, history
        self._slack = np.asarray(limits.rate) * _SLACK_S
        self._commands: deque[tuple[int, Array]] = deque()

    def forget(self) -> None:
        """Forget all commands: the device is held, and starts anew from where it is."""
        self._commands.clear()

    def commanded(self, effect_ns: int, joints: Array) -> None:
        """Take a moving command, shape (J,) [m or rad], that takes effect at `effect_ns` [ns]."""
        self._commands.append((effect_ns, np.array(joints, float)))

    def failure(self, stamp_ns: int) -> str | None:
        """Return in words which joint does not follow at `stamp_ns` [ns], or None.

        Joints must be between the set-points of the last half second, or near them.

        Raises:
            LookupError: no joints were measured yet.
        """
        begin_ns, commands = stamp_ns - _WINDOW_NS, self._commands
        while len(commands) > 1 and commands[1][0] <= begin_ns:
            commands.popleft()
        if not commands or commands[0][0] > begin_ns:
            return None
        recent = np.array([joints for effect_ns, joints in commands if effect_ns <= stamp_ns])
        here = self._history.at(stamp_ns)
        nearest = np.clip(here, recent.min(axis=0), recent.max(axis=0))
        excess = np.abs(here - nearest) / self._slack
        if np.all(excess <= 1):
            return None
        k = int(np.argmax(excess))
        return (
            f'{self._names[k]} is at {here[k]:.4g}, {abs(here[k] - nearest[k]):.3g} off its '
            f'set-points of the last half second, allowed {self._slack[k]:.3g}: see what the '
            'device says of commands; is it enabled and free, with the same limits?'
        )
