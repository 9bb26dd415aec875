"""From a wanted field and gradient, or force, to coil currents within every limit.

A quadratic program keeps currents within their limits and their rates; what cannot be had is given
up in this order: first gradient or force, then the strength of the field, last its direction. Of
all currents that do equally well, those with the least power are taken.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.control.magnetic.allocation_qp import box_least_squares, within_power
from synthex_ros.magnetics import as_vector, force_map

Array = NDArray[np.float64]

REACHED, CLIPPED, LIMITED, SINGULAR = 'reached', 'clipped', 'limited', 'singular'


class Limits(Protocol):
    """Limits of coils and drivers."""

    current_max_a: float
    current_rate_a_s: float
    power_max_w: float
    field_max_t: float
    gradient_max_t_m: float

    def power_w(self, currents_a: ArrayLike) -> float:
        """Return the electric power [W] of currents, shape (n,) [A]."""

    def current_max_at(self, temperatures_c: ArrayLike) -> Array:
        """Return the highest currents, shape (n,) [A], at coil temperatures [degree C]."""


class CoilModel(Protocol):
    """What an allocation must know about the coils."""

    names: tuple[str, ...]

    @property
    def limits(self) -> Limits:
        """Limits of the coils."""

    def unit_matrix(self, point_m: ArrayLike) -> Array:
        """Return field and gradient of one effective ampere, shape (8, n)."""

    def effective(self, currents_a: ArrayLike) -> Array:
        """Return effective currents after saturation, shape (n,) [A]."""

    def currents_of(self, effective_a: ArrayLike) -> Array:
        """Return the currents, shape (n,) [A], that act like effective ones."""


@dataclass(frozen=True)
class AllocationWeights:
    """What counts how much, and from when on a miss is reported.

    Attributes:
        field_unit_t: field error that weighs one [T].
        gradient_unit_t_m: gradient error that weighs one [T/m].
        field_first: factor on the field over the gradient.
        direction_first: further factor on the field's direction over its strength.
        ridge: weight of a squared ampere; small, it chooses among equal solutions.
        gradient_spread: weight of the whole gradient over that of a wanted force. Direction and
            place of a moment are known to about this part, so that this part of any gradient acts
            as a force that nobody wants; without it, coils that are left after a loss may pull
            against one another so hard that the difference throws the device.
        field_tolerance_t: a field error up to this counts as reached [T].
        gradient_tolerance_t_m: a gradient error up to this counts as reached [T/m].
    """

    field_unit_t: float = 5e-3
    gradient_unit_t_m: float = 0.1
    field_first: float = 50.0
    direction_first: float = 10.0
    ridge: float = 1e-6
    gradient_spread: float = 0.0
    field_tolerance_t: float = 0.2e-3
    gradient_tolerance_t_m: float = 0.02


@dataclass(frozen=True, eq=False)
class Allocation:
    """Currents, and what they do by the model.

    Attributes:
        currents_a: currents to command, shape (n,) [A].
        field_t: field that they make, shape (3,) [T].
        gradient_t_m: gradient that they make, shape (5,) [T/m].
        field_residual_t: wanted field, before any clipping, less field made, shape (3,) [T].
        gradient_residual_t_m: wanted gradient less gradient made, shape (5,) [T/m]; of a wanted
            force, the shortest gradient that the missing force needs; zero if neither was wanted.
        power_w: electric power at these currents [W].
        status: 'reached'; 'clipped' (the wish is above the limits of the workspace, the rest is
            reached); 'limited' (coil limits allow less); 'singular' (this arrangement of coils
            cannot make it at any current).
        reason: what limits, in words; empty if reached.
    """

    currents_a: Array
    field_t: Array
    gradient_t_m: Array
    field_residual_t: Array
    gradient_residual_t_m: Array
    power_w: float
    status: str
    reason: str


@dataclass(frozen=True, eq=False)
class _Wish:
    field_t: Array
    rows: Array  # from the five gradient components to what is wanted of them, (m, 5)
    values: Array  # (m,)
    inverse: Array  # from what is wanted to the shortest gradient that makes it, (5, m)
    unit: float  # one weighs one
    pulls: bool  # a force is wanted
    notes: tuple[str, ...]


class CoilAllocator:
    """Allocates currents for one coil system.

    Attributes:
        coils: the model of the coils.
        weights: weights and tolerances.
    """

    def __init__(self, coils: CoilModel, weights: AllocationWeights | None = None) -> None:
        """Allocate for `coils` with `weights`, by default those of the class."""
        self.coils = coils
        self.weights = weights or AllocationWeights()

    def allocate(
        self,
        point_m: ArrayLike,
        field_t: ArrayLike,
        *,
        gradient_t_m: ArrayLike | None = None,
        force_n: ArrayLike | None = None,
        moment_a_m2: ArrayLike | None = None,
        present_a: ArrayLike | None = None,
        duration_s: float | None = None,
        temperatures_c: ArrayLike | None = None,
        lost: Collection[str] = (),
        gains: ArrayLike | None = None,
    ) -> Allocation:
        """Return the currents that come closest to what is wanted at a point.

        Args:
            point_m: the device, in the frame of the coils, shape (3,) [m].
            field_t: wanted field, shape (3,) [T].
            gradient_t_m: wanted gradient components, shape (5,) [T/m]; without it and without a
                force, gradients are free.
            force_n: wanted force on the device, shape (3,) [N]; with `moment_a_m2`.
            moment_a_m2: magnetic moment of the device, shape (3,) [A m^2].
            present_a: currents as last commanded, shape (n,) [A]; with `duration_s`, limits rates.
            duration_s: time until the next command [s].
            temperatures_c: coil temperatures, shape (n,) [degree C]; hot coils get less.
            lost: names of coils that make no field; they get no current.
            gains: field of each coil over that of the model, shape (n,), where known.

        Raises:
            ValueError: shapes or values that make no sense; says which.
        """
        unit = self._unit(point_m, lost, gains)
        wish = self._wish(field_t, gradient_t_m, force_n, moment_a_m2)
        lower, upper, binding = self._bounds(present_a, duration_s, temperatures_c, lost)
        rows, wanted = self._weighted(unit, wish)
        power_max_w = self.coils.limits.power_max_w

        def solve(extra: float) -> Array:
            return box_least_squares(rows, wanted, self.weights.ridge + extra, lower, upper)

        effective, power_limited = within_power(solve, self._power_w, power_max_w)
        effective = self._below_field_limit(unit, effective, lower, upper)
        notes = self._notes(effective, lower, upper, binding, power_limited)
        return self._report(unit, wish, effective, np.asarray(field_t, float), notes, lost)

    def _unit(self, point_m, lost, gains) -> Array:
        unknown = set(lost) - set(self.coils.names)
        if unknown:
            raise ValueError(f'lost names {sorted(unknown)}; coils are {list(self.coils.names)}')
        unit = self.coils.unit_matrix(as_vector(point_m, 'point_m'))
        if not np.all(np.isfinite(unit)):
            raise ValueError(f'point_m {np.asarray(point_m).tolist()} lies on a coil')
        if gains is not None:
            unit = unit * self._per_coil(gains, 'gains')
        return unit * self._working(lost)

    def _working(self, lost) -> Array:
        return np.array([name not in lost for name in self.coils.names], float)

    def _per_coil(self, values, name) -> Array:
        array = np.asarray(values, float)
        if array.shape != (len(self.coils.names),) or not np.all(np.isfinite(array)):
            raise ValueError(f'{name} must be finite and one for each of {list(self.coils.names)}')
        return array

    def _wish(self, field_t, gradient_t_m, force_n, moment_a_m2) -> _Wish:
        limits, weights = self.coils.limits, self.weights
        field, notes = as_vector(field_t, 'field_t'), []
        strength = float(np.linalg.norm(field))
        if strength > limits.field_max_t:
            notes.append(f'field {strength:.3g} T is above {limits.field_max_t:g} T')
            field = field * (limits.field_max_t / strength)
        if (force_n is None) != (moment_a_m2 is None):
            raise ValueError('force_n and moment_a_m2 go together, got one of them')
        if gradient_t_m is not None and force_n is not None:
            raise ValueError('want gradient_t_m or force_n, got both')
        rows, values, unit = np.zeros((0, 5)), np.zeros(0), 1.0
        if gradient_t_m is not None:
            rows, values = np.eye(5), np.asarray(gradient_t_m, float)
            if values.shape != (5,) or not np.all(np.isfinite(values)):
                raise ValueError(f'gradient_t_m must be five finite numbers, got {gradient_t_m}')
            unit = weights.gradient_unit_t_m
        elif force_n is not None:
            moment = as_vector(moment_a_m2, 'moment_a_m2')
            size = float(np.linalg.norm(moment))
            if size == 0.0:
                raise ValueError('moment_a_m2 must not be zero: no gradient pulls at it')
            rows, values = force_map(moment), as_vector(force_n, 'force_n')
            unit = weights.gradient_unit_t_m * size
        # the rows of a force are independent: the inverse of least squares in closed form
        inverse = rows.T if force_n is None else rows.T @ np.linalg.inv(rows @ rows.T)
        largest = np.max(np.abs(inverse @ values), initial=0.0)
        if largest > limits.gradient_max_t_m:
            notes.append(f'gradient {largest:.3g} T/m is above {limits.gradient_max_t_m:g} T/m')
            values = values * (limits.gradient_max_t_m / largest)
        return _Wish(field, rows, values, inverse, unit, force_n is not None, tuple(notes))

    def _bounds(self, present_a, duration_s, temperatures_c, lost):
        """Return lowest and highest effective currents, and what set each bound."""
        limits, count = self.coils.limits, len(self.coils.names)
        most = np.full(count, limits.current_max_a)
        cause = np.array(['current'] * count, object)
        if temperatures_c is not None:
            cool = limits.current_max_at(self._per_coil(temperatures_c, 'temperatures_c'))
            cause[cool < most] = 'heat'
            most = np.minimum(most, cool)
        lower, upper = -most, most.copy()
        low_cause, high_cause = cause.copy(), cause.copy()
        if (present_a is None) != (duration_s is None):
            raise ValueError('present_a and duration_s go together, got one of them')
        if present_a is not None and duration_s is not None:
            present = self._per_coil(present_a, 'present_a')
            reach = limits.current_rate_a_s * duration_s
            low_cause[present - reach > lower] = 'rate'
            high_cause[present + reach < upper] = 'rate'
            # a current above a limit that has come down comes back as fast as the rate allows
            lower = np.minimum(np.maximum(lower, present - reach), present + reach)
            upper = np.maximum(np.minimum(upper, present + reach), lower)
        working = self._working(lost) > 0
        lower, upper = np.where(working, lower, 0.0), np.where(working, upper, 0.0)
        effective = self.coils.effective
        return effective(lower), effective(upper), (low_cause, high_cause)

    def _weighted(self, unit: Array, wish: _Wish) -> tuple[Array, Array]:
        """Return rows on effective currents and wanted values, weighted, (m, n) and (m,)."""
        weights = self.weights
        strength = float(np.linalg.norm(wish.field_t))
        spread = np.eye(3)
        if strength > 0.0:
            along = np.outer(wish.field_t, wish.field_t) / strength**2
            spread = along + weights.direction_first * (np.eye(3) - along)
        spread = spread * (weights.field_first / weights.field_unit_t)
        rows = [spread @ unit[:3], wish.rows @ unit[3:] / wish.unit]
        wanted = [spread @ wish.field_t, wish.values / wish.unit]
        if wish.pulls and weights.gradient_spread > 0.0:
            rows.append(weights.gradient_spread / weights.gradient_unit_t_m * unit[3:])
            wanted.append(np.zeros(5))
        return np.vstack(rows), np.concatenate(wanted)

    def _power_w(self, effective: Array) -> float:
        return self.coils.limits.power_w(self.coils.currents_of(effective))

    def _below_field_limit(self, unit, effective, lower, upper) -> Array:
        """Shrink currents whose field or gradient is above the limits of the workspace."""
        limits, made = self.coils.limits, unit @ effective
        over = max(
            float(np.linalg.norm(made[:3])) / limits.field_max_t,
            float(np.max(np.abs(made[3:]))) / limits.gradient_max_t_m,
        )
        return effective if over <= 1 else np.clip(effective / over, lower, upper)

    def _notes(self, effective, lower, upper, binding, power_limited) -> list[str]:
        notes = ['power limit'] if power_limited else []
        held: dict[str, list[str]] = {}
        for n, name in enumerate(self.coils.names):
            if lower[n] == upper[n]:
                continue
            for bound, cause in zip((lower, upper), binding, strict=True):
                if abs(effective[n] - bound[n]) <= 1e-6 * (upper[n] - lower[n]):
                    held.setdefault(cause[n], []).append(name)
        return notes + [f'{cause} limit of {", ".join(names)}' for cause, names in held.items()]

    def _report(self, unit, wish, effective, asked_t, notes, lost) -> Allocation:
        currents = self.coils.currents_of(effective)
        made = unit @ effective
        missing = wish.values - wish.rows @ made[3:]
        field_off, gradient_off = wish.field_t - made[:3], wish.inverse @ missing
        weights = self.weights
        reached = (
            np.linalg.norm(field_off) <= weights.field_tolerance_t
            and np.max(np.abs(gradient_off)) <= weights.gradient_tolerance_t_m
        )
        status, reasons = (CLIPPED if wish.notes else REACHED), list(wish.notes)
        if not reached:
            status = LIMITED if self._possible(unit, wish) else SINGULAR
            if status == SINGULAR:
                reasons.append('this arrangement of coils cannot make it at this point')
            reasons += notes
            if lost:
                reasons.append(f'without {", ".join(sorted(lost))}')
        return Allocation(
            currents_a=currents,
            field_t=made[:3],
            gradient_t_m=made[3:],
            field_residual_t=asked_t - made[:3],
            gradient_residual_t_m=gradient_off,
            power_w=self.coils.limits.power_w(currents),
            status=status,
            reason='; '.join(reasons),
        )

    def _possible(self, unit: Array, wish: _Wish) -> bool:
        """Tell whether currents without limits would reach the wish."""
        weights = self.weights
        rows = np.vstack([unit[:3] / weights.field_unit_t, wish.rows @ unit[3:] / wish.unit])
        wanted = np.concatenate([wish.field_t / weights.field_unit_t, wish.values / wish.unit])
        off = wanted - rows @ np.linalg.lstsq(rows, wanted, rcond=1e-4)[0]
        return bool(
            np.linalg.norm(off[:3]) * weights.field_unit_t <= weights.field_tolerance_t
            and np.max(np.abs(off[3:]), initial=0.0) * weights.gradient_unit_t_m
            <= weights.gradient_tolerance_t_m
        )
