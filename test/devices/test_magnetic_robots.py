"""Sphere, soft robot and droplet sink, swim, roll, screw and deform as theory says."""

import math

import numpy as np
import pytest

from synthex_ros.anatomy.vessels.lumen import TubeLumen
from synthex_ros.devices.magnetic.body_motion import turned
from synthex_ros.devices.magnetic.drag import free_drag_n_s_m, wall_factors
from synthex_ros.devices.magnetic.droplet import DropletParameters, DropletPlant, aspect_ratio
from synthex_ros.devices.magnetic.environment import Environment
from synthex_ros.devices.magnetic.even_field import EvenField
from synthex_ros.devices.magnetic.flow import VesselFlow
from synthex_ros.devices.magnetic.fluid import Fluid
from synthex_ros.devices.magnetic.magnetic_materials import MU0, Ferrofluid
from synthex_ros.devices.magnetic.soft_robot import SoftRobotParameters, SoftRobotPlant
from synthex_ros.devices.magnetic.sphere import SphereParameters, SpherePlant
from synthex_ros.geometry import make_pose, rotation
from synthex_ros.xray.attenuation import density_g_cm3

Z = np.array([0, 0, 1.0])
SYRUP = Fluid(viscosity_pa_s=1.0)


def tube(radius_m, speed_m_s=0.0, with_lumen=True, **options):
    line = np.stack([np.zeros(81), np.zeros(81), np.linspace(-0.2, 0.2, 81)], axis=1)
    lumen = TubeLumen(radius_m, np.zeros(3), Z) if with_lumen else None
    return Environment(lumen, VesselFlow(line, radius_m, speed_m_s, **options))


def test_sphere_sinks_at_the_speed_of_stokes():
    plant = SpherePlant(SphereParameters(radius_m=1e-4), fluid=SYRUP)
    state = plant.step(0.2)
    expected = 2 / 9 * (7500 - 1060) * 9.81 * 1e-8 / 1.0
    np.testing.assert_allclose(state.velocity_base_m_s, [0, expected, 0], rtol=2e-3)


def test_gravity_follows_the_base():
    pose = make_pose(rotation('x', math.pi / 2))
    plant = SpherePlant(environment=Environment(world_from_base=pose), fluid=SYRUP)
    velocity = plant.step(0.2).velocity_base_m_s
    np.testing.assert_allclose(pose[:3, :3] @ velocity / np.linalg.norm(velocity), [0, 1, 0],
                               atol=1e-9)  # fmt: skip


def test_start_of_a_heavy_sphere_has_the_time_constant_of_its_mass():
    """Drag alone: the speed decays with (m + m_fluid / 2) / drag."""
    parameters = SphereParameters(radius_m=3e-4, density_kg_m3=1070)
    plant = SpherePlant(parameters, fluid=Fluid(3.5e-3))
    mass = (1070 + 530) * plant.volume_m3
    settle = mass / free_drag_n_s_m(3e-4, 3.5e-3, math.inf)
    plant.step(0.002)
    speeds = [plant.step(0.002).velocity_base_m_s[1] for _ in range(200)]
    last = speeds[-1]
    gone = 1 - np.array(speeds) / last
    inside = (gone > 0.05) & (gone < 0.8)
    slopes = np.diff(np.log(gone[inside])) / 0.002
    np.testing.assert_allclose(-1 / slopes, settle, rtol=0.06)


@pytest.mark.parametrize('ratio', [0.1, 0.5, 0.8])
def test_force_free_sphere_lags_behind_the_flow_by_the_wall_factors(ratio):
    """v / v_axis = (1 - 2/3 s^2 - 0.20217 s^5) / (1 - 0.75857 s^5) on the axis."""
    parameters = SphereParameters(radius_m=ratio * 2e-3, density_kg_m3=1060)
    plant = SpherePlant(parameters, tube(2e-3, 0.01))
    velocity = plant.step(4.0).velocity_base_m_s[2]
    expected = 0.02 * (1 - 2 / 3 * ratio**2 - 0.20217 * ratio**5) / (1 - 0.75857 * ratio**5)
    assert velocity == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(('ratio', 'factor'), [(0.1, 1.263), (0.3, 2.370), (0.5, 5.970)])
