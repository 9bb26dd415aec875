"""Which meshes are taken for devices, and what is said of the others."""

import numpy as np
import pytest
import trimesh

from synthex_ros.rendering.mesh_file import read_mesh
from synthex_ros.rendering.self_intersection import crossing_triangles

from .conftest import SMALL


def saved(mesh, path):
    mesh.export(path)
    return path


@pytest.mark.parametrize('ending', ['.stl', '.obj'])
def test_solid_keeps_its_volume(tmp_path, ending):
    cylinder = trimesh.creation.cylinder(radius=2.0, height=10.0, sections=32)
    mesh = read_mesh(saved(cylinder, tmp_path / f'rod{ending}'))
    assert mesh.volume_m3() == pytest.approx(cylinder.volume * 1e-9, rel=1e-5)
    assert np.ptp(mesh.vertices_m[:, 2]) == pytest.approx(0.010)


def test_inside_out_is_turned(tmp_path):
    box = trimesh.creation.box((5, 5, 5))
    box.invert()
    assert read_mesh(saved(box, tmp_path / 'box.stl')).volume_m3() == pytest.approx(125e-9)


def test_two_parts_side_by_side_are_fine(tmp_path):
    parts = [trimesh.creation.box((5, 5, 5)) for _ in range(2)]
    parts[1].apply_translation((6, 0, 0))
    both = trimesh.util.concatenate(parts)
    assert read_mesh(saved(both, tmp_path / 'two.stl')).volume_m3() == pytest.approx(250e-9)


def test_hole_is_named(tmp_path):
    box = trimesh.creation.box((5, 5, 5))
    box.update_faces(np.arange(len(box.faces)) != 3)
    with pytest.raises(ValueError, match=r'not watertight: 3 of 18 edges.*close its holes'):
        read_mesh(saved(box, tmp_path / 'open.stl'))


def test_crossing_parts_are_named(tmp_path):
    parts = [trimesh.creation.icosphere(subdivisions=2, radius=5.0) for _ in range(2)]
    parts[1].apply_translation((4, 0.3, 0.1))
    both = trimesh.util.concatenate(parts)
    with pytest.raises(ValueError, match=r'intersects itself: triangles \d+ and \d+ cross near'):
        read_mesh(saved(both, tmp_path / 'cross.stl'))


def test_only_real_crossings_count():
    sphere = trimesh.creation.icosphere(subdivisions=3, radius=5.0)
    assert crossing_triangles(sphere.vertices, sphere.faces.astype(np.int32)) is None
    torus = trimesh.creation.torus(5.0, 1.0)
    assert crossing_triangles(torus.vertices, torus.faces.astype(np.int32)) is None
    a = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], float)
    faces = np.arange(6, dtype=np.int32).reshape(2, 3)
    through = a @ np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]]) + (0.3, 0.2, -0.2)
    assert crossing_triangles(np.concatenate([a, through]), faces) == (0, 1)
    assert crossing_triangles(np.concatenate([a, through + (2, 0, 0)]), faces) is None


def test_wrong_unit_is_guessed(tmp_path):
    path = saved(trimesh.creation.box((0.02, 0.02, 0.02)), tmp_path / 'metres.stl')
    with pytest.raises(ValueError, match=r'got 2e-05 m; is its unit m\?'):
        read_mesh(path)
    assert read_mesh(path, 'm').volume_m3() == pytest.approx(8e-6, rel=1e-5)


@pytest.mark.parametrize('name', ['junk.stl', 'junk.obj', 'empty.stl'])
def test_no_mesh_at_all(tmp_path, name):
    (tmp_path / name).write_bytes(b'' if name.startswith('empty') else b'nothing\x00\x01 of use\n')
    with pytest.raises(ValueError, match=r'cannot be read as a mesh|holds no triangles'):
        read_mesh(tmp_path / name)


def test_flat_sheet_has_no_inside(tmp_path):
    vertices = np.array([[0, 0, 0], [5, 0, 0], [0, 5, 0]], float)
    sheet = trimesh.Trimesh(vertices, [[0, 1, 2], [0, 2, 1]], process=False)
    with pytest.raises(ValueError, match=r'not watertight|encloses no volume'):
        read_mesh(saved(sheet, tmp_path / 'sheet.stl'))


def test_ball_casts_the_shadow_of_its_thickness(studio, tmp_path):
    """Behind the middle of a steel ball, the primary is that of its diameter."""
    path = saved(trimesh.creation.icosphere(subdivisions=4, radius=5.0), tmp_path / 'ball.stl')
    request = {'binning': 3, 'detector_px': 384, 'tube_voltage_kv': 80.0}
    bare = studio.with_(**request)
    ball = bare.with_(device=str(path), device_material='water').frame()
    signals = [frame.stages().primary_counts[64, 64] for frame in (bare.frame(), ball)]
    assert ball.landmarks[0].name == 'device_middle'
    assert ball.landmarks[0].pixel_px == pytest.approx((63.5, 63.5), abs=1e-6)
    assert np.nanmin(ball.depth_m) == pytest.approx(0.695, abs=1e-4)
    width_px = np.flatnonzero(ball.mask[64]).size
    assert width_px * 582e-6 * 0.7 / 1.02 == pytest.approx(0.010, abs=5e-4)
    # Water in the place of blood and muscle: the device replaces tissue, it is not added to it.
    assert signals[1] == pytest.approx(signals[0], rel=0.02)
    steel = bare.with_(device=str(path), device_material='stainless_steel').frame()
    assert steel.stages().primary_counts[64, 64] < 0.05 * signals[0]
    assert SMALL['anatomy'] == ball.settings.anatomy
