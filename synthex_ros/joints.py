"""Named joints: the box that positions must lie in, and how fast they may move through it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class JointLimits:
    """Travel and rate limits of named joints, in the order of every joint vector.

    Attributes:
        names: joint names, J of them.
        lower: lowest positions, shape (J,) [m or rad].
        upper: highest positions, shape (J,) [m or rad].
        rate: highest speeds, shape (J,) [m/s or rad/s].

    Raises:
        ValueError: lengths differ, a value is not finite, lower is not below upper, a rate is not
            positive, or a name is doubled.
    """

    names: tuple[str, ...]
    lower: Array
    upper: Array
    rate: Array

    def __post_init__(self):
        object.__setattr__(self, 'names', tuple(self.names))
        if len(set(self.names)) != len(self.names):
            raise ValueError(f'names must differ, got {self.names}')
        for label in ('lower', 'upper', 'rate'):
            values = np.array(getattr(self, label), float)
            if values.shape != (len(self.names),):
                raise ValueError(
                    f'{label} limits must have one value for each of {self.names}, '
                    f'got {values.size}'
                )
            if not np.all(np.isfinite(values)):
                raise ValueError(f'{label} limits must be finite, got {values.tolist()}')
            values.flags.writeable = False
            object.__setattr__(self, label, values)
        if not np.all(self.lower < self.upper):
            raise ValueError(
                f'lower must be below upper, got {self.lower.tolist()} and {self.upper.tolist()}'
            )
        if not np.all(self.rate > 0):
            raise ValueError(f'rate limits must be positive, got {self.rate.tolist()}')

    def check(self, joints: ArrayLike) -> Array:
        """Return `joints` as float64, shape (J,).

        Raises:
            ValueError: wrong shape, or a value that is not finite.
        """
        values = np.asarray(joints, float)
        if values.shape != (len(self.names),):
            raise ValueError(f'joints must be {list(self.names)}, got shape {values.shape}')
        if not np.isfinite(values).all():
            bad = [n for n, v in zip(self.names, values, strict=True) if not np.isfinite(v)]
            raise ValueError(f'joints must be finite, got {values[~np.isfinite(values)]} in {bad}')
        return values

    def contains(self, joints: ArrayLike, tolerance: float = 1e-12) -> bool:
        """Tell whether `joints`, shape (J,), lie within the travel limits."""
        values = self.check(joints)
        return bool(
            np.all(values >= self.lower - tolerance) and np.all(values <= self.upper + tolerance)
        )

    def clamp(self, joints: ArrayLike) -> Array:
        """Return `joints`, shape (J,), moved to the nearest point within the travel limits."""
        return np.clip(self.check(joints), self.lower, self.upper)

    def reach(self, joints: ArrayLike, duration_s: float) -> tuple[Array, Array]:
        """Return the (lowest, highest) positions reachable in `duration_s` [s], shape (J,) each.

        Args:
            joints: where the joints are, shape (J,) [m or rad].
            duration_s: time to move [s].
        """
        step, start = self.rate * duration_s, self.clamp(joints)
        return np.maximum(self.lower, start - step), np.minimum(self.upper, start + step)


def same_names(names: Sequence[str], expected: Sequence[str]) -> str | None:
    """Return why `names` are not `expected`, in the same order, or None if they are."""
    if list(names) == list(expected):
        return None
    hint = '; same joints in another order' if sorted(names) == sorted(expected) else ''
    return f'joint names are {list(names)}, expected {list(expected)}{hint}'