def test_wall_factor_of_a_solid_sphere_is_that_of_the_tables(ratio, factor):
    """Exact values of Haberman and Sayre, in Happel and Brenner, table 7-3.1."""
    assert wall_factors(ratio)[0] == pytest.approx(factor, rel=0.02)


def test_droplet_drag_lies_between_a_bubble_and_a_solid():
    bubble, solid = (free_drag_n_s_m(1e-3, 3.5e-3, ratio) for ratio in (0.0, math.inf))
    unit = math.pi * 3.5e-3 * 1e-3
    assert bubble == pytest.approx(4 * unit)
    assert solid == pytest.approx(6 * unit)
    assert free_drag_n_s_m(1e-3, 3.5e-3, 1.0) == pytest.approx(5 * unit)
    assert free_drag_n_s_m(1e-3, 3.5e-3, 1e9) == pytest.approx(solid)
    assert wall_factors(0.4, 1e9) == pytest.approx(wall_factors(0.4), rel=1e-6)


def test_droplet_is_pulled_at_the_speed_of_force_over_drag():
    parameters = DropletParameters(radius_m=2e-4)
    source = EvenField((0, 0, 0.02), (0, 0, 0.2, 0, 0))
    plant = DropletPlant(parameters, Environment(source=source), SYRUP)
    state = plant.step(0.5)
    magnetization = parameters.ferrofluid.magnetization_a_m(0.02)
    force = magnetization * plant.volume_m3 * 0.2
    drag = free_drag_n_s_m(2e-4, 1.0, 6e-3 / 1.0)
    assert state.velocity_base_m_s[0] == pytest.approx(force / drag, rel=5e-3)


def test_ferrofluid_starts_linear_and_saturates():
    fluid = Ferrofluid()
    small = fluid.magnetization_a_m(1e-5) * MU0 / 1e-5
    assert small == pytest.approx(fluid.susceptibility / (1 + fluid.susceptibility / 3), rel=1e-4)
    assert fluid.magnetization_a_m(3.0) == pytest.approx(fluid.saturation_a_m, rel=0.01)
    fields = np.linspace(0, 0.3, 40)
    values = np.array([fluid.magnetization_a_m(field) for field in fields])
    assert np.all(np.diff(values) > 0)
    assert np.all(np.diff(values, 2) < 1e-6 * fluid.saturation_a_m)


def test_droplet_is_drawn_out_by_its_bond_number():
    """1 + Bo / 4 for small fields; the volume stays; the long axis lies along the field."""
    assert aspect_ratio(0.0) == 1
    assert aspect_ratio(0.1) == pytest.approx(1 + 0.1 / 4, rel=5e-3)
    ratios = [aspect_ratio(bond) for bond in np.linspace(0, 6, 30)]
    assert np.all(np.diff(ratios) > 0)
    plant = DropletPlant(environment=Environment(source=EvenField((0.02, 0.02, 0))))
    plant.step(0.01)
    body = plant.bodies(np.eye(4))[0]
    assert plant.aspect_ratio > 1.2
    assert body.mesh.volume_m3() == pytest.approx(plant.volume_m3, rel=1e-9)
    spread = body.vertices_world_m() - plant.state.position_base_m
    along = np.abs(spread @ [math.sqrt(0.5), math.sqrt(0.5), 0]).max()
    assert along / np.abs(spread[:, 2]).max() == pytest.approx(plant.aspect_ratio, rel=0.05)


def lying(plant):
    """Wait until it lies on the wall."""
    plant.step(2.0)
    plant.step(0.1)
    return plant


def test_sphere_lies_on_the_wall_with_its_weight():
    plant = lying(SpherePlant(environment=tube(3e-3)))
    weight = (7500 - 1060) * plant.volume_m3 * 9.81
    assert plant.state.position_base_m[1] == pytest.approx(2.5e-3, rel=1e-6)
    assert plant.wall_force_n == pytest.approx(weight, rel=1e-6)


