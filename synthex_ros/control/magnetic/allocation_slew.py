"""How fast a commanded field may turn and grow, so that the device can follow it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.magnetics import as_vector
from synthex_ros.vectors import clamp, cross, length

Array = NDArray[np.float64]


def step_out_rad_s(moment_a_m2: float, field_t: float, rotational_drag_n_m_s: float) -> float:
    """Return the fastest rotation [rad/s] of a field that a drag-bound magnet follows in step.

    Above it the magnetic torque, at most m B, is less than the drag torque c w: w = m B / c.

    Args:
        moment_a_m2: magnetic moment of the device [A m^2].
        field_t: strength of the rotating field [T].
        rotational_drag_n_m_s: drag torque per angular speed, c [N m s]; see `sphere_drag_n_m_s`.

    Raises:
        ValueError: a value is negative, or the drag is zero.
    """
    if moment_a_m2 < 0 or field_t < 0 or rotational_drag_n_m_s <= 0:
        raise ValueError(
            'moment and field must not be negative and drag must be positive, got '
            f'{moment_a_m2:g}, {field_t:g}, {rotational_drag_n_m_s:g}'
        )
    return moment_a_m2 * field_t / rotational_drag_n_m_s


def sphere_drag_n_m_s(radius_m: float, viscosity_pa_s: float, wall_factor: float = 1.0) -> float:
    """Return the rotational Stokes drag 8 pi eta R^3 [N m s] of a sphere, times a wall factor."""
    return 8 * math.pi * viscosity_pa_s * radius_m**3 * wall_factor


class FieldSlew:
    """Follows a wanted field, turning and growing no faster than its limits.

    Attributes:
        turn_rad_s: fastest turn of the direction [rad/s].
        growth_t_s: fastest change of the strength [T/s].
        field_t: field now, shape (3,) [T].
    """

    def __init__(self, turn_rad_s: float, growth_t_s: float) -> None:
        """Start with no field.

        Raises:
            ValueError: a limit is not positive.
        """
        if not (turn_rad_s > 0 and growth_t_s > 0):
            raise ValueError(f'limits must be positive, got {turn_rad_s:g} and {growth_t_s:g}')
        self.turn_rad_s = turn_rad_s
        self.growth_t_s = growth_t_s
        self.field_t: Array = np.zeros(3)

    def reset(self, field_t: ArrayLike = (0.0, 0.0, 0.0)) -> None:
        """Start again from a field, shape (3,) [T]."""
        self.field_t = as_vector(field_t, 'field_t').copy()

    def step(self, wanted_t: ArrayLike, duration_s: float, stay_below_rad_s: float = math.inf):
        """Return the field, shape (3,) [T], `duration_s` later on the way to `wanted_t`.

        The direction turns in the plane of both; a field turned by exactly half a circle turns
        about any axis across it. Without a field at the start or the end only the strength moves.

        Args:
            wanted_t: where to go, shape (3,) [T].
            duration_s: time since the last step [s].
            stay_below_rad_s: a further limit of the turn, such as the step-out [rad/s].

        Raises:
            ValueError: not three finite numbers, or a negative duration.
        """
        wanted = as_vector(wanted_t, 'wanted_t')
        if not duration_s >= 0:
            raise ValueError(f'duration_s must not be negative, got {duration_s}')
        now, goal = length(self.field_t), length(wanted)
        step = self.growth_t_s * duration_s
        strength = now + min(max(goal - now, -step), step)
        if goal == 0.0 or now == 0.0:
            direction = wanted / goal if goal > 0 else self.field_t / max(now, 1e-300)
        else:
            most = min(self.turn_rad_s, stay_below_rad_s) * duration_s
            direction = turned(self.field_t / now, wanted / goal, most)
        self.field_t = strength * direction
        return self.field_t.copy()


def turned(start: Array, goal: Array, most_rad: float) -> Array:
    """Return the unit vector `start`, turned towards `goal` by at most `most_rad`, shape (3,)."""
    cosine = clamp(float(start @ goal), -1.0, 1.0)
    across = goal - cosine * start
    size = length(across)
    angle = math.atan2(size, cosine)
    if angle <= most_rad:
        return goal.copy()
    if size < 1e-9:
        across = cross(start, np.eye(3)[int(np.argmin(np.abs(start)))])
        size = length(across)
    return math.cos(most_rad) * start + math.sin(most_rad) * across / size
