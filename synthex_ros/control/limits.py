"""Joint limits: the box a command must lie in, and how fast it may move through it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class JointLimits:
    """Position and rate limits of named joints, in the order of every command vector.

    Attributes:
        names: joint names, length n.
        lower: lowest positions, n values [m or rad].
        upper: highest positions, n values [m or rad].
        rate: highest speeds, n values [m/s or rad/s].

    Raises:
        ValueError: lengths differ, a value is not finite, lower is not below upper, or a rate is
            not positive.
    """

    names: tuple[str, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    rate: tuple[float, ...]

    def __post_init__(self):
        object.__setattr__(self, 'names', tuple(self.names))
        for name in ('lower', 'upper', 'rate'):
            values = tuple(float(value) for value in getattr(self, name))
            object.__setattr__(self, name, values)
            if len(values) != len(self.names):
                raise ValueError(
                    f'{name} must have one value for each of {self.names}, got {len(values)}'
                )
            if not np.all(np.isfinite(values)):
                raise ValueError(f'{name} must be finite, got {values}')
        if len(set(self.names)) != len(self.names):
            raise ValueError(f'names must differ, got {self.names}')
        if not all(low < high for low, high in zip(self.lower, self.upper, strict=True)):
            raise ValueError(f'lower must be below upper, got {self.lower} and {self.upper}')
        if not all(rate > 0 for rate in self.rate):
            raise ValueError(f'rate must be positive, got {self.rate}')

    def clip(self, positions: ArrayLike) -> Array:
        """Return the nearest positions inside the box, shape (n,)."""
        return np.clip(np.asarray(positions, float), self.lower, self.upper)

    def reach(self, positions: ArrayLike, duration_s: float) -> tuple[Array, Array]:
        """Return the (lowest, highest) positions reachable in `duration_s` [s], shape (n,) each.

        Args:
            positions: where the joints are, shape (n,) [m or rad].
            duration_s: time to move [s].
        """
        step = np.asarray(self.rate) * duration_s
        start = self.clip(positions)
        return np.maximum(self.lower, start - step), np.minimum(self.upper, start + step)


def same_names(names: Sequence[str], expected: Sequence[str]) -> str | None:
    """Return why `names` are not `expected`, in the same order, or None if they are."""
    if list(names) == list(expected):
        return None
    hint = '; same joints in another order' if sorted(names) == sorted(expected) else ''
    return f'joint names are {list(names)}, expected {list(expected)}{hint}'