def turn_field(plant, strength_t, rate_hz, turns, axis=(1, 0, 0)):
    """Turn the field about an axis in steps of 2 ms and return the path of the body."""
    first, second = np.roll(axis, 1), np.roll(axis, 2)
    path = []
    for step in range(round(turns / abs(rate_hz) / 0.002)):
        angle = 2 * math.pi * rate_hz * 0.002 * step
        plant.set_source(
            EvenField(strength_t * (math.cos(angle) * first + math.sin(angle) * second))
        )
        path.append(plant.step(0.002).position_base_m)
    return np.array(path)


def test_sphere_rolls_without_slip_while_friction_holds_and_slips_without():
    """2 pi R a turn; with too little friction it turns on the spot."""
    ways = []
    for friction in (0.3, 1e-4):
        parameters = SphereParameters(static_friction=friction, kinetic_friction=friction)
        plant = lying(SpherePlant(parameters, tube(3e-3)))
        path = turn_field(plant, 0.01, 2.0, 6)
        ways.append(np.abs(path[-1, 2] - path[len(path) // 3, 2]))
    circle = 2 * math.pi * 0.5e-3 * 4
    assert ways[0] == pytest.approx(circle, rel=0.01)
    assert ways[1] < 0.3 * circle


def test_lag_of_a_turning_body_follows_adlers_equation():
    """Above torque / drag the field runs away; below, the lag settles at asin(w drag / torque)."""
    torque, drag, step = 2.0, 1.0, 1e-3
    for rate, locked in ((1.0, True), (1.9, True), (2.2, False)):
        body, field = 0.0, 0.0
        for _ in range(100000):
            field += rate * step
            lag = math.remainder(field - body, 2 * math.pi)
            body += math.copysign(abs(lag) - turned(abs(lag), torque, 0.0, 0.0, drag, step), lag)
        mean = body / field
        if locked:
            assert mean == pytest.approx(1, abs=0.1)
            assert lag == pytest.approx(math.asin(rate * drag / torque), rel=1e-2)
        else:
            assert mean == pytest.approx(1 - math.sqrt(1 - (2 / rate) ** 2), abs=0.03)


@pytest.mark.parametrize('load', [0.0, 0.3, 0.9])
def test_turning_under_a_load_ends_where_the_torques_are_equal(load):
    angle = turned(1.4, 1.0, load, load, 1e-3, 1.0)
    assert angle == pytest.approx(math.asin(load), abs=1e-6)
    assert turned(0.5 * math.asin(load), 1.0, load, 0.1, 1e-3, 1.0) == 0.5 * math.asin(load)
    coarse = turned(1.4, 1.0, load, load, 1.0, 0.2)
    fine = 1.4
    for _ in range(2000):
        fine -= 1e-4 * (math.sin(fine) - load)
    assert coarse == pytest.approx(fine, rel=1e-4)


STENT = SoftRobotParameters()
TIGHT_M = 0.7e-3


def test_soft_robot_screws_itself_along_a_tight_vessel_by_its_pitch():
    plant = SoftRobotPlant(STENT, tube(TIGHT_M))
    turn_field(plant, 0.02, 0.5, 1.0, axis=(0, 0, 1))
    before = plant.state.position_base_m[2]
    path = turn_field(plant, 0.02, 0.5, 2.0, axis=(0, 0, 1))
    moved = path[-1, 2] - before
    assert abs(moved) == pytest.approx(2 * STENT.helix_pitch_m, rel=0.02)
    back = turn_field(plant, 0.02, -0.5, 2.0, axis=(0, 0, 1))
    assert (back[-1, 2] - path[-1, 2]) * moved < 0


def test_soft_robot_steps_out_where_friction_exceeds_the_magnetic_torque():
    """It turns while m B > mu N R, with N the squeeze; below, it stays where it is."""
    load = (
        STENT.static_friction * STENT.radial_stiffness_n_m * (STENT.radius_m - TIGHT_M) * TIGHT_M
    )
    limit_t = load / STENT.moment_a_m2
    for strength, moves in ((2.0 * limit_t, True), (0.7 * limit_t, False)):
        plant = SoftRobotPlant(STENT, tube(TIGHT_M))
        path = turn_field(plant, strength, 1.0, 3.0, axis=(0, 0, 1))
        assert (np.ptp(path[:, 2]) > STENT.helix_pitch_m) == moves


def test_soft_robot_sticks_and_slips_close_to_the_limit():
    """The lag builds up, breaks and stops, again and again; a faster field runs smoothly."""
    squeeze = STENT.radial_stiffness_n_m * (STENT.radius_m - TIGHT_M) * TIGHT_M
    strength = 1.3 * STENT.static_friction * squeeze / STENT.moment_a_m2
    slow, fast = (
        np.abs(np.diff(turn_field(SoftRobotPlant(STENT, tube(TIGHT_M)), strength, rate, 2.0,
                                  axis=(0, 0, 1))[:, 2])) > 1e-9
        for rate in (0.2, 2.0)
    )  # fmt: skip
    assert np.count_nonzero(slow[1:] & ~slow[:-1]) > 5
    assert slow.mean() < 0.5 < fast.mean()


def test_squeezed_robot_holds_against_flow_up_to_its_friction():
    drag = 8 * math.pi * 3.5e-3 * STENT.length_m
    held = STENT.static_friction * STENT.radial_stiffness_n_m * (STENT.radius_m - TIGHT_M)
    limit = held / drag
    for part, moves in ((0.8, False), (1.3, True)):
        plant = SoftRobotPlant(STENT, tube(TIGHT_M, part * limit, profile='plug'))
        plant.step(0.05)
        assert (plant.state.position_base_m[2] > 1e-5) == moves


@pytest.mark.parametrize('kind', [SpherePlant, SoftRobotPlant, DropletPlant])
def test_meshes_are_closed_and_weigh_what_the_body_weighs(kind):
    plant = kind(environment=tube(3e-3, 0.05))
    plant.set_source(EvenField((0, 0.01, 0.02)))
    plant.step(0.1)
    pose = make_pose(rotation('z', 0.5), (0.1, 0, 0.2))
    bodies = plant.bodies(pose)
    for body in bodies:
        edges = np.sort(body.mesh.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
        assert np.all(np.unique(edges, axis=0, return_counts=True)[1] == 2)
        drawn = body.mesh.volume_m3() * density_g_cm3(body.material) * 1e3
        assert drawn == pytest.approx(plant.density_kg_m3 * plant.volume_m3, rel=0.01)
    line = plant.centerline(pose)
    np.testing.assert_allclose(line[1], plant.tip_pose(pose)[:3, 3], atol=1e-12)
    front = plant.tip_pose(pose) @ [0, 0, plant.half_length_m(), 1]
    np.testing.assert_allclose(line[-1], front[:3], atol=1e-12)
    assert plant.landmarks(pose).shape[1] == 3
    assert len(plant.limits.names) == 0
    assert plant.command([]).size == 0
    with pytest.raises(ValueError, match='joints'):
        plant.command([0.1])


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda: SphereParameters(radius_m=0.5), r'2e-5\.\.0\.01 m, got 0\.5; 0\.5 mm is 0\.0005'),
        (lambda: SphereParameters(density_kg_m3=7.5), 'got 7.5; looks like g/cm.3, pass 7500'),
        (lambda: SoftRobotParameters(density_kg_m3=1e6), '100..25000, got 1e.06; give it in kg/m'),
        (
            lambda: DropletParameters(ferrofluid=Ferrofluid(density_kg_m3=1.05)),
            'got 1.05; looks like g/cm.3, pass 1050',
        ),
        (
            lambda: SphereParameters(static_friction=0.1, kinetic_friction=0.2),
            'got kinetic 0.2 and static 0.1; what slips',
        ),
    ],
)
def test_parameters_out_of_range_name_the_slip(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_same_inputs_give_the_same_motion():
    paths = []
    for _ in range(2):
        plant = DropletPlant(environment=tube(3e-3, 0.05))
        plant.set_source(EvenField((0, 0.01, 0.02), (0.1, 0, 0.2, 0, 0)))
        paths.append([plant.step(0.05).position_base_m for _ in range(10)])
    np.testing.assert_array_equal(*paths)
