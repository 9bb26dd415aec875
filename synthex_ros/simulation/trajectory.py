"""Planned joint motion: points in time, linearly joined."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray


class JointTrajectory:
    """Joint positions over time.

    Args:
        start: positions at time 0, shape (J,) [m or rad].
        times_s: times of the points after the start [s], increasing, shape (N,).
        positions: joint positions, shape (N, J) [m or rad].

    Raises:
        ValueError: shapes disagree, times do not increase or values are not finite.
    """

    def __init__(self, start: ArrayLike, times_s: Sequence[float], positions: ArrayLike) -> None:
        start = np.asarray(start, float)
        table = np.asarray(positions, float).reshape(len(times_s), -1)
        times = np.concatenate([[0.0], np.asarray(times_s, float)])
        if table.shape[1] != len(start):
            raise ValueError(f'trajectory points need {len(start)} joints, got {table.shape[1]}')
        if not len(times_s) or np.any(np.diff(times) <= 0):
            raise ValueError(f'time_from_start must increase from above 0 s, got {list(times_s)}')
        if not (np.all(np.isfinite(table)) and np.all(np.isfinite(times))):
            raise ValueError('trajectory must be finite, got NaN or infinity')
        self._times_s, self._table = times, np.vstack([start, table])

    @property
    def duration_s(self) -> float:
        """Time of the last point [s]."""
        return float(self._times_s[-1])

    def at(self, time_s: float) -> NDArray[np.float64]:
        """Return the positions at `time_s` [s], shape (J,); the ends are held."""
        return np.array([np.interp(time_s, self._times_s, column) for column in self._table.T])
