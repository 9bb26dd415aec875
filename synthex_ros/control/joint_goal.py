"""The joint goal: kept on one branch and refined with every frame, searched anew after a jump."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthex_ros.control.features import (
    TipMeasurement,
    features_of,
    interaction_matrix,
    metres_per_feature,
)
from synthex_ros.control.inverse import Inverse
from synthex_ros.control.tip_model import Correction

Array = NDArray[np.float64]

_REPLAN_NS = 500_000_000


def feature_rows(measurement: TipMeasurement, aim_m: Array, covariance_m2: Array) -> Array:
    """Return the rows that turn a world error into weighted features, shape (3, 3) [m/m].

    Features are scaled to metres across the ray; each is weighted by how well the tip is known
    along it, the depth of a single view least.

    Args:
        measurement: the frame, for its view.
        aim_m: wanted tip in `world` [m], shape (3,).
        covariance_m2: covariance of the estimated tip in `world` [m^2], shape (3, 3).
    """
    features = features_of(measurement.view, aim_m)
    scale = metres_per_feature(measurement.view, features)
    rows = scale[:, None] * interaction_matrix(measurement.view, features)
    deviation = np.maximum(np.sqrt(np.diag(rows @ covariance_m2 @ rows.T)), 1e-6)
    return rows * np.clip(np.min(deviation[:2]) / deviation, 0.2, 1.0)[:, None]


class JointGoal:
    """Coordinates (insertion, roll, bend) at which the corrected model's tip is at the aim.

    Args:
        inverse: solver with the limits of the coordinates.
        jump_m: step of the aim that starts a new search [m].
        replan_m: miss that starts a new search, at most every half second [m].
    """

    def __init__(self, inverse: Inverse, jump_m: float, replan_m: float) -> None:
        self._inverse, self._jump_m, self._replan_m = inverse, jump_m, replan_m
        self._goal_id: int | None = None
        self._aim_m = np.zeros(3)
        self._coordinates = np.zeros(3)
        self._planned_ns = 0

    def forget(self) -> None:
        """Drop the goal; the next one is searched for."""
        self._goal_id = None

    def update(
        self,
        goal_id: int,
        aim_m: Array,
        measurement: TipMeasurement,
        near: Array,
        correction: Correction,
        covariance_m2: Array,
    ) -> tuple[Array, float]:
        """Return the goal, shape (3,), and by how much its tip misses the aim [m].

        Args:
            goal_id: number of the reference's goal.
            aim_m: wanted tip in `world` [m], shape (3,).
            measurement: the frame that is answered.
            near: present coordinates, shape (3,).
            correction: what is known about the device.
            covariance_m2: covariance of the estimated tip [m^2], shape (3, 3).
        """
        jumped = float(np.linalg.norm(aim_m - self._aim_m)) > self._jump_m
        search = goal_id != self._goal_id or jumped
        if not search:
            rows = feature_rows(measurement, aim_m, covariance_m2)
            self._coordinates = self._inverse.refine(self._coordinates, aim_m, correction, rows)
            rested = measurement.stamp_ns - self._planned_ns > _REPLAN_NS
            search = rested and self._miss_m(aim_m, correction) > self._replan_m
        if search:
            self._coordinates = self._inverse.solve(aim_m, near, correction)
            self._planned_ns = measurement.stamp_ns
        self._goal_id, self._aim_m = goal_id, aim_m
        return self._coordinates, self._miss_m(aim_m, correction)

    def _miss_m(self, aim_m: Array, correction: Correction) -> float:
        return self._inverse.miss_m(self._coordinates, aim_m, correction)
