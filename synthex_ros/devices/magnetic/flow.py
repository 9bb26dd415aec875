"""Blood flow in vessels: plug or Poiseuille profile, a pulse, and splits where vessels branch."""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

PROFILES = {'plug': 0, 'poiseuille': 1}
SPLIT_EXPONENT = 3.0
"""Flow to a branch goes with this power of its radius: Murray, PNAS 12 (1926) 207."""


@dataclass(frozen=True)
class Pulse:
    """Speed over a heartbeat as a factor of the mean: a steady part and a systolic wave.

    Attributes:
        rate_hz: heartbeats a second [Hz]; 0 is steady flow.
        steady_part: part of the mean flow that runs all the time, 0..1.
        systole_part: part of the beat that the wave lasts, 0.1..1.
    """

    rate_hz: float = 1.1
    steady_part: float = 0.4
    systole_part: float = 0.4

    def __post_init__(self):
        for name, low, high in (
            ('rate_hz', 0, 5),
            ('steady_part', 0, 1),
            ('systole_part', 0.1, 1),
        ):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f'{name} must be {low}..{high}, got {getattr(self, name)!r}')

    def factor(self, time_s: float) -> float:
        """Return the speed at a time [s] over the mean speed; its mean over a beat is 1."""
        if self.rate_hz == 0:
            return 1.0
        phase = (time_s * self.rate_hz) % 1.0
        if phase >= self.systole_part:
            return self.steady_part
        wave = 2 / self.systole_part * np.sin(np.pi * phase / self.systole_part) ** 2
        return float(self.steady_part + (1 - self.steady_part) * wave)


STEADY = Pulse(rate_hz=0.0)


class VesselFlow:
    """Flow along the centre lines of a tree of vessels; away from its root.

    Args:
        points_m: nodes of the centre lines, shape (N, 3) [m]; the root comes first.
        radius_m: radius of the vessel at the nodes, shape (N,) [m].
        mean_velocity_m_s: mean over cross-section and beat at the root; negative runs to it [m/s].
        parent: index of the node before each node, -1 at the root, shape (N,); None is one path.
        profile: 'poiseuille' (zero at the wall, twice the mean on the axis) or 'plug'.
        pulse: speed over a heartbeat.

    Attributes:
        flow_m3_s: mean volume flow of each node's segment from its parent, shape (N,) [m^3/s].

    Raises:
        ValueError: a shape, a radius, the order of the nodes or the profile is wrong.
    """

    def __init__(
        self,
        points_m: ArrayLike,
        radius_m: ArrayLike,
        mean_velocity_m_s: float,
        parent: ArrayLike | None = None,
        profile: str = 'poiseuille',
        pulse: Pulse = STEADY,
    ) -> None:
        self.points_m = np.ascontiguousarray(points_m, float)
        count = len(self.points_m)
        self.radius_m = np.ascontiguousarray(
            np.broadcast_to(np.asarray(radius_m, float), (count,))
        )
        order = np.arange(-1, count - 1) if parent is None else parent
        self.parent: NDArray[np.int64] = np.asarray(order, np.int64)
        self.profile, self.pulse = profile, pulse
        self._check(mean_velocity_m_s)
        inflow = np.pi * self.radius_m[0] ** 2 * mean_velocity_m_s
        self.flow_m3_s = inflow * flow_shares(self.parent, self.radius_m)

    def _check(self, mean_velocity_m_s: float) -> None:
        count = len(self.points_m)
        if self.points_m.shape != (count, 3) or count < 2:
            raise ValueError(
                f'points_m must have shape (N, 3), N at least 2, got {self.points_m.shape}'
            )
        if not np.all((self.radius_m > 1e-5) & (self.radius_m < 0.1)):
            raise ValueError('radius_m must be 1e-5..0.1 m; 3 mm is 0.003')
        in_order = self.parent[0] == -1 and np.all(self.parent[1:] >= 0)
        if not in_order or np.any(self.parent >= np.arange(count)):
            raise ValueError('parent must be -1 for the first node and an earlier node for others')
        if self.profile not in PROFILES:
            raise ValueError(f'profile must be one of {list(PROFILES)}, got {self.profile!r}')
        if not abs(mean_velocity_m_s) <= 3:
            raise ValueError(
                f'mean_velocity_m_s must be within 3 m/s, got {mean_velocity_m_s:g}; '
                '10 cm/s is 0.1'
            )

    def velocity_m_s(self, points_m: ArrayLike, time_s: float) -> Array:
        """Return the velocity [m/s] at points, shape (N, 3) [m]; zero outside the vessels."""
        points = np.ascontiguousarray(points_m, float)
        out = np.empty_like(points)
        factor = self.pulse.factor(time_s)
        _velocities(
            points, self.points_m, self.radius_m, self.parent, self.flow_m3_s * factor,
            PROFILES[self.profile], out,
        )  # fmt: skip
        return out

    def vessel(self, points_m: ArrayLike) -> tuple[Array, Array]:
        """Return radius, (N,) [m], and unit direction away from the root, (N, 3), of the vessel.

        A point between vessels belongs to the one whose wall it is deepest behind.
        """
        points = np.ascontiguousarray(points_m, float)
        radius, axis = np.empty(len(points)), np.empty((len(points), 3))
        _locate_all(points, self.points_m, self.radius_m, self.parent, radius, axis)
        return radius, axis


