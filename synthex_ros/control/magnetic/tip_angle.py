"""Tip angle of a guidewire by model and image: what the model gets wrong is learned from frames.

The bend is a vector across the wire's base direction. Its model is `WireModel` in the field that
acted at the exposure; a Kalman filter estimates the factor on the magnetic strength (moment,
stiffness and field are each known to some 20 %) and a bend that has no cause in the model. The
wire settles within tens of milliseconds, so the delay of the image needs no more than the field of
that time.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.control.magnetic.wire_model import WireModel, equilibrium_bend, field_angle
from synthex_ros.magnetics import as_vector

Array = NDArray[np.float64]


class TipAngleGoal:
    """A direction of the tip, with the place where it shall be.

    Attributes:
        direction: wanted direction of the tip in `world`, unit, shape (3,).

    Args:
        direction: shape (3,), any length but zero.
        position_m: where the tip shall be in `world`, shape (3,) [m]; None leaves the insertion.
    """

    mode = 'target'

    def __init__(self, direction: ArrayLike, position_m: ArrayLike | None = None) -> None:
        wanted = as_vector(direction, 'direction')
        size = float(np.linalg.norm(wanted))
        if size == 0.0:
            raise ValueError('direction must not be zero')
        self.direction = wanted / size
        self._position = None if position_m is None else as_vector(position_m, 'position_m')

    def at(self, stamp_ns: int, tip_m: Array) -> tuple[Array, Array, float]:
        """Return the place at rest; the present tip where none was given."""
        place = np.array(tip_m, float) if self._position is None else self._position
        return place, np.zeros(3), np.inf


@dataclass(frozen=True)
class BendNoise:
    """Standard deviations of what the bend's model may get wrong.

    Attributes:
        strength: of the factor on the magnetic strength at the start.
        strength_drift: of the same in a second.
        offset_rad: of the bend without cause at the start [rad].
        offset_drift_rad: of the same in a second [rad].
        model_rad: of one frame beside its noise [rad].
    """

    strength: float = 0.25
    strength_drift: float = 0.01
    offset_rad: float = 0.15
    offset_drift_rad: float = 0.02
    model_rad: float = 0.02


class BendEstimator:
    """Factor on the strength, and the bend without cause, from chords seen in images.

    Args:
        model: nominal wire.
        noise: what may be wrong with it.
        gate: deviations from which on a chord does not count.
    """

    def __init__(
        self, model: WireModel, noise: BendNoise | None = None, gate: float = 4.0
    ) -> None:
        self.model, self.noise, self._gate = model, noise or BendNoise(), gate
        self.reset()

    def reset(self) -> None:
        """Forget what was learned."""
        noise = self.noise
        self._mean = np.array([1.0, 0.0, 0.0])
        self._covariance = np.diag([noise.strength, noise.offset_rad, noise.offset_rad]) ** 2
        self._last_ns: int | None = None

    @property
    def factor(self) -> float:
        """Magnetic strength over that of the model."""
        return float(np.clip(self._mean[0], 0.3, 3.0))

    @property
    def offset_rad(self) -> Array:
        """Bend without cause, shape (2,) [rad]."""
        return self._mean[1:]

    def bend(self, field_base_t: Array) -> Array:
        """Return the bend, shape (2,) [rad], in a field in the frame of the wire's base [T]."""
        return self._caused(field_base_t, self.factor) + self._mean[1:]

    def _caused(self, field: Array, factor: float) -> Array:
        across = math.hypot(field[0], field[1])
        if across == 0.0:
            return np.zeros(2)
        strength = factor * self.model.strength(float(np.linalg.norm(field)))
        angle = equilibrium_bend(strength, math.atan2(across, field[2]))
        return angle / across * field[:2]

    def field_for(
        self, bend_rad: Array, field_t: float, field_max_t: float, lead_max_rad: float
    ) -> Array:
        """Return the field, shape (3,) [T], in the base's frame, that makes a bend (2,) [rad].

        Its strength is `field_t`, or as much more as the bend needs, up to `field_max_t`.
        """
        wanted = np.asarray(bend_rad, float) - self._mean[1:]
        angle = float(np.linalg.norm(wanted))
        needed = angle / math.sin(lead_max_rad)
        one = self.factor * self.model.strength(1.0)
        size = float(np.clip(needed / one, field_t, field_max_t))
        turn = field_angle(one * size, angle, lead_max_rad)
        side = wanted / angle if angle > 1e-9 else np.array([1.0, 0.0])
        return size * np.append(math.sin(turn) * side, math.cos(turn))

    def observe(
        self, stamp_ns: int, field_base_t: Array, bend_rad: float, side: Array, deviation: float
    ) -> bool:
        """Learn from one frame; tell whether its bend was where it could be.

        Args:
            stamp_ns: exposure [ns].
            field_base_t: field that acted then, in the base's frame, shape (3,) [T].
            bend_rad: measured bend along `side` [rad].
            side: direction across the base that the image shows, unit, shape (2,).
            deviation: standard deviation of the measured bend [rad].
        """
        noise, step = self.noise, 0.02
        if self._last_ns is not None:
            passed_s = max(0.0, (stamp_ns - self._last_ns) * 1e-9)
            drift = [noise.strength_drift, noise.offset_drift_rad, noise.offset_drift_rad]
            self._covariance += np.diag(drift) ** 2 * passed_s
        self._last_ns = stamp_ns
        at, up = (self._caused(field_base_t, self.factor + d) for d in (0.0, step))
        rows = np.append((up - at) @ side / step, side)
        miss = bend_rad - float((at + self._mean[1:]) @ side)
        spread = float(rows @ self._covariance @ rows) + deviation**2 + noise.model_rad**2
        if miss**2 > self._gate**2 * spread:
            return False
        gain = self._covariance @ rows / spread
        self._mean = self._mean + gain * miss
        self._covariance = self._covariance - np.outer(gain, rows @ self._covariance)
        return True

    def widen(self) -> None:
        """Doubt what was learned."""
        noise = self.noise
        deviations = np.diag([noise.strength, noise.offset_rad, noise.offset_rad])
        self._covariance = self._covariance + deviations**2


