"""Joint goals for a tip position: which of the solutions, and how to stay on it.

A two-tendon manipulator reaches a point off its axis in two ways: roll towards it and bend
forwards, or roll half a turn away and bend backwards. Near the axis roll has no effect and the
direction of bending is undefined. So the branch is chosen once for each new goal, by the time it
takes to get there and the roll that is left for the next one, and then kept: passing the axis
flips the sign of the bend, never the roll.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.control.least_squares import box_step
from synthex_ros.control.tip_model import Correction, TipModel
from synthex_ros.joints import JointLimits

Array = NDArray[np.float64]

# Insertion is always well conditioned; roll is damped so that within about this distance of the
# axis it hardly turns [m/rad]; bend needs a trace against a singular Jacobian at full bend.
_DAMPING = np.array([0.02, 3e-3, 0.05])


def coordinate_limits(limits: JointLimits, co_contraction_m: float) -> JointLimits:
    """Return the limits of (insertion, roll, bend) that keep all four joints in theirs."""
    (low_1, low_2), (high_1, high_2) = limits.lower[2:], limits.upper[2:]
    low = max(low_1 - co_contraction_m, co_contraction_m - high_2)
    high = min(high_1 - co_contraction_m, co_contraction_m - low_2)
    return JointLimits(
        (*limits.names[:2], 'bend'),
        np.array([*limits.lower[:2], low]),
        np.array([*limits.upper[:2], high]),
        np.array([*limits.rate[:2], min(limits.rate[2:])]),
    )


@dataclass(frozen=True)
class Inverse:
    """Coordinates that put the corrected model's tip at a point.

    Attributes:
        model: the tip model.
        limits: limits of (insertion, roll, bend), the bend without what the play takes.
        home_roll_rad: roll that solutions should be near [rad].
    """

    model: TipModel
    limits: JointLimits
    home_roll_rad: float = 0.0

    def refine(
        self,
        start: ArrayLike,
        target_m: ArrayLike,
        correction: Correction,
        weights: ArrayLike | None = None,
        damping_scale: float = 1.0,
    ) -> Array:
        """Return one damped Gauss-Newton step from `start` towards `target_m`, shape (3,).

        Args:
            start: coordinates, shape (3,), inside the limits.
            target_m: wanted tip in `world` [m], shape (3,).
            correction: what is known about the device.
            weights: rows that weight the world error, shape (m, 3); identity if None.
            damping_scale: factor on the damping.
        """
        here = self.limits.clamp(start)
        rows = np.eye(3) if weights is None else np.asarray(weights, float)
        error = rows @ (np.asarray(target_m, float) - self.model.tip(here, correction))
        slope = rows @ self.model.jacobian(here, correction)
        lower, upper = self.limits.lower - here, self.limits.upper - here
        return here + box_step(slope, error, _DAMPING * damping_scale, lower, upper)

    def solve(self, target_m: ArrayLike, near: ArrayLike, correction: Correction) -> Array:
        """Return the coordinates, shape (3,), nearest in time to `near` that reach the target.

        Where nothing reaches it, the ones that come closest are returned.
        """
        here = self.limits.clamp(near)
        found = [
            self._descend(start, target_m, correction)
            for start in self._starts(target_m, here, correction)
        ]
        misses = np.array([self.miss_m(q, target_m, correction) for q in found])
        good = misses <= misses.min() + 1e-4
        costs = [self._cost_s(here, q) for q in found]
        return found[int(np.argmin(np.where(good, costs, np.inf)))]

    def _cost_s(self, here: Array, q: Array) -> float:
        away_s = abs(float(q[1]) - self.home_roll_rad) / self.limits.rate[1]
        return self.travel_time_s(here, q) + away_s

    def _starts(self, target_m, here, correction) -> list[Array]:
        x, y, _ = self.model.in_base(target_m, correction)
        bend = max(abs(float(here[2])), 0.3 * self.limits.upper[2])
        towards = np.arctan2(y, x) - correction.roll_offset_rad
        if np.hypot(x, y) < 5e-4:
            towards = float(here[1])
        starts = []
        for turn, sign in ((0, 1), (1, -1), (-1, -1), (2, 1), (-2, 1)):
            roll = towards + np.pi * turn
            if self.limits.lower[1] <= roll <= self.limits.upper[1]:
                starts.append(np.array([here[0], roll, sign * bend]))
        return starts or [here]

    def _descend(self, start, target_m, correction) -> Array:
        q = self.limits.clamp(start)
        for _ in range(12):
            after = self.refine(q, target_m, correction, damping_scale=0.1)
            if np.all(np.abs(after - q) < 1e-6):
                return after
            q = after
        return q

    def miss_m(self, coordinates: ArrayLike, target_m: ArrayLike, correction: Correction) -> float:
        """Return how far from the target the model's tip is [m]."""
        tip = self.model.tip(coordinates, correction)
        return float(np.linalg.norm(tip - np.asarray(target_m, float)))

    def travel_time_s(self, start: ArrayLike, end: ArrayLike) -> float:
        """Return the time at full speed between two coordinates [s], joints moving together.

        A tenth of the other joints' times is added, so that of two ways that take equally long
        the one with less motion is shorter.
        """
        way = np.abs(np.asarray(end, float) - np.asarray(start, float)) / self.limits.rate
        return float(np.max(way) + 0.1 * np.sum(way))
