"""What makes the field of a simulated room: coils with their drivers, or a magnet on an arm.

A drive gets a wanted field and force at a point, as a controller commands them, and allocates them
to currents or joints itself, within its own limits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from synthex_ros.control.magnetic.field_guard import FieldLimits
from synthex_ros.devices.magnetic.placed_source import PlacedSource

Array = NDArray[np.float64]

MomentOf = Callable[[float], float]
"""Gives the nominal moment of the device [A m^2] in a field of a strength [T]."""


@dataclass(frozen=True, eq=False)
class Wish:
    """What a controller wants.

    Attributes:
        field_t: field in `world`, shape (3,) [T].
        point_m: where, in `world`, shape (3,) [m].
        force_n: force on the device in `world`, shape (3,) [N]; None leaves gradients free.
    """

    field_t: Array
    point_m: Array
    force_n: Array | None = None


@dataclass(frozen=True, eq=False)
class DriveState:
    """What the drivers measure: one value a coil, or one a joint of the arm.

    Attributes:
        names: coils or joints.
        positions: joint angles, shape (n,) [rad]; None for coils.
        currents_a: currents, shape (n,) [A]; None for an arm.
    """

    names: tuple[str, ...]
    positions: Array | None = None
    currents_a: Array | None = None


class FieldDrive(Protocol):
    """A field source with drivers."""

    source: PlacedSource
    """The true field in `world`."""

    @property
    def centre_m(self) -> Array:
        """Middle of the workspace in `world`, shape (3,) [m]."""

    @property
    def limits(self) -> FieldLimits:
        """What may be commanded."""

    @property
    def state(self) -> DriveState:
        """What the drivers measure now."""

    @property
    def fault(self) -> str:
        """Why the drive must not go on, '' if it may."""

    @property
    def trouble(self) -> str:
        """What a person should know although the drive goes on, '' for nothing."""

    def modelled_field_t(self, point_m: Array) -> Array:
        """Return what the measured currents or joints should make at a point, shape (3,) [T]."""

    def want(self, wish: Wish) -> None:
        """Follow a wish until the next."""

    def hold(self) -> None:
        """Stay as it is."""

    def make_safe(self) -> None:
        """Take the field away: no current, the magnet retreats."""

    def reset(self) -> None:
        """Start again without field, faults forgotten."""

    def acknowledge(self) -> None:
        """Let drivers that have switched off work again."""

    def step(self, duration_s: float) -> None:
        """Advance by `duration_s` [s]."""

    def report(self) -> dict[str, object]:
        """Return what diagnostics show."""


def nominal_moment(wish: Wish, moment_of: MomentOf) -> Array:
    """Return the moment of a device that lies along the field it is in, shape (3,) [A m^2].

    Without a field its direction is not known and the moment is zero.
    """
    strength = float(np.linalg.norm(wish.field_t))
    if strength == 0.0:
        return np.zeros(3)
    return moment_of(strength) / strength * wish.field_t