def flow_shares(parent: NDArray[np.int64], radius_m: Array) -> Array:
    """Return the part of the root's flow through each node's segment, shape (N,).

    A branch gets its share by the cube of its mean radius up to the next branching; shares of
    branches add up to that of their stem.
    """
    count = len(parent)
    children = np.bincount(parent[1:], minlength=count)
    total, length = radius_m.copy(), np.ones(count)
    for node in range(count - 1, 0, -1):
        if children[node] == 1:
            child = int(np.flatnonzero(parent == node)[0])
            total[node] += total[child]
            length[node] += length[child]
    weight = (total / length) ** SPLIT_EXPONENT
    sums = np.bincount(parent[1:], weights=weight[1:], minlength=count)
    shares = np.ones(count)
    for node in range(1, count):
        shares[node] = shares[parent[node]] * weight[node] / sums[parent[node]]
    return shares


@nb.njit(cache=True)
def _locate(point, nodes, radius, parent):
    """Return (segment, distance to its axis [m], radius there [m]) of the vessel round a point."""
    best, found, away, wide = np.inf, 1, 0.0, radius[0]
    for node in range(1, nodes.shape[0]):
        before = parent[node]
        along, square, gap = 0.0, 0.0, 0.0
        for a in range(3):
            step = nodes[node, a] - nodes[before, a]
            along += step * (point[a] - nodes[before, a])
            square += step * step
        share = min(max(along / square, 0.0), 1.0) if square > 0.0 else 0.0
        for a in range(3):
            at = nodes[before, a] + share * (nodes[node, a] - nodes[before, a])
            gap += (point[a] - at) ** 2
        distance = np.sqrt(gap)
        here = radius[before] + share * (radius[node] - radius[before])
        if distance - here < best:
            best, found, away, wide = distance - here, node, distance, here
    return found, away, wide


@nb.njit(cache=True)
def _locate_all(points, nodes, radius, parent, out_radius, out_axis):
    for i in range(points.shape[0]):
        node, _, out_radius[i] = _locate(points[i], nodes, radius, parent)
        step = nodes[node] - nodes[parent[node]]
        out_axis[i] = step / np.sqrt(np.sum(step * step))


@nb.njit(cache=True)
def _velocities(points, nodes, radius, parent, flow, profile, out):
    for i in range(points.shape[0]):
        node, away, wide = _locate(points[i], nodes, radius, parent)
        speed = flow[node] / (np.pi * wide * wide)
        if away >= wide:
            speed = 0.0
        elif profile == 1:
            speed *= 2 * (1 - (away / wide) ** 2)
        step = nodes[node] - nodes[parent[node]]
        out[i] = speed * step / np.sqrt(np.sum(step * step))
