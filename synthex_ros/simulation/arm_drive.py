"""A magnet on a robot arm that follows a wanted field and force, and retreats when told to."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.control.magnetic.arm_allocation import (
    REACHED,
    ArmAllocation,
    ArmAllocator,
    ArmWeights,
)
from synthex_ros.control.magnetic.field_guard import FieldLimits
from synthex_ros.devices.magnetic.magnet_arm import HOME_RAD, MagnetArm
from synthex_ros.devices.magnetic.placed_source import PlacedSource
from synthex_ros.simulation.field_drive import DriveState, MomentOf, Wish, nominal_moment

Array = NDArray[np.float64]

PERIOD_S = 0.02
FIELD_MAX_T = 0.05
REACH_M = 0.3
HARMLESS_T = 0.2e-3
"""A magnet that makes less than this at the device need not retreat further [T]."""
ROLLING_WEIGHTS = ArmWeights(margin_m=0.02)
"""For a body that rolls: links that brake together swing some millimetres over, so that more room
is kept."""
_ARRIVED_RAD = 0.02


class ArmDrive:
    """Follows a wanted field and force with the pose of a magnet.

    The first wish is planned from all around the device, as is one after a retreat; from there on
    the arm follows.

    Args:
        plant: the arm, in its own frame with the patient along y and up along z.
        world_from_frame: where that frame stands, shape (4, 4) [m].
        moment_of: nominal moment of the device.
        force_max_n: largest force that may be commanded [N].
        weights: what counts how much in allocation, and the margin to the distance limit.

    Attributes:
        source: the true field in `world`.
        plant: the arm.
    """

    def __init__(
        self,
        plant: MagnetArm,
        world_from_frame: ArrayLike,
        moment_of: MomentOf,
        force_max_n: float,
        weights: ArmWeights | None = None,
    ) -> None:
        self.plant, self._moment_of = plant, moment_of
        self.source = PlacedSource(plant, world_from_frame)
        self._allocator = ArmAllocator(plant.kinematics, weights)
        self._limits = FieldLimits(FIELD_MAX_T, force_max_n, REACH_M)
        self._wish: Wish | None = None
        self._approach: Array | None = None
        self._made: ArmAllocation | None = None
        self._joints: Array = np.array(HOME_RAD)
        self.reset()

    @property
    def centre_m(self) -> Array:
        """Middle of the workspace in `world`, shape (3,) [m]."""
        return self.source.world_from_source[:3, 3]

    @property
    def limits(self) -> FieldLimits:
        """What may be commanded."""
        return self._limits

    @property
    def state(self) -> DriveState:
        """Joint angles as measured now."""
        state = self.plant.state
        return DriveState(self.plant.limits.names, positions=state.joints)

    @property
    def fault(self) -> str:
        """Always '': the arm's own guard stops it, and it goes on from there."""
        return ''

    @property
    def trouble(self) -> str:
        """Why the magnet does not make the field that is wanted, '' if it does or is on its way.

        A miss of half the field counts; smaller ones show in `report`.
        """
        wish, made = self._wish, self._made
        if wish is None or made is None or self._approach is not None:
            return ''
        wanted_t = float(np.linalg.norm(wish.field_t))
        missed_t = float(np.linalg.norm(made.field_residual_t))
        return f'magnet: {made.reason}' if missed_t > wanted_t / 2 > 0 else ''

    def modelled_field_t(self, point_m: Array) -> Array:
        """Return the field of the magnet where the joints say it is, shape (3,) [T]."""
        return self.source.field_t(np.asarray(point_m, float)[None])[0]

    def want(self, wish: Wish) -> None:
        """Follow a wish until the next; the first one is planned, where the magnet is far away."""
        idle = self._wish is None or not np.any(self._wish.field_t)
        self._wish = wish
        if idle and np.any(wish.field_t) and self._is_far(wish):
            self._approach = self._allocator.plan(
                self.source.point(wish.point_m),
                self.source.to_source(wish.field_t),
                self.plant.state.joints,
            ).joints

    def hold(self) -> None:
        """Stay where the arm is."""
        self._wish = self._approach = None
        self._joints = self.plant.state.joints
        self.plant.hold()

    def make_safe(self) -> None:
        """Retreat from the device until the magnet does nothing to it."""
        self._approach = self._made = None
        point = self.centre_m if self._wish is None else self._wish.point_m
        self._wish = Wish(np.zeros(3), point)

    def reset(self) -> None:
        """Start again at home."""
        self.plant.reset()
        self._joints = np.array(HOME_RAD)
        self._wish = self._approach = self._made = None
        self._since_s = 0.0

    def acknowledge(self) -> None:
        """Let the arm move again after its guard has stopped it."""
        self.plant.release()

    def step(self, duration_s: float) -> None:
        """Advance by `duration_s` [s]."""
        self._since_s += duration_s
        if self._since_s >= PERIOD_S:
            self._aim(self._since_s)
            self._since_s = 0.0
        self.plant.step(duration_s)

    def _aim(self, duration_s: float) -> None:
        """Move the set-point on by `duration_s` [s]."""
        if self._wish is None:
            return
        if self.plant.state.stopped:
            self._approach, self._joints = None, self.plant.state.joints
            self.plant.release()
        if self._approach is not None:
            low, high = self.plant.limits.reach(self._joints, duration_s)
            self._joints = np.clip(self._approach, low, high)
            if np.max(np.abs(self._joints - self._approach)) < _ARRIVED_RAD:
                self._approach = None
        elif not self._is_harmless():
            self._follow(self._wish, duration_s)
        self.plant.command(self._joints)

    def _is_far(self, wish: Wish) -> bool:
        """Tell whether the magnet makes less than half the strength of a wanted field."""
        made_t = float(np.linalg.norm(self.modelled_field_t(wish.point_m)))
        return made_t < 0.5 * float(np.linalg.norm(wish.field_t))

    def _is_harmless(self) -> bool:
        """Tell whether no field is wanted and the magnet is far enough away."""
        wish = self._wish
        if wish is None or np.any(wish.field_t):
            return False
        return float(np.linalg.norm(self.modelled_field_t(wish.point_m))) < HARMLESS_T

    def _follow(self, wish: Wish, duration_s: float) -> None:
        force = moment = None
        if wish.force_n is not None and np.any(wish.field_t):
            force = self.source.to_source(wish.force_n)
            moment = self.source.to_source(nominal_moment(wish, self._moment_of))
        self._made = self._allocator.follow(
            self.source.point(wish.point_m),
            self.source.to_source(wish.field_t),
            self._joints,
            duration_s,
            force_n=force,
            moment_a_m2=moment,
        )
        self._joints = self._made.joints

    def report(self) -> dict[str, object]:
        """Return what diagnostics show."""
        made, state = self._made, self.plant.state
        if self._wish is None or not np.any(self._wish.field_t):
            made = None
        return {
            'allocation': 'no field' if made is None else made.status,
            'allocation_reason': '' if made is None or made.status == REACHED else made.reason,
            'magnet_clearance_mm': f'{state.clearance_m * 1e3:.0f}',
            'arm_stopped': state.stopped,
        }
