"""The magnetic guidewire bends, buckles, feeds and presses as theory says."""

import math

import numpy as np
import pytest
from scipy.optimize import brentq

from synthex_ros.anatomy.vessels.lumen import TubeLumen
from synthex_ros.devices.magnetic.environment import Environment
from synthex_ros.devices.magnetic.even_field import EvenField
from synthex_ros.devices.magnetic.guidewire import GuidewirePlant
from synthex_ros.devices.magnetic.guidewire_parameters import GuidewireParameters
from synthex_ros.devices.magnetic.rod import MAX_ITERATIONS, Rod, RodTable, Surroundings
from synthex_ros.devices.magnetic.rod_chain import RodChain
from synthex_ros.devices.magnetic.rod_walls import learn_bends
from synthex_ros.devices.magnetic.swept_mesh import swept_tube
from synthex_ros.devices.magnetic.wall_contact import largest_force_n
from synthex_ros.geometry import CArm, make_pose, rotation, transform_points
from synthex_ros.xray.attenuation import density_g_cm3
from synthex_ros.xray.mesh_tracer import trace

EI, LENGTH = 1.5e-8, 0.02


def even_rod(elements=20, magnetization=0.0):
    """A rod of one stiffness, just inserted by its length."""
    count = elements + 1
    nodes = np.linspace(0, LENGTH * count / elements, count + 1)
    table = RodTable(
        nodes,
        np.full(count, EI),
        np.full(count, magnetization),
        np.full(count, 3e-4),
        np.zeros(count),
    )
    return Rod(table, Surroundings(), LENGTH)


def settle(rod, field_t=(0, 0, 0), gradient=None, room_at=None, steps=300):
    def field_at(points):
        matrix = np.zeros((3, 3)) if gradient is None else gradient
        return np.tile(np.array(field_t, float), (len(points), 1)), np.tile(
            matrix, (len(points), 1, 1)
        )

    for _ in range(steps):
        rod.step(0.01, field_at=field_at, room_at=room_at)
    return rod


def tip_angle_deg(rod):
    return math.degrees(math.atan2(rod.tangents[0, 0], rod.tangents[0, 2]))


@pytest.mark.parametrize(
    ('group', 'angle_deg'), [(0.71, 19.5), (2.84, 55.0), (7.1, 77.0), (14.2, 86.0)]
)
def test_magnetised_rod_bends_by_its_dimensionless_group(group, angle_deg):
    """EI th'' + M A B sin(phi - th) = 0 with phi = 90 degrees, group M A B L^2 / EI."""
    field = 0.02
    rod = settle(even_rod(magnetization=group * EI / (field * LENGTH**2)), (field, 0, 0))
    assert tip_angle_deg(rod) == pytest.approx(angle_deg, abs=0.5)


@pytest.mark.parametrize('field_t', [0.005, 0.02, 0.04])
def test_tip_magnet_bends_the_flexible_part_to_an_arc(field_t):
    """th = m B L / EI sin(phi - th): a magnet alone gives a constant curvature."""
    parameters = GuidewireParameters(parked_m=0.024)
    plant = GuidewirePlant(parameters, Environment(source=EvenField((field_t, 0, 0))))
    plant.step(3.0)
    group = (
        parameters.moment_a_m2
        * field_t
        * parameters.flexible_length_m
        / parameters.flexible_bending_n_m2
    )
    expected = brentq(lambda th: th - group * math.cos(th), 0, math.pi / 2)
    assert tip_angle_deg(plant.rod) == pytest.approx(math.degrees(expected), rel=0.02)


def test_rod_and_rigid_body_chain_agree():
    table = GuidewireParameters().table()
    rod = settle(Rod(table, Surroundings(), 0.03), (0.012, 0, 0.01))
    chain = RodChain(table, 0.03)
    chain.step(1.5, (0.012, 0, 0.01))
    assert np.abs(rod.nodes_m - chain.nodes_m).max() < 5e-5


