import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from synthex_ros.geometry import CArm, ProjectionGeometry, pose_from_parameters, transform_points
from synthex_ros.xray.mesh_tracer import trace

GEOMETRY = CArm().geometry()
SHAPE = GEOMETRY.shape_px
COLUMNS, ROWS = np.meshgrid(np.arange(SHAPE[1]), np.arange(SHAPE[0]))
RAYS = GEOMETRY.back_project(np.stack([COLUMNS, ROWS], -1))
PIXEL_SOLID_ANGLE = (
    np.prod(GEOMETRY.pixel_pitch_m) * RAYS[..., 2] ** 3 / GEOMETRY.source_to_detector_m**2
)


def place(mesh, position_m, rpy_rad=(0, 0, 0)):
    pose = pose_from_parameters(position_m, rpy_rad)
    return transform_points(pose, mesh.vertices), np.asarray(mesh.faces, np.int32)


def path_of(mesh, position_m, rpy_rad=(0, 0, 0), **kwargs):
    return trace(*place(mesh, position_m, rpy_rad), GEOMETRY, **kwargs)


def sphere_chord(centre_m, radius_m):
    along = RAYS @ centre_m
    return 2 * np.sqrt(np.maximum(along**2 - np.sum(centre_m**2) + radius_m**2, 0))


def cylinder_chord(centre_m, axis, radius_m, length_m):
    """Path through a solid cylinder: between two planes and inside the tube (quadratic in t)."""
    along, start = RAYS @ axis, -centre_m @ axis
    cross = RAYS - along[..., None] * axis
    offset = -centre_m - start * axis
    a, b = np.sum(cross**2, -1), cross @ offset
    root = b**2 - a * (offset @ offset - radius_m**2)
    half = np.sqrt(np.maximum(root, 0))
    ends = np.sort([(-length_m / 2 - start) / along, (length_m / 2 - start) / along], axis=0)
    entry, leave = np.maximum((-b - half) / a, ends[0]), np.minimum((-b + half) / a, ends[1])
    return np.where(root > 0, np.maximum(leave - entry, 0), 0)


def rmse(image, truth):
    return np.sqrt(np.mean((image - truth) ** 2) / np.mean(truth**2))


def test_sphere_converges_to_the_analytic_chord():
    centre, radius = np.array([0.012, -0.007, 0.7]), 0.015
    truth = sphere_chord(centre, radius)
    errors = [
        rmse(path_of(trimesh.creation.icosphere(n, radius), centre).full(SHAPE), truth)
        for n in (2, 3, 4, 5)
    ]
    assert errors[-1] < 0.001
    # Faces four times as many, sides half as long: the error falls about fourfold.
    assert all(fine < coarse / 3 for coarse, fine in zip(errors, errors[1:], strict=False))


def test_sphere_entry_and_exit_are_distances_along_the_ray():
    centre, radius = np.array([0.05, 0.06, 0.7]), 0.02
    layer = path_of(trimesh.creation.icosphere(5, radius), centre)
    hit = layer.path_m > 0.01
    rays = RAYS[layer.slices][hit]
    np.testing.assert_allclose(
        np.linalg.norm(layer.entry_m[hit][:, None] * rays - centre, axis=-1), radius, atol=2e-5
    )
    np.testing.assert_allclose(layer.exit_m[hit] - layer.entry_m[hit], layer.path_m[hit])


def test_solid_cylinder_and_tube_have_analytic_chords():
    centre, rpy = np.array([-0.01, 0.02, 0.68]), (0.4, 1.1, -0.3)
    axis = pose_from_parameters([0, 0, 0], rpy)[:3, 2]
    outer = cylinder_chord(centre, axis, 3e-3, 0.035)
    solid = trimesh.creation.cylinder(3e-3, 0.035, sections=512)
    assert rmse(path_of(solid, centre, rpy).full(SHAPE), outer) < 0.001
    tube = trimesh.creation.annulus(2e-3, 3e-3, 0.035, sections=512)
    wall = outer - cylinder_chord(centre, axis, 2e-3, 0.035)
    assert rmse(path_of(tube, centre, rpy).full(SHAPE), wall) < 0.002


def test_box_facing_the_source_has_exact_chords():
    layer = path_of(trimesh.creation.box((0.04, 0.02, 0.01)), [0, 0, 0.7])
    centre = layer.full(SHAPE)[236:276, 236:276]
    expected = 0.01 / RAYS[236:276, 236:276, 2]
    np.testing.assert_allclose(centre, expected, rtol=1e-12)


def test_vertices_and_edges_on_pixel_centres_count_once():
    """Every vertex of this box, and so whole edges, fall exactly on pixel centres."""
    # Powers of two all the way: slope 1/16 a pixel, corners 2 and 1 pixels from the centre.
    geometry = ProjectionGeometry(0.25, (2**-6, 2**-6), (3.0, 3.0), (7, 7))
    half, near, far = 2**-6, 2**-3, 2**-2
    box = trimesh.creation.box(bounds=[[-half, -half, near], [half, half, far]])
    assert set(np.abs(geometry.project(box.vertices) - 3.0).ravel()) == {1.0, 2.0}
    path = trace(box.vertices, np.asarray(box.faces, np.int32), geometry).full((7, 7))
    u, v = np.meshgrid(np.arange(7) - 3.0, np.arange(7) - 3.0)
    widest = np.maximum(np.maximum(np.abs(u), np.abs(v)) / 16, 1e-9)
    depth = np.maximum(np.minimum(far, half / widest) - near, 0)
    np.testing.assert_allclose(
        path, depth * np.sqrt(1 + (u / 16) ** 2 + (v / 16) ** 2), atol=1e-12
    )


