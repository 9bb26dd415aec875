"""Compiled step of a thin elastic rod: quasi-static equilibrium with drag, contact and friction.

The rod is a chain of straight elements between nodes; node 0 is the tip and the last node stands
at the entry. Elastic energy, as in the discrete rods of Bergou et al. (ACM Trans. Graph. 27
(2008) 63), with the joint's |t_a - t_b - r|^2 in place of the squared angle (0.2 % apart at 9
degrees a joint):

    sum_e  k_e/2 (|e| - l_e)^2 / l_e  +  sum_j  b_j/2 |t_a - t_b - r_j|^2  -  sum_e  m_e t_e . B_e

A time step minimises it together with the work of drag, wall and friction (backward Euler), by
Newton iterations whose matrix is kept positive definite and is banded: nodes couple to their
second neighbours, so a step costs a fixed number of operations a node.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from synthex_ros.devices.magnetic.rod_walls import add_entry, walls

BAND = 9
"""Diagonals of the lower half of the matrix: three coordinates of a node and two neighbours."""

OVERSHOOT = 0.5
"""A step is taken back where the slope has turned and is steeper than this part of the first."""


@nb.njit(cache=True)
def tangents(nodes, out, lengths):
    """Fill unit vectors to the tip, `out` (n, 3), and `lengths` (n,) of `nodes` (n + 1, 3)."""
    for e in range(nodes.shape[0] - 1):
        x = nodes[e, 0] - nodes[e + 1, 0]
        y = nodes[e, 1] - nodes[e + 1, 1]
        z = nodes[e, 2] - nodes[e + 1, 2]
        length = np.sqrt(x * x + y * y + z * z)
        lengths[e] = length
        out[e, 0], out[e, 1], out[e, 2] = x / length, y / length, z / length


@nb.njit(cache=True)
def touching(nodes, places):
    """Write where walls are felt: the free nodes and the middles of the elements, (2 n, 3) [m]."""
    count = nodes.shape[0] - 1
    for i in range(count):
        for a in range(3):
            places[i, a] = nodes[i, a]
            places[count + i, a] = (nodes[i, a] + nodes[i + 1, a]) / 2


@nb.njit(cache=True)
def _elements(count, rest, unit, lengths, axial, moment, field, gradient, matrix):
    """Add stretch and the magnetic energy of the elements."""
    for e in range(count):
        stretch = axial[e] * (lengths[e] - rest[e]) / rest[e]
        along = unit[e, 0] * field[e, 0] + unit[e, 1] * field[e, 1] + unit[e, 2] * field[e, 2]
        turn = moment[e] / lengths[e]
        for a in range(3):
            pull = stretch * unit[e, a] - turn * (field[e, a] - along * unit[e, a])
            gradient[e, a] += pull
            if e + 1 < count:
                gradient[e + 1, a] -= pull
        across = max(stretch / lengths[e], 0.0) + turn * max(along, 0.0) / lengths[e]
        stiff = axial[e] / rest[e]
        for a in range(3):
            for b in range(3):
                tt = unit[e, a] * unit[e, b]
                value = stiff * tt + across * ((1.0 if a == b else 0.0) - tt)
                add_entry(matrix, e, e, a, b, value)
                if e + 1 < count:
                    add_entry(matrix, e + 1, e + 1, a, b, value)
                    add_entry(matrix, e + 1, e, a, b, -value)


@nb.njit(cache=True)
def _joints(count, unit, lengths, bending, rest_bend, clamp, gradient, matrix):
    """Add bending; joint j lies between elements j - 1 and j, joint `count` is the clamp."""
    slope = np.zeros((3, 3, 3))
    for j in range(1, count + 1):
        first, clamped = j - 1, j == count
        parts = 1 if clamped else 3
        residual = np.empty(3)
        for a in range(3):
            other = clamp[a] if clamped else unit[j, a]
            residual[a] = unit[first, a] - other - rest_bend[j, a]
        for a in range(3):
            for b in range(3):
                same = 1.0 if a == b else 0.0
                far = (same - unit[first, a] * unit[first, b]) / lengths[first]
                slope[0, a, b] = far
                if not clamped:
                    near = (same - unit[j, a] * unit[j, b]) / lengths[j]
                    slope[1, a, b], slope[2, a, b] = -far - near, near
        for p in range(parts):
            node = first + p
            if node >= count:
                continue
            for a in range(3):
                force = 0.0
                for c in range(3):
                    force += slope[p, c, a] * residual[c]
                gradient[node, a] += bending[j] * force
            for q in range(p + 1):
                for a in range(3):
                    for b in range(3):
                        value = 0.0
                        for c in range(3):
                            value += slope[p, c, a] * slope[q, c, b]
                        add_entry(matrix, node, first + q, a, b, bending[j] * value)


@nb.njit(cache=True)
def _surroundings(count, nodes, start, drag, load, duration_s, gradient, matrix):
    """Add drag and outer load."""
    for i in range(count):
        hold = drag[i] / duration_s
        for a in range(3):
            gradient[i, a] += hold * (nodes[i, a] - start[i, a]) - load[i, a]
            add_entry(matrix, i, i, a, a, hold)


@nb.njit(cache=True)
def _solve(count, matrix, right):
    """Solve the banded system in place (LDL^T); False if it is not positive definite.

    Column after column is taken off those after it: the inner loops are of fixed length and run
    along the rows of `matrix`, so that they compile to vector instructions.

    Args:
        count: number of free nodes n.
        matrix: row j is column j of the lower half from the diagonal on, shape
            (3 n + BAND - 1, BAND), zeros in the last rows; overwritten.
        right: right-hand side, shape (3 n + BAND - 1,), zeros at the end; becomes the solution.
    """
    size = 3 * count
    for j in range(size):
        pivot = matrix[j, 0]
        if not pivot > 0.0:
            return False
        inverse = 1.0 / pivot
        for k in range(1, BAND):
            share = matrix[j, k] * inverse
            for m in range(k, BAND):
                matrix[j + k, m - k] -= share * matrix[j, m]
            right[j + k] -= share * right[j]
    for j in range(size - 1, -1, -1):
        value = right[j]
        for k in range(1, BAND):
            value -= matrix[j, k] * right[j + k]
        right[j] = value / matrix[j, 0]
    return True


@nb.njit(cache=True)
def _step_back(nodes, gradient, trail):
    """Shorten the last step where it went beyond the lowest point on its way; return by what.

    The slope of the potential along the step is known at both ends; a secant gives the point
    where it is zero. So contacts that open and close do not throw the rod to and fro.
    """
    size = trail.shape[0] - 1
    before, after = trail[size], 0.0
    for i in range(size):
        after += gradient[i // 3, i % 3] * trail[i]
    if not (before < 0.0 and after > -OVERSHOOT * before):
        return 0.0
    share = min(max(before / (before - after), 0.05), 0.95)
    largest = 0.0
    for i in range(size):
        back = (1 - share) * trail[i]
        nodes[i // 3, i % 3] -= back
        trail[i] *= share
        largest = max(largest, abs(back))
    trail[size] *= share
    return largest


@nb.njit(cache=True)
def newton_step(
    nodes, start, rest, axial, bending, rest_bend, clamp, moment, field, drag, load, room, inward,
    radius, wall, bends, friction, slip, duration_s, longest_m, contact, rub, trail,
):  # fmt: skip
    """Move the free nodes by one Newton step, or take back a part of the one before.

    Args:
        nodes: positions [m], shape (n + 1, 3), changed in place; the last one is held.
        start: positions at the start of the time step [m], shape (n + 1, 3).
        rest: lengths of the elements at rest [m], shape (n,).
        axial: axial stiffness of the elements [N], shape (n,).
        bending: stiffness of the joints [N m], shape (n + 1,); entry n is the clamp's.
        rest_bend: t_a - t_b of the unloaded joints, shape (n + 1, 3).
        clamp: direction of the rod at the entry, shape (3,).
        moment: magnetic moment of the elements along the rod [A m^2], shape (n,).
        field: field at the elements [T], shape (n, 3).
        drag: drag coefficient of the nodes [N s/m], shape (n,).
        load: outer force on the nodes [N], shape (n, 3).
        room: signed distance to the wall of the free nodes and then of the middles of the
            elements [m], shape (2 n,).
        inward: unit normals of the wall into the lumen there, shape (2 n, 3).
        radius: radius of the rod there [m], shape (2 n,).
        wall: stiffness of the wall under them [N/m], shape (2 n,).
        bends: curvature of the wall there, 0 where it is flat or not known [1/m], shape (2 n,).
        friction: coefficient of Coulomb friction.
        slip: speed below which friction turns viscous [m/s].
        duration_s: time step [s].
        longest_m: a longer step is shortened to this [m].
        contact: filled with the wall's normal force on the nodes [N], shape (n, 3).
        rub: filled with the friction force on the nodes [N], shape (n, 3).
        trail: zeros at the start of a time step, then the last move and the slope of the
            potential along it, shape (3 n + 1,).

    Returns:
        The largest move [m], or NaN if the matrix lost its definiteness.
    """
    count = rest.shape[0]
    unit, lengths = np.empty((count, 3)), np.empty(count)
    tangents(nodes, unit, lengths)
    gradient, matrix = np.zeros((count, 3)), np.zeros((3 * count + BAND - 1, BAND))
    _elements(count, rest, unit, lengths, axial, moment, field, gradient, matrix)
    _joints(count, unit, lengths, bending, rest_bend, clamp, gradient, matrix)
    _surroundings(count, nodes, start, drag, load, duration_s, gradient, matrix)
    walls(
        count, nodes, start, room, inward, radius, wall, bends, friction, slip, duration_s,
        gradient, matrix, contact, rub,
    )  # fmt: skip
    back = _step_back(nodes, gradient, trail)
    if back > 0.0:
        return back
    move = np.zeros(3 * count + BAND - 1)
    for i in range(3 * count):
        move[i] = -gradient[i // 3, i % 3]
    if not _solve(count, matrix, move):
        return np.nan
    largest = 0.0
    for value in move[: 3 * count]:
        largest = max(largest, abs(value))
    scale = min(1.0, longest_m / largest) if largest > 0.0 else 1.0
    trail[3 * count] = 0.0
    for i in range(3 * count):
        trail[i] = scale * move[i]
        trail[3 * count] += gradient[i // 3, i % 3] * trail[i]
        nodes[i // 3, i % 3] += trail[i]
    return largest


@nb.njit(cache=True)
def transported_sides(nodes, roll_rad):
    """Return a unit vector across each element, shape (n, 3), carried along without twist.

    It starts as (cos roll, sin roll, 0) at the entry, the last node; the shaft is taken as stiff
    in torsion.
    """
    count = nodes.shape[0] - 1
    side = np.array([np.cos(roll_rad), np.sin(roll_rad), 0.0])
    unit, lengths = np.empty((count, 3)), np.empty(count)
    tangents(nodes, unit, lengths)
    out = np.empty((count, 3))
    for e in range(count - 1, -1, -1):
        along, norm = 0.0, 0.0
        for a in range(3):
            along += side[a] * unit[e, a]
        for a in range(3):
            side[a] -= along * unit[e, a]
            norm += side[a] * side[a]
        for a in range(3):
            side[a] /= np.sqrt(norm)
            out[e, a] = side[a]
    return out
