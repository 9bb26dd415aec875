"""Kalman filter of a point that knows its measurements are late.

Measurements carry the time of their exposure, arrive later and not always in order. One second of
them is kept with the state after each; a late one is put in its place and those after it are
replayed, so the result does not depend on the order of arrival. Times are seconds on one clock.
`predict` carries the track on to any time, such as now: it makes up for the latency.

The point is a tip in `world` [m] or a landmark in the image [px]; covariances are in the same
unit, squared. How it moves is up to a `Motion`: constant velocity, or a mixture of several. Part
of a measurement's error, that of the prior, is the same from frame to frame: averaging does not
remove it. It stays out of the update and is added to the covariance that is reported (a consider
state, Schmidt 1966).
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.tracking.covariance import mahalanobis_squared, symmetric
from synthex_ros.tracking.motion import Belief, Motion, WhiteAcceleration, check_positive

Array = NDArray[np.float64]

CHI2_3_DOF_999 = 16.266
"""0.999 quantile of chi-square with 3 degrees of freedom."""

CHI2_2_DOF_999 = 13.816
"""0.999 quantile of chi-square with 2 degrees of freedom."""


@dataclass(frozen=True)
class FilterSettings:
    """Gate and rules of loss.

    Attributes:
        gate_chi2: largest squared Mahalanobis distance of an accepted measurement.
        lost_after: rejected or missed measurements in a row after which the track is lost.
        recover_after: measurements that must agree before a lost track is found again; between
            two of them one may lie elsewhere.
        lost_timeout_s: time without an accepted measurement after which the track is lost [s].
        horizon_s: how much history is kept; older measurements are refused [s].
    """

    gate_chi2: float = CHI2_3_DOF_999
    lost_after: int = 3
    recover_after: int = 2
    lost_timeout_s: float = 0.5
    horizon_s: float = 1.0

    def __post_init__(self):
        check_positive(self)


@dataclass(frozen=True)
class Measurement:
    """A point seen at an exposure, or a frame in which it was not seen.

    Attributes:
        time_s: time of the exposure [s].
        position: the point, shape (D,); None if the frame shows none.
        covariance: of its whole error, shape (D, D).
        shared_covariance: the part of it that successive frames share, shape (D, D).
    """

    time_s: float
    position: Array | None = None
    covariance: Array = field(default_factory=lambda: np.zeros((3, 3)))
    shared_covariance: Array = field(default_factory=lambda: np.zeros((3, 3)))


@dataclass(frozen=True)
class PointState:
    """The track at one time.

    Attributes:
        time_s: time of the state [s].
        belief: position and velocity without the shared error.
        shared_covariance: shared error of the newest accepted measurement, shape (D, D).
        updated_s: time of the newest accepted measurement [s].
        lost: whether the position must not be used.
        started: whether there has been any measurement.
        failures: rejected or missed in a row.
        agreed: agreeing measurements while lost.
        accepted: whether the newest measurement passed the gate.
        rival: while lost, the track as it was before the newest measurement, which disagreed.
    """

    time_s: float = -np.inf
    belief: Belief = field(default_factory=lambda: Belief(np.zeros(6), np.zeros((6, 6))))
    shared_covariance: Array = field(default_factory=lambda: np.zeros((3, 3)))
    updated_s: float = -np.inf
    lost: bool = True
    started: bool = False
    failures: int = 0
    agreed: int = 0
    accepted: bool = False
    rival: PointState | None = None

    @property
    def position(self) -> Array:
        """The point, shape (D,)."""
        return self.belief.position

    @property
    def velocity(self) -> Array:
        """Its velocity [1/s], shape (D,)."""
        return self.belief.mean[self.belief.dimension :]

    @property
    def covariance(self) -> Array:
        """Covariance of the position, shared error included, shape (D, D)."""
        return symmetric(self.belief.position_covariance + self.shared_covariance)


class PointFilter:
    """Delay-aware filter of one point.

    Args:
        settings: gate and rules of loss.
        motion: how the point moves; default constant velocity of a tip in metres.

    Attributes:
        late: measurements refused because they were older than the history.
    """

    def __init__(
        self, settings: FilterSettings | None = None, motion: Motion | None = None
    ) -> None:
        self.settings = settings or FilterSettings()
        self.motion = motion or WhiteAcceleration()
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.late = 0
        self._measurements: list[Measurement] = []
        self._states: list[PointState] = [PointState()]

    @property
    def state(self) -> PointState:
        """The state after the newest exposure."""
        return self._states[-1]

    def add(self, measurement: Measurement) -> PointState | None:
        """Put a measurement in its place; return the state after it, or None if it is too old.

        Raises:
            ValueError: a time or a position that is not finite, or a covariance that is not
                positive definite.
        """
        _check(measurement)
        times = [item.time_s for item in self._measurements]
        newest = times[-1] if times else -np.inf
        if measurement.time_s < newest - self.settings.horizon_s:
            self.late += 1
            return None
        place = bisect_right(times, measurement.time_s)
        if place == 0 and self._states[0].started and self._states[0].time_s > measurement.time_s:
            self.late += 1
            return None
        self._measurements.insert(place, measurement)
        del self._states[place + 1 :]
        for item in self._measurements[place:]:
            self._states.append(self._after(self._states[-1], item))
        result = self._states[place + 1]
        self._forget()
        return result

    def predict(self, time_s: float) -> PointState:
        """Return the state at `time_s` [s], from the measurements up to then.

        Raises:
            ValueError: `time_s` lies before the history.
        """
        place = bisect_right([item.time_s for item in self._measurements], time_s)
        state = self._states[place]
        if place == 0 and len(self._measurements) > 0 and not state.started:
            raise ValueError(
                f'time_s must not be before the first measurement '
                f'({self._measurements[0].time_s:.6f} s), got {time_s:.6f}'
            )
        if not state.started:
            return replace(state, time_s=time_s)
        moved = self._moved(state, time_s)
        late = time_s - state.updated_s > self.settings.lost_timeout_s
        return replace(moved, lost=moved.lost or late)

    def _forget(self) -> None:
        oldest = self._measurements[-1].time_s - self.settings.horizon_s
        keep = bisect_right([item.time_s for item in self._measurements], oldest)
        # The state before the oldest measurement that is kept stays: replay starts there.
        del self._measurements[:keep]
        del self._states[:keep]

    def _after(self, state: PointState, seen: Measurement) -> PointState:
        """Return the state after one measurement; a pure function, so that replay repeats it."""
        if not state.started and seen.position is not None:
            return self._fresh(seen, lost=False, agreed=1)
        if not state.started:
            return replace(state, time_s=seen.time_s)
        moved = self._moved(state, seen.time_s)
        silent = seen.time_s - state.updated_s > self.settings.lost_timeout_s
        if silent and not moved.lost:
            moved = replace(moved, lost=True, agreed=0)
        passed = seen.position is not None and self._gate(moved, seen)
        if moved.lost:
            return self._while_lost(state, moved, seen, passed)
        if passed:
            return replace(self._updated(moved, seen), failures=0, accepted=True)
        failures = moved.failures + 1
        lost = failures >= self.settings.lost_after
        return replace(moved, failures=failures, lost=lost, agreed=0, accepted=False)

    def _while_lost(
        self, state: PointState, moved: PointState, seen: Measurement, passed: bool
    ) -> PointState:
        if seen.position is None:
            failures = moved.failures + 1
            return replace(moved, agreed=0, failures=failures, accepted=False, rival=None)
        if moved.agreed and passed:
            return self._agreeing(moved, seen)
        rival = moved.rival
        if rival is not None and self._near(rival, seen, seen.time_s - state.time_s):
            return self._agreeing(self._moved(rival, seen.time_s), seen)
        # Which of the two is wrong the next measurement tells: 2 of 3 find the track again.
        fresh = self._fresh(seen, lost=self.settings.recover_after > 1, agreed=1)
        return replace(fresh, rival=replace(state, rival=None) if moved.agreed else None)

    def _near(self, rival: PointState, seen: Measurement, interval_s: float) -> bool:
        """Tell whether the next measurement could be there: in two intervals it may be anywhere.

        The speed of a track of one measurement is unknown. Where two intervals of it were
        allowed, false places agreed with true ones, and the track flew on at their distance.
        """
        return self._gate(self._moved(rival, rival.time_s + interval_s), seen)

    def _agreeing(self, moved: PointState, seen: Measurement) -> PointState:
        agreed = moved.agreed + 1
        lost = agreed < self.settings.recover_after
        updated = self._updated(moved, seen)
        return replace(updated, agreed=agreed, lost=lost, failures=0, accepted=True, rival=None)

    def _fresh(self, seen: Measurement, lost: bool, agreed: int) -> PointState:
        position = np.asarray(seen.position, float)
        return PointState(
            time_s=seen.time_s,
            belief=self.motion.start(position, seen.covariance - seen.shared_covariance),
            shared_covariance=seen.shared_covariance,
            updated_s=seen.time_s,
            lost=lost,
            started=True,
            agreed=agreed,
            accepted=True,
        )

    def _moved(self, state: PointState, time_s: float) -> PointState:
        belief = self.motion.moved(state.belief, time_s - state.time_s)
        return replace(state, time_s=time_s, belief=belief)

    def _gate(self, moved: PointState, seen: Measurement) -> bool:
        expected = moved.belief.position_covariance + seen.covariance
        error = np.asarray(seen.position) - moved.position
        return mahalanobis_squared(error, expected) <= self.settings.gate_chi2

    def _updated(self, moved: PointState, seen: Measurement) -> PointState:
        noise = seen.covariance - seen.shared_covariance
        return replace(
            moved,
            belief=self.motion.updated(moved.belief, np.asarray(seen.position, float), noise),
            shared_covariance=seen.shared_covariance,
            updated_s=seen.time_s,
        )


def _check(measurement: Measurement) -> None:
    if not np.isfinite(measurement.time_s):
        raise ValueError(f'time_s must be finite, got {measurement.time_s}')
    if measurement.position is None:
        return
    position = np.asarray(measurement.position, float)
    if position.ndim != 1 or not len(position) or not np.all(np.isfinite(position)):
        raise ValueError(f'position must be finite numbers, such as 3, got {position}')
    axes = len(position)
    for name in ('covariance', 'shared_covariance'):
        matrix = np.asarray(getattr(measurement, name))
        if matrix.shape != (axes, axes) or not np.all(np.isfinite(matrix)):
            raise ValueError(f'{name} must be a finite {axes}x{axes} matrix, got {matrix.shape}')
    lowest = _lowest_variance(measurement.covariance - measurement.shared_covariance)
    if lowest <= 0:
        raise ValueError(
            f'covariance must exceed shared_covariance in every direction, got a variance of '
            f'{lowest:.3g} between them'
        )


def _lowest_variance(matrix: ArrayLike) -> float:
    return float(np.linalg.eigvalsh(np.asarray(matrix, float))[0])