angle = st.floats(-np.pi, np.pi)
offset = st.floats(-0.05, 0.05)


@settings(max_examples=60, deadline=None)
@given(rpy=st.tuples(angle, angle, angle), xy=st.tuples(offset, offset))
def test_path_over_all_rays_gives_the_volume(rpy, xy):
    """Volume is the integral of r^2 dr dOmega; a streak or a hole would break it."""
    size = (0.03, 0.02, 0.04)
    layer = path_of(trimesh.creation.box(size), [*xy, 0.7], rpy)
    hit = layer.path_m > 0
    shells = (layer.exit_m[hit] ** 3 - layer.entry_m[hit] ** 3) / 3
    volume = np.sum(shells * PIXEL_SOLID_ANGLE[layer.slices][hit])
    # A side parallel to the rows may gain or lose a row of pixels out of about 40.
    assert volume == pytest.approx(np.prod(size), rel=0.04)
    # Convex: the path is the distance from first entry to last exit.
    np.testing.assert_allclose(layer.path_m[hit], layer.exit_m[hit] - layer.entry_m[hit])
    assert layer.path_m.max() <= np.linalg.norm(size) + 1e-12


def test_turned_boxes_have_their_volume_within_a_thousandth():
    size = (0.03, 0.02, 0.04)
    for rpy in np.random.default_rng(0).uniform(-np.pi, np.pi, (20, 3)):
        layer = path_of(trimesh.creation.box(size), [0.013, -0.021, 0.7], rpy)
        hit = layer.path_m > 0
        shells = (layer.exit_m[hit] ** 3 - layer.entry_m[hit] ** 3) / 3
        volume = np.sum(shells * PIXEL_SOLID_ANGLE[layer.slices][hit])
        assert volume == pytest.approx(np.prod(size), rel=1e-3)


@settings(max_examples=25, deadline=None)
@given(rpy=st.tuples(angle, angle, angle))
def test_no_streaks_outside_and_no_holes_inside(rpy):
    """Of a convex body every row of the image is covered in one run of pixels."""
    layer = path_of(trimesh.creation.icosphere(3, 0.02), [0.01, 0.02, 0.7], rpy)
    for row in layer.path_m > 1e-9:
        assert np.count_nonzero(np.diff(row.astype(int), prepend=0, append=0)) in (0, 2)


def test_nested_surfaces_leave_a_cavity():
    outer, inside = trimesh.creation.icosphere(4, 0.02), trimesh.creation.icosphere(4, 0.01)
    inside.invert()
    shell = trimesh.util.concatenate([outer, inside])
    path = path_of(shell, [0, 0, 0.7]).path_m
    solid, hole = (path_of(m, [0, 0, 0.7]) for m in (outer, trimesh.creation.icosphere(4, 0.01)))
    np.testing.assert_allclose(path, solid.path_m - hole.full(SHAPE)[solid.slices], atol=1e-12)


def test_supersampling_averages_finer_rays():
    mesh = trimesh.creation.cylinder(1e-3, 0.03)
    position, rpy = [0.004, 0.01, 0.7], (1.2, 0.3, 0.2)
    fine = trace(*place(mesh, position, rpy), GEOMETRY.resized((1024, 1024))).full((1024, 1024))
    averaged = fine.reshape(512, 2, 512, 2).mean((1, 3))
    layer = path_of(mesh, position, rpy, supersampling=2)
    np.testing.assert_allclose(layer.full(SHAPE), averaged, atol=1e-12)


def test_body_beside_the_detector_gives_an_empty_layer():
    layer = path_of(trimesh.creation.box((0.01, 0.01, 0.01)), [0.5, 0, 0.7])
    assert layer.path_m.size == 0
    assert not layer.full(SHAPE).any()


def test_body_across_the_detector_edge_is_cut_not_moved():
    mesh, position = trimesh.creation.icosphere(4, 0.02), [0.1, 0.1, 0.7]
    wide = ProjectionGeometry(
        GEOMETRY.source_to_detector_m,
        GEOMETRY.pixel_pitch_m,
        tuple(p + 100 for p in GEOMETRY.piercing_px),
        (712, 712),
    )
    inside = trace(*place(mesh, position), wide).full((712, 712))[100:612, 100:612]
    assert inside.any()
    np.testing.assert_allclose(path_of(mesh, position).full(SHAPE), inside, atol=1e-12)


def test_body_at_the_focal_spot_is_refused():
    with pytest.raises(ValueError, match='behind the focal spot'):
        path_of(trimesh.creation.box((0.1, 0.1, 0.1)), [0, 0, 0.02])


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match=r'faces \(F, 3\)'):
        trace(np.zeros((4, 3)), np.zeros((2, 4), np.int32), GEOMETRY)
    with pytest.raises(ValueError, match='supersampling'):
        path_of(trimesh.creation.box(), [0, 0, 2], supersampling=0)
