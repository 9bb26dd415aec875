"""Where the tip should be: targets, paths and hand control, each from its activation on.

The newest activated goal decides. A goal with stamp 0 becomes active with the next frame, one
with a later stamp when a frame of that time comes, so a whole schedule can be sent up front.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

MODES = ('idle', 'target', 'path', 'teleop')


@dataclass(frozen=True)
class Reference:
    """The reference at one exposure.

    Attributes:
        mode: one of `MODES`.
        goal_id: number of the goal it belongs to; another number is another goal.
        position_m: wanted tip in `world` [m], shape (3,).
        velocity_m_s: feed-forward velocity in `world` [m/s], shape (3,).
        ahead_limit_s: how far ahead the velocity may be used [s].
    """

    mode: str
    goal_id: int
    position_m: Array
    velocity_m_s: Array = field(default_factory=lambda: np.zeros(3))
    ahead_limit_s: float = np.inf

    def ahead(self, lead_s: float) -> Array:
        """Return the wanted tip `lead_s` [s] after the exposure [m], shape (3,)."""
        return self.position_m + self.velocity_m_s * min(lead_s, self.ahead_limit_s)


class Goal(Protocol):
    """A source of references."""

    mode: str

    def at(self, stamp_ns: int, tip_m: Array) -> tuple[Array, Array, float]:
        """Return position [m], velocity [m/s] and how long the velocity lasts [s].

        Args:
            stamp_ns: exposure time [ns].
            tip_m: estimated present tip in `world` [m], shape (3,).
        """
        ...


class TargetGoal:
    """A point to go to and stay at.

    Args:
        position_m: wanted tip in `world` [m], shape (3,).
    """

    mode = 'target'

    def __init__(self, position_m: ArrayLike) -> None:
        self._position_m = _finite(position_m, (3,), 'target position')

    def at(self, stamp_ns: int, tip_m: Array) -> tuple[Array, Array, float]:
        """Return the target at rest."""
        return self._position_m, np.zeros(3), np.inf


class TimedPath:
    """Positions at given times, straight and at constant speed in between.

    Between two poses of the same time, or further apart than `jump_speed_m_s` allows, the
    reference waits at the first and jumps at the time of the second, with no feed-forward.

    Args:
        stamps_ns: times [ns], shape (n,), not decreasing.
        positions_m: positions in `world` [m], shape (n, 3).
        jump_speed_m_s: speed above which a segment is a jump [m/s].

    Raises:
        ValueError: empty, not finite, or times that run backwards.
    """

    mode = 'path'

    def __init__(
        self, stamps_ns: ArrayLike, positions_m: ArrayLike, jump_speed_m_s: float = 0.02
    ) -> None:
        self._stamps_ns = np.asarray(stamps_ns, np.int64)
        self._positions_m = _finite(positions_m, (len(self._stamps_ns), 3), 'path positions')
        if not len(self._stamps_ns):
            raise ValueError('a path needs at least one pose, got none')
        if np.any(np.diff(self._stamps_ns) < 0):
            raise ValueError(
                'path stamps must not decrease; got a pose earlier than the one before'
            )
        self._jump_speed_m_s = jump_speed_m_s

    def at(self, stamp_ns: int, tip_m: Array) -> tuple[Array, Array, float]:
        """Return the interpolated position and the slope of the present segment."""
        k = int(np.searchsorted(self._stamps_ns, stamp_ns, side='right')) - 1
        if k < 0 or k + 1 >= len(self._stamps_ns):
            return self._positions_m[np.clip(k, 0, None)], np.zeros(3), np.inf
        start, end = self._positions_m[k], self._positions_m[k + 1]
        duration_s = (self._stamps_ns[k + 1] - self._stamps_ns[k]) * 1e-9
        velocity = (end - start) / duration_s
        if np.linalg.norm(velocity) > self._jump_speed_m_s:
            return start, np.zeros(3), np.inf
        passed_s = (stamp_ns - self._stamps_ns[k]) * 1e-9
        limit_s = np.inf if self._goes_on(k + 1, velocity) else duration_s - passed_s
        return start + velocity * passed_s, velocity, limit_s

    def _goes_on(self, k: int, velocity: Array) -> bool:
        """Tell whether the segment after pose k goes on in about the same way."""
        if k + 1 >= len(self._stamps_ns):
            return False
        duration_s = (self._stamps_ns[k + 1] - self._stamps_ns[k]) * 1e-9
        if duration_s <= 0:
            return False
        after = (self._positions_m[k + 1] - self._positions_m[k]) / duration_s
        return bool(np.linalg.norm(after - velocity) <= 0.5 * np.linalg.norm(velocity))


class SpeedPath:
    """Positions to pass at constant speed, starting when the tip has reached the first.

    Args:
        positions_m: positions in `world` [m], shape (n, 3).
        speed_m_s: speed along the path [m/s].
        start_tolerance_m: distance from the first position that counts as reached [m].

    Raises:
        ValueError: empty, not finite, or a speed that is not positive.
    """

    mode = 'path'

    def __init__(
        self, positions_m: ArrayLike, speed_m_s: float, start_tolerance_m: float = 1e-3
    ) -> None:
        self._positions_m = _finite(positions_m, (len(np.asarray(positions_m)), 3), 'path')
        if not len(self._positions_m):
            raise ValueError('a path needs at least one pose, got none')
        if not (np.isfinite(speed_m_s) and speed_m_s > 0):
            raise ValueError(f'speed_m_s must be positive, got {speed_m_s}')
        steps = np.linalg.norm(np.diff(self._positions_m, axis=0), axis=1)
        times_ns = np.concatenate([[0.0], np.cumsum(steps)]) / speed_m_s * 1e9
        self._timed = TimedPath(np.round(times_ns), self._positions_m, 2 * speed_m_s)
        self._tolerance_m = start_tolerance_m
        self._start_ns: int | None = None

    def at(self, stamp_ns: int, tip_m: Array) -> tuple[Array, Array, float]:
        """Return the first position until it is reached, then the moving one."""
        first = self._positions_m[0]
        if self._start_ns is None and np.linalg.norm(tip_m - first) <= self._tolerance_m:
            self._start_ns = stamp_ns
        passed_ns = -1 if self._start_ns is None else stamp_ns - self._start_ns
        return self._timed.at(passed_ns, tip_m)


class TeleopGoal:
    """A reference that a hand moves by velocities, and that rests when the hand is silent.

    Args:
        timeout_s: age at which a velocity no longer counts [s].
        max_speed_m_s: highest speed; faster commands are slowed to it [m/s].
        leash_m: how far the reference may run ahead of the tip [m].
    """

    mode = 'teleop'

    def __init__(
        self, timeout_s: float = 0.3, max_speed_m_s: float = 0.02, leash_m: float = 5e-3
    ) -> None:
        self._timeout_s, self._max_speed_m_s, self._leash_m = timeout_s, max_speed_m_s, leash_m
        self._velocity, self._velocity_ns = np.zeros(3), 0
        self._position_m: Array | None = None
        self._last_ns = 0

    def move(self, velocity_m_s: ArrayLike, stamp_ns: int) -> None:
        """Take a new velocity in `world` [m/s], shape (3,), given at `stamp_ns` [ns].

        Raises:
            ValueError: not finite.
        """
        velocity = _finite(velocity_m_s, (3,), 'teleop velocity')
        speed = float(np.linalg.norm(velocity))
        self._velocity = velocity * min(1.0, self._max_speed_m_s / max(speed, 1e-12))
        self._velocity_ns = stamp_ns

    def fresh(self, stamp_ns: int) -> bool:
        """Tell whether the hand still speaks at `stamp_ns` [ns]."""
        return (stamp_ns - self._velocity_ns) * 1e-9 <= self._timeout_s

    def at(self, stamp_ns: int, tip_m: Array) -> tuple[Array, Array, float]:
        """Return the reference, moved by the velocity since the last frame."""
        velocity = self._velocity if self.fresh(stamp_ns) else np.zeros(3)
        if self._position_m is None:
            self._position_m, self._last_ns = np.array(tip_m, float), stamp_ns
        elapsed_s = min(max((stamp_ns - self._last_ns) * 1e-9, 0.0), self._timeout_s)
        moved = self._position_m + velocity * elapsed_s
        ahead = moved - tip_m
        distance = float(np.linalg.norm(ahead))
        if distance <= self._leash_m or distance <= np.linalg.norm(self._position_m - tip_m):
            self._position_m = moved
        else:
            velocity = np.zeros(3)
        self._last_ns = stamp_ns
        return self._position_m, velocity, self._timeout_s


class GoalSchedule:
    """All goals that were sent; the newest activated one gives the reference."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, int, Goal]] = []
        self._active: tuple[int, int, Goal] | None = None
        self._count = 0

    def add(self, goal: Goal, activation_ns: int = 0) -> int:
        """Add a goal that becomes active at `activation_ns` [ns], 0 for the next frame.

        Returns:
            The number of the goal.
        """
        self._count += 1
        self._waiting.append((activation_ns, self._count, goal))
        return self._count

    def clear(self) -> None:
        """Drop every goal: idle."""
        self._waiting.clear()
        self._active = None

    @property
    def mode(self) -> str:
        """Mode of the active goal, 'idle' without one."""
        return 'idle' if self._active is None else self._active[2].mode

    @property
    def waiting(self) -> int:
        """Number of goals whose time has not come."""
        return len(self._waiting)

    @property
    def active(self) -> Goal | None:
        """The active goal."""
        return None if self._active is None else self._active[2]

    def activate(self, stamp_ns: int) -> None:
        """Make the newest goal due at the frame `stamp_ns` [ns] the active one."""
        due = [
            (at_ns or stamp_ns, n, goal) for at_ns, n, goal in self._waiting if at_ns <= stamp_ns
        ]
        self._waiting = [entry for entry in self._waiting if entry[0] > stamp_ns]
        candidates = due if self._active is None else [*due, self._active]
        if candidates:
            self._active = max(candidates, key=lambda entry: entry[:2])

    def at(self, stamp_ns: int, tip_m: ArrayLike) -> Reference | None:
        """Return the reference at the exposure `stamp_ns` [ns], None when idle.

        Args:
            stamp_ns: exposure time [ns].
            tip_m: estimated present tip in `world` [m], shape (3,).
        """
        self.activate(stamp_ns)
        if self._active is None:
            return None
        _, number, goal = self._active
        position, velocity, limit_s = goal.at(stamp_ns, np.asarray(tip_m, float))
        return Reference(goal.mode, number, position, velocity, limit_s)


def _finite(values: ArrayLike, shape: tuple[int, ...], name: str) -> Array:
    array = np.array(values, float)
    if array.shape != shape or not np.all(np.isfinite(array)):
        raise ValueError(f'{name} must be finite with shape {shape}, got {array.tolist()}')
    return array
