"""Position control of a body without tether: flow feed-forward and a disturbance observer.

    v = v_reference + K (x_reference - x)      wanted velocity
    u = (v - s v_flow - d) / g                 the body's own velocity

Own velocity is made in one of two ways. A droplet is pulled: F = drag(u) - weight. A soft robot or
a sphere rolls on the wall in a turning field: it turns by u / R about the axis across way and
wall, and only friction on the wall has to hold it against the flow. Where the field turns slowly,
the field that is made says better than the wanted one how the body has rolled.

The field of a pulled body is as strong as the pull needs, B = B_most sqrt(F / F_most): for a
moment that grows with the field that is the least current, and coils that are not as their model
says disturb least. A rolling body needs little: a field of 3 mT turns it against all friction.

A pull in open fluid cannot be stable by itself (Earnshaw): the pull grows towards the coils, and
where it carries weight or holds against a current, it does so faster than images at a delay of
0.2 s can correct. So bodies are kept on the wall, where they lie anyway: `up` points away from it,
and a pulled body is pressed on it lightly.

Position x, drift d, factor s on the known flow and mobility g come from the delayed filter, so
what the models of flow, drag and moment get wrong is learned: the disturbance observer of Chen
(IEEE/ASME Trans. Mechatron. 9 (2004) 706) as a Kalman filter. The known flow is taken a lag ahead,
which is what coils and inertia cost.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.control.magnetic.drift_filter import DriftFilter
from synthex_ros.control.magnetic.law import Seen, Wish
from synthex_ros.control.magnetic.rolling_field import RollingField
from synthex_ros.control.magnetic.swimmer import (
    LEAST_MOBILITY,
    DriftNoise,
    Flow,
    SwimmerModel,
)
from synthex_ros.control.reference import Goal, Reference

Array = NDArray[np.float64]

_STEP_NS = 20_000_000


@dataclass(frozen=True)
class UntetheredSettings:
    """How the body is controlled.

    Attributes:
        gain_hz: feedback gain K on the estimated position [1/s].
        field_t: strength of the field that turns a rolling body; the greatest one that magnetises
            a pulled body [T].
        field_least_t: least strength of the field of a pulled body; at `field_t` and above the
            strength does not change [T].
        field_most_at_n: pull from which on the field has its greatest strength [N].
        force_max_n: greatest magnetic force to command [N].
        speed_max_m_s: greatest wanted speed in `world` [m/s].
        press_n: force that keeps the body on the wall [N].
        press_share: further force on the wall of a pulled body, over its pull: a part of the pull
            goes astray where coils or position are not as they are thought to be.
        up: direction away from the wall the body lies on; the posterior wall by default.
        lead_max_rad: how far the field of a rolling body is turned ahead of the field made, which
            then also tells how it rolls; 0 takes every field for made as it is wanted. For what
            turns its field slowly, as a magnet on an arm does; see `RollingField` [rad].
        noise: how fast the unknown may change.
    """

    gain_hz: float = 2.5
    field_t: float = 15e-3
    field_least_t: float = 0.1
    field_most_at_n: float = 1e-5
    force_max_n: float = 1e-4
    speed_max_m_s: float = 0.02
    press_n: float = 3e-6
    press_share: float = 0.0
    up: tuple[float, float, float] = (0.0, -1.0, 0.0)
    lead_max_rad: float = 0.0
    noise: DriftNoise = DriftNoise()  # noqa: RUF009

    def __post_init__(self):
        for name, low, high in (
            ('gain_hz', 0.05, 20.0), ('field_t', 1e-4, 0.1), ('force_max_n', 1e-9, 0.1),
            ('speed_max_m_s', 1e-4, 1.0), ('press_n', 0.0, 0.01), ('press_share', 0.0, 2.0),
            ('field_least_t', 0.0, 0.1), ('field_most_at_n', 1e-9, 0.1),
            ('lead_max_rad', 0.0, 1.5),
        ):  # fmt: skip
            if not low <= getattr(self, name) <= high:
                raise ValueError(f'{name} must be {low:g}..{high:g}, got {getattr(self, name)}')
        if not abs(np.linalg.norm(self.up) - 1) < 1e-6:
            raise ValueError(f'up must be a unit vector, got {self.up}')


ROLLING = UntetheredSettings(field_t=3e-3)
PULLED = UntetheredSettings(
    field_t=20e-3, field_least_t=6e-3, force_max_n=6e-5, press_n=1e-6, press_share=0.3
)


def usual_settings(device: str) -> UntetheredSettings:
    """Return the settings for a 'soft_robot', a 'sphere' or a 'droplet'."""
    return PULLED if device == 'droplet' else ROLLING


class UntetheredLaw:
    """Control law of a sphere, a soft robot or a droplet; see `MagneticLaw`.

    Args:
        model: nominal numbers of the body; with a radius it rolls, without it is pulled.
        settings: gains and limits.
        field_direction: of the field of a pulled body in `world`, shape (3,).
        flow: what is known of the flow; None for a fluid at rest.

    Attributes:
        force_n: newest force on the wall [N]; the controller sets it.
        filter: delayed filter of (position, drift, flow factor, mobility).
        rolling: turns the field of a body that rolls in a slow field; else None.
    """

    def __init__(
        self,
        model: SwimmerModel,
        settings: UntetheredSettings | None = None,
        field_direction: ArrayLike = (0.0, 0.0, 1.0),
        flow: Flow | None = None,
    ) -> None:
        self.model, self.settings = model, settings or UntetheredSettings()
        direction = np.asarray(field_direction, float)
        self._direction = direction / np.linalg.norm(direction)
        self._up = np.asarray(self.settings.up, float)
        self._flow = flow
        self.force_n = 0.0
        self.filter = DriftFilter(self.settings.noise)
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.filter.clear()
        self._own = np.zeros(3)
        self._wanted_own = np.zeros(3)
        self._turned: tuple[int, Array] | None = None
        self._height_m: float | None = None
        self.rolling: RollingField | None = None
        if self.rolls and self.settings.lead_max_rad:
            self.rolling = RollingField(
                self._direction, self._up, self.model.radius_m, self.settings.lead_max_rad
            )

    @property
    def rolls(self) -> bool:
        """Whether the body rolls; otherwise it is pulled."""
        return self.model.radius_m > 0

    def observe(self, seen: Seen, joints: Array, now_ns: int) -> bool:
        """Learn from a frame; tell whether the body was where it could be."""
        self.filter.start_with(seen)
        self._advance(now_ns)
        return self.filter.measure(seen.stamp_ns, seen.position_m, seen.covariance_m2)

    def made(self, stamp_ns: int, field_t: Array) -> None:
        """Take the field that is really made at the body, shape (3,) [T], at `stamp_ns` [ns]."""
        if self.rolling is not None:
            self.rolling.made(stamp_ns, field_t)

    def reopen(self) -> None:
        """Doubt the position: the next frame is believed."""
        self.filter.doubt_position()

    def tip_world_m(self) -> Array:
        """Return the present position as estimated, shape (3,) [m]."""
        return self.filter.position_m

    def command(
        self,
        reference: Reference,
        goal: Goal | None,
        stamp_ns: int,
        joints: Array,
        now_ns: int,
        interval_s: float,
    ) -> Wish:
        """Return field and force until the next command."""
        self._advance(now_ns)
        state, settings = self.filter.mean, self.settings
        late_s = max(0.0, (now_ns - stamp_ns) * 1e-9)
        self._height_m = float(reference.position_m @ self._up)
        error = self._on_wall(reference.ahead(late_s) - state[:3])
        velocity = reference.velocity_m_s + settings.gain_hz * error
        speed = float(np.linalg.norm(velocity))
        velocity = velocity * min(1.0, settings.speed_max_m_s / max(speed, 1e-12))
        flow = self._known_flow(state[:3], now_ns * 1e-9 + self.model.lag_s + interval_s / 2)
        drift = state[6] * flow + state[3:6]
        own = self._on_wall(velocity - drift) / max(float(state[7]), LEAST_MOBILITY)
        distance = float(np.linalg.norm(error))
        if self.rolls:
            field = self._rolled(now_ns, interval_s, reference.velocity_m_s)
            self._turned = (now_ns, own)
            return Wish(field, -settings.press_n * self._up, error_m=distance)
        force = self._pull_n(own)
        return Wish(self._strength_t(force) * self._direction, force, error_m=distance)

    def sent(self, now_ns: int, wish: Wish) -> None:
        """Take note of what was commanded."""
        self._advance(now_ns)
        if self.rolls:
            moving = self._turned is not None and self._turned[0] == now_ns
            self._wanted_own = self._turned[1] if moving and self._turned else np.zeros(3)
            if not moving:
                self._turned = None
            return
        force = np.zeros(3) if wish.force_n is None else wish.force_n
        self._wanted_own = self._on_wall(self.model.swimming_m_s(self._on_wall(force)))

    def _pull_n(self, own_m_s: Array) -> Array:
        """Return the force on a pulled body, shape (3,) [N], within its limit."""
        settings = self.settings
        pull = self._on_wall(self.model.force_n(own_m_s))
        press = settings.press_n + settings.press_share * float(np.linalg.norm(pull))
        force = pull - press * self._up
        size = float(np.linalg.norm(force))
        return force * min(1.0, settings.force_max_n / max(size, 1e-12))

    def _strength_t(self, force_n: Array) -> float:
        """Return the strength of the field [T] for a pull, shape (3,) [N]."""
        settings = self.settings
        share = min(float(np.linalg.norm(force_n)) / settings.field_most_at_n, 1.0)
        return max(
            settings.field_t * np.sqrt(share), min(settings.field_least_t, settings.field_t)
        )

    def _rolled(self, now_ns: int, interval_s: float, path_m_s: Array) -> Array:
        """Return the field after turning as the body was to roll since the last command."""
        if self._turned is not None:
            passed_s = min((now_ns - self._turned[0]) * 1e-9, 2 * max(interval_s, 0.05))
            if self.rolling is not None:
                self.rolling.turn(self._turned[1], path_m_s, passed_s, now_ns)
                return self.settings.field_t * self.rolling.direction
            turn = np.cross(self._up, self._turned[1]) / self.model.radius_m * passed_s
            self._direction = _turned(self._direction, turn)
        return self.settings.field_t * self._direction

    def _on_wall(self, vector: Array) -> Array:
        """Return a vector without its part across the wall."""
        return vector - float(vector @ self._up) * self._up

    def _advance(self, until_ns: int) -> None:
        """Play the filter forward in short steps, the coils' lag with it."""
        while self.filter.started and self.filter.now_ns < until_ns:
            start_ns = self.filter.now_ns
            end_ns = min(until_ns, start_ns + _STEP_NS)
            duration_s = (end_ns - start_ns) * 1e-9
            lag_s = max(self.model.lag_s, 1e-4)
            left = np.exp(-duration_s / lag_s)
            behind = self._own - self._wanted_own
            own = self._wanted_own + lag_s / duration_s * (1 - left) * behind
            rolled = None if self.rolling is None else self.rolling.rolled_m_s(end_ns)
            if rolled is not None:
                own = rolled
            flow = self._known_flow(self.filter.mean[:3], (start_ns + end_ns) * 0.5e-9)
            self.filter.advance(end_ns, np.concatenate([own, flow]))
            self._own = self._wanted_own + left * behind

    def _known_flow(self, position_m: Array, time_s: float) -> Array:
        if self._flow is None or self.rolls:
            return np.zeros(3)
        if self._height_m is not None:
            # what lies on the wall is where the path says, and depth is seen badly
            position_m = self._on_wall(position_m) + self._height_m * self._up
        return np.asarray(self._flow.velocity_m_s(position_m[None], time_s)[0], float)


def _turned(direction: Array, turn_rad: Array) -> Array:
    """Return a unit vector turned by a rotation vector, shape (3,) [rad], its part across only.

    A part of the field along the axis would not turn the body; it is taken away little by little.
    """
    angle = float(np.linalg.norm(turn_rad))
    if angle < 1e-9:
        return direction
    axis = turn_rad / angle
    along = float(direction @ axis)
    direction = direction - min(1.0, 0.5 * angle) * along * axis
    direction = direction / np.linalg.norm(direction)
    along = float(direction @ axis)
    cosine, sine = np.cos(angle), np.sin(angle)
    turned = cosine * direction + sine * np.cross(axis, direction) + (1 - cosine) * along * axis
    return turned / np.linalg.norm(turned)
