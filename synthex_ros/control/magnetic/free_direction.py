"""The field's direction of a device that has none of its own, where coils are lost.

A droplet is magnetised along any field, so a pull can be made with the field in any direction.
With all coils one direction is about as good as another; without one of them some pulls would need
large opposing gradients, whose errors are larger than the pull itself. The direction is turned a
small step at a time to where the currents that are left pull with the least gradient.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from synthex_ros.control.magnetic.allocation import Allocation

Array = NDArray[np.float64]

STEP_RAD = 0.05
_PER_AMPERE = 1e-3  # squared gradient [T^2/m^2] that a squared ampere counts as
_GOLDEN_RAD = np.pi * (3 - np.sqrt(5))
_MISSING = 100.0  # how much more a missing gradient counts than one that is made


class FreeDirection:
    """A direction that walks downhill, one trial a call, to the sides in turn."""

    def __init__(self) -> None:
        self._direction: Array | None = None
        self._trial = 0

    def reset(self) -> None:
        """Forget the direction; the next call starts with the wanted one."""
        self._direction = None

    def allocate(self, field_t: Array, solve: Callable[[Array], Allocation]) -> Allocation:
        """Return the allocation of a field of the wanted strength in the best direction so far.

        Args:
            field_t: wanted field, not zero, shape (3,) [T]; its direction is only the first one.
            solve: returns the allocation of a field, shape (3,) [T], with the wanted force.
        """
        strength = float(np.linalg.norm(field_t))
        here = field_t / strength if self._direction is None else self._direction
        beside = self._beside(here)
        found, tried = solve(strength * here), solve(strength * beside)
        better = cost(tried) < cost(found)
        self._direction = beside if better else here
        return tried if better else found

    def _beside(self, direction: Array) -> Array:
        """Return a direction a step aside, each time to a side that no earlier one was near."""
        across = np.cross(direction, np.eye(3)[int(np.argmin(np.abs(direction)))])
        across /= np.linalg.norm(across)
        turn = _GOLDEN_RAD * self._trial
        side = np.cos(turn) * across + np.sin(turn) * np.cross(direction, across)
        self._trial += 1
        beside = direction + np.tan(STEP_RAD) * side
        return beside / np.linalg.norm(beside)


def cost(allocation: Allocation) -> float:
    """Return squared gradient [T^2/m^2], made and, counting more, missing, with some for power."""
    made, missing = allocation.gradient_t_m, allocation.gradient_residual_t_m
    currents = allocation.currents_a
    return float(made @ made + _MISSING * missing @ missing + _PER_AMPERE * currents @ currents)