def test_small_side_force_bends_like_a_cantilever():
    """A force F at the tip moves it by F L^3 / (3 EI)."""
    moment, slope = 1e-5, 0.02
    rod = even_rod(40)
    object.__setattr__(rod.table, 'magnetization_a_m', np.zeros(41))
    rod.table.magnetization_a_m[0] = moment / (LENGTH / 40)
    rod.reset(LENGTH)
    gradient = np.array([[0, 0, slope], [0, 0, 0], [slope, 0, 0]])
    settle(rod, gradient=gradient)
    force = moment * slope
    lever = LENGTH - LENGTH / 80
    deflection = force * lever**2 / (6 * EI) * (3 * LENGTH - lever)
    assert rod.nodes_m[0, 0] == pytest.approx(deflection, rel=0.01)
    np.testing.assert_allclose(rod.entry_force_n(), rod.load_n.sum(axis=0), atol=1e-3 * force)


@pytest.mark.parametrize(('part', 'stable'), [(0.9, True), (1.1, False)])
def test_straight_rod_in_an_opposite_field_gives_way_at_the_critical_field(part, stable):
    """The straight shape loses stability at M A B L^2 / EI = pi^2 / 4."""
    group, field = part * math.pi**2 / 4, 0.02
    rod = even_rod(magnetization=group * EI / (field * LENGTH**2))
    settle(rod, (2e-5, 0, -field), steps=1500)
    assert (abs(tip_angle_deg(rod)) < 3) == stable


@pytest.mark.parametrize(('part', 'straight'), [(0.95, True), (1.3, False)])
def test_wire_buckles_between_entry_and_a_block_at_eulers_load(part, straight):
    """A clamped-free column holds pi^2 EI / (4 L^2) along its axis, and no more."""
    critical = math.pi**2 * EI / (4 * LENGTH**2)
    moment, rod = 1e-3, even_rod(40)
    magnetization = np.zeros(41)
    magnetization[0] = moment / (LENGTH / 40)
    object.__setattr__(rod.table, 'magnetization_a_m', magnetization)
    rod.reset(LENGTH)
    push = part * critical / moment
    # A gradient along z alone; the field it needs across is left out, so no torque acts.
    gradient = np.diag([0.0, 0.0, -push])
    rod.nodes_m[:-1, 0] += 1e-5 * (1 - np.cos(rod.nodes_m[:-1, 2] / LENGTH * math.pi / 2))

    def field_at(points):
        return np.zeros((len(points), 3)), np.tile(gradient, (len(points), 1, 1))

    for _ in range(2500):
        rod.step(0.02, field_at=field_at)
    assert (abs(rod.nodes_m[0, 0]) < 5e-4) == straight


def test_work_of_the_field_is_not_less_than_the_energy_of_the_rod():
    """Without a field the bent rod returns to straight: elastic energy is used up by drag."""
    rod = settle(even_rod(magnetization=0.05), (0.02, 0, 0))
    assert tip_angle_deg(rod) > 45
    bends = []
    for _ in range(200):
        rod.step(0.005)
        unit = rod.tangents
        bends.append(float(np.sum((unit[:-1] - unit[1:]) ** 2)))
    assert np.all(np.diff(bends) <= 1e-12)
    assert abs(tip_angle_deg(rod)) < 0.5


def test_inserted_length_is_kept_while_elements_come_and_go():
    plant = GuidewirePlant()
    for target in (0.05, 0.013):
        plant.command([target, 0.0])
        for _ in range(40):
            plant.step(0.05)
            length = np.linalg.norm(np.diff(plant.rod.nodes_m, axis=0), axis=1).sum()
            expected = plant.parameters.parked_m + plant.state.joints[0]
            assert length == pytest.approx(expected, rel=1e-5)
    assert plant.state.joints[0] == pytest.approx(0.013)


