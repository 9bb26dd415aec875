import numpy as np
import pytest
import trimesh

from synthex_ros.devices.continuum.kinematics import ContinuumKinematics
from synthex_ros.devices.continuum.mesh import (
    SECTORS,
    bent_tube,
    bridge_sectors,
    continuum_bodies,
    shaft_mesh,
    shorter_tubes,
    tube_template,
)
from synthex_ros.geometry import make_pose, rotation

KINEMATICS = ContinuumKinematics()
PARAMETERS = KINEMATICS.parameters
WALL_AREA_M2 = np.pi / 4 * (PARAMETERS.outer_diameter_m**2 - PARAMETERS.inner_diameter_m**2)
LARGEST_RAD = PARAMETERS.bend_max_rad / PARAMETERS.notch_count
BENDS = [
    np.zeros(5),
    np.full(5, LARGEST_RAD),
    np.full(5, -LARGEST_RAD),
    np.array([0.1, 0.05, 0.0, -0.05, -0.1]),
]


def tube(control):
    return bent_tube(KINEMATICS, KINEMATICS.notch_angles(control))


def winding_numbers(points, mesh):
    """Return how often the surface wraps each point (Van Oosterom and Strackee, 1983)."""
    corners = mesh.vertices_m[mesh.faces] * 1e3
    counts = []
    for point in points * 1e3:
        a, b, c = np.moveaxis(corners - point, 1, 0)
        la, lb, lc = (np.linalg.norm(v, axis=1) for v in (a, b, c))
        top = np.einsum('ij,ij->i', a, np.cross(b, c))
        bottom = (
            la * lb * lc + np.sum(a * b, 1) * lc + np.sum(b * c, 1) * la + np.sum(c * a, 1) * lb
        )
        counts.append(2 * np.arctan2(top, bottom).sum() / (4 * np.pi))
    return np.array(counts)


@pytest.mark.parametrize('control', BENDS)
def test_tube_is_one_closed_outward_surface(control):
    mesh = tube(control)
    solid = trimesh.Trimesh(mesh.vertices_m, mesh.faces, process=False)
    assert solid.is_watertight
    assert solid.is_winding_consistent
    assert solid.body_count == 1
    assert mesh.volume_m3() > 0
    assert len(mesh.faces) < 16_000


def test_volume_is_the_wall_less_the_notches():
    cut = PARAMETERS.notch_width_m * (1 - bridge_sectors(PARAMETERS) / SECTORS)
    wall_m = PARAMETERS.length_m - PARAMETERS.notch_count * cut
    assert tube(np.zeros(5)).volume_m3() == pytest.approx(WALL_AREA_M2 * wall_m, rel=1e-9)
    shaft = shaft_mesh(PARAMETERS)
    assert shaft.volume_m3() == pytest.approx(WALL_AREA_M2 * PARAMETERS.shaft_length_m, rel=1e-9)


@pytest.mark.parametrize('control', BENDS[1:])
def test_bending_keeps_the_volume(control):
    assert tube(control).volume_m3() == pytest.approx(tube(np.zeros(5)).volume_m3(), rel=0.01)


@pytest.mark.parametrize('control', BENDS)
def test_no_point_is_inside_twice(control):
    mesh, shaft = tube(control), shaft_mesh(PARAMETERS)
    rng = np.random.default_rng(3)
    triangles = mesh.vertices_m[rng.permutation(mesh.faces)[:150]]
    points = triangles.mean(axis=1) + rng.normal(0, 2e-4, (150, 3))
    counts = winding_numbers(points, mesh)
    rounded = np.round(counts)
    np.testing.assert_allclose(counts, rounded, atol=1e-6)
    assert set(rounded) == {0.0, 1.0}
    assert np.max(rounded + np.round(winding_numbers(points, shaft))) == 1.0


def test_notches_are_cut_alternately_from_both_sides():
    mesh = tube(np.zeros(5))
    wall = (PARAMETERS.outer_diameter_m + PARAMETERS.inner_diameter_m) / 4
    z = (np.arange(PARAMETERS.notch_count) + 0.5) * PARAMETERS.notch_pitch_m
    nudge_y = 1e-5
    sides = {
        sign: np.round(
            winding_numbers(
                np.column_stack([np.full_like(z, sign * wall), np.full_like(z, nudge_y), z]), mesh
            )
        )
        for sign in (1, -1)
    }
    np.testing.assert_array_equal(sides[1], np.arange(len(z)) % 2)
    np.testing.assert_array_equal(sides[-1], 1 - np.arange(len(z)) % 2)


