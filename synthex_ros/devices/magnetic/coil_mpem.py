"""Read coil calibrations in the multipole format of the Tesla framework (MPEM).

Users who have the calibration of their own system, or the published ones (Tesla_core_public,
Multi-Scale Robotics Lab, ETH Zurich), turn it into one of this package with their own limits.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import ArrayLike

from synthex_ros.devices.magnetic.coil_calibration import CoilCalibration
from synthex_ros.devices.magnetic.coil_limits import CoilLimits
from synthex_ros.devices.magnetic.coil_saturation import Saturation
from synthex_ros.magnetics import MU0_OVER_4PI, as_points


def read_mpem(
    path: str | Path,
    limits: CoilLimits,
    workspace_radius_m: float,
    sensors_m: ArrayLike,
    sensor_noise_t: float,
    saturation: Saturation | None = None,
) -> CoilCalibration:
    """Return the calibration of an MPEM file of dipoles.

    Only dipole terms are read (`B_Coeff` of one value); files with monopoles or higher orders are
    refused. Sources of no strength are left out.

    Args:
        path: YAML file with `Coil_List`, and for each coil `Source_List` and its sources.
        limits: limits of coils and drivers, which the file does not hold.
        workspace_radius_m: how far from the origin the fit holds [m].
        sensors_m: places of field sensors, shape (K, 3) [m].
        sensor_noise_t: standard deviation of each sensor axis [T].
        saturation: saturation of the coils; none by default.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is not of that format, or has terms that are not dipoles.
    """
    values = yaml.safe_load(Path(path).read_text(encoding='utf-8'))
    try:
        names = [str(name) for name in values['Coil_List']]
        found = [
            (n, source)
            for n, name in enumerate(names)
            for source in (values[name][key] for key in values[name]['Source_List'])
        ]
        dipoles = [(n, *_dipole(source)) for n, source in found]
    except (KeyError, TypeError) as error:
        raise ValueError(f'{path} is not an MPEM calibration: {error} is missing') from error
    dipoles = [item for item in dipoles if np.any(item[2] != 0)]
    return CoilCalibration(
        names=tuple(names),
        positions_m=as_points([position for _, position, _ in dipoles]),
        moments_m2=as_points([moment for *_, moment in dipoles]),
        coil_of_dipole=np.array([n for n, *_ in dipoles], np.int64),
        saturation=saturation or Saturation.none(len(names)),
        limits=limits,
        workspace_radius_m=workspace_radius_m,
        sensors_m=as_points(sensors_m, 'sensors_m'),
        sensor_noise_t=sensor_noise_t,
    )


def _dipole(source: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    if np.any(np.ravel(source.get('A_Coeff') or 0.0)):
        raise ValueError('a source has an A_Coeff; only dipoles (B_Coeff) are read')
    strength = np.ravel(source['B_Coeff'] or 0.0)
    if len(strength) != 1:
        raise ValueError(f'a source has {len(strength)} B_Coeff; only dipoles (one) are read')
    direction = np.asarray(source['Source_Direction'], float)
    return np.asarray(source['Source_Position'], float), direction * strength[0] / MU0_OVER_4PI
