"""Static equilibrium of the unloaded notched tube under two elastic tendons."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from synthex_ros.devices.continuum.parameters import ContinuumParameters

Array = NDArray[np.float64]


def tendon_tensions(
    parameters: ContinuumParameters, pull_1_m: float, pull_2_m: float, bend_rad: float
) -> tuple[float, float]:
    """Return the tensions [N] of tendons pulled by `pull_i_m` [m] at a total bend [rad].

    A tendon is a spring that only pulls, behind pretension, and saturates at the drive's limit.
    """
    slack = parameters.tendon_offset_m * bend_rad
    stretches = (pull_1_m - slack, pull_2_m + slack)
    first, second = (
        min(
            max(parameters.pretension_n + parameters.tendon_stiffness_n_m * stretch, 0.0),
            parameters.tension_max_n,
        )
        for stretch in stretches
    )
    return first, second


def equilibrium_angles(
    parameters: ContinuumParameters,
    notch_stiffness_nm_rad: ArrayLike,
    pull_1_m: float,
    pull_2_m: float,
) -> Array:
    """Return the notch angles at rest [rad], shape (n,), without friction and outer load.

    Both tendons load every notch with the same moment M = r (T_1 - T_2), and notch i turns by
    M / k_i; the total bend is the root of one monotone equation.

    Args:
        parameters: the manipulator.
        notch_stiffness_nm_rad: stiffness k_i of each notch [N m/rad], shape (n,).
        pull_1_m: pull of tendon 1 behind the play [m].
        pull_2_m: pull of tendon 2 behind the play [m].
    """
    compliance = 1 / np.asarray(notch_stiffness_nm_rad, float)
    total = float(np.sum(compliance))

    def moment(bend_rad: float) -> float:
        first, second = tendon_tensions(parameters, pull_1_m, pull_2_m, bend_rad)
        return parameters.tendon_offset_m * (first - second)

    bound = 2 * parameters.tension_max_n * parameters.tendon_offset_m * total
    bend = brentq(lambda bend_rad: bend_rad - total * moment(bend_rad), -bound, bound, xtol=1e-13)
    return bend / total * compliance
