"""A thin elastic rod that is pushed through an entry into a vessel, with magnetic elements.

Nodes are fixed to the material by their distance from the tip. The part outside the entry is
taken as held straight; the element at the entry has the length that is left, and is divided or
joined as the rod goes in or out, so inserted length is exact and nothing jumps by an element.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthex_ros.devices.magnetic.rod_kernels import (
    newton_step,
    tangents,
    touching,
    transported_sides,
)
from synthex_ros.devices.magnetic.rod_parts import RodParts, rod_parts
from synthex_ros.devices.magnetic.rod_walls import learn_bends

Array = NDArray[np.float64]
FieldAt = Callable[[Array], tuple[Array, Array]]
RoomAt = Callable[[Array], tuple[Array, Array]]

AXIAL_STIFFNESS_N = 100.0
"""Of every element: a force of 0.1 N shortens the rod by 0.1 %."""
TOLERANCE_M = 5e-7
MAX_ITERATIONS = 150
"""A step takes two to five, one in which the tip snaps across a vessel fifty and more; walls press
with forces of nowhere before it has settled."""
LONGEST_MOVE_M = 5e-4
SNAP_M_S = 0.1
"""A rod that moves faster than this snaps from one shape to another: no guess is made from it."""
CLAMP = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True, eq=False)
class RodTable:
    """The rod's material, tip first.

    Attributes:
        node_m: distance of each node from the tip, ascending from 0, shape (K,) [m].
        bending_n_m2: bending stiffness EI of each element, shape (K - 1,) [N m^2].
        magnetization_a_m: magnetic moment per length of each element, along the rod and positive
            to the tip, shape (K - 1,) [A m].
        radius_m: outer radius of each element, shape (K - 1,) [m].
        curvature_m: curvature of each element at rest, towards +x at zero roll, (K - 1,) [1/m].
    """

    node_m: Array
    bending_n_m2: Array
    magnetization_a_m: Array
    radius_m: Array
    curvature_m: Array

    def __post_init__(self):
        if not (self.node_m[0] == 0 and np.all(np.diff(self.node_m) > 0)):
            raise ValueError('node_m must ascend from 0')
        for name in ('bending_n_m2', 'magnetization_a_m', 'radius_m', 'curvature_m'):
            if getattr(self, name).shape != (len(self.node_m) - 1,):
                raise ValueError(
                    f'{name} needs a value for each of {len(self.node_m) - 1} elements, '
                    f'got shape {getattr(self, name).shape}'
                )

    def node_count(self, inserted_m: float) -> int:
        """Return how many nodes are free: the element at the entry is 0.5 to 1.5 of its size."""
        middles_m = (self.node_m[:-1] + self.node_m[1:]) / 2
        return int(np.searchsorted(middles_m, inserted_m))


@dataclass(frozen=True)
class Surroundings:
    """What the rod lies in.

    Attributes:
        drag_n_s_m2: viscous drag per length [N s/m^2].
        wall_stiffness_n_m2: force per length on a wall that is pressed in by a metre [N/m^2].
        friction: coefficient of Coulomb friction on the wall.
        slip_m_s: speed below which friction turns viscous [m/s].
    """

    drag_n_s_m2: float = 0.05
    wall_stiffness_n_m2: float = 1e5
    friction: float = 0.1
    slip_m_s: float = 2e-4


@dataclass(frozen=True, eq=False)
class _Felt:
    """What the rod has felt of the wall, for every free node and then for every element's middle.

    Attributes:
        places_m: where, shape (2 n, 3) [m].
        inward: unit normals there, shape (2 n, 3).
        bends_1_m: how the wall bends there, shape (2 n,) [1/m].
    """

    places_m: Array
    inward: Array
    bends_1_m: Array

    def resized(self, count: int) -> _Felt:
        """Return the same for `count` nodes; what is new is not known."""
        have = len(self.bends_1_m) // 2
        if have == count:
            return self
        values = []
        for old, unknown in ((self.places_m, np.nan), (self.inward, 0.0), (self.bends_1_m, 0.0)):
            new = np.full((2, count, *old.shape[1:]), unknown)
            kept = min(count, have)
            new[:, :kept] = old.reshape(2, have, *old.shape[1:])[:, :kept]
            values.append(new.reshape(2 * count, *old.shape[1:]))
        return _Felt(*values)


_NOTHING_FELT = _Felt(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0))


class Rod:
    """The part of a rod beyond its entry, which stands at the origin and looks along +z.

    Args:
        table: the material.
        surroundings: drag, wall and friction.
        inserted_m: length beyond the entry at the start [m].

    Attributes:
        nodes_m: positions from the tip to the entry, shape (n + 1, 3) [m].
        contact_n: normal force of the wall on the free nodes, shape (n, 3) [N].
        friction_n: friction force on the free nodes, shape (n, 3) [N].
        load_n: magnetic force (of the gradient) on the free nodes, shape (n, 3) [N].
        drag_n: viscous force on the free nodes in the last step, shape (n, 3) [N].
        iterations: Newton iterations of the last step.
    """

    _in: RodParts

    def __init__(self, table: RodTable, surroundings: Surroundings, inserted_m: float) -> None:
        self.table, self.surroundings = table, surroundings
        self.reset(inserted_m)

    def reset(self, inserted_m: float) -> None:
        """Lie straight along +z, without load."""
        count = self.table.node_count(inserted_m)
        along = np.append(inserted_m - self.table.node_m[:count], 0.0)
        self.nodes_m = np.zeros((count + 1, 3))
        self.nodes_m[:, 2] = along
        self._felt = _NOTHING_FELT
        self._fit(inserted_m, count)
        self._velocity = np.zeros((count + 1, 3))
        self.iterations = 0

    @property
    def inserted_m(self) -> float:
        """Length beyond the entry [m]."""
        return self._inserted_m

    @property
    def tangents(self) -> Array:
        """Unit vectors of the elements towards the tip, shape (n, 3)."""
        unit, lengths = np.empty_like(self.nodes_m[:-1]), np.empty(len(self.nodes_m) - 1)
        tangents(self.nodes_m, unit, lengths)
        return unit

    def moments_a_m2(self) -> tuple[Array, Array]:
        """Return midpoints [m] and moments [A m^2] of the magnetic elements, shape (M, 3) each."""
        count = self._in.magnetic
        middles = (self.nodes_m[:count] + self.nodes_m[1 : count + 1]) / 2
        return middles, self._in.moment[:count, None] * self.tangents[:count]

    def insert(self, inserted_m: float) -> None:
        """Change the length beyond the entry [m]; the shape follows in the next step."""
        count = self.table.node_count(inserted_m)
        while len(self.nodes_m) - 1 < count:
            self._divide()
        if len(self.nodes_m) - 1 > count:
            entry = self.nodes_m[-1:]
            self.nodes_m = np.ascontiguousarray(np.vstack([self.nodes_m[:count], entry]))
            self._velocity = np.vstack([self._velocity[:count], np.zeros((1, 3))])
        self._fit(inserted_m, count)

    def _divide(self) -> None:
        """Add a node in the element at the entry, at its place in the material."""
        count, table = len(self.nodes_m) - 1, self.table
        share = (table.node_m[count] - table.node_m[count - 1]) / self._in.rest[-1]
        new = self._on_curve(min(share, 0.95))
        self.nodes_m = np.ascontiguousarray(np.insert(self.nodes_m, count, new, axis=0))
        self._velocity = np.insert(self._velocity, count, self._velocity[count - 1], axis=0)
        rest = self._in.rest
        self._in = self._in._replace(rest=np.append(rest[:-1], [rest[-1] * (1 - share)] * 2))

    def _on_curve(self, share: float) -> Array:
        """Return a point of the element at the entry, a cubic, at a share from its inner end."""
        inner, entry = self.nodes_m[-2], self.nodes_m[-1]
        length = float(np.linalg.norm(inner - entry))
        unit = self.tangents
        bisector = unit[-1] + unit[-2] if len(unit) > 1 else unit[-1]
        leaving = -length * bisector / np.linalg.norm(bisector)
        arriving, s = -length * CLAMP, share
        return (
            (2 * s**3 - 3 * s**2 + 1) * inner
            + (s**3 - 2 * s**2 + s) * leaving
            + (3 * s**2 - 2 * s**3) * entry
            + (s**3 - s**2) * arriving
        )

    def _fit(self, inserted_m: float, count: int) -> None:
        """Set the values of `count` elements, the last one with the length that is left."""
        table, around = self.table, self.surroundings
        self._inserted_m = inserted_m
        self._in = rod_parts(
            inserted_m, count, table.node_m, table.bending_n_m2, table.magnetization_a_m,
            table.radius_m, table.curvature_m, AXIAL_STIFFNESS_N, around.drag_n_s_m2,
            around.wall_stiffness_n_m2,
        )  # fmt: skip
        self.contact_n, self.friction_n = np.zeros((count, 3)), np.zeros((count, 3))
        self.load_n, self.drag_n = np.zeros((count, 3)), np.zeros((count, 3))

    def step(
        self,
        duration_s: float,
        roll_rad: float = 0.0,
        field_at: FieldAt | None = None,
        room_at: RoomAt | None = None,
    ) -> None:
        """Advance by `duration_s` [s].

        Args:
            duration_s: time step [s].
            roll_rad: roll of the rod at the entry [rad]; turns the direction of its curvature.
            field_at: maps points, (M, 3) [m], to field, (M, 3) [T], and gradient matrices,
                (M, 3, 3) [T/m]; None is no field.
            room_at: maps points, (N, 3) [m], to signed distance to the wall, (N,) [m], and
                inward normals, (N, 3); None is open space.

        Raises:
            FloatingPointError: the equations could not be solved.
        """
        parts, around, count = self._in, self.surroundings, len(self.nodes_m) - 1
        start = self.nodes_m.copy()
        self.nodes_m += duration_s * self._velocity
        turns = np.zeros((count + 1, 3))
        if np.any(parts.curvature):
            sides = transported_sides(self.nodes_m, roll_rad)
            turns[1:] = parts.curvature[1:, None] * sides
        flux = self._magnetic_load(field_at)
        room, inward = np.full(2 * count, 1.0), np.zeros((2 * count, 3))
        trail, places = np.zeros(3 * count + 1), np.empty((2 * count, 3))
        felt = self._felt = self._felt.resized(count)
        for self.iterations in range(1, MAX_ITERATIONS + 1):
            if room_at is not None:
                touching(self.nodes_m, places)
                room, inward = room_at(places)
                learn_bends(places, inward, felt.places_m, felt.inward, felt.bends_1_m)
            move = newton_step(
                self.nodes_m, start, parts.rest, parts.axial, parts.bending, turns, CLAMP,
                parts.moment, flux, parts.drag, self.load_n, room, inward, parts.radius,
                parts.wall, felt.bends_1_m, around.friction, around.slip_m_s, duration_s,
                LONGEST_MOVE_M, self.contact_n, self.friction_n, trail,
            )  # fmt: skip
            if not math.isfinite(move):
                raise FloatingPointError(
                    'the rod became unstable; shorten the time step or lower the field'
                )
            if move < TOLERANCE_M:
                break
        self._velocity = (self.nodes_m - start) / duration_s
        self.drag_n = -parts.drag[:, None] * self._velocity[:-1]
        if np.abs(self._velocity).max() > SNAP_M_S:
            self._velocity[:] = 0.0
        self._rest_bends = turns

    def _magnetic_load(self, field_at: FieldAt | None) -> Array:
        """Set the gradient's force on the nodes; return the field at the elements, (n, 3) [T]."""
        self.load_n[:] = 0.0
        flux, count = np.zeros_like(self.load_n), self._in.magnetic
        if field_at is None or not count:
            return flux
        middles, moments = self.moments_a_m2()
        flux[:count], gradients = field_at(middles)
        forces = np.einsum('nij,nj->ni', gradients, moments) / 2
        self.load_n[:count] += forces
        shared = min(count, len(self.load_n) - 1)
        self.load_n[1 : shared + 1] += forces[:shared]
        return flux

    def entry_force_n(self) -> Array:
        """Return the elastic force of the rod on what holds it at the entry, shape (3,) [N]."""
        parts, unit = self._in, self.tangents
        last = unit[-1]
        length = float(np.linalg.norm(self.nodes_m[-2] - self.nodes_m[-1]))
        across = (np.eye(3) - np.outer(last, last)) / length
        force = parts.axial[-1] * (length / parts.rest[-1] - 1) * last
        force += parts.bending[-1] * across @ (last - CLAMP - self._rest_bends[-1])
        if len(unit) > 1:
            bend = unit[-2] - last - self._rest_bends[-2]
            force -= parts.bending[-2] * across @ bend
        return force