@pytest.fixture(scope='module')
def in_a_bend():
    """A wire fed through a bend of 90 degrees, 40 mm of radius."""
    lumen = TubeLumen(0.004, np.array([0, 0, 0.03]), np.array([0, 0, 1.0]), 0.04, math.pi / 2,
                      np.array([1.0, 0, 0]))  # fmt: skip
    plant = GuidewirePlant(environment=Environment(lumen))
    plant.command([0.1, 0.0])
    forces = []
    for _ in range(350):
        forces.append(plant.step(0.01).wall_force_n)
    return plant, forces


def test_wire_follows_the_vessel_and_stays_inside(in_a_bend):
    plant, _ = in_a_bend
    room, _ = plant.environment.room(plant.rod.nodes_m)
    assert room.min() > 0
    assert plant.state.nodes_base_m[0, 0] > 0.05
    assert plant.rod.tangents[0, 0] > 0.9


def test_forces_on_the_wire_balance(in_a_bend):
    """Feeder, wall, friction and drag leave nothing over."""
    plant, _ = in_a_bend
    rod = plant.rod
    held = rod.contact_n + rod.friction_n + rod.drag_n
    assert np.linalg.norm(rod.contact_n.sum(axis=0)) > 1e-3
    np.testing.assert_allclose(rod.entry_force_n(), held.sum(axis=0), atol=2e-5)


def test_wall_force_is_of_the_order_of_the_bent_wire(in_a_bend):
    """Bending a wire to radius R takes the moment EI / R; the bend is about R long."""
    plant, forces = in_a_bend
    parameters = plant.parameters
    stiffness = math.pi / 64 * parameters.body_diameter_m**4 * parameters.core_youngs_pa
    scale = stiffness / 0.04**2
    assert 0.2 * scale < max(forces) < 5 * scale
    assert plant.wall_force_n > 0


def test_a_tip_that_snaps_from_wall_to_wall_presses_no_harder_than_the_field_can():
    """Steps settle, so that no force is left of a balance that was not found.

    The magnet's torque over the lever of the soft end is the most that its tip can press with.
    """
    lumen = TubeLumen(0.004, np.zeros(3), np.array([0, 0, 1.0]))
    plant = GuidewirePlant(environment=Environment(lumen))
    plant.reset([0.06, 0.0])
    forces, settled = [], []
    for k in range(200):
        angle = 0.06 * k
        field = [math.sin(angle), 0.3 * math.cos(3 * angle), math.cos(angle)]
        plant.set_source(EvenField(0.028 * np.array(field)))
        forces.append(plant.step(0.005).wall_force_n)
        settled.append(plant.rod.iterations < MAX_ITERATIONS)
    torque = np.linalg.norm(plant.magnetic_moment()) * 0.03
    assert np.mean(settled) > 0.98
    assert 0 < max(forces) < 4 * torque / 0.026


def test_the_bend_of_a_wall_is_learned_from_a_place_that_slides():
    """A tube of 4 mm bends by 250 / m across and not at all along; open space says nothing."""
    tube = TubeLumen(0.004, np.zeros(3), np.array([0, 0, 1.0]))
    before = np.array([[3.9e-3, 0, 0], [3.9e-3, 0, 0], [3.9e-3, 0, 0]])
    after = before + np.array([[0, 1e-4, 0], [0, 0, 1e-4], [0, 1e-8, 0]])
    inward_before, inward = (tube.signed_distance_m(points)[1] for points in (before, after))
    bends = np.array([0.0, 0.0, 77.0])
    learn_bends(after, inward, before.copy(), inward_before.copy(), bends)
    assert bends[0] == pytest.approx(1 / 3.9e-3, rel=0.01)
    assert bends[1:] == pytest.approx([0, 77.0])


def test_friction_opposes_the_motion(in_a_bend):
    plant, _ = in_a_bend
    plant.step(0.5)
    pushed = plant.rod.entry_force_n()[2]
    plant.command([0.08, 0.0])
    plant.step(0.2)
    assert pushed < 0
    assert plant.rod.entry_force_n()[2] > pushed
    load = np.linalg.norm(plant.rod.contact_n, axis=1)
    rub = np.linalg.norm(plant.rod.friction_n, axis=1)
    assert np.all(rub <= plant.parameters.friction * load * 1.01 + 1e-12)


