"""Watches whether the coils make the field that their currents should make, and names the culprit.

The gain of every coil, its field over that of the model, is estimated from the field sensors by a
Kalman filter; healthy gains lie about one within their tolerance. A reading whose squared distance
from the prediction exceeds its chi-square quantile means that something has changed: from then on
any gain is thought possible, and the next readings tell whose gain it is. What no gains explain,
such as a magnet brought near, is an alarm without a name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtri

from synthex_ros.magnetics import as_points

Array = NDArray[np.float64]


class SensedCoils(Protocol):
    """What the watch must know about the coils."""

    names: tuple[str, ...]

    def unit_matrices(self, points_m: ArrayLike) -> Array:
        """Return field and gradient of one effective ampere at points, shape (N, 8, n)."""

    def effective(self, currents_a: ArrayLike) -> Array:
        """Return effective currents after saturation, shape (n,) [A]."""


@dataclass(frozen=True)
class WatchSettings:
    """When to speak of a failure.

    Attributes:
        gain_tolerance: standard deviation of a healthy coil's gain about one.
        gain_drift: how much a gain may wander from one reading to the next, standard deviation.
        noise_t: standard deviation of a sensor axis, with what the model leaves out [T].
        false_alarm: probability that a healthy reading exceeds the limit.
        failure: a gain this far from one is a failure.
        certainty: standard deviation at which a gain is known well enough to be judged.
        persistence: readings in a row that must agree until a failure is latched.
    """

    gain_tolerance: float = 0.20
    gain_drift: float = 1e-3
    noise_t: float = 100e-6
    false_alarm: float = 1e-4
    failure: float = 0.5
    certainty: float = 0.10
    persistence: int = 3

    def __post_init__(self):
        for name in ('gain_tolerance', 'noise_t', 'failure', 'certainty'):
            if not getattr(self, name) > 0:
                raise ValueError(f'{name} must be positive, got {getattr(self, name)}')
        if not (0 < self.false_alarm < 1 and self.persistence >= 1 and self.gain_drift >= 0):
            raise ValueError(
                'false_alarm must be between 0 and 1, persistence at least 1 and gain_drift not '
                f'negative, got {self.false_alarm}, {self.persistence}, {self.gain_drift}'
            )


@dataclass(frozen=True, eq=False)
class WatchReport:
    """What the readings so far say.

    Attributes:
        chi_square: squared distance of this reading from its prediction, in standard deviations.
        limit: its quantile.
        gains: estimated field of each coil over that of the model, shape (n,).
        gain_deviations: their standard deviations, shape (n,).
        failed: names of the coils that are latched as failed.
        alarm: a failure is latched, named or not, until `reset`.
        reason: what is wrong, in words; empty if nothing.
    """

    chi_square: float
    limit: float
    gains: Array
    gain_deviations: Array
    failed: tuple[str, ...]
    alarm: bool
    reason: str


class CoilWatch:
    """Detects coils that fail behind their current sensors; failures stay latched."""

    def __init__(
        self, coils: SensedCoils, sensors_m: ArrayLike, settings: WatchSettings | None = None
    ) -> None:
        """Watch `coils` with sensors at `sensors_m`, shape (K, 3) [m]."""
        self.settings = settings or WatchSettings()
        self._coils = coils
        unit = coils.unit_matrices(as_points(sensors_m, 'sensors_m'))[:, :3]
        self._unit = unit.reshape(-1, len(coils.names))
        self.limit = float(chdtri(len(self._unit), self.settings.false_alarm))
        self.reset()

    def reset(self) -> None:
        """Forget all failures and estimates; the only way out of an alarm."""
        count = len(self._coils.names)
        self._gains = np.ones(count)
        self._covariance = self.settings.gain_tolerance**2 * np.eye(count)
        self._suspect = np.zeros(count, int)
        self._failed: list[int] = []
        self._unexplained = 0
        self._foreign = False

    def update(self, currents_a: ArrayLike, field_t: ArrayLike) -> WatchReport:
        """Judge one reading of the field sensors.

        Args:
            currents_a: currents as the drivers measured them with the reading, shape (n,) [A].
            field_t: what the sensors read, shape (K, 3) [T].

        Raises:
            ValueError: wrong shape or not finite.
        """
        reading = np.asarray(field_t, float).ravel()
        if reading.shape != (len(self._unit),) or not np.all(np.isfinite(reading)):
            raise ValueError(f'field_t must be finite, shape ({len(self._unit) // 3}, 3)')
        columns = self._unit * self._coils.effective(currents_a)
        chi_square = self._learn(columns, reading)
        if chi_square > self.limit:
            self._covariance += np.eye(len(self._gains))
            unexplained = self._learn(columns, reading) > self.limit
            self._unexplained = self._unexplained + 1 if unexplained else 0
        else:
            self._unexplained = 0
        self._latch()
        return self._report(chi_square)

    def _learn(self, columns: Array, reading: Array) -> float:
        """Return the squared distance of a reading; within the limit, learn the gains from it."""
        off = reading - columns @ self._gains
        spread = columns @ self._covariance @ columns.T
        spread[np.diag_indices_from(spread)] += self.settings.noise_t**2
        gain = np.linalg.solve(spread, columns @ self._covariance).T
        chi_square = float(off @ np.linalg.solve(spread, off))
        if chi_square <= self.limit:
            self._gains = self._gains + gain @ off
            after = self._covariance - gain @ columns @ self._covariance
            self._covariance = (after + after.T) / 2
            self._covariance[np.diag_indices_from(after)] += self.settings.gain_drift**2
        return chi_square

    def _latch(self) -> None:
        settings = self.settings
        known = np.sqrt(np.diag(self._covariance)) <= settings.certainty
        bad = known & (np.abs(self._gains - 1) >= settings.failure)
        self._suspect = np.where(bad, self._suspect + 1, 0)
        for index in np.flatnonzero(self._suspect >= settings.persistence).tolist():
            if index not in self._failed:
                self._failed.append(index)
        self._foreign |= self._unexplained >= settings.persistence

    def _report(self, chi_square: float) -> WatchReport:
        names = tuple(self._coils.names[index] for index in self._failed)
        reasons = [
            f'{name} makes {100 * self._gains[index]:.0f} % of its field'
            for name, index in zip(names, self._failed, strict=True)
        ]
        if self._foreign:
            reasons.append('the measured field is not that of the coils, whatever their gains')
        return WatchReport(
            chi_square=chi_square,
            limit=self.limit,
            gains=self._gains.copy(),
            gain_deviations=np.sqrt(np.diag(self._covariance)),
            failed=names,
            alarm=bool(reasons),
            reason='; '.join(reasons),
        )