def test_corners_move_rigidly_with_their_pieces():
    angles = KINEMATICS.notch_angles(BENDS[3])
    template, poses = tube_template(PARAMETERS), KINEMATICS.segment_poses(angles)
    vertices = bent_tube(KINEMATICS, angles).vertices_m
    for piece in (0, 5, 27):
        own = template.piece == piece
        expected = template.local_m[own] @ poses[piece, :3, :3].T + poses[piece, :3, 3]
        np.testing.assert_allclose(vertices[own], expected, atol=1e-15)


def test_bodies_carry_pose_label_and_material():
    world_from_base = make_pose(rotation('x', 0.7), [0.1, -0.2, 0.3])
    tube_body, shaft_body = continuum_bodies(
        KINEMATICS, np.full(27, 0.03), 0.02, 0.5, world_from_base, label=3
    )
    assert (tube_body.label, shaft_body.label) == (3, 0)
    assert tube_body.material == shaft_body.material == 'nitinol'
    base, tip = KINEMATICS.landmarks(np.full(27, 0.03), 0.02, 0.5) @ world_from_base[:3, :3].T
    ring = 2 * SECTORS
    corners = tube_body.vertices_world_m() - world_from_base[:3, 3]
    np.testing.assert_allclose(corners[:ring].mean(axis=0), base, atol=1e-12)
    np.testing.assert_allclose(corners[-ring:].mean(axis=0), tip, atol=1e-12)
    shaft_corners = shaft_body.vertices_world_m() - world_from_base[:3, 3]
    np.testing.assert_allclose(shaft_corners[-ring:].mean(axis=0), base, atol=1e-12)


@pytest.mark.parametrize('angles', [np.full(27, 0.25), np.full(27, np.nan), np.zeros(5)])
def test_angles_that_close_a_notch_are_refused(angles):
    with pytest.raises(ValueError, match='notch_angles'):
        bent_tube(KINEMATICS, angles)


@pytest.mark.parametrize('control', BENDS)
def test_shorter_tubes_fill_the_first_notch_and_leave_out_the_last_piece(control):
    angles = KINEMATICS.notch_angles(control)
    whole = bent_tube(KINEMATICS, angles)
    filled, ended = shorter_tubes(KINEMATICS, angles)
    for mesh in (filled, ended):
        solid = trimesh.Trimesh(mesh.vertices_m, mesh.faces, process=False)
        assert solid.is_watertight
        assert solid.is_winding_consistent
    # Bent, a notch is wider or narrower where its wall is missing: by a quarter at most here.
    close = 1e-6 if not angles.any() else 0.25
    notch = PARAMETERS.notch_width_m * (1 - bridge_sectors(PARAMETERS) / SECTORS) * WALL_AREA_M2
    assert filled.volume_m3() - whole.volume_m3() == pytest.approx(notch, rel=close)
    last = (PARAMETERS.notch_pitch_m / 2 - PARAMETERS.notch_width_m / 2) * WALL_AREA_M2
    bridge = PARAMETERS.notch_width_m * WALL_AREA_M2 - notch
    assert whole.volume_m3() - ended.volume_m3() == pytest.approx(last + bridge, rel=close)
    np.testing.assert_array_equal(filled.vertices_m, whole.vertices_m)


def test_a_filled_notch_is_the_one_at_the_base():
    filled, _ = shorter_tubes(KINEMATICS, np.zeros(27))
    middle_m = (PARAMETERS.inner_diameter_m + PARAMETERS.outer_diameter_m) / 4
    notches_m = (np.arange(3) + 0.5) * PARAMETERS.notch_pitch_m
    sides = np.array([1, -1, 1])
    points = np.column_stack([sides * middle_m, np.zeros(3), notches_m])
    np.testing.assert_allclose(winding_numbers(points, filled), [1, 0, 0], atol=0.01)
    np.testing.assert_allclose(winding_numbers(points, tube(np.zeros(5))), [0, 0, 0], atol=0.01)


@pytest.mark.parametrize(('uncut', 'missing'), [(-1, 0), (0, -1), (27, 0), (14, 13)])
def test_tubes_keep_a_notch(uncut, missing):
    with pytest.raises(ValueError, match='leave one of 27 notches'):
        bent_tube(KINEMATICS, np.zeros(27), uncut, missing)
