"""A Kalman filter of late measurements: it rolls back, corrects, and plays forward again.

Every step is kept with its input for about a second. A frame of time t is applied to the state at
t, and the inputs since are played anew (the recommended way for lags known by stamp; Larsen et
al., Proc. 37th IEEE CDC (1998) 3972, compare it with cheaper ones). A measurement is compared with
what it should be before it counts: one that lies outside the gate changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

GATE = 14.16
"""99.73 % quantile of chi-square with three degrees of freedom."""


class MotionModel(Protocol):
    """How a state moves."""

    size: int

    def advance(
        self, mean: Array, covariance: Array, inputs: Array, duration_s: float
    ) -> tuple[Array, Array]:
        """Return mean (n,) and covariance (n, n) after `duration_s` [s] of inputs, shape (m,)."""
        ...


@dataclass(frozen=True, eq=False)
class _Step:
    end_ns: int
    inputs: Array
    mean: Array
    covariance: Array


class DelayedFilter:
    """State of a motion model from late position measurements.

    The first three entries of the state are the measured position.

    Args:
        model: how the state moves.
        span_s: how much of the past to keep; older measurements are refused [s].
        gate: squared Mahalanobis distance that a measurement must keep within.
    """

    def __init__(self, model: MotionModel, span_s: float = 1.0, gate: float = GATE) -> None:
        self._model, self._span_ns, self._gate = model, round(span_s * 1e9), gate
        self._steps: list[_Step] = []

    @property
    def started(self) -> bool:
        """Whether there is a state."""
        return bool(self._steps)

    @property
    def now_ns(self) -> int:
        """Time of the newest state [ns]."""
        return self._steps[-1].end_ns

    @property
    def mean(self) -> Array:
        """The newest state, shape (n,)."""
        return self._steps[-1].mean

    @property
    def covariance(self) -> Array:
        """Its covariance, shape (n, n)."""
        return self._steps[-1].covariance

    def clear(self) -> None:
        """Forget everything."""
        self._steps.clear()

    def start(self, stamp_ns: int, mean: Array, covariance: Array) -> None:
        """Begin anew at `stamp_ns` [ns] with a state, shape (n,), and covariance, shape (n, n)."""
        self._steps = [_Step(stamp_ns, np.zeros(0), np.array(mean), np.array(covariance))]

    def widen(self, covariance: Array) -> None:
        """Add to the covariance of the newest state, shape (n, n); the past is closed."""
        last = self._steps[-1]
        self.start(last.end_ns, last.mean, last.covariance + covariance)

    def advance(self, until_ns: int, inputs: Array) -> None:
        """Play the model forward to `until_ns` [ns] with inputs, shape (m,)."""
        last = self._steps[-1]
        if until_ns <= last.end_ns:
            return
        self._steps.append(self._moved(last, until_ns, np.array(inputs, float)))
        oldest = until_ns - self._span_ns
        while len(self._steps) > 2 and self._steps[1].end_ns < oldest:
            self._steps.pop(0)

    def measure(self, stamp_ns: int, position_m: Array, covariance_m2: Array) -> bool:
        """Use a position, shape (3,) [m], of the time `stamp_ns` [ns]; tell whether it counted.

        Args:
            stamp_ns: when it was so [ns]; at most the newest state's time.
            position_m: the measured position, shape (3,) [m].
            covariance_m2: of its error, shape (3, 3) [m^2].
        """
        if stamp_ns < self._steps[0].end_ns or stamp_ns > self.now_ns:
            return False
        k = next(n for n, step in enumerate(self._steps) if step.end_ns >= stamp_ns)
        later, at = self._steps[k:], self._steps[k]
        if at.end_ns > stamp_ns:
            at = self._moved(self._steps[k - 1], stamp_ns, at.inputs)
        else:
            later = later[1:]
        corrected = self._corrected(at, position_m, covariance_m2)
        if corrected is None:
            return False
        self._steps[k:] = [corrected]
        for step in later:
            self._steps.append(self._moved(self._steps[-1], step.end_ns, step.inputs))
        return True

    def _moved(self, step: _Step, until_ns: int, inputs: Array) -> _Step:
        duration_s = (until_ns - step.end_ns) * 1e-9
        mean, covariance = self._model.advance(step.mean, step.covariance, inputs, duration_s)
        return _Step(until_ns, inputs, mean, covariance)

    def _corrected(self, step: _Step, position: Array, noise: Array) -> _Step | None:
        miss = position - step.mean[:3]
        spread = step.covariance[:3, :3] + noise
        known = np.concatenate([miss[:, None], step.covariance[:3]], axis=1)
        weighted = np.linalg.solve(spread, known)
        if float(miss @ weighted[:, 0]) > self._gate:
            return None
        mean = step.mean + step.covariance[:, :3] @ weighted[:, 0]
        covariance = step.covariance - step.covariance[:, :3] @ weighted[:, 1:]
        return _Step(step.end_ns, step.inputs, mean, (covariance + covariance.T) / 2)
