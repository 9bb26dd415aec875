"""The delayed filter of a tip or a body that drifts: what both magnetic laws ask of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthex_ros.control.magnetic.delayed_filter import DelayedFilter
from synthex_ros.control.magnetic.law import Seen
from synthex_ros.control.magnetic.swimmer import DriftModel, DriftNoise

Array = NDArray[np.float64]

_OLDEST_NS = 900_000_000
_DOUBT_M = 1e-2


class DriftFilter(DelayedFilter):
    """Position, drift, flow factor and mobility of `DriftModel` from frames.

    Args:
        noise: how fast the unknown may change.
    """

    def __init__(self, noise: DriftNoise) -> None:
        self._drift = DriftModel(noise)
        super().__init__(self._drift)

    @property
    def position_m(self) -> Array:
        """The present position as estimated, shape (3,) [m]."""
        return self.mean[:3].copy()

    def start_with(self, seen: Seen) -> None:
        """Begin with a frame, if there is no state yet or the frame is older than what is kept."""
        if not self.started or seen.stamp_ns < self.now_ns - _OLDEST_NS:
            covariance = self._drift.first_covariance(seen.covariance_m2)
            self.start(seen.stamp_ns, DriftModel.first_mean(seen.position_m), covariance)

    def doubt_position(self) -> None:
        """Add a centimetre of deviation to the position: the next frame is believed."""
        spread = np.zeros((self._drift.size, self._drift.size))
        spread[:3, :3] = _DOUBT_M**2 * np.eye(3)
        self.widen(spread)
