"""Watches whether the coils make the field that their currents should make, and names the culprit.

The field sensors' readings less the model's prediction have a known covariance: sensor noise and
the tolerance of each coil's gain, in proportion to what it makes. If the squared distance exceeds
its chi-square quantile several times in a row, something is broken. Which coil it is follows from
comparing, for each one, how likely the readings are had that coil any gain at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2

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
        gain_tolerance: standard deviation of a healthy coil's gain about 1.
        noise_t: standard deviation of a sensor axis [T].
        false_alarm: probability that one healthy reading exceeds the limit.
        persistence: readings in a row above the limit until a failure is latched.
        certainty: how much likelier than the next coil the culprit must be, as a log ratio.
    """

    gain_tolerance: float = 0.10
    noise_t: float = 100e-6
    false_alarm: float = 1e-3
    persistence: int = 5
    certainty: float = 3.0

    def __post_init__(self):
        if not (self.gain_tolerance >= 0 and self.noise_t > 0 and self.certainty >= 0):
            raise ValueError('gain_tolerance, noise_t and certainty must not be negative')
        if not (0 < self.false_alarm < 1 and self.persistence >= 1):
            raise ValueError('false_alarm must be between 0 and 1 and persistence at least 1')


@dataclass(frozen=True)
class WatchReport:
    """What one reading says.

    Attributes:
        chi_square: squared distance of reading and prediction in standard deviations.
        limit: its quantile.
        failed: names of the coils that are latched as failed.
        gains: their estimated gains, in the same order.
        alarm: a failure is latched, named or not, until `reset`.
        reason: what is wrong, in words; empty if nothing.
    """

    chi_square: float
    limit: float
    failed: tuple[str, ...]
    gains: tuple[float, ...]
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
        self.limit = float(chi2.ppf(1 - self.settings.false_alarm, len(self._unit)))
        self.reset()

    def reset(self) -> None:
        """Forget all failures; the only way out of an alarm."""
        self._failed: dict[int, float] = {}
        self._unnamed = False
        self._above = 0
        self._evidence = np.zeros(len(self._coils.names))

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
        off = reading - columns.sum(axis=1)
        covariance = self._covariance(columns)
        weighted = np.linalg.solve(covariance, np.column_stack([off, columns]))
        chi_square = float(off @ weighted[:, 0])
        if chi_square <= self.limit:
            self._above = 0
            self._evidence[:] = 0.0
        else:
            self._above += 1
            self._evidence += self._log_likelihoods(columns, off, weighted)
            if self._above >= self.settings.persistence:
                self._latch(columns, off, weighted)
        for index in self._failed:
            self._failed[index] = self._gain(index, columns, off)
        return self._report(chi_square)

    def _covariance(self, columns: Array, without: int | None = None) -> Array:
        """Return the covariance of reading less prediction; a failed coil may have any gain."""
        spread = np.full(columns.shape[1], self.settings.gain_tolerance**2)
        spread[list(self._failed)] = 1.0
        if without is not None:
            spread[without] = 0.0
        covariance = (columns * spread) @ columns.T
        covariance[np.diag_indices_from(covariance)] += self.settings.noise_t**2
        return covariance

    def _log_likelihoods(self, columns: Array, off: Array, weighted: Array) -> Array:
        """Return how much likelier the reading is if a coil's gain had a unit spread, shape (n,).

        By the matrix determinant and inversion lemmas for a covariance with one more column.
        """
        information = np.einsum('ij,ij->j', columns, weighted[:, 1:])
        score = columns.T @ weighted[:, 0]
        return 0.5 * (score**2 / (1 + information) - np.log1p(information))

    def _latch(self, columns: Array, off: Array, weighted: Array) -> None:
        evidence = self._evidence.copy()
        evidence[list(self._failed)] = -np.inf
        order = np.argsort(evidence)[::-1]
        best = int(order[0])
        ahead = evidence[best] - evidence[order[1]] if len(order) > 1 else np.inf
        if ahead >= self.settings.certainty and evidence[best] > 0:
            self._failed[best] = 1.0
            self._above = 0
            self._evidence[:] = 0.0
            self._unnamed = False
        else:
            self._unnamed = True

    def _gain(self, index: int, columns: Array, off: Array) -> float:
        """Return a failed coil's gain; the last one where it carries too little current."""
        column = columns[:, index]
        weighted = np.linalg.solve(self._covariance(columns, without=index), column)
        information = float(column @ weighted)
        if information < 1.0:
            return self._failed[index]
        return 1.0 + float(weighted @ off) / information

    def _report(self, chi_square: float) -> WatchReport:
        names = tuple(self._coils.names[index] for index in self._failed)
        gains = tuple(self._failed.values())
        reasons = [
            f'{name} makes {100 * gain:.0f} % of its field'
            for name, gain in zip(names, gains, strict=True)
        ]
        if self._unnamed:
            reasons.append('the measured field is not that of the currents; no single coil fits')
        return WatchReport(chi_square, self.limit, names, gains, bool(reasons), '; '.join(reasons))
