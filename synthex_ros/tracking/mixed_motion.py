"""A point that rests, moves on, or turns: three motions, mixed by how well they explain it.

An interacting multiple model filter (Blom and Bar-Shalom, IEEE Trans. Automatic Control 33, 1988):
before each step every motion starts from a mixture of all, weighted by the chance of a change;
after each measurement its probability is multiplied by the likelihood that it gave to it. Motions
that know no velocity or acceleration take part with zero and the width of the prior, so that the
mixture stays unbiased (Yuan et al., IEEE Trans. Aerospace and Electronic Systems 48, 2012).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from synthex_ros.tracking.covariance import symmetric
from synthex_ros.tracking.motion import Belief, Mode, check_positive, corrected

Array = NDArray[np.float64]

ORDERS = (1, 2, 3)
"""What a motion carries on: position; and velocity; and acceleration."""

_LEAST_PROBABILITY = 1e-9
_SHORT = 0.01


@dataclass(frozen=True)
class MixedMotion:
    """Rest, constant velocity and slowly changing acceleration.

    Lengths are metres or pixels. The defaults fit a tip in metres; `scaled` turns them to pixels.

    Attributes:
        rest_density: square root of the spectral density of the velocity at rest [length/s^0.5].
        acceleration_density: the same of the acceleration at constant velocity [length/s^1.5].
        acceleration_sigma: size of accelerations while turning or braking [length/s^2].
        acceleration_time_s: time that such an acceleration lasts (Singer, IEEE Trans. Aerospace
            and Electronic Systems 6, 1970) [s].
        start_velocity_sigma: velocity uncertainty of a new track per axis [length/s].
        sojourn_s: mean time until the kind of motion changes [s].
    """

    rest_density: float = 3e-4
    acceleration_density: float = 0.02
    acceleration_sigma: float = 0.4
    acceleration_time_s: float = 0.25
    start_velocity_sigma: float = 0.03
    sojourn_s: float = 0.5

    def __post_init__(self):
        check_positive(self)

    def scaled(self, factor: float) -> MixedMotion:
        """Return the same motion in another unit of length, `factor` of which make the old one."""
        lengths = {
            item.name: getattr(self, item.name) * factor
            for item in fields(self)
            if not item.name.endswith('_s')
        }
        return MixedMotion(
            **lengths, acceleration_time_s=self.acceleration_time_s, sojourn_s=self.sojourn_s
        )

    def start(self, position: Array, noise: Array) -> Belief:
        """Return a track at rest, of which nothing but the position is known."""
        unit, blank = np.eye(len(position)), np.zeros((len(position),) * 2)
        mean = np.concatenate([position, np.zeros(2 * len(position))])
        spread = np.block(
            [
                [noise, blank, blank],
                [blank, self.start_velocity_sigma**2 * unit, blank],
                [blank, blank, self.acceleration_sigma**2 * unit],
            ]
        )
        return _combined([Mode(1 / len(ORDERS), mean, spread)] * len(ORDERS))

    def moved(self, belief: Belief, duration_s: float) -> Belief:
        """Return a belief carried on by `duration_s` [s]."""
        changes = self.transition(duration_s)
        modes = _mixed(belief.modes, changes)
        return _combined(
            [self._carried(*pair, duration_s) for pair in zip(ORDERS, modes, strict=True)]
        )

    def updated(self, belief: Belief, position: Array, noise: Array) -> Belief:
        """Return a belief corrected by a measurement."""
        logs, modes = [], []
        for mode in belief.modes:
            logs.append(np.log(mode.probability) + _log_likelihood(mode, position, noise))
            mean, spread = corrected(mode.mean, mode.covariance, position, noise)
            modes.append(Mode(0.0, mean, spread))
        weights = np.maximum(np.exp(np.array(logs) - max(logs)), _LEAST_PROBABILITY)
        weights /= weights.sum()
        return _combined(
            [
                Mode(float(weight), mode.mean, mode.covariance)
                for weight, mode in zip(weights, modes, strict=True)
            ]
        )

    def transition(self, duration_s: float) -> Array:
        """Return the chance of each motion (column) after `duration_s`, from each (row), (3, 3).

        A Markov chain in continuous time that leaves a motion after `sojourn_s` in the mean, for
        any other with equal chance: two steps make the same as one of their length.
        """
        count = len(ORDERS)
        rate = count / (count - 1) / self.sojourn_s
        off = (1 - np.exp(-rate * duration_s)) / count
        return np.full((count, count), off) + (1 - count * off) * np.eye(count)

    def _carried(self, order: int, mode: Mode, duration_s: float) -> Mode:
        """Return a mode carried on; what its motion does not know returns to the prior."""
        axes = len(mode.mean) // 3
        one_step, one_noise = self._step(order, duration_s)
        step = np.asarray(np.kron(one_step, np.eye(axes)), float)
        noise = np.asarray(np.kron(one_noise, np.eye(axes)), float)
        mean = step @ mode.mean
        spread = symmetric(step @ mode.covariance @ step.T + noise)
        priors = (0.0, self.start_velocity_sigma, self.acceleration_sigma)
        for k in range(order, 3):
            part = slice(k * axes, (k + 1) * axes)
            spread[part, part] = priors[k] ** 2 * np.eye(axes)
        return Mode(mode.probability, mean, spread)

    def _step(self, order: int, duration_s: float) -> tuple[Array, Array]:
        """Return transition and process noise of one axis, each (3, 3)."""
        if order == 3:
            return _singer(self.acceleration_sigma, self.acceleration_time_s, duration_s)
        step, noise, dt = np.zeros((3, 3)), np.zeros((3, 3)), duration_s
        step[0, 0] = 1.0
        if order == 1:
            noise[0, 0] = self.rest_density**2 * dt
            return step, noise
        step[:2, :2] = np.array([[1, dt], [0, 1]])
        noise[:2, :2] = np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]])
        return step, self.acceleration_density**2 * noise


@lru_cache(maxsize=64)
def _singer(sigma: float, lasting_s: float, duration_s: float) -> tuple[Array, Array]:
    """Return transition and process noise of an exponentially correlated acceleration, (3, 3).

    The closed form of Singer (1970); over times much shorter than the acceleration lasts, where
    its differences vanish in rounding, its limit of white jerk.
    """
    rate, dt = 1 / lasting_s, duration_s
    x = rate * dt
    once, twice = np.exp(-x), np.exp(-2 * x)
    step = np.array([[1, dt, (x - 1 + once) / rate**2], [0, 1, (1 - once) / rate], [0, 0, once]])
    if x < _SHORT:
        jerk = [
            [dt**5 / 20, dt**4 / 8, dt**3 / 6],
            [dt**4 / 8, dt**3 / 3, dt**2 / 2],
            [dt**3 / 6, dt**2 / 2, dt],
        ]
        return step, 2 * rate * sigma**2 * np.array(jerk)
    pp = (1 - twice + 2 * x + 2 * x**3 / 3 - 2 * x**2 - 4 * x * once) / rate**4
    pv = (1 + twice - 2 * once + 2 * x * once - 2 * x + x**2) / rate**3
    pa = (1 - twice - 2 * x * once) / rate**2
    vv = (4 * once - 3 - twice + 2 * x) / rate**2
    va = (1 + twice - 2 * once) / rate
    aa = 1 - twice
    return step, sigma**2 * np.array([[pp, pv, pa], [pv, vv, va], [pa, va, aa]])


def _mixed(modes: tuple[Mode, ...], changes: Array) -> list[Mode]:
    """Return what each motion starts from: a mixture of all, by the chance of a change."""
    now = np.array([mode.probability for mode in modes])
    after = now @ changes
    return [
        Mode(float(after[k]), *_moments(modes, now * changes[:, k] / after[k]))
        for k in range(len(modes))
    ]


def _moments(modes: tuple[Mode, ...] | list[Mode], weights: Array) -> tuple[Array, Array]:
    """Return mean and covariance of a mixture."""
    means = np.array([mode.mean for mode in modes])
    mean = weights @ means
    away = means - mean
    spread = np.einsum('k,kij->ij', weights, np.array([mode.covariance for mode in modes]))
    return mean, symmetric(spread + np.einsum('k,ki,kj->ij', weights, away, away))


def _combined(modes: list[Mode]) -> Belief:
    """Return the belief that modes make together."""
    mean, spread = _moments(modes, np.array([mode.probability for mode in modes]))
    keep = 2 * len(mean) // 3
    return Belief(mean[:keep], spread[:keep, :keep], tuple(modes))


def _log_likelihood(mode: Mode, position: Array, noise: Array) -> float:
    axes = len(position)
    factor = np.linalg.cholesky(mode.covariance[:axes, :axes] + noise)
    whitened = np.linalg.solve(factor, position - mode.mean[:axes])
    return float(-0.5 * whitened @ whitened - np.log(np.diag(factor)).sum())
