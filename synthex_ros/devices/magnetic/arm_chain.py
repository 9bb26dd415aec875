"""Compiled kinematics of a chain of seven hinges beside a box: it is asked many times a frame."""

from __future__ import annotations

import math

import numba as nb
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@nb.njit(cache=True)
def chain(joints: Array, base: Array, offsets: Array, axes: Array) -> tuple[Array, Array, Array]:
    """Return joint places (8, 3), joint axes (7, 3) in `world`, and the hand's rotation (3, 3).

    The last place is the magnet's centre. Rodrigues' formula at each joint.

    Args:
        joints: joint angles, shape (7,) [rad].
        base: pose of the arm's base in `world`, shape (4, 4) [m].
        offsets: along the link to each joint and at last to the magnet, shape (8,) [m].
        axes: joint axes in the frame of their link, shape (7, 3).
    """
    places, directions = np.empty((8, 3)), np.empty((7, 3))
    rotation = base[:3, :3].copy()
    place = base[:3, 3].copy()
    turn = np.empty((3, 3))
    for n in range(7):
        place = place + rotation[:, 2] * offsets[n]
        places[n] = place
        x, y, z = axes[n]
        c, s = np.cos(joints[n]), np.sin(joints[n])
        v = 1 - c
        turn[0] = np.array([c + x * x * v, x * y * v - z * s, x * z * v + y * s])
        turn[1] = np.array([y * x * v + z * s, c + y * y * v, y * z * v - x * s])
        turn[2] = np.array([z * x * v - y * s, z * y * v + x * s, c + z * z * v])
        directions[n] = rotation @ axes[n]
        rotation = rotation @ turn
    places[7] = place + rotation[:, 2] * offsets[7]
    return places, directions, rotation


@nb.njit(cache=True)
def moved(places: Array, directions: Array, index: int) -> Array:
    """Return by how much each joint before it moves a place, shape (3, 7) [m/rad].

    Args:
        places: of joints and magnet, shape (8, 3) [m].
        directions: joint axes, shape (7, 3).
        index: of the place.
    """
    out = np.zeros((3, 7))
    for n in range(min(index, 7)):
        ax, ay, az = directions[n]
        rx, ry, rz = places[index] - places[n]
        out[0, n] = ay * rz - az * ry
        out[1, n] = az * rx - ax * rz
        out[2, n] = ax * ry - ay * rx
    return out


@nb.njit(cache=True)
def box_distance(points: Array, centre: Array, half_size: Array) -> tuple[Array, Array]:
    """Return distance from a box, shape (N,) [m], and its unit gradient, shape (N, 3).

    Negative inside, where the nearest face counts.

    Args:
        points: where, shape (N, 3) [m].
        centre: middle of the box, shape (3,) [m].
        half_size: half of its size along x, y, z, shape (3,) [m].
    """
    distance, normal = np.empty(len(points)), np.zeros((len(points), 3))
    side, beyond = np.empty(3), np.empty(3)
    for n in range(len(points)):
        for k in range(3):
            offset = points[n, k] - centre[k]
            side[k] = -1.0 if offset < 0 else 1.0
            beyond[k] = abs(offset) - half_size[k]
        x, y, z = max(beyond[0], 0.0), max(beyond[1], 0.0), max(beyond[2], 0.0)
        size = math.sqrt(x * x + y * y + z * z)
        if size > 0:
            distance[n] = size
            normal[n, 0], normal[n, 1], normal[n, 2] = x / size, y / size, z / size
        else:
            nearest = np.argmax(beyond)
            distance[n] = beyond[nearest]
            normal[n, nearest] = 1.0
        normal[n] *= side
    return distance, normal


@nb.njit(cache=True)
def room_beside(
    places: Array, directions: Array, guarded: Array, centre: Array, half_size: Array
) -> tuple[Array, Array]:
    """Return distances of places from a box, (K,) [m], and their derivatives, (K, 7) [m/rad].

    Args:
        places: of joints and magnet, shape (8, 3) [m].
        directions: joint axes, shape (7, 3).
        guarded: numbers of the places to look at, shape (K,).
        centre: middle of the box, shape (3,) [m].
        half_size: half of its size along x, y, z, shape (3,) [m].
    """
    distance, normal = box_distance(places[guarded], centre, half_size)
    slopes = np.zeros((len(guarded), 7))
    for row in range(len(guarded)):
        slopes[row] = normal[row] @ moved(places, directions, guarded[row])
    return distance, slopes
