"""Blood flow keeps its volume, follows the vessels and beats."""

import numpy as np
import pytest

from synthex_ros.devices.magnetic.flow import Pulse, VesselFlow

RADIUS = 0.004


def fork():
    """A stem along z that branches into two of unequal radius."""
    stem = np.stack([np.zeros(11), np.zeros(11), np.linspace(0, 0.05, 11)], axis=1)
    steps = np.linspace(0.005, 0.04, 8)[:, None]
    left = stem[-1] + steps * np.array([0.6, 0, 0.8])
    right = stem[-1] + steps * np.array([-0.6, 0, 0.8])
    points = np.vstack([stem, left, right])
    radius = np.concatenate([np.full(11, RADIUS), np.full(8, 0.003), np.full(8, 0.0024)])
    parent = np.concatenate([np.arange(-1, 10), [10], np.arange(11, 18), [10], np.arange(19, 26)])
    return points, radius, parent


def flux(flow, centre, normal, radius, time_s=0.0, count=120):
    """Integrate the velocity over a disc [m^3/s]."""
    side = np.cross(normal, [0, 1.0, 0])
    side /= np.linalg.norm(side)
    other = np.cross(normal, side)
    radii = (np.arange(count) + 0.5) / count * radius
    angles = np.arange(36) * 2 * np.pi / 36
    r, a = np.meshgrid(radii, angles, indexing='ij')
    spots = centre + (r * np.cos(a))[..., None] * side + (r * np.sin(a))[..., None] * other
    speed = flow.velocity_m_s(spots.reshape(-1, 3), time_s) @ normal
    return float(np.sum(speed.reshape(r.shape) * r) * (radius / count) * (2 * np.pi / 36))


@pytest.mark.parametrize('profile', ['plug', 'poiseuille'])
def test_flux_through_stem_and_branches_is_the_inflow(profile):
    points, radius, parent = fork()
    flow = VesselFlow(points, radius, 0.1, parent, profile)
    inflow = np.pi * RADIUS**2 * 0.1
    stem = flux(flow, points[5], np.array([0, 0, 1.0]), RADIUS)
    left = flux(flow, points[15], np.array([0.6, 0, 0.8]), 0.003)
    right = flux(flow, points[23], np.array([-0.6, 0, 0.8]), 0.0024)
    assert stem == pytest.approx(inflow, rel=2e-3)
    assert left + right == pytest.approx(inflow, rel=2e-3)
    assert left / right == pytest.approx((0.003 / 0.0024) ** 3, rel=2e-3)


def test_flow_is_kept_at_every_branching_of_a_random_tree():
    rng = np.random.default_rng(3)
    parent = np.concatenate([[-1], [rng.integers(max(0, n - 4), n) for n in range(1, 80)]])
    radius = rng.uniform(0.001, 0.004, 80)
    flow = VesselFlow(rng.uniform(0, 0.1, (80, 3)), radius, 0.2, parent)
    for node in range(1, 80):
        below = flow.flow_m3_s[parent == node]
        if below.size:
            assert below.sum() == pytest.approx(flow.flow_m3_s[node])
    assert flow.flow_m3_s[parent == 0].sum() == pytest.approx(np.pi * radius[0] ** 2 * 0.2)


def test_poiseuille_is_twice_the_mean_on_the_axis_and_still_at_the_wall():
    points, radius, parent = fork()
    flow = VesselFlow(points, radius, 0.1, parent)
    across = np.array(
        [[0, 0, 0.025], [RADIUS / 2, 0, 0.025], [RADIUS, 0, 0.025], [0.006, 0, 0.02]]
    )
    speed = flow.velocity_m_s(across, 0.0)[:, 2]
    np.testing.assert_allclose(speed, [0.2, 0.15, 0.0, 0.0], atol=1e-12)


def test_pulse_has_the_mean_of_one_and_its_rate():
    pulse = Pulse(rate_hz=1.25, steady_part=0.3, systole_part=0.35)
    times = (np.arange(4000) + 0.5) / 4000 * 0.8
    values = np.array([pulse.factor(time) for time in times])
    assert values.mean() == pytest.approx(1, abs=1e-4)
    assert values.max() == pytest.approx(0.3 + 0.7 * 2 / 0.35, rel=1e-4)
    assert values.min() == pytest.approx(0.3)
    assert pulse.factor(0.1) == pytest.approx(pulse.factor(0.9))
    assert Pulse(rate_hz=0).factor(0.3) == 1.0


def test_narrowing_speeds_the_flow_up():
    points = np.stack([np.zeros(21), np.zeros(21), np.linspace(0, 0.1, 21)], axis=1)
    radius = np.linspace(0.004, 0.002, 21)
    flow = VesselFlow(points, radius, 0.1, profile='plug')
    speed = flow.velocity_m_s(points[[0, 10, 20]], 0.0)[:, 2]
    np.testing.assert_allclose(speed, 0.1 * (0.004 / radius[[0, 10, 20]]) ** 2, rtol=1e-9)


def test_vessel_of_a_point_is_the_one_it_is_deepest_in():
    points, radius, parent = fork()
    flow = VesselFlow(points, radius, 0.1, parent)
    wide, axis = flow.vessel(np.array([points[15], points[23], points[3]]))
    np.testing.assert_allclose(wide, [0.003, 0.0024, RADIUS], rtol=1e-9)
    np.testing.assert_allclose(axis, [[0.6, 0, 0.8], [-0.6, 0, 0.8], [0, 0, 1]], atol=1e-9)


def test_bad_trees_are_named():
    points, radius, parent = fork()
    with pytest.raises(ValueError, match='earlier'):
        VesselFlow(points, radius, 0.1, parent[::-1])
    with pytest.raises(ValueError, match='10 cm/s is 0.1'):
        VesselFlow(points, radius, 10, parent)
    with pytest.raises(ValueError, match='3 mm is 0.003'):
        VesselFlow(points, 3.0, 0.1)
    with pytest.raises(ValueError, match='plug'):
        VesselFlow(points, radius, 0.1, profile='laminar')