@pytest.mark.parametrize('share', [0.0, 0.5])
def test_an_edge_presses_wherever_it_meets_the_rod(share):
    """A sharp edge, such as that between two branches, finds no gap between two nodes."""
    rod, radius, deep = even_rod(elements=10), 3e-4, 1e-4
    at = (1 - share) * rod.nodes_m[4] + share * rod.nodes_m[5] + [radius - deep, 0, 0]

    def edge(points):
        away = (points - at)[:, [0, 2]]
        room = np.linalg.norm(away, axis=1)
        inward = np.insert(away / room[:, None], 1, 0.0, axis=1)
        return room, inward

    settle(rod, room_at=edge, steps=30)
    pressed = rod.contact_n.sum(axis=0)
    assert pressed[0] < 0
    assert abs(pressed[2]) < 0.1 * abs(pressed[0])
    np.testing.assert_allclose(
        rod.entry_force_n(), (rod.contact_n + rod.friction_n + rod.drag_n).sum(axis=0), atol=1e-6
    )


def test_unloaded_precurve_has_its_angle_and_turns_with_the_roll():
    plant = GuidewirePlant(GuidewireParameters(precurve_rad=0.6))
    plant.step(0.5)
    tip = plant.tip_pose(np.eye(4))[:3, 2]
    assert math.atan2(tip[0], tip[2]) == pytest.approx(0.6, rel=0.03)
    assert abs(tip[1]) < 1e-6
    plant.command([0.0, math.pi / 2])
    plant.step(2.0)
    turned = plant.tip_pose(np.eye(4))[:3, 2]
    np.testing.assert_allclose(turned, [tip[1], tip[0], tip[2]], atol=5e-3)


def test_base_pose_turns_the_field_and_the_vessel():
    """The same scene, turned as a whole, gives the same shape in the device's base."""
    pose = make_pose(rotation('x', 0.7) @ rotation('z', 0.3), (0.1, -0.2, 0.05))
    shapes = []
    for world_from_base in (np.eye(4), pose):
        turn = world_from_base[:3, :3]
        lumen = TubeLumen(0.003, world_from_base[:3, 3], turn[:, 2])
        source = EvenField(turn @ [0.03, 0.01, 0.0])
        plant = GuidewirePlant(environment=Environment(lumen, None, world_from_base, source))
        plant.step(0.5)
        shapes.append(plant.state.nodes_base_m)
    np.testing.assert_allclose(*shapes, atol=1e-8)


def test_force_of_a_stretch_does_not_depend_on_its_division():
    arc = np.linspace(0, 0.05, 11)
    coarse = np.zeros((11, 3))
    coarse[4:6, 0] = 0.05
    fine_arc = np.linspace(0, 0.05, 41)
    fine = np.zeros((41, 3))
    fine[16:24, 0] = 0.0125
    assert largest_force_n(arc, coarse, 0.01) == pytest.approx(0.1)
    assert largest_force_n(fine_arc, fine, 0.01) == pytest.approx(0.1)


