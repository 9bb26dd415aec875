"""The field that rolls a body on a wall where the field turns slowly: a magnet on an arm.

A field b turns a body only about axes at right angles to b. So rolling is not free: of a spin
about an axis of the wall, the part along b is lost. Where the body is to roll along t, a field in
the plane of t and the wall's normal does it; one along the axis of rolling does nothing. Each turn
is the least-squares answer to both wishes: the roll that is wanted, and a field that comes back to
that plane, which a spin about the wall's normal does where the field lies along the wall.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FRESH_NS = 200_000_000
"""A field made that is older than this is not known [ns]."""
LEAST_FIELD_T = 0.1e-3
"""A weaker field turns nothing for sure [T]."""
RETURN_HZ, RETURN_WEIGHT = 3.0, 0.4
"""How fast a field goes back to the plane of rolling, and its squared weight over the roll's."""
RIDGE = 0.05
"""Weight of a squared spin: limits it where the field lies along the wall."""
HEADING_S, HEADING_M_S = 1.0, 0.3e-3
"""Without a path the heading is that of the roll over about this time [s], from this speed on
[m/s]."""


class RollingField:
    """Direction of the wanted field of a rolling body, never far ahead of the field made.

    Args:
        direction: of the field at the start, unit vector, shape (3,).
        up: away from the wall, unit vector, shape (3,).
        radius_m: of the body [m].
        lead_max_rad: how far the wanted field may be ahead of the field made [rad].

    Attributes:
        direction: of the wanted field, unit vector, shape (3,).
    """

    def __init__(self, direction: Array, up: Array, radius_m: float, lead_max_rad: float) -> None:
        self.direction, self._up = direction, up
        self._radius_m, self._lead_max_rad = radius_m, lead_max_rad
        self._rolled_m_s: Array | None = None
        self._made: tuple[int, Array] | None = None
        flat = direction - float(direction @ up) * up
        self._heading = flat / max(float(np.linalg.norm(flat)), 1e-9)
        self._trend_m_s = np.zeros(3)

    def made(self, stamp_ns: int, field_t: Array) -> None:
        """Take the field that is made at the body, shape (3,) [T], at `stamp_ns` [ns]."""
        strength = float(np.linalg.norm(field_t))
        before, self._made, self._rolled_m_s = self._made, None, None
        if not (np.isfinite(strength) and strength > LEAST_FIELD_T):
            return
        self._made = (stamp_ns, field_t / strength)
        if before is not None and 0 < stamp_ns - before[0] < FRESH_NS:
            turn = _turn_between(before[1], self._made[1])
            spin = turn / ((stamp_ns - before[0]) * 1e-9)
            self._rolled_m_s = self._radius_m * np.cross(spin, self._up)

    def rolled_m_s(self, now_ns: int) -> Array | None:
        """Return with what velocity the field made rolls the body, shape (3,) [m/s], if known."""
        return self._rolled_m_s if self._is_fresh(now_ns) else None

    def turn(self, own_m_s: Array, path_m_s: Array, duration_s: float, now_ns: int) -> None:
        """Turn on by what rolls the body as it is to roll.

        Args:
            own_m_s: velocity along the wall with which the body shall roll, shape (3,) [m/s].
            path_m_s: velocity along the path that it follows, shape (3,) [m/s]; zero without.
            duration_s: for how long [s].
            now_ns: present time [ns].
        """
        self._look_along(path_m_s, own_m_s, duration_s)
        spin = self._spin(np.cross(self._up, own_m_s) / self._radius_m)
        self.direction = _rotated(self.direction, spin * duration_s)
        if self._made is not None and self._is_fresh(now_ns):
            self.direction = _leashed(self.direction, self._made[1], self._lead_max_rad)

    def _look_along(self, path_m_s: Array, own_m_s: Array, duration_s: float) -> None:
        """Find the heading: that of the path, else that of the roll of late."""
        kept = np.exp(-duration_s / HEADING_S)
        self._trend_m_s = kept * self._trend_m_s + (1 - kept) * own_m_s
        along = path_m_s if np.any(path_m_s) else self._trend_m_s
        flat = along - float(along @ self._up) * self._up
        speed = float(np.linalg.norm(flat))
        if speed > HEADING_M_S:
            self._heading = flat / speed

    def _is_fresh(self, now_ns: int) -> bool:
        return self._made is not None and abs(now_ns - self._made[0]) < FRESH_NS

    def _spin(self, wanted: Array) -> Array:
        """Return the spin of the field, shape (3,) [rad/s], for one of the body along the wall."""
        field, up = self.direction, self._up
        axis = np.cross(up, self._heading)
        off = float(axis @ field)
        back = np.cross(field, axis)
        if np.linalg.norm(back) < 0.01:  # along the axis every way back is as long
            back = -np.sign(off) * np.cross(field, self._heading)
        lift = np.sqrt(RETURN_WEIGHT)
        rows = np.vstack(
            [
                np.eye(3) - np.outer(up, up),
                lift * back,
                np.sqrt(RIDGE) * np.eye(3),
            ]
        )
        # what lies along the field does not count: it turns neither field nor body
        rows = rows @ (np.eye(3) - np.outer(field, field))
        goal = np.concatenate([wanted, [-lift * RETURN_HZ * off], np.zeros(3)])
        normal = rows.T @ rows + np.outer(field, field)
        return np.linalg.solve(normal, rows.T @ goal)


def _turn_between(before: Array, after: Array) -> Array:
    """Return the rotation vector, shape (3,) [rad], of the shortest turn of a unit vector."""
    across = np.cross(before, after)
    size = float(np.linalg.norm(across))
    return across * (np.arctan2(size, float(before @ after)) / max(size, 1e-12))


def _rotated(direction: Array, turn_rad: Array) -> Array:
    """Return a unit vector turned by a rotation vector at right angles to it, (3,) [rad]."""
    angle = float(np.linalg.norm(turn_rad))
    if angle < 1e-9:
        return direction
    turned = np.cos(angle) * direction + np.sin(angle) / angle * np.cross(turn_rad, direction)
    return turned / np.linalg.norm(turned)


def _leashed(direction: Array, towards: Array, most_rad: float) -> Array:
    """Return a unit vector, taken to within an angle [rad] of another."""
    cosine = float(direction @ towards)
    if cosine >= np.cos(most_rad):
        return direction
    across = direction - cosine * towards
    size = float(np.linalg.norm(across))
    taken = np.cos(most_rad) * towards + np.sin(most_rad) / max(size, 1e-12) * across
    return taken / np.linalg.norm(taken)
