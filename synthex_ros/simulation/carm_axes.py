"""The motorised C-arm: joints with limits and speeds, and the view they give."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.geometry import CArm, View, make_pose
from synthex_ros.simulation.trajectory import JointTrajectory

NAMES = ('orbital', 'angulation', 'lift', 'source_to_detector')


@dataclass(frozen=True)
class CArmLimits:
    """Travel and speed of the joints, in the order of `NAMES`.

    Travel of the rotations follows mobile C-arms (orbital -40..110 degrees from lateral is
    given here about the vertical beam); all values are settings, none is a vendor's promise.

    Attributes:
        low: lower ends [rad, rad, m, m].
        high: upper ends [rad, rad, m, m].
        speed: greatest speeds [rad/s, rad/s, m/s, m/s].
    """

    low: tuple[float, ...] = (-1.92, -0.79, -0.2, 0.90)
    high: tuple[float, ...] = (1.92, 0.79, 0.2, 1.20)
    speed: tuple[float, ...] = (0.35, 0.35, 0.05, 0.05)


@dataclass
class CArmAxes:
    """Joint state of a C-arm that follows planned moves within its limits.

    Attributes:
        carm: geometry at rest; its source_to_detector_m is the start of the fourth joint.
        start: joints at start, in the order of `NAMES` [rad, rad, m, m].
        limits: travel and speed.
    """

    carm: CArm
    start: tuple[float, float, float, float]
    limits: CArmLimits = field(default_factory=CArmLimits)

    def __post_init__(self):
        self._refuse_outside(np.asarray(self.start, float)[None])
        self.reset()

    def reset(self) -> None:
        """Return to the start and forget any move."""
        self.positions: NDArray[np.float64] = np.asarray(self.start, float).copy()
        self._plan: JointTrajectory | None = None
        self._plan_time_s = 0.0

    @property
    def moving(self) -> bool:
        """Tell whether a planned move is under way."""
        return self._plan is not None

    def move(self, times_s: list[float], positions: ArrayLike) -> None:
        """Start a planned move through `positions`, shape (N, 4), at `times_s` [s] from now.

        Raises:
            ValueError: outside the limits, times not increasing, or not finite.
        """
        table = np.asarray(positions, float).reshape(len(times_s), -1)
        plan = JointTrajectory(self.positions, times_s, table)
        self._refuse_outside(table)
        self._plan, self._plan_time_s = plan, 0.0

    def hold(self) -> None:
        """Stop where the C-arm is."""
        self._plan = None

    def advance(self, duration_s: float) -> None:
        """Follow the plan for `duration_s` [s], never faster than the limits."""
        if self._plan is None:
            return
        self._plan_time_s += duration_s
        wanted = self._plan.at(self._plan_time_s)
        step = np.asarray(self.limits.speed) * duration_s
        self.positions = self.positions + np.clip(wanted - self.positions, -step, step)
        arrived = np.allclose(self.positions, wanted, atol=1e-9)
        if arrived and self._plan_time_s >= self._plan.duration_s:
            self._plan = None

    def view(self) -> View:
        """Return the view at the present joints."""
        orbital, angulation, lift, source_to_detector = self.positions
        # Lift raises the C against gravity: towards anterior of a supine patient.
        isocenter = self.carm.world_from_carm_isocenter @ make_pose(translation_m=[0, -lift, 0])
        carm = self.carm.with_(
            source_to_detector_m=float(source_to_detector), world_from_carm_isocenter=isocenter
        )
        return carm.view(float(orbital), float(angulation))

    def _refuse_outside(self, table: NDArray[np.float64]) -> None:
        low, high = np.asarray(self.limits.low), np.asarray(self.limits.high)
        for joint, name in enumerate(NAMES):
            worst = table[:, joint][
                np.argmax(np.abs(table[:, joint] - (low[joint] + high[joint]) / 2))
            ]
            if not low[joint] <= worst <= high[joint]:
                hint = '; angles are radians, lengths metres' if abs(worst) > 4 else ''
                raise ValueError(
                    f'C-arm joint {name} must be {low[joint]:g}..{high[joint]:g}, '
                    f'got {worst:g}{hint}'
                )
