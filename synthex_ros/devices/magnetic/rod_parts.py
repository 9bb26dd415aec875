"""Values of the elements and nodes of a rod that are in, for one inserted length."""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class RodParts(NamedTuple):
    """Values of `n` elements and of their nodes without the one at the entry.

    Radius and wall have a value for every free node and then for every element's middle.

    Attributes:
        rest: lengths of the elements at rest, shape (n,) [m].
        bending: stiffness of the joints, shape (n + 1,) [N m]; entry n is the clamp's.
        axial: axial stiffness of the elements, shape (n,) [N].
        moment: magnetic moment of the elements along the rod, shape (n,) [A m^2].
        radius: of the rod, shape (2 n,) [m].
        drag: coefficient of the nodes, shape (n,) [N s/m].
        wall: stiffness of the wall, shape (2 n,) [N/m].
        curvature: turn of the joints of the unloaded rod, shape (n + 1,) [rad].
        magnetic: how many elements there are from the tip to the last magnetic one.
    """

    rest: Array
    bending: Array
    axial: Array
    moment: Array
    radius: Array
    drag: Array
    wall: Array
    curvature: Array
    magnetic: int


def rod_parts(
    inserted_m: float,
    count: int,
    node_m: Array,
    bending_n_m2: Array,
    magnetization_a_m: Array,
    radius_m: Array,
    curvature_m: Array,
    axial_n: float,
    drag_n_s_m2: float,
    wall_n_m2: float,
) -> RodParts:
    """Return the values of the first `count` elements, the last one with the length that is left.

    Args:
        inserted_m: length beyond the entry [m].
        count: number of elements n that are in.
        node_m, bending_n_m2, magnetization_a_m, radius_m, curvature_m: see `RodTable`.
        axial_n: stiffness of every element along it [N].
        drag_n_s_m2: viscous drag per length [N s/m^2].
        wall_n_m2: stiffness of the wall per length [N/m^2].
    """
    return RodParts(
        *_filled(
            inserted_m, count, node_m, bending_n_m2, magnetization_a_m, radius_m, curvature_m,
            axial_n, drag_n_s_m2, wall_n_m2,
        )
    )  # fmt: skip


@nb.njit(cache=True)
def _filled(
    inserted, count, node, bending, magnetization, radius, curvature, axial, drag, wall
):  # fmt: skip
    rest, moment, dragged = np.empty(count), np.empty(count), np.empty(count)
    stiff, turns = np.empty(count + 1), np.empty(count + 1)
    around, pressed = np.empty(2 * count), np.empty(2 * count)
    magnetic = 0
    for e in range(count):
        rest[e] = (inserted if e == count - 1 else node[e + 1]) - node[e]
        moment[e] = magnetization[e] * rest[e]
        if magnetization[e] != 0.0:
            magnetic = e + 1
        share = rest[e] / 2 + (rest[e - 1] / 2 if e else 0.0)
        dragged[e] = drag * share
        around[e] = around[count + e] = radius[e]
        pressed[e], pressed[count + e] = wall / 2 * share, wall / 2 * rest[e]
    stiff[0] = turns[0] = 0.0
    for j in range(1, count + 1):
        first = rest[j - 1] / 2
        softness, turn = first / bending[j - 1], first * curvature[j - 1]
        if j < count:
            softness += rest[j] / (2 * bending[j])
            turn += rest[j] / 2 * curvature[j]
        stiff[j], turns[j] = 1 / softness, turn
    return rest, stiff, np.full(count, axial), moment, around, dragged, pressed, turns, magnetic
