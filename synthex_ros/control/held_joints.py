"""Where joints are held: as measured when the hold began, for as long as it lasts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthex_ros.control.delay import JointHistory
from synthex_ros.joints import JointLimits

Array = NDArray[np.float64]

_SLACK_S = 0.25


class HeldJoints:
    """Keeps a drive that settles a little below its set-point from creeping away with every frame.

    Args:
        limits: limits of the joints; a device that has since moved for longer than 0.25 s at its
            highest rate is held where it is by then.
        history: measured joints.
    """

    def __init__(self, limits: JointLimits, history: JointHistory) -> None:
        self._limits, self._history = limits, history
        self._slack = np.asarray(limits.rate) * _SLACK_S
        self._held: Array | None = None

    def release(self) -> None:
        """End the hold."""
        self._held = None

    def at(self, stamp_ns: int | None) -> Array:
        """Return the joints to hold, shape (J,) [m or rad].

        Args:
            stamp_ns: frame that the hold answers [ns]; None for the newest joints.

        Raises:
            LookupError: no joints were measured yet.
        """
        newest = self._history.newest()
        if newest is None:
            raise LookupError('no joints were measured yet: there is nothing to hold')
        here = newest[1] if stamp_ns is None else self._history.at(stamp_ns)
        if self._held is None or np.any(np.abs(self._held - here) > self._slack):
            self._held = self._limits.clamp(here)
        return self._held.copy()
