"""Calibration files of coil systems: dipoles that stand for each coil, saturation and limits.

A coil is one dipole or several, fitted to measured fields or placed by geometry; the moment is
that of one ampere. `config/coils/` holds examples and says where their numbers come from.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from synthex_ros import resources
from synthex_ros.devices.magnetic.coil_limits import CoilLimits
from synthex_ros.devices.magnetic.coil_saturation import Saturation
from synthex_ros.magnetics import as_points

Array = NDArray[np.float64]

FOLDER = 'config/coils'


@dataclass(frozen=True, eq=False)
class CoilCalibration:
    """A coil system; the origin is the centre of its workspace.

    Attributes:
        names: names of the n coils.
        positions_m: dipoles of all coils, shape (S, 3) [m].
        moments_m2: their moments at one ampere, shape (S, 3) [A m^2 / A].
        coil_of_dipole: index of each dipole's coil, shape (S,), int64.
        saturation: saturation of the coils.
        limits: limits of the coils and their drivers.
        workspace_radius_m: the model holds within this distance of the origin [m].
        sensors_m: places of the field sensors, shape (K, 3) [m].
        sensor_noise_t: standard deviation of each sensor axis [T].

    Raises:
        ValueError: shapes do not fit together, or a dipole or a sensor lies in the workspace.
    """

    names: tuple[str, ...]
    positions_m: Array
    moments_m2: Array
    coil_of_dipole: NDArray[np.int64]
    saturation: Saturation
    limits: CoilLimits
    workspace_radius_m: float
    sensors_m: Array
    sensor_noise_t: float

    def __post_init__(self):
        if len(set(self.names)) != len(self.names) or not self.names:
            raise ValueError(f'coils need names that differ, got {self.names}')
        if self.positions_m.shape != self.moments_m2.shape:
            raise ValueError('each dipole needs a position and a moment')
        if sorted(set(self.coil_of_dipole.tolist())) != list(range(len(self.names))):
            raise ValueError(f'each of the coils {self.names} needs at least one dipole')
        if self.saturation.ceiling_a.shape != (len(self.names),):
            raise ValueError('saturation must have one value for each coil')
        nearest = float(np.min(np.linalg.norm(self.positions_m, axis=1)))
        if not 0 < self.workspace_radius_m < nearest:
            raise ValueError(
                f'workspace_radius_m must be above 0 and below the distance of the nearest '
                f'dipole {nearest:g}, got {self.workspace_radius_m:g}'
            )


def read_calibration(name: str | Path) -> CoilCalibration:
    """Return the calibration of a YAML file.

    Args:
        name: path of a file, or name of one in the package's `config/coils`, without '.yaml'.

    Raises:
        FileNotFoundError: neither exists.
        ValueError: something is missing or wrong; says what.
    """
    path = Path(name)
    if not path.is_file():
        path = resources.find(FOLDER, f'{path.name.removesuffix(".yaml")}.yaml')
    values = yaml.safe_load(path.read_text(encoding='utf-8'))
    try:
        return _parse(values)
    except KeyError as error:
        raise ValueError(f'{path} has no {error}; see {FOLDER} for examples') from error
    except (TypeError, ValueError) as error:
        raise ValueError(f'{path}: {error}') from error


def _parse(values: dict[str, Any]) -> CoilCalibration:
    coils = values['coils']
    dipoles = [(n, dipole) for n, coil in enumerate(coils) for dipole in coil['dipoles']]
    sensors = values['sensors']
    return CoilCalibration(
        names=tuple(str(coil['name']) for coil in coils),
        positions_m=as_points([d['position_m'] for _, d in dipoles], 'position_m'),
        moments_m2=as_points([d['moment_m2'] for _, d in dipoles], 'moment_m2'),
        coil_of_dipole=np.array([n for n, _ in dipoles], np.int64),
        saturation=_saturation(values['saturation'], coils),
        limits=CoilLimits(**{name: float(value) for name, value in values['limits'].items()}),
        workspace_radius_m=float(values['workspace_radius_m']),
        sensors_m=as_points(sensors['positions_m'], 'sensor positions_m'),
        sensor_noise_t=float(sensors['noise_t']),
    )


def _saturation(kind: str, coils: list[dict[str, Any]]) -> Saturation:
    if kind == 'none':
        return Saturation.none(len(coils))
    return Saturation(
        kind,
        np.array([coil['ceiling_a'] for coil in coils], float),
        np.array([coil['per_a'] for coil in coils], float),
    )
