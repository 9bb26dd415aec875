"""Compiled forces of a wall on a rod: contact and friction at its nodes and between them."""

from __future__ import annotations

import numba as nb
import numpy as np

LEAST_SLIDE_M = 1e-7
"""A place that slides by less tells nothing of how the wall bends."""
SHARPEST_1_M = 4e3
"""A wall is not taken to bend more than this [1/m]: between samples of a grid normals may jump."""


@nb.njit(inline='always')
def add_entry(matrix, p, q, a, b, value):
    """Add to the entry of (node p, axis a), (node q, axis b), if it lies in the lower half.

    Row j of `matrix` holds column j of the lower half from the diagonal on.
    """
    row, column = 3 * p + a, 3 * q + b
    if column <= row:
        matrix[column, row - column] += value


@nb.njit(cache=True)
def learn_bends(places, inward, places_before, inward_before, bends):
    """Learn how the wall bends under places from how its normals turned between two moves [1/m].

    Inside a tube of radius r a place that slides by d across sees the normal turn by d / r. What
    bends away, as an edge does, counts as flat: its curvature would make the matrix indefinite.

    Args:
        places: where the wall is felt now [m], shape (N, 3).
        inward: unit normals there, shape (N, 3).
        places_before: the same places one move ago [m], shape (N, 3); filled with `places`.
        inward_before: unit normals there, shape (N, 3); filled with `inward`.
        bends: curvatures [1/m], shape (N,), updated where a place has slid.
    """
    for i in range(places.shape[0]):
        along = 0.0
        for a in range(3):
            along += (places[i, a] - places_before[i, a]) * inward[i, a]
        square, turn = 0.0, 0.0
        for a in range(3):
            slid = places[i, a] - places_before[i, a] - along * inward[i, a]
            square += slid * slid
            turn -= slid * (inward[i, a] - inward_before[i, a])
        if square > LEAST_SLIDE_M**2:
            bends[i] = min(max(turn / square, 0.0), SHARPEST_1_M)
        for a in range(3):
            places_before[i, a] = places[i, a]
            inward_before[i, a] = inward[i, a]


@nb.njit(cache=True)
def walls(
    count, nodes, start, room, inward, radius, wall, bends, friction, slip, duration_s,
    gradient, matrix, contact, rub,
):  # fmt: skip
    """Add wall and friction at nodes and middles; fill contact and friction forces of the nodes.

    Places 0 to n - 1 are the nodes, n to 2 n - 1 the middles of the elements, which share their
    forces between both ends: without them a sharp edge that slips between two nodes would hold
    the rod. Coulomb friction is mu N v / sqrt(v^2 + slip^2), smooth where the rod comes to rest.
    """
    slide = np.empty(3)
    contact[:], rub[:] = 0.0, 0.0
    for place in range(2 * count):
        depth = radius[place] - room[place]
        if not depth > 0.0:
            continue
        i = place % count
        ends = 1 if place < count else 2
        part = 1.0 / ends
        press = wall[place] * depth
        normal = inward[place]
        moved = 0.0
        for a in range(3):
            slide[a] = 0.0
            for k in range(ends):
                slide[a] += part * (nodes[i + k, a] - start[i + k, a])
            moved += normal[a] * slide[a]
        square = (slip * duration_s) ** 2
        for a in range(3):
            slide[a] -= moved * normal[a]
            square += slide[a] ** 2
        grip = friction * press / np.sqrt(square)
        for k in range(ends):
            if i + k == count:
                continue
            for a in range(3):
                contact[i + k, a] += part * press * normal[a]
                rub[i + k, a] -= part * grip * slide[a]
                gradient[i + k, a] -= part * (press * normal[a] - grip * slide[a])
        for a in range(3):
            for b in range(3):
                same = 1.0 if a == b else 0.0
                nn = normal[a] * normal[b]
                value = grip * (same - nn - slide[a] * slide[b] / square) + wall[place] * nn
                value += press * bends[place] * (same - nn)
                value *= part * part
                for k in range(ends):
                    for m in range(k + 1):
                        if i + k < count:
                            add_entry(matrix, i + k, i + m, a, b, value)