class FieldMemory:
    """The field that acted at a time: commands behind the lag of drivers and coils.

    Args:
        lag_s: time constant [s].
        span_s: how much to keep [s].
    """

    def __init__(self, lag_s: float, span_s: float = 1.0) -> None:
        self._lag_s, self._span_ns = max(lag_s, 1e-4), round(span_s * 1e9)
        self._past: deque[tuple[int, Array]] = deque()
        self._wanted = np.zeros(3)

    def clear(self) -> None:
        """Forget everything."""
        self._past.clear()
        self._wanted = np.zeros(3)

    def advance(self, now_ns: int) -> Array:
        """Return the field that acts at `now_ns` [ns], shape (3,) [T]."""
        if not self._past:
            self._past.append((now_ns, self._wanted))
        before_ns, before = self._past[-1]
        if now_ns <= before_ns:
            return before
        left = math.exp(-(now_ns - before_ns) * 1e-9 / self._lag_s)
        after = self._wanted + left * (before - self._wanted)
        self._past.append((now_ns, after))
        while len(self._past) > 2 and self._past[1][0] < now_ns - self._span_ns:
            self._past.popleft()
        return after

    def commanded(self, now_ns: int, field_t: Array) -> None:
        """Take a command, shape (3,) [T], given at `now_ns` [ns]."""
        self.advance(now_ns)
        self._wanted = np.array(field_t, float)

    def newest(self) -> Array:
        """Return the field that acts at the newest known time, shape (3,) [T]."""
        return self._past[-1][1] if self._past else np.zeros(3)

    def at(self, stamp_ns: int) -> Array:
        """Return the field that acted at `stamp_ns` [ns], shape (3,) [T]."""
        if not self._past:
            return np.zeros(3)
        later = None
        for when_ns, value in reversed(self._past):
            if when_ns <= stamp_ns:
                if later is None or later[0] == when_ns:
                    return value
                share = (stamp_ns - when_ns) / (later[0] - when_ns)
                return (1 - share) * value + share * later[1]
            later = (when_ns, value)
        return self._past[0][1]
