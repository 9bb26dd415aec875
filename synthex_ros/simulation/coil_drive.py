"""Coils behind their drivers: allocation, and a watch that finds coils that fail."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.control.magnetic.allocation import (
    REACHED,
    Allocation,
    AllocationWeights,
    CoilAllocator,
    CoilModel,
)
from synthex_ros.control.magnetic.coil_watch import CoilWatch, WatchReport
from synthex_ros.control.magnetic.field_guard import FieldLimits
from synthex_ros.control.magnetic.free_direction import FreeDirection
from synthex_ros.devices.magnetic.coil_plant import CoilPlant
from synthex_ros.devices.magnetic.placed_source import PlacedSource
from synthex_ros.simulation.field_drive import DriveState, MomentOf, Wish, nominal_moment

Array = NDArray[np.float64]

WATCH_PERIOD_S = 0.02
GRADIENT_SPREAD = 0.1
"""A tenth of any gradient acts as a force of its own: gains, place and moment are that sure."""


class CoilDrive:
    """Follows a wanted field and force with the currents of coils.

    Args:
        plant: the coils; failures are set on it.
        world_from_coils: where they stand, shape (4, 4) [m].
        moment_of: nominal moment of the device.
        force_max_n: largest force that may be commanded [N].
        any_direction: the device is magnetised along any field; where coils are lost, the field
            is turned to where the others pull best.

    Attributes:
        source: the true field in `world`.
        plant: the coils.
    """

    def __init__(
        self,
        plant: CoilPlant,
        world_from_coils: ArrayLike,
        moment_of: MomentOf,
        force_max_n: float,
        any_direction: bool = False,
    ) -> None:
        self.plant, self._moment_of = plant, moment_of
        self._free = FreeDirection() if any_direction else None
        self.source = PlacedSource(plant, world_from_coils)
        self._allocator = CoilAllocator(
            cast(CoilModel, plant.coils), AllocationWeights(gradient_spread=GRADIENT_SPREAD)
        )
        calibration = plant.coils.calibration
        self._watch = CoilWatch(plant.coils, calibration.sensors_m)
        self._limits = FieldLimits(
            plant.limits.field_max_t, force_max_n, calibration.workspace_radius_m
        )
        self._wish: Wish | None = None
        self._allocation: Allocation | None = None
        self._seen: WatchReport | None = None
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
        """Currents as measured now."""
        return DriveState(self.plant.coils.names, currents_a=self.plant.currents_a)

    @property
    def fault(self) -> str:
        """Why the field is not to be trusted; a coil that is known to fail is no fault."""
        seen = self._seen
        if seen is None or not seen.alarm or seen.failed:
            return ''
        return f'coil watch: {seen.reason}'

    @property
    def trouble(self) -> str:
        """Which coils are done without, and why."""
        seen, tripped = self._seen, self.plant.state.tripped
        parts = [seen.reason] if seen is not None and seen.failed else []
        parts += [f'{name} is switched off by heat' for name in tripped]
        return f'done without: {"; ".join(parts)}' if parts else ''

    @property
    def lost(self) -> tuple[str, ...]:
        """Coils that do without current: failed, or switched off because of heat."""
        failed = () if self._seen is None else self._seen.failed
        return tuple(sorted({*failed, *self.plant.state.tripped}))

    def modelled_field_t(self, point_m: Array) -> Array:
        """Return the field that the measured currents should make, shape (3,) [T]."""
        coils = self.plant.coils
        effective = coils.effective(self.plant.currents_a)
        made = coils.unit_matrix(self.source.point(point_m))[:3] @ effective
        return self.source.to_world(made)

    def want(self, wish: Wish) -> None:
        """Follow a wish until the next."""
        self._wish = wish
        self._allocate()

    def hold(self) -> None:
        """Keep the present currents."""
        self._wish = None
        self.plant.hold()

    def make_safe(self) -> None:
        """Let the currents go to zero."""
        self._wish = self._allocation = None
        self.plant.command(np.zeros(len(self.plant.coils.names)))

    def reset(self) -> None:
        """Start again: cold coils without current, the watch forgets; set failures stay."""
        gains = self.plant.field_gains.copy()
        self.plant.reset()
        self.plant.field_gains = gains
        self._watch.reset()
        self._seen = self._wish = self._allocation = None
        self._since_watch_s = 0.0
        if self._free is not None:
            self._free.reset()

    def acknowledge(self) -> None:
        """Let drivers that have switched off work again; the watch begins anew."""
        self.plant.reset_trips()
        self._watch.reset()
        self._seen = None

    def step(self, duration_s: float) -> None:
        """Advance by `duration_s` [s]; a coil that is lost on the way is done without."""
        self.plant.step(duration_s)
        self._since_watch_s += duration_s
        if self._since_watch_s < WATCH_PERIOD_S:
            return
        self._since_watch_s = 0.0
        before = self.lost
        self._seen = self._watch.update(self.plant.currents_a, self.plant.measured_field_t())
        if self.lost != before and self._wish is not None:
            self._allocate()

    def _allocate(self) -> None:
        wish = self._wish
        if wish is None:
            return
        pulls = wish.force_n is not None and bool(np.any(wish.field_t))
        if self._free is not None and self.lost and pulls:
            made = self._free.allocate(
                wish.field_t, lambda field_t: self._solved(replace(wish, field_t=field_t), pulls)
            )
        else:
            made = self._solved(wish, pulls)
        self._allocation = made
        self.plant.command(made.currents_a)

    def _solved(self, wish: Wish, pulls: bool) -> Allocation:
        """Return the currents for a wish, with its force if it `pulls`."""
        turn, force, moment = self.source.to_source, None, None
        if pulls and wish.force_n is not None:
            force, moment = turn(wish.force_n), turn(nominal_moment(wish, self._moment_of))
        return self._allocator.allocate(
            self.source.point(wish.point_m),
            turn(wish.field_t),
            force_n=force,
            moment_a_m2=moment,
            temperatures_c=self.plant.state.temperatures_c,
            lost=self.lost,
            gains=None if self._seen is None else self._seen.gains,
        )

    def report(self) -> dict[str, object]:
        """Return what diagnostics show."""
        made = self._allocation
        state = self.plant.state
        return {
            'allocation': 'no field' if made is None else made.status,
            'allocation_reason': '' if made is None or made.status == REACHED else made.reason,
            'coil_power_w': f'{self.plant.limits.power_w(state.currents_a):.0f}',
            'hottest_coil_c': f'{float(state.temperatures_c.max()):.1f}',
            'lost_coils': ' '.join(self.lost),
            'coil_watch': '' if self._seen is None else self._seen.reason,
        }
