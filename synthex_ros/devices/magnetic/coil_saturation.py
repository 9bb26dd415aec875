"""Iron cores that saturate: a current acts like a smaller one, effective = f(current)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import erf, erfinv

Array = NDArray[np.float64]

KINDS = ('none', 'erf', 'tanh')
# effective currents this near to the ceiling have no finite current in floating point
_CEILING = 1 - 1e-9


@dataclass(frozen=True, eq=False)
class Saturation:
    """Saturation a * f(b * current) of each coil, f an error function or a hyperbolic tangent.

    Attributes:
        kind: 'none', 'erf' or 'tanh'.
        ceiling_a: a, the effective current that is never exceeded, shape (n,) [A].
        per_a: b, how soon it is reached, shape (n,) [1/A].

    Raises:
        ValueError: unknown kind, different shapes, or a value that is not positive.
    """

    kind: str
    ceiling_a: Array
    per_a: Array

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f'saturation kind must be one of {KINDS}, got {self.kind!r}')
        for name in ('ceiling_a', 'per_a'):
            object.__setattr__(self, name, np.array(getattr(self, name), float))
        if self.ceiling_a.shape != self.per_a.shape or self.ceiling_a.ndim != 1:
            raise ValueError(
                f'ceiling_a and per_a must have one value for each coil, got shapes '
                f'{self.ceiling_a.shape} and {self.per_a.shape}'
            )
        if not (np.all(self.ceiling_a > 0) and np.all(self.per_a > 0)):
            raise ValueError('ceiling_a and per_a must be positive')

    @classmethod
    def none(cls, coils: int) -> Saturation:
        """Return coils that do not saturate."""
        return cls('none', np.ones(coils), np.ones(coils))

    def effective(self, currents_a: ArrayLike) -> Array:
        """Return the effective currents, shape (n,) [A], of currents, shape (n,) [A]."""
        currents = np.asarray(currents_a, float)
        if self.kind == 'none':
            return currents.copy()
        function = erf if self.kind == 'erf' else np.tanh
        return self.ceiling_a * function(self.per_a * currents)

    def currents(self, effective_a: ArrayLike) -> Array:
        """Return the currents, shape (n,) [A], that act like `effective_a`, shape (n,) [A].

        Effective currents above the ceiling are taken as just below it.
        """
        wanted = np.asarray(effective_a, float)
        if self.kind == 'none':
            return wanted.copy()
        part = np.clip(wanted / self.ceiling_a, -_CEILING, _CEILING)
        return (erfinv(part) if self.kind == 'erf' else np.arctanh(part)) / self.per_a
