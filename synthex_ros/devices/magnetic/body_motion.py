"""Compiled steps of a small body in a viscous fluid: motion, wall contact and turning.

Each is the exact answer for a force that stays the same over the step, so a step may be longer
than the time in which drag stops the body (and must not be shorter for light bodies: without
mass the body simply has its terminal velocity).
"""

from __future__ import annotations

import numba as nb
import numpy as np


@nb.njit(cache=True)
def cross(a, b):
    """Return the cross product of two vectors, shape (3,)."""
    return np.array([
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    ])  # fmt: skip


@nb.njit(cache=True)
def response(duration_s, mass_kg, drag_n_s_m):
    """Return speed and way that a force of 1 N gives a body at rest in a step: [m/s/N], [m/N]."""
    settle = mass_kg / drag_n_s_m
    if settle < 1e-9 * duration_s:
        return 1 / drag_n_s_m, duration_s / drag_n_s_m
    gone = -np.expm1(-duration_s / settle)
    way = duration_s - settle * gone
    if duration_s < 1e-4 * settle:
        way = duration_s * duration_s / (2 * settle)
    return gone / drag_n_s_m, way / drag_n_s_m


@nb.njit(cache=True)
def move(position, velocity, force, stream, duration_s, mass_kg, drag_n_s_m):
    """Return position and velocity after a step; `stream` is the velocity without force."""
    speed, way = response(duration_s, mass_kg, drag_n_s_m)
    drive = force + drag_n_s_m * (stream - velocity)
    return position + velocity * duration_s + drive * way, velocity + drive * speed


@nb.njit(cache=True)
def touch(
    position, velocity, spin, room, inward, radius, pressed_n, still, moving, held, carried,
    duration_s, mass_kg, drag_n_s_m,
):  # fmt: skip
    """Return position, velocity, force and torque of a rigid wall on the body, and if it holds.

    Args:
        position: of the centre after free motion, shape (3,) [m].
        velocity: likewise [m/s].
        spin: angular velocity of the body, shape (3,) [rad/s].
        room: distance of the centre to the wall [m].
        inward: normal of the wall into the lumen, shape (3,).
        radius: of the body where it touches [m].
        pressed_n: normal force beside that of the contact (a body wider than the vessel) [N].
        still: coefficient of static friction.
        moving: coefficient of kinetic friction.
        held: the contact held in the last step.
        carried: velocity that the contact gives the body when it holds, shape (3,) [m/s]; of a
            screw in a tight lumen. A rolling body's comes from `spin`.
        duration_s: time step [s].
        mass_kg: mass with that of the fluid carried along [kg].
        drag_n_s_m: drag over speed [N s/m].
    """
    speed, way = response(duration_s, mass_kg, drag_n_s_m)
    position, velocity = position.copy(), velocity.copy()
    depth = radius - room
    normal = np.zeros(3)
    if depth > 0.0:
        position += depth * inward
        leaving = np.sum(velocity * inward)
        if leaving < 0.0:
            normal = -leaving / speed * inward
            velocity -= leaving * inward
    press = np.sqrt(np.sum(normal * normal)) + pressed_n
    rub = np.zeros(3)
    if press > 0.0:
        slip = velocity - carried
        if pressed_n == 0.0:
            slip += cross(spin, -radius * inward)
            slip -= np.sum(slip * inward) * inward
        needed = np.sqrt(np.sum(slip * slip)) / speed
        limit = (still if held else moving) * press
        held = needed <= limit
        if needed > 0.0:
            rub = -slip / speed * min(1.0, limit / needed)
            velocity += rub * speed
            position += rub * way
    torque = cross(-radius * inward, rub)
    return position, velocity, normal + rub, torque, held and press > 0.0


@nb.njit(cache=True)
def alignment(moment, field, spare):
    """Return highest torque [N m], unit axis and angle [rad] by which a moment is off a field.

    `spare` is the axis where the two are parallel.
    """
    product = np.sqrt(np.sum(moment * moment) * np.sum(field * field))
    if product == 0.0:
        return 0.0, spare, 0.0
    across = cross(moment, field) / product
    sine = np.sqrt(np.sum(across * across))
    angle = np.arctan2(sine, np.sum(moment * field) / product)
    return product, across / sine if sine > 1e-12 else spare, angle


@nb.njit(cache=True)
def turned(angle, torque, hold, load, drag_n_m_s, duration_s):
    """Return the angle between moment and field [rad] after a step.

    Solves drag dA/dt = -(torque sin A - load) exactly (Adler's equation) where torque sin A
    exceeds what holds the body; otherwise the body stands.

    Args:
        angle: at the start, 0..pi [rad].
        torque: moment times field [N m].
        hold: Coulomb torque that keeps the body from starting [N m].
        load: Coulomb torque against the motion, at most `hold` [N m].
        drag_n_m_s: viscous torque over angular speed [N m s].
        duration_s: time step [s].
    """
    if torque * np.sin(angle) <= hold or torque == 0.0:
        return angle
    half = np.tan(min(angle, np.pi - 1e-9) / 2)
    if load < 1e-9 * torque:
        return 2 * np.arctan(half * np.exp(-torque * duration_s / drag_n_m_s))
    root = np.sqrt(torque * torque - load * load)
    end = load / (torque + root)
    top = (torque + root) / load
    ratio = (half - end) / (half - top) * np.exp(-root * duration_s / drag_n_m_s)
    return 2 * np.arctan((end - ratio * top) / (1 - ratio))


@nb.njit(cache=True)
def rotated(matrix, axis, angle):
    """Return a rotation matrix turned by `angle` [rad] about a unit axis of the outer frame."""
    c, s = np.cos(angle), np.sin(angle)
    turn = np.empty((3, 3))
    for i in range(3):
        for j in range(3):
            turn[i, j] = (1 - c) * axis[i] * axis[j] + (c if i == j else 0.0)
    turn[0, 1] -= s * axis[2]
    turn[1, 0] += s * axis[2]
    turn[0, 2] += s * axis[1]
    turn[2, 0] -= s * axis[1]
    turn[1, 2] -= s * axis[0]
    turn[2, 1] += s * axis[0]
    result = np.empty((3, 3))
    for i in range(3):
        for j in range(3):
            total = 0.0
            for k in range(3):
                total += turn[i, k] * matrix[k, j]
            result[i, j] = total
    for i in range(3):
        norm = np.sqrt(np.sum(result[:, i] ** 2))
        result[:, i] /= norm
    return result


@nb.njit(cache=True)
def frame_along(direction):
    """Return a rotation matrix whose z axis is a unit vector."""
    side = np.zeros(3)
    side[np.argmin(np.abs(direction))] = 1.0
    side -= np.sum(side * direction) * direction
    side /= np.sqrt(np.sum(side * side))
    out = np.empty((3, 3))
    out[:, 0], out[:, 1], out[:, 2] = side, cross(direction, side), direction
    return out
