"""What coils and their drivers can take: current, rate, power and heat."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class CoilLimits:
    """Limits of an array of equal coils, and the time constants of their drivers and heating.

    Attributes:
        current_max_a: highest current of a coil, either sign [A].
        current_rate_a_s: fastest change of a current [A/s].
        resistance_ohm: resistance of a coil [ohm].
        power_max_w: highest sum of R i^2 over all coils [W].
        time_constant_s: first-order lag of current behind command [s].
        heat_capacity_j_k: heat capacity of a coil [J/K].
        thermal_resistance_k_w: coil to coolant [K/W].
        coolant_c: temperature of the coolant [degree C].
        temperature_max_c: a driver switches its coil off above this [degree C].
        field_max_t: highest field in the workspace [T].
        gradient_max_t_m: largest gradient component in the workspace [T/m].

    Raises:
        ValueError: a value is not positive and finite, or coils are cooler than their coolant.
    """

    current_max_a: float
    current_rate_a_s: float
    resistance_ohm: float
    power_max_w: float
    time_constant_s: float
    heat_capacity_j_k: float
    thermal_resistance_k_w: float
    coolant_c: float = 20.0
    temperature_max_c: float = 100.0
    field_max_t: float = 0.050
    gradient_max_t_m: float = 1.5

    def __post_init__(self):
        for item in fields(self):
            value = getattr(self, item.name)
            if not (isinstance(value, int | float) and np.isfinite(value) and value > 0):
                raise ValueError(f'{item.name} must be positive and finite, got {value!r}')
        if self.temperature_max_c <= self.coolant_c:
            raise ValueError(
                f'temperature_max_c {self.temperature_max_c:g} must be above coolant_c '
                f'{self.coolant_c:g}'
            )

    def power_w(self, currents_a: ArrayLike) -> float:
        """Return the electric power of all coils [W] at currents, shape (n,) [A]."""
        return float(self.resistance_ohm * np.sum(np.square(currents_a)))

    def warmer_c(self, temperatures_c: Array, currents_a: Array, duration_s: float) -> Array:
        """Return coil temperatures, shape (n,) [degree C], after `duration_s` at steady currents.

        Exact for a thermal RC: C dT/dt = R i^2 - (T - coolant) / R_thermal.
        """
        steady = self.coolant_c + (
            self.thermal_resistance_k_w * self.resistance_ohm * currents_a**2
        )
        constant_s = self.thermal_resistance_k_w * self.heat_capacity_j_k
        return steady + (temperatures_c - steady) * np.exp(-duration_s / constant_s)

    def current_max_at(self, temperatures_c: ArrayLike, horizon_s: float = 5.0) -> Array:
        """Return the highest currents, shape (n,) [A], that stay cool enough for `horizon_s`.

        Args:
            temperatures_c: present coil temperatures, shape (n,) [degree C].
            horizon_s: how long the current shall be possible [s].
        """
        constant_s = self.thermal_resistance_k_w * self.heat_capacity_j_k
        left = np.exp(-horizon_s / constant_s)
        rise = self.temperature_max_c - self.coolant_c
        rise = rise - (np.asarray(temperatures_c, float) - self.coolant_c) * left
        heat_w = np.maximum(rise, 0.0) / (self.thermal_resistance_k_w * (1 - left))
        return np.minimum(np.sqrt(heat_w / self.resistance_ohm), self.current_max_a)
