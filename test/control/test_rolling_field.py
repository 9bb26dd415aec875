"""The field of a rolling body where what makes it is slow; the body turns with the field made."""

import numpy as np
import pytest

from synthex_ros.control.magnetic.controller import MagneticController
from synthex_ros.control.magnetic.law import Seen
from synthex_ros.control.magnetic.rolling_field import FRESH_NS, RollingField
from synthex_ros.control.magnetic.swimmer import SwimmerModel
from synthex_ros.control.magnetic.untethered import UntetheredLaw, UntetheredSettings
from synthex_ros.control.reference import Reference
from synthex_ros.devices.magnetic.untethered import NO_JOINTS

UP = np.array([0.0, -1.0, 0.0])
X, Z = np.eye(3)[0], np.eye(3)[2]
RADIUS_M, SPEED_M_S = 0.8e-3, 1e-3
TICK_NS = 10_000_000


def turned_by(before, after):
    """Return the rotation vector of the shortest turn from one unit vector to another."""
    across = np.cross(before, after)
    return across / np.sinc(np.arcsin(min(np.linalg.norm(across), 1.0)) / np.pi)


def rolled_m(field, wanted_m_s, path_m_s, duration_s):
    """Return the way of a body that turns with the field as it is wanted, shape (3,) [m]."""
    way = np.zeros(3)
    for k in range(round(duration_s / (TICK_NS * 1e-9))):
        before = field.direction
        field.turn(wanted_m_s, path_m_s, TICK_NS * 1e-9, k * TICK_NS)
        way += RADIUS_M * np.cross(turned_by(before, field.direction), UP)
    return way


@pytest.mark.parametrize('start', [X, -Z, UP, (X + 0.2 * Z) / np.hypot(1, 0.2)])
@pytest.mark.parametrize('on_a_path', [True, False])
def test_a_body_rolls_as_wanted_whatever_the_field_is_at_first(start, on_a_path):
    """Along z; about x, a field along x by itself would turn nothing."""
    field, wanted = RollingField(start, UP, RADIUS_M, 1.0), SPEED_M_S * Z
    path = wanted if on_a_path else np.zeros(3)
    rolled_m(field, wanted, path, 4.0)
    way = rolled_m(field, wanted, path, 4.0)
    assert way[2] == pytest.approx(4.0 * SPEED_M_S, rel=0.05)
    assert abs(way[0]) < 0.1 * 4.0 * SPEED_M_S
    assert abs(field.direction @ X) < 0.2


def test_the_wanted_field_waits_for_the_field_made():
    field = RollingField(Z, UP, RADIUS_M, 1.0)
    ahead = []
    for k in range(300):
        field.made(k * TICK_NS, 1e-3 * Z)
        field.turn(SPEED_M_S * Z, SPEED_M_S * Z, 0.01, k * TICK_NS)
        ahead.append(np.arccos(np.clip(field.direction @ Z, -1, 1)))
    assert max(ahead) == pytest.approx(1.0, abs=1e-6)
    assert ahead[-1] == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize('made', [None, np.zeros(3), np.full(3, np.nan), 0.05e-3 * Z])
def test_without_a_field_made_the_wanted_field_turns_as_it_should(made):
    """None came, a stale one, one too weak to turn anything: nothing to wait for."""
    field, free = (RollingField(Z, UP, RADIUS_M, 1.0) for _ in range(2))
    field.made(-2 * FRESH_NS, 1e-3 * Z)
    if made is not None:
        field.made(-FRESH_NS, 1e-3 * Z)
        field.made(0, made)
    for k in range(1, 300):
        for one in (field, free):
            one.turn(SPEED_M_S * Z, SPEED_M_S * Z, 0.01, k * TICK_NS)
    np.testing.assert_allclose(field.direction, free.direction)
    assert field.rolled_m_s(300 * TICK_NS) is None


def test_a_turning_field_tells_how_the_body_rolls_as_long_as_it_is_fresh():
    """About x it rolls along z with R omega; about the normal of the wall it does not roll."""
    field, rate = RollingField(Z, UP, RADIUS_M, 1.0), 2.0
    assert field.rolled_m_s(0) is None
    for k in range(20):
        angle = rate * k * 0.01
        field.made(k * TICK_NS, 1e-3 * (np.cos(angle) * Z + np.sin(angle) * np.cross(X, Z)))
    np.testing.assert_allclose(
        field.rolled_m_s(20 * TICK_NS), RADIUS_M * rate * np.cross(X, UP), atol=1e-9
    )
    assert field.rolled_m_s(19 * TICK_NS + FRESH_NS) is None
    for k in range(20, 22):
        angle = rate * k * 0.01
        field.made(k * TICK_NS, 1e-3 * (np.cos(angle) * Z + np.sin(angle) * X))
    np.testing.assert_allclose(field.rolled_m_s(22 * TICK_NS), np.zeros(3), atol=1e-9)


def law(lead_max_rad):
    model = SwimmerModel(1e-5, 500.0, 2e-4, radius_m=RADIUS_M)
    settings = UntetheredSettings(lead_max_rad=lead_max_rad, field_t=1.2e-3)
    return UntetheredLaw(model, settings)


def moved_m(law, field_t):
    """Return by how much a body seems to move in 0.2 s under a field made, shape (3,) [m]."""
    law.observe(Seen(0, np.zeros(3), 1e-9 * np.eye(3), UP), np.zeros(0), 0)
    for k in range(1, 21):
        now_ns = k * TICK_NS
        law.made(now_ns, field_t)
        reference = Reference('path', 1, np.zeros(3), SPEED_M_S * Z)
        law.sent(now_ns, law.command(reference, None, now_ns, np.zeros(0), now_ns, 0.01))
    return law.tip_world_m()


def test_a_body_is_not_thought_to_roll_in_a_field_that_stands_still():
    still = 1.2e-3 * Z
    assert abs(moved_m(law(1.0), still)[2]) < 1e-9
    assert moved_m(law(0.0), still)[2] > 0.1e-3  # every field counts as made
    assert moved_m(law(1.0), np.zeros(3))[2] > 0.1e-3  # what is not known is not used


def test_a_measured_field_that_makes_no_sense_is_refused():
    controller = MagneticController(law(1.0), NO_JOINTS)
    for bad in ([0.0, np.nan, 0.0], [1e-3, 0.0]):
        with pytest.raises(ValueError, match='measured field must be three finite numbers'):
            controller.made(0, bad)
