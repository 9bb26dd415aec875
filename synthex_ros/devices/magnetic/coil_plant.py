"""Coils in time: lag, rate, power and heat of the drivers, failures, and what sensors read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.devices.magnetic.coils import CoilArray
from synthex_ros.devices.magnetic.field_source import split

Array = NDArray[np.float64]

# the lag is integrated in steps of this part of the time constant
_STEP_FRACTION = 0.1


@dataclass(frozen=True)
class CoilState:
    """What the drivers report at one instant.

    Attributes:
        time_s: simulated time since the last reset [s].
        currents_a: measured currents, shape (n,) [A].
        set_points_a: where they are going, shape (n,) [A].
        temperatures_c: coil temperatures, shape (n,) [degree C].
        tripped: names of coils whose driver has switched off because of heat.
    """

    time_s: float
    currents_a: Array
    set_points_a: Array
    temperatures_c: Array
    tripped: tuple[str, ...]


class CoilPlant:
    """A simulated coil system; it is a field source at the present currents.

    A driver reports the current that it drives. A failure lies behind it: the coil makes less
    field than its current says, or none, and only a field sensor can tell.

    Attributes:
        coils: the model that is true but for failures.
        field_gains: field of each coil over that of the model, shape (n,).
    """

    def __init__(self, coils: CoilArray, seed: int = 0) -> None:
        """Build the plant with all currents zero; `seed` draws the noise of the sensors."""
        self.coils = coils
        self.limits = coils.limits
        self._seed = seed
        self.reset()

    def reset(self) -> None:
        """Start again at time zero: no current, cold coils, no failures, the same noise."""
        count = len(self.coils.names)
        self._rng = np.random.default_rng(self._seed)
        self._time_s = 0.0
        self._currents = np.zeros(count)
        self._set_points = np.zeros(count)
        self._temperatures = np.full(count, self.limits.coolant_c)
        self._tripped = np.zeros(count, bool)
        self.field_gains = np.ones(count)

    @property
    def state(self) -> CoilState:
        """What the drivers report now."""
        names = np.array(self.coils.names)
        return CoilState(
            time_s=self._time_s,
            currents_a=self._currents.copy(),
            set_points_a=self._set_points.copy(),
            temperatures_c=self._temperatures.copy(),
            tripped=tuple(names[self._tripped].tolist()),
        )

    @property
    def currents_a(self) -> Array:
        """Present currents as the drivers measure them, shape (n,) [A]."""
        return self._currents.copy()

    def fail(self, name: str, field_gain: float = 0.0) -> None:
        """Let the coil `name` make `field_gain` times its field from now on; 0 is a lost coil.

        Raises:
            ValueError: no such coil, or a gain outside 0..2.
        """
        if name not in self.coils.names:
            raise ValueError(f'no coil {name!r}; there are {list(self.coils.names)}')
        if not 0 <= field_gain <= 2:
            raise ValueError(f'field_gain must be 0..2, got {field_gain:g}')
        self.field_gains[self.coils.names.index(name)] = field_gain

    def command(self, currents_a: ArrayLike) -> Array:
        """Set where the currents shall go, shape (n,) [A]; return what was accepted.

        Each is limited to the highest current, then all are scaled to the highest power.

        Raises:
            ValueError: wrong shape or not finite; nothing changes.
        """
        wanted = self.coils.check(currents_a)
        limit = self.limits.current_max_a
        accepted = np.clip(wanted, -limit, limit)
        power_w = self.limits.power_w(accepted)
        if power_w > self.limits.power_max_w:
            accepted *= np.sqrt(self.limits.power_max_w / power_w)
        self._set_points = np.where(self._tripped, 0.0, accepted)
        return self._set_points.copy()

    def hold(self) -> None:
        """Keep the present currents."""
        self._set_points = self._currents.copy()

    def reset_trips(self) -> None:
        """Let tripped drivers work again; one that is still too hot trips again."""
        self._tripped[:] = False

    def step(self, duration_s: float) -> CoilState:
        """Advance simulated time by `duration_s` [s] and return what the drivers report.

        Raises:
            ValueError: the duration is negative or not finite.
        """
        if not (np.isfinite(duration_s) and duration_s >= 0):
            raise ValueError(f'duration_s must be finite and not negative, got {duration_s}')
        longest_s = _STEP_FRACTION * self.limits.time_constant_s
        steps = max(1, int(np.ceil(duration_s / longest_s)))
        for _ in range(steps):
            self._advance(duration_s / steps)
        self._time_s += duration_s
        return self.state

    def _advance(self, duration_s: float) -> None:
        limits = self.limits
        self._temperatures = limits.warmer_c(self._temperatures, self._currents, duration_s)
        self._tripped |= self._temperatures > limits.temperature_max_c
        self._set_points[self._tripped] = 0.0
        share = 1 - np.exp(-duration_s / limits.time_constant_s)
        most = limits.current_rate_a_s * duration_s
        self._currents += np.clip((self._set_points - self._currents) * share, -most, most)

    def field_t(self, points_m: ArrayLike) -> Array:
        """Return the true field [T], shape (N, 3), at points, shape (N, 3) [m]."""
        return self.field_and_gradient(points_m)[0]

    def field_and_gradient(self, points_m: ArrayLike) -> tuple[Array, Array]:
        """Return the true field [T], shape (N, 3), and gradient [T/m], shape (N, 5)."""
        effective = self.coils.effective(self._currents) * self.field_gains
        return split(self.coils.unit_matrices(points_m) @ effective)

    def measured_field_t(self) -> Array:
        """Return what the calibration's field sensors read now, shape (K, 3) [T], with noise."""
        calibration = self.coils.calibration
        true = self.field_t(calibration.sensors_m)
        return true + calibration.sensor_noise_t * self._rng.standard_normal(true.shape)
