"""What is left when a coil is lost: gradients that do not fight, and fields that may turn."""

import numpy as np
import pytest

from synthex_ros.control.magnetic.allocation import AllocationWeights, CoilAllocator
from synthex_ros.control.magnetic.free_direction import STEP_RAD, FreeDirection, cost
from synthex_ros.control.magnetic.untethered import usual_settings
from synthex_ros.devices.magnetic.coils import CoilArray

COILS = CoilArray.from_calibration('octomag_like')
CENTRE, PRESS_N, MOMENT_A_M2 = np.zeros(3), np.array([0.0, 3e-6, 0.0]), 4.5e-4
LOST = 'coil_2'


def round_trip(weights):
    """Allocations of a field of 3 mT that turns about x, y and z, with a light press, (219,)."""
    allocator = CoilAllocator(COILS, weights)
    for turn in np.linspace(0, 2 * np.pi, 73):
        for axis in range(3):
            way = np.roll([np.cos(turn), np.sin(turn), 0.0], axis)
            yield (
                way,
                allocator.allocate(
                    CENTRE, 3e-3 * way, force_n=PRESS_N, moment_a_m2=MOMENT_A_M2 * way, lost=[LOST]
                ),
            )


def test_coils_that_are_left_do_not_pull_against_one_another():
    """A moment 0.1 rad off feels a tenth of the gradient: it must not outdo weight, 45 uN."""
    exact = [found.gradient_t_m for _, found in round_trip(AllocationWeights())]
    sure = list(round_trip(AllocationWeights(gradient_spread=0.1)))
    stray_n = [0.1 * MOMENT_A_M2 * np.linalg.norm(found.gradient_t_m) for _, found in sure]
    assert 0.1 * MOMENT_A_M2 * np.linalg.norm(exact, axis=1).max() > 45e-6
    assert max(stray_n) < 20e-6
    for way, found in sure:
        np.testing.assert_allclose(found.field_t, 3e-3 * way, atol=1e-5)


def solver(force_n):
    allocator = CoilAllocator(COILS, AllocationWeights(gradient_spread=0.1))
    return lambda field_t: allocator.allocate(
        [0.004, 0.005, -0.002],
        field_t,
        force_n=force_n,
        moment_a_m2=1.7e-3 * field_t,
        lost=['coil_3'],
    )


@pytest.mark.parametrize('force_n', [(0.1e-6, 1e-6, 1e-6), (-0.5e-6, 1e-6, 0.3e-6)])
def test_the_field_turns_to_where_the_coils_that_are_left_pull_with_less(force_n):
    free, solve, wanted = FreeDirection(), solver(np.array(force_n)), np.array([6e-3, 0, 0])
    first = solve(wanted)
    found = [free.allocate(wanted, solve) for _ in range(200)]
    costs = [cost(one) for one in found]
    assert all(after <= before + 1e-12 for before, after in zip(costs, costs[1:], strict=False))
    assert costs[-1] < 0.5 * cost(first)
    assert found[-1].status == 'reached'
    assert np.linalg.norm(found[-1].field_t) == pytest.approx(6e-3, rel=0.01)


def test_the_field_turns_a_small_step_at_a_time_and_starts_anew_after_reset():
    free, solve, wanted = (
        FreeDirection(),
        solver(np.array([0, 1e-6, 1e-6])),
        np.array([6e-3, 0, 0]),
    )
    fields = [free.allocate(wanted, solve).field_t for _ in range(60)]
    units = fields / np.linalg.norm(fields, axis=1)[:, None]
    steps = np.arccos(np.clip(np.einsum('ij,ij->i', units[1:], units[:-1]), -1, 1))
    assert steps.max() < 1.2 * STEP_RAD
    assert steps.sum() > 0.2
    free.reset()
    again = free.allocate(wanted, solve).field_t
    assert np.arccos(again @ wanted / np.linalg.norm(again) / 6e-3) < 1.2 * STEP_RAD


def test_a_droplet_gets_the_field_that_its_pull_needs_and_a_roller_a_weak_one():
    assert usual_settings('droplet').field_least_t < usual_settings('droplet').field_t
    assert usual_settings('soft_robot').field_t < usual_settings('droplet').field_least_t
    assert usual_settings('sphere') == usual_settings('soft_robot')