def test_meshes_are_closed_and_have_the_volumes_of_the_parts():
    plant = GuidewirePlant(environment=Environment(source=EvenField((0.03, 0, 0))))
    plant.step(1.0)
    p = plant.parameters
    volume = {'ndfeb': 0.0, 'platinum_iridium': 0.0}
    for body in plant.bodies(make_pose(translation_m=(0.1, 0.2, 0.3))):
        edges = np.sort(body.mesh.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
        assert np.all(np.unique(edges, axis=0, return_counts=True)[1] == 2)
        assert body.mesh.volume_m3() > 0
        assert body.label == 1
        assert density_g_cm3(body.material) > 0
        volume[body.material] = volume.get(body.material, 0) + body.mesh.volume_m3()
    magnet = math.pi / 4 * p.magnet_diameter_m**2 * p.magnet_length_m
    band = (
        math.pi / 4
        * (p.jacket_diameter_m**2 - p.flexible_core_diameter_m**2)
        * p.marker_length_m
    )  # fmt: skip
    assert volume['ndfeb'] == pytest.approx(magnet, rel=2e-3)
    assert volume['platinum_iridium'] == pytest.approx(band, rel=2e-3)


def test_landmarks_and_centre_line_lie_on_the_wire():
    plant = GuidewirePlant(environment=Environment(source=EvenField((0.03, 0, 0))))
    plant.step(1.0)
    pose = make_pose(rotation('y', 0.4), (0.1, 0.2, 0.3))
    line, marks = plant.centerline(pose), plant.landmarks(pose)
    np.testing.assert_allclose(line[0], pose[:3, 3], atol=1e-9)
    np.testing.assert_allclose(line[-1], marks[1], atol=1e-9)
    np.testing.assert_allclose(plant.tip_pose(pose)[:3, 3], marks[1], atol=1e-9)
    assert np.linalg.norm(line - marks[0], axis=1).min() < 1.1e-3


@pytest.mark.parametrize('tilt_rad', [0.0, 0.3, 1.0])
@pytest.mark.parametrize(('rays', 'tolerance'), [(4, 0.08), (8, 0.02)])
def test_wire_thinner_than_a_pixel_keeps_its_path_and_does_not_alias(tilt_rad, rays, tolerance):
    """Across a wire of 0.9 pixels the path adds up to its cross-section, all along it."""
    diameter, view = 0.36e-3, CArm().view()
    line = np.linspace(-0.03, 0.03, 31)[:, None] * np.array([1.0, 0.0, 0.0])
    points = transform_points(make_pose(rotation('y', tilt_rad)), line)
    mesh = swept_tube(points, diameter / 2)
    layer = trace(view.to_source(mesh.vertices_m), mesh.faces, view.geometry, rays)
    image = layer.full(view.geometry.shape_px)
    depth = view.to_source(points)[15, 2]
    pitch = view.geometry.pixel_pitch_m[0] / view.geometry.magnification(depth)
    across = np.abs(np.diff(view.project(points[[0, -1]]), axis=0))[0]
    slope = across.max() / np.linalg.norm(across)
    sums = image.sum(axis=0 if across[0] >= across[1] else 1)[216:296] * pitch * slope
    area = math.pi / 4 * diameter**2
    assert sums.mean() == pytest.approx(area, rel=tolerance)
    assert sums.std() < tolerance * area


def test_chord_through_a_wire_is_that_of_a_round_bar():
    """2 sqrt(r^2 - d^2) at a distance d from the axis, for all rays well inside."""
    radius, view = 5e-3, CArm().view()
    line = np.linspace(-0.05, 0.05, 11)[:, None] * np.array([1.0, 0.0, 0.0])
    mesh = swept_tube(line, radius)
    path = trace(view.to_source(mesh.vertices_m), mesh.faces, view.geometry).full((512, 512))
    pixels = np.stack([np.full(512, 255.0), np.arange(512.0)], axis=1)
    rays = view.rays_world(pixels)
    away = np.linalg.norm(np.cross(rays, [1.0, 0, 0]), axis=1)
    distance = np.abs(np.cross(rays, [1.0, 0, 0]) @ (line[5] - view.source_world_m)) / away
    chord = 2 * np.sqrt(np.maximum(radius**2 - distance**2, 0)) / away
    inside = distance < 0.8 * radius
    assert inside.sum() > 15
    np.testing.assert_allclose(path[inside, 255], chord[inside], rtol=0.03)
    assert path[:, 255].sum() == pytest.approx(chord.sum(), rel=5e-3)


def test_bad_values_are_named():
    with pytest.raises(ValueError, match='looks like millimetres'):
        GuidewireParameters(flexible_length_m=20)
    with pytest.raises(ValueError, match='length_m'):
        GuidewireParameters(length_m=0.3)
    with pytest.raises(ValueError, match='finite'):
        GuidewirePlant().command([np.nan, 0])
