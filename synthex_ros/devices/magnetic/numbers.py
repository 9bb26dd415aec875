"""Nominal numbers of magnetic devices as plain values: what a controller is told about them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from synthex_ros.devices.magnetic.drag import RIGID, free_drag_n_s_m, wall_factors
from synthex_ros.devices.magnetic.droplet import DropletParameters
from synthex_ros.devices.magnetic.fluid import Fluid
from synthex_ros.devices.magnetic.guidewire_parameters import GuidewireParameters
from synthex_ros.devices.magnetic.soft_robot import SoftRobotParameters
from synthex_ros.devices.magnetic.sphere import SphereParameters
from synthex_ros.devices.magnetic.untethered import WEIGHT_WORLD_M_S2

ADDED_MASS = 0.5


def wire_numbers(parameters: GuidewireParameters | None = None) -> dict[str, Any]:
    """Return the soft end of a guidewire: arrays and numbers of `control...WireModel`.

    Only taper, flexible part and magnet are given: what lies behind hardly bends.
    """
    parameters = parameters or GuidewireParameters()
    table = parameters.table()
    count = int(np.searchsorted(table.node_m, parameters.soft_length_m - 1e-9)) + 1
    return {
        'node_m': table.node_m[:count].copy(),
        'bending_n_m2': table.bending_n_m2[: count - 1].copy(),
        'moment_a_m2': parameters.moment_a_m2,
        'back_m': parameters.flexible_end_m - parameters.marker_length_m / 2,
    }


def swimmer_numbers(
    parameters: SphereParameters | SoftRobotParameters | DropletParameters,
    *,
    field_t: float,
    fluid: Fluid | None = None,
    vessel_radius_m: float = math.inf,
    coil_lag_s: float = 0.02,
) -> dict[str, Any]:
    """Return drag, moment, weight, radius and lag of a body: numbers of `control...SwimmerModel`.

    Args:
        parameters: of the body.
        field_t: strength of the field that it will be in [T].
        fluid: around it; blood by default.
        vessel_radius_m: of the vessel; infinite in open fluid [m].
        coil_lag_s: time constant of the coils [s].
    """
    fluid, radius = fluid or Fluid(), parameters.radius_m
    volume, density = parameters.volume_m3, parameters.density_kg_m3
    if isinstance(parameters, DropletParameters):
        ratio = parameters.viscosity_pa_s / fluid.viscosity_pa_s
        moment = parameters.ferrofluid.magnetization_a_m(field_t) * volume
    else:
        ratio, moment = RIGID, parameters.moment_a_m2
    still, _ = wall_factors(radius / vessel_radius_m, ratio)
    drag = free_drag_n_s_m(radius, fluid.viscosity_pa_s, ratio) * still
    mass = (density + ADDED_MASS * fluid.density_kg_m3) * volume
    return {
        'drag_n_s_m': drag,
        'reynolds_s_m': 2 * radius * fluid.density_kg_m3 / fluid.viscosity_pa_s,
        'moment_a_m2': moment,
        'weight_n': (density - fluid.density_kg_m3) * volume * WEIGHT_WORLD_M_S2,
        'radius_m': 0.0 if isinstance(parameters, DropletParameters) else radius,
        'lag_s': coil_lag_s + min(mass / drag / 3, 0.1),
    }
