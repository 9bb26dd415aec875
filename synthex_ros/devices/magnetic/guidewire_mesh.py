"""Closed meshes of the guidewire: core, jacket, marker band and magnet, without overlap."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicSpline

from synthex_ros.bodies import Body
from synthex_ros.devices.magnetic.guidewire_parameters import GuidewireParameters
from synthex_ros.devices.magnetic.swept_mesh import swept_tube

Array = NDArray[np.float64]

DRAWN_STEP_M = 2e-3
SHAFT_M = 0.050
"""Length drawn behind the entry."""
CORE, JACKET, MARKER, MAGNET = 'nitinol', 'tungsten_filled_pebax', 'platinum_iridium', 'ndfeb'
FILLED_JACKET = 'ndfeb_silicone'


@dataclass(frozen=True, eq=False)
class WireShape:
    """The wire's centre line as a smooth curve of the distance from the tip.

    Attributes:
        table_m: distance of the wire's nodes from the tip, shape (K,) [m].
        nodes_m: the nodes beyond the entry and the entry, shape (n + 1, 3) [m].
        inserted_m: length beyond the entry [m].
    """

    table_m: Array
    nodes_m: Array
    inserted_m: float

    @cached_property
    def _curve(self) -> CubicSpline:
        distance = np.append(self.table_m[: len(self.nodes_m) - 1], self.inserted_m)
        ends = (2, np.zeros(3)), (1, np.array([0.0, 0.0, -1.0]))
        return CubicSpline(distance, self.nodes_m, bc_type=ends)

    def at(self, distance_m: Array) -> Array:
        """Return points at distances from the tip, shape (K, 3) [m]; straight before the entry."""
        inside = self._curve(np.minimum(distance_m, self.inserted_m))
        inside[:, 2] -= np.maximum(distance_m - self.inserted_m, 0.0)
        return inside

    def sampled(self, from_m: float, to_m: float) -> Array:
        """Return points from one distance to another, no more than 2 mm apart, (K, 3) [m]."""
        return self.at(stations(from_m, to_m))


def stations(from_m: float, to_m: float) -> Array:
    """Return distances from one end to the other, no more than 2 mm apart [m]."""
    count = max(1, int(np.ceil((to_m - from_m) / DRAWN_STEP_M)))
    return np.linspace(from_m, to_m, count + 1)


def guidewire_bodies(
    parameters: GuidewireParameters,
    shape: WireShape,
    world_from_device_base: ArrayLike,
    label: int = 1,
) -> list[Body]:
    """Return the bodies to draw, posed in `world`.

    Args:
        parameters: dimensions and materials.
        shape: the centre line in `device_base`.
        world_from_device_base: pose of `device_base` in `world`, shape (4, 4) [m].
        label: class id.
    """
    pose = np.asarray(world_from_device_base, float)
    magnet, flexible, soft = (
        parameters.magnet_length_m,
        parameters.flexible_end_m,
        parameters.soft_length_m,
    )
    band = flexible - parameters.marker_length_m
    end = min(parameters.length_m, shape.inserted_m + SHAFT_M)
    jacket = FILLED_JACKET if parameters.jacket_magnetization_a_m else JACKET
    pieces = [
        (CORE, magnet, end, False),
        (jacket, magnet, band, True),
        (MARKER, band, flexible, True),
        (JACKET, flexible, min(soft, end), True),
    ]
    bodies = []
    if magnet:
        line, radius = shape.sampled(0.0, magnet), parameters.magnet_diameter_m / 2
        bodies.append(Body(swept_tube(line, radius), MAGNET, pose, label))
    for material, start, stop, hollow in pieces:
        if stop - start < 1e-6:
            continue
        at = stations(start, stop)
        core = parameters.core_diameter_m(at) / 2
        outer = np.full_like(core, parameters.jacket_diameter_m / 2) if hollow else core
        # The core grows to the jacket's size where the taper ends; the jacket keeps a skin there.
        inner = np.minimum(core, 0.98 * outer) if hollow else None
        bodies.append(Body(swept_tube(shape.at(at), outer, inner), material, pose, label))
    return bodies
