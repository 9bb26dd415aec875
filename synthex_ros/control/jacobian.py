"""The model Jacobian corrected on line: a recursive least-squares fit of what the image shows.

Unstructured Broyden updates spread image noise over nine entries and need motion in every
direction. Here the same recursive least squares acts on the few numbers in which the device
really differs from its model (`Correction`): the gain of the bend (stiffness error), its offset
(slack), the direction of the bending plane and a displacement in `world` that takes the rest.
Gain and roll, which change the Jacobian, learn only while the bend has moved far enough above
play and noise; the others are the integral part that removes the steady-state error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.control.features import (
    TipMeasurement,
    features_of,
    interaction_matrix,
    metres_per_feature,
)
from synthex_ros.control.tip_model import Correction, TipModel

Array = NDArray[np.float64]

_NOMINAL = np.array([1.0, 0.0, 0.0, 0.0, 0.0, 0.0])
_SHAPE = [0, 2]


@dataclass(frozen=True)
class LearningSettings:
    """How far the device may differ from its model, and how fast the estimate may move.

    Attributes:
        gain_std: prior standard deviation of the bend gain.
        bend_std_m: prior of the bend offset [m].
        roll_std_rad: prior of the roll offset [rad].
        offset_std_m: prior of the displacement, each axis [m].
        bend_walk: bend offset drift per square root of bend travelled [m / sqrt(m)].
        offset_walk: displacement drift per metre of tip travel.
        drift_m_sqrt_s: displacement drift at rest [m / sqrt(s)].
        gain_low: lowest bend gain.
        gain_high: highest bend gain.
        bend_limit_m: largest bend offset [m].
        roll_limit_rad: largest roll offset [rad].
        offset_limit_m: largest displacement on each axis [m].
        motion_threshold_m: bend travel that must have been seen for gain and roll to learn [m].
        lag_s: time constant by which the tip may trail the joints [s].
        depth_correlation_frames: frames over which the error of a measured depth is the same.
        gate: squared Mahalanobis distance of (u, v) above which a frame is not believed.
        gate_floor_m: displacement in the image plane that is always believed [m].
    """

    gain_std: float = 0.2
    bend_std_m: float = 0.15e-3
    roll_std_rad: float = 0.05
    offset_std_m: float = 1e-3
    bend_walk: float = 2e-3
    offset_walk: float = 0.03
    drift_m_sqrt_s: float = 1e-4
    gain_low: float = 0.5
    gain_high: float = 1.6
    bend_limit_m: float = 1e-3
    roll_limit_rad: float = 0.35
    offset_limit_m: float = 0.02
    motion_threshold_m: float = 0.3e-3
    lag_s: float = 0.03
    depth_correlation_frames: float = 15.0
    gate: float = 13.8
    gate_floor_m: float = 1.5e-3


class OnlineCorrection:
    """Extended Kalman filter (recursive least squares with forgetting) of a `Correction`.

    Args:
        model: nominal tip model.
        settings: priors, bounds and rates.
        learn_shape: False keeps gain and roll nominal; used as the reference that the learning
            estimate has to beat.
    """

    def __init__(
        self, model: TipModel, settings: LearningSettings, learn_shape: bool = True
    ) -> None:
        self._model, self._settings = model, settings
        self._learn_shape = learn_shape
        self.reset()

    def reset(self) -> None:
        """Return to the nominal model and its prior."""
        self._x = _NOMINAL.copy()
        self._p = self._prior()
        self._last: Array | None = None
        self._speed = np.zeros(3)
        self._travel_m = 0.0

    def reopen(self) -> None:
        """Keep the estimate but believe it no more than the prior: the world has moved."""
        self._p = self._prior()

    def _prior(self) -> Array:
        s = self._settings
        shape = (s.gain_std, s.roll_std_rad) if self._learn_shape else (0.0, 0.0)
        return np.diag(np.square([shape[0], s.bend_std_m, shape[1], *3 * [s.offset_std_m]]))

    @property
    def correction(self) -> Correction:
        """The present estimate."""
        gain, bend, roll = self._x[:3].tolist()
        return Correction(gain, bend, roll, self._x[3:].copy())

    def predict(self, coordinates: ArrayLike, dt_s: float) -> None:
        """Let the estimate drift for motion to `coordinates`, shape (3,), and for time.

        Args:
            coordinates: insertion [m], roll [rad] and bend after play [m] at the exposure.
            dt_s: time since the last frame [s].
        """
        now, s = np.array(coordinates, float), self._settings
        moved = np.zeros(3) if self._last is None else now - self._last
        tip_m = float(np.linalg.norm(self._model.jacobian(now, self.correction) @ moved))
        self._travel_m += abs(float(moved[2]))
        self._speed = moved / dt_s if dt_s > 0 else np.zeros(3)
        self._last = now
        self._p[1, 1] += s.bend_walk**2 * abs(moved[2])
        drift = (s.offset_walk * tip_m) ** 2 + s.drift_m_sqrt_s**2 * min(dt_s, 1.0)
        self._p[3:, 3:] += drift * np.eye(3)

    def innovation(self, measurement: TipMeasurement, coordinates: ArrayLike):
        """Return innovation (3,), its covariance (3, 3), H (3, 6) and R (3, 3) in metres."""
        correction, view = self.correction, measurement.view
        expected = features_of(view, self._model.tip(coordinates, correction))
        scale = metres_per_feature(view, expected)
        to_features = scale[:, None] * interaction_matrix(view, expected)
        slope = self._model.effective_jacobian(coordinates, correction)
        bend = float(np.asarray(coordinates, float)[2])
        tip_slope = np.column_stack([slope[:, 2] * bend, slope[:, 2], slope[:, 1], np.eye(3)])
        h = to_features @ tip_slope
        deviation = measurement.deviations * scale
        lag = to_features @ (slope @ self._speed) * self._settings.lag_s
        noise = np.diag(deviation**2 + lag**2)
        noise[2, 2] *= self._settings.depth_correlation_frames
        return scale * (measurement.features - expected), h @ self._p @ h.T + noise, h, noise

    def believes(self, measurement: TipMeasurement, coordinates: ArrayLike) -> bool:
        """Tell whether the seen (u, v) is near enough to what is expected."""
        residual, spread, _, _ = self.innovation(measurement, coordinates)
        seen = residual[:2]
        if np.linalg.norm(seen) <= self._settings.gate_floor_m:
            return True
        return bool(seen @ np.linalg.solve(spread[:2, :2], seen) <= self._settings.gate)

    def update(self, measurement: TipMeasurement, coordinates: ArrayLike) -> float:
        """Learn from one frame; return the squared innovation in the image plane [m^2].

        Args:
            measurement: what the frame shows.
            coordinates: insertion [m], roll [rad], bend after play [m] at the exposure.
        """
        residual, spread, h, noise = self.innovation(measurement, coordinates)
        gain = np.linalg.solve(spread, h @ self._p).T
        if self._travel_m < self._settings.motion_threshold_m:
            gain[_SHAPE] = 0.0
        self._x = self._bounded(self._x + gain @ residual)
        # Joseph form: right for any gain, so also where rows of it were set to zero.
        keep = np.eye(6) - gain @ h
        self._p = keep @ self._p @ keep.T + gain @ noise @ gain.T
        return float(residual[:2] @ residual[:2])

    def _bounded(self, x: Array) -> Array:
        s = self._settings
        top = np.array([s.gain_high, s.bend_limit_m, s.roll_limit_rad, *3 * [s.offset_limit_m]])
        low = -top
        low[0] = s.gain_low
        return np.clip(x, low, top)

    def tip_covariance(self, coordinates: ArrayLike) -> Array:
        """Return the covariance of the estimated tip in `world`, shape (3, 3) [m^2]."""
        slope = self._model.effective_jacobian(coordinates, self.correction)
        bend = float(np.asarray(coordinates, float)[2])
        h = np.column_stack([slope[:, 2] * bend, slope[:, 2], slope[:, 1], np.eye(3)])
        return h @ self._p @ h.T


class SupervisedCorrection:
    """The learning estimate with a nominal one beside it; falls back when learning is worse.

    Both see every frame. Where the smoothed squared innovation of the learning one exceeds that
    of the nominal one by `worse_ratio`, its Jacobian is not better than the model's: it is reset.

    Args:
        model: nominal tip model.
        settings: priors, bounds and rates.
        worse_ratio: ratio of squared innovations that triggers the reset.
        smoothing: weight of the newest frame in the smoothed innovations.
        noise_floor_m: innovation below which the two are not compared [m].
        adapt: False keeps the nominal Jacobian and learns offsets only.
    """

    def __init__(
        self,
        model: TipModel,
        settings: LearningSettings,
        worse_ratio: float = 2.0,
        smoothing: float = 0.1,
        noise_floor_m: float = 0.6e-3,
        adapt: bool = True,
    ) -> None:
        self._learning = OnlineCorrection(model, settings, learn_shape=adapt)
        self._nominal = OnlineCorrection(model, settings, learn_shape=False)
        self._worse_ratio, self._smoothing = worse_ratio, smoothing
        self._floor_m2 = noise_floor_m**2
        self._levels = np.zeros(2)
        self.resets = 0

    @property
    def correction(self) -> Correction:
        """The present estimate."""
        return self._learning.correction

    def tip_covariance(self, coordinates: ArrayLike) -> Array:
        """Return the covariance of the estimated tip in `world`, shape (3, 3) [m^2]."""
        return self._learning.tip_covariance(coordinates)

    def reset(self) -> None:
        """Return to the nominal model."""
        self._learning.reset()
        self._nominal.reset()
        self._levels[:] = 0.0

    def reopen(self) -> None:
        """Doubt the estimate: the world has moved against the device."""
        self._learning.reopen()
        self._nominal.reopen()

    def predict(self, coordinates: ArrayLike, dt_s: float) -> None:
        """Let the estimates drift for motion to `coordinates`, shape (3,), and time [s]."""
        self._learning.predict(coordinates, dt_s)
        self._nominal.predict(coordinates, dt_s)

    def update(self, measurement: TipMeasurement, coordinates: ArrayLike) -> bool:
        """Learn from one frame; False where it failed the gate and nothing was learned."""
        if not self._learning.believes(measurement, coordinates):
            return False
        seen = [
            self._learning.update(measurement, coordinates),
            self._nominal.update(measurement, coordinates),
        ]
        self._levels += self._smoothing * (np.array(seen) - self._levels)
        learning, nominal = self._levels
        if learning > max(self._floor_m2, self._worse_ratio * nominal):
            self._learning.reset()
            self._levels[:] = 0.0
            self.resets += 1
        return True
