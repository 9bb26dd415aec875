"""Arrays of electromagnets: what each coil makes at a point for one ampere, and their sum."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.devices.magnetic.coil_calibration import CoilCalibration, read_calibration
from synthex_ros.devices.magnetic.coil_limits import CoilLimits
from synthex_ros.devices.magnetic.field_source import split
from synthex_ros.magnetics import as_points, dipole_columns

Array = NDArray[np.float64]


class CoilArray:
    """The model of a coil system; it has no state and switches nothing on.

    Attributes:
        calibration: where the coils are and what they can take.
        limits: limits of current, rate, power, heat and field.
        names: names of the n coils.
    """

    def __init__(self, calibration: CoilCalibration) -> None:
        """Prepare the model of a calibration."""
        self.calibration = calibration
        self.limits: CoilLimits = calibration.limits
        self.names = calibration.names
        self.saturation = calibration.saturation

    @classmethod
    def from_calibration(cls, name: str | Path) -> CoilArray:
        """Return the coils of a calibration file.

        Args:
            name: path of a YAML file, or one of the package's: 'octomag_like', 'navion_like',
                'cardiomag_like'.

        Raises:
            FileNotFoundError: no such file or name.
            ValueError: the file is not a calibration.
        """
        return cls(read_calibration(name))

    def unit_matrices(self, points_m: ArrayLike) -> Array:
        """Return field and gradient for one effective ampere, shape (N, 8, n) [T/A, T/(m A)].

        Rows are Bx, By, Bz and the five gradient components; columns are coils.

        Args:
            points_m: where, shape (N, 3) [m].
        """
        calibration = self.calibration
        return dipole_columns(
            as_points(points_m),
            calibration.positions_m,
            calibration.moments_m2,
            calibration.coil_of_dipole,
            len(self.names),
        )

    def unit_matrix(self, point_m: ArrayLike) -> Array:
        """Return field and gradient for one effective ampere at a point, shape (8, n)."""
        return self.unit_matrices(np.asarray(point_m, float)[None])[0]

    def effective(self, currents_a: ArrayLike) -> Array:
        """Return the effective currents after saturation, shape (n,) [A]."""
        return self.saturation.effective(self.check(currents_a))

    def currents_of(self, effective_a: ArrayLike) -> Array:
        """Return the currents, shape (n,) [A], that act like `effective_a`."""
        return self.saturation.currents(self.check(effective_a))

    def energized(self, currents_a: ArrayLike) -> EnergizedCoils:
        """Return the field source of these coils at currents, shape (n,) [A]."""
        return EnergizedCoils(self, self.check(currents_a))

    def check(self, currents_a: ArrayLike) -> Array:
        """Return currents as float64, shape (n,) [A].

        Raises:
            ValueError: wrong shape or not finite.
        """
        currents = np.asarray(currents_a, float)
        if currents.shape != (len(self.names),):
            raise ValueError(
                f'currents must be one for each of {list(self.names)}, got shape {currents.shape}'
            )
        if not np.all(np.isfinite(currents)):
            raise ValueError(f'currents must be finite, got {currents.tolist()}')
        return currents


@dataclass(frozen=True, eq=False)
class EnergizedCoils:
    """The field of coils at fixed currents.

    Attributes:
        coils: the model of the coils.
        currents_a: their currents, shape (n,) [A].
    """

    coils: CoilArray
    currents_a: Array

    def field_t(self, points_m: ArrayLike) -> Array:
        """Return the field [T], shape (N, 3), at points, shape (N, 3) [m]."""
        return self.field_and_gradient(points_m)[0]

    def field_and_gradient(self, points_m: ArrayLike) -> tuple[Array, Array]:
        """Return field [T], shape (N, 3), and gradient [T/m], shape (N, 5)."""
        return split(self.coils.unit_matrices(points_m) @ self.coils.effective(self.currents_a))
