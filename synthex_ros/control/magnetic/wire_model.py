"""The soft end of a magnetic guidewire in a uniform field: how far it bends, and in which shape.

A magnet of moment m at the tip turns with torque m x B, which is the same bending moment all along
the wire. So curvature goes with compliance 1 / EI, the tip turns by

    th = m |B| C sin(phi - th),    C = integral of ds / EI,

with the field at the angle phi from the unbent wire, and all bent shapes are one family in th
(a beam under an end couple; Landau and Lifshitz, Theory of Elasticity, par. 19). The other branch,
field against the tip, is unstable; see `field_angle`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

Array = NDArray[np.float64]

_TABLE_RAD = np.linspace(-2.4, 2.4, 97)


@dataclass(frozen=True, eq=False)
class WireModel:
    """Nominal numbers of the soft end.

    Attributes:
        node_m: distances from the tip at which elements meet, ascending from 0, shape (K,) [m].
        bending_n_m2: stiffness EI of each element, shape (K - 1,) [N m^2].
        moment_a_m2: magnetic moment of the tip [A m^2].
        back_m: distance from the tip of the landmark behind it (the marker's middle) [m].
    """

    node_m: Array
    bending_n_m2: Array
    moment_a_m2: float
    back_m: float

    def __post_init__(self):
        node, bending = np.array(self.node_m, float), np.array(self.bending_n_m2, float)
        if node.ndim != 1 or bending.shape != (len(node) - 1,):
            raise ValueError(
                f'bending_n_m2 needs one value an element, got {bending.shape} for {node.shape}'
            )
        if not (node[0] == 0 and np.all(np.diff(node) > 0) and np.all(bending > 0)):
            raise ValueError('node_m must ascend from 0 and bending_n_m2 be positive')
        if not (self.moment_a_m2 > 0 and 0 < self.back_m <= node[-1]):
            raise ValueError(
                f'moment_a_m2 must be positive and back_m within {node[-1]:g} m, got '
                f'{self.moment_a_m2:g} and {self.back_m:g}'
            )
        object.__setattr__(self, 'node_m', node)
        object.__setattr__(self, 'bending_n_m2', bending)
        # directions of all elements per radian at the tip, and chord angles over tip angles
        turns = np.diff(node) / bending
        behind = np.cumsum(turns[::-1])[::-1]
        object.__setattr__(self, '_compliance', float(behind[0]))
        object.__setattr__(self, '_share', (behind - turns / 2) / behind[0])
        chords = np.array([self._chord(float(th)) for th in _TABLE_RAD])
        object.__setattr__(self, '_chords', chords)

    @property
    def compliance_rad_n_m(self) -> float:
        """Turn of the tip by a couple [rad/(N m)]."""
        return self._compliance  # type: ignore[attr-defined]

    def strength(self, field_t: float) -> float:
        """Return m |B| C, the magnetic over the elastic torque of a radian."""
        return self.moment_a_m2 * field_t * self.compliance_rad_n_m

    def front(self, length_m: float) -> WireModel:
        """Return the model of the last `length_m` [m] before the tip."""
        count = int(np.searchsorted(self.node_m, length_m - 1e-9))
        node = np.append(self.node_m[:count], min(length_m, self.node_m[-1]))
        back = min(self.back_m, float(node[-1]))
        return WireModel(node, self.bending_n_m2[: len(node) - 1], self.moment_a_m2, back)

    def tip_m(self, bend_rad: float, back_m: float | None = None) -> tuple[float, float]:
        """Return how far the tip is aside of and ahead of a point of the wire [m].

        Args:
            bend_rad: angle of the tip [rad].
            back_m: the point's distance from the tip; by default the end of the model [m].
        """
        reach = float(self.node_m[-1]) if back_m is None else back_m
        lengths = np.diff(np.minimum(self.node_m, reach))
        angle = bend_rad * self._share  # type: ignore[attr-defined]
        return float(lengths @ np.sin(angle)), float(lengths @ np.cos(angle))

    def _chord(self, bend_rad: float) -> float:
        return math.atan2(*self.tip_m(bend_rad, self.back_m))

    def bend_of_chord(self, chord_rad: float) -> float:
        """Return the angle of the tip [rad] from that of the line from landmark to tip [rad]."""
        return float(np.interp(chord_rad, self._chords, _TABLE_RAD))  # type: ignore[attr-defined]


def bend_to_meet(model: WireModel, ahead_m: float, aside_m: float, most_rad: float) -> float:
    """Return the bend, 0 to `most_rad` [rad], whose straight continuation meets a point.

    Args:
        model: the soft end; it begins at the origin and looks ahead.
        ahead_m: of the point [m].
        aside_m: of the point, not negative [m].
        most_rad: greatest bend [rad].
    """

    def beyond(bend: float) -> float:
        side, front = model.tip_m(bend)
        return (aside_m - side) * math.cos(bend) - (ahead_m - front) * math.sin(bend)

    if ahead_m < 0 or beyond(most_rad) > 0:
        return most_rad
    if beyond(0.0) <= 0:
        return 0.0
    return float(brentq(beyond, 0.0, most_rad, xtol=1e-7))


def equilibrium_bend(strength: float, field_angle_rad: float) -> float:
    """Return th with th = strength sin(field angle - th) between 0 and the field [rad]."""
    low, high = 0.0, abs(field_angle_rad)
    for _ in range(40):
        middle = (low + high) / 2
        if middle < strength * math.sin(abs(field_angle_rad) - middle):
            low = middle
        else:
            high = middle
    return math.copysign((low + high) / 2, field_angle_rad)


def field_angle(strength: float, bend_rad: float, lead_max_rad: float) -> float:
    """Return the angle of the field that holds a bend [rad].

    The field leads the tip by at most `lead_max_rad`: at 90 degrees its torque is greatest, beyond
    the wire would snap to another shape.
    """
    lead = math.asin(min(abs(bend_rad) / max(strength, 1e-9), math.sin(lead_max_rad)))
    return math.copysign(abs(bend_rad) + lead, bend_rad)
