"""Drives that follow a set-point no faster than their rate limit and no farther than travel."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.joints import JointLimits

Array = NDArray[np.float64]


class RateLimitedDrives:
    """One stiff position drive a joint; each moves straight to its set-point at up to its rate.

    Attributes:
        limits: travel and rate limits.
        positions: present positions in joint order [m or rad].
        velocities: speeds of the last step [m/s or rad/s].
    """

    def __init__(self, limits: JointLimits) -> None:
        self.limits = limits
        self._rates = limits.rate.tolist()
        self.reset(np.clip(0.0, limits.lower, limits.upper))

    def reset(self, positions: ArrayLike) -> None:
        """Stand still at `positions`, shape (J,).

        Raises:
            ValueError: wrong shape, not finite, or outside the travel limits.
        """
        values = self.limits.check(positions)
        if not self.limits.contains(values):
            raise ValueError(
                f'joints {values} are outside the travel limits {self.limits.lower} to '
                f'{self.limits.upper}; joint order is {list(self.limits.names)}'
            )
        self.positions: list[float] = values.tolist()
        self.velocities = [0.0] * len(self.positions)
        self._set_points = list(self.positions)

    def command(self, set_points: ArrayLike) -> Array:
        """Set where to go, shape (J,); return the set-points within the travel limits.

        Raises:
            ValueError: wrong shape or not finite; nothing changes.
        """
        accepted = self.limits.clamp(set_points)
        self._set_points = accepted.tolist()
        return accepted

    def hold(self) -> None:
        """Make the present positions the set-points."""
        self._set_points = list(self.positions)

    def peek(self, duration_s: float) -> Array:
        """Return where the drives will be `duration_s` [s] from now, shape (J,)."""
        lowest, highest = self.limits.reach(self.positions, duration_s)
        return np.clip(self._set_points, lowest, highest)

    def step(self, duration_s: float) -> list[float]:
        """Advance by `duration_s` [s] and return the positions."""
        for joint, rate in enumerate(self._rates):
            start = self.positions[joint]
            reach = rate * duration_s
            move = max(-reach, min(reach, self._set_points[joint] - start))
            self.positions[joint] = self._set_points[joint] if abs(move) < reach else start + move
            self.velocities[joint] = move / duration_s
        return self.positions
