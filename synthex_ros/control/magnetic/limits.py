"""What a magnetic controller may command, and how long without seeing the device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthex_ros.control.magnetic.law import Wish
from synthex_ros.vectors import length

Array = NDArray[np.float64]


@dataclass(frozen=True)
class MagneticLimits:
    """Limits of every command, and of the force on the vessel wall.

    Attributes:
        field_max_t: greatest field [T].
        force_max_n: greatest magnetic force [N].
        warn_force_n: force on the wall at which a warning is given [N].
        stop_force_n: force on the wall at which the device is held [N].
        coast_s: so long after the last frame that counted the field and force stay as they are;
            then the force goes to zero [s].
        retreat_s: so long after it the field goes to zero and a magnet on an arm retreats [s].
        ramp_s: time in which the field then goes to zero [s].
    """

    field_max_t: float = 0.05
    force_max_n: float = 1e-3
    warn_force_n: float = 0.3
    stop_force_n: float = 0.7
    coast_s: float = 0.5
    retreat_s: float = 1.5
    ramp_s: float = 0.3

    def __post_init__(self):
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise ValueError(f'{name} must be positive and finite, got {value!r}')
        if not (self.warn_force_n < self.stop_force_n and self.coast_s < self.retreat_s):
            raise ValueError(
                'warn_force_n must be below stop_force_n and coast_s below retreat_s, got '
                f'{self.warn_force_n}, {self.stop_force_n}, {self.coast_s}, {self.retreat_s}'
            )

    def finding(self, wish: Wish) -> tuple[str, str] | None:
        """Return (kind, reason) why a wish must not be commanded, or None."""
        field, force = wish.field_t, wish.force_n
        parts = [field] if force is None else [field, force]
        if wish.joints is not None:
            parts.append(wish.joints)
        if not all(np.isfinite(part).all() for part in parts):
            return 'not_finite', f'the command is not finite: {[p.tolist() for p in parts]}'
        strength = length(field)
        if strength > self.field_max_t * (1 + 1e-9):
            return 'field_limit', f'field is {strength:.4g} T, limit {self.field_max_t:g} T'
        size = 0.0 if force is None else length(force)
        if size > self.force_max_n * (1 + 1e-9):
            return 'force_limit', f'force is {size:.3g} N, limit {self.force_max_n:g} N'
        return None

    def held(self, last: Wish, blind_s: float) -> tuple[Array, Array | None]:
        """Return field and force of a hold, so long [s] after the last frame that counted.

        First as last commanded, then no force, then the field ramps to zero.
        """
        force = last.force_n
        if force is not None and blind_s > self.coast_s:
            force = np.zeros(3)
        share = float(np.clip(1 - (blind_s - self.retreat_s) / self.ramp_s, 0, 1))
        return share * last.field_t, force
