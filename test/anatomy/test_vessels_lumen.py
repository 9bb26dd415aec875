"""Room to the wall: tubes by formula, grids in between, masks of thick slices."""

import numpy as np
import pytest

from synthex_ros.anatomy.vessels import SampledLumen, TubeLumen, wall_mesh
from synthex_ros.anatomy.vessels.distance import LumenGrid, smooth_field, to_distance
from synthex_ros.geometry import make_pose, rotation, transform_points

BEND = TubeLumen(0.003, [0.01, 0, 0], [0, 0, 1], 0.02, np.pi / 2, [1, 0, 0])


def numeric_gradient(lumen, points, step=1e-6):
    shifts = step * np.eye(3)
    return np.stack(
        [
            (lumen.signed_distance_m(points + s)[0] - lumen.signed_distance_m(points - s)[0])
            / (2 * step)
            for s in shifts
        ],
        axis=1,
    )


def grid_of(lumen, low, high, step):
    """Sample another lumen's distances on a grid."""
    axes = [np.arange(a, b, step) for a, b in zip(low, high, strict=True)]
    z, y, x = np.meshgrid(*axes[::-1], indexing='ij')
    distance, _ = lumen.signed_distance_m(np.stack([x.ravel(), y.ravel(), z.ravel()], axis=1))
    shape = x.shape
    return SampledLumen(distance.reshape(shape).astype(np.float32), low, step, np.eye(3))


def test_a_straight_tube_is_its_radius_less_the_distance_from_the_axis():
    tube = TubeLumen(0.004, [0, 0, 0], [0, 0, 2])
    distance, normal = tube.signed_distance_m([[0.001, 0, 5], [0, -0.006, -3], [0, 0, 1]])
    np.testing.assert_allclose(distance, [0.003, -0.002, 0.004], atol=1e-12)
    np.testing.assert_allclose(normal, [[-1, 0, 0], [0, 1, 0], [0, 0, 0]], atol=1e-12)


def test_a_bend_follows_its_axis_and_ends_at_right_angles():
    arc = np.linspace(-0.02, 0.06, 41)
    axis = BEND.axis_m(arc)
    steps = np.linalg.norm(np.diff(axis, axis=0), axis=1)
    np.testing.assert_allclose(steps, 0.002, rtol=1e-3)
    np.testing.assert_allclose(BEND.signed_distance_m(axis)[0], 0.003, atol=1e-12)
    np.testing.assert_allclose(axis[-1] - axis[-2], [0.002, 0, 0], atol=1e-12)


def test_the_normal_of_a_bend_is_the_gradient_of_its_distance():
    rng = np.random.default_rng(1)
    axis = BEND.axis_m(rng.uniform(-0.02, 0.05, 300))
    points = axis + rng.normal(0, 0.0015, (300, 3))
    distance, normal = BEND.signed_distance_m(points)
    clear = distance < 0.0029
    np.testing.assert_allclose(normal[clear], numeric_gradient(BEND, points[clear]), atol=1e-3)


@pytest.mark.parametrize('tube', [BEND, TubeLumen(0.004, [0, 0, 0.01], [0.2, 0.1, 1])])
def test_a_moved_tube_has_the_same_room_at_moved_points(tube):
    rng = np.random.default_rng(4)
    pose = make_pose(rotation('x', 0.4) @ rotation('z', -1.1), [0.02, -0.05, 0.11])
    points = rng.uniform(-0.02, 0.04, (200, 3))
    room, inward = tube.signed_distance_m(points)
    moved_room, moved_inward = tube.moved(pose).signed_distance_m(transform_points(pose, points))
    assert moved_room == pytest.approx(room, abs=1e-12)
    assert moved_inward == pytest.approx(inward @ pose[:3, :3].T, abs=1e-7)


def test_what_is_linear_is_kept_between_the_points_of_a_turned_grid():
    pose = make_pose(rotation('x', 0.4) @ rotation('z', -1.1), [0.1, -0.2, 0.3])
    slope, level = np.array([0.6, -0.64, 0.48]), 0.002
    z, y, x = np.meshgrid(np.arange(6), np.arange(7), np.arange(8), indexing='ij')
    step = np.array([0.001, 0.0012, 0.002])
    values = level + slope[0] * x * step[0] + slope[1] * y * step[1] + slope[2] * z * step[2]
    lumen = SampledLumen(values.astype(np.float32), [0, 0, 0], step, np.eye(3)).moved(pose)
    inside = np.random.default_rng(2).uniform(0, [0.006, 0.006, 0.009], (50, 3))
    distance, normal = lumen.signed_distance_m(transform_points(pose, inside))
    np.testing.assert_allclose(distance, level + inside @ slope, atol=1e-8)
    expected = pose[:3, :3] @ (slope / np.linalg.norm(slope))
    np.testing.assert_allclose(normal, np.tile(expected, (50, 1)), atol=1e-4)


def test_value_and_normal_have_no_kinks_between_cells():
    """Of noise: the normal is along the gradient of the value, on both sides of every face."""
    rng, step = np.random.default_rng(6), 5e-4
    noise = rng.normal(0, step, (9, 9, 9)).astype(np.float32)
    lumen = SampledLumen(noise, np.zeros(3), step, np.eye(3))
    faces = step * np.array([[k / 2, 3.2, 4.4] for k in range(1, 16)])
    shift = np.array([1e-9, 0, 0])
    value, normal = lumen.signed_distance_m(faces - shift)
    value_beyond, normal_beyond = lumen.signed_distance_m(faces + shift)
    assert value_beyond == pytest.approx(value, abs=1e-8)
    assert normal_beyond == pytest.approx(normal, abs=1e-4)
    gradient = numeric_gradient(lumen, faces, 1e-7)
    assert normal == pytest.approx(
        gradient / np.linalg.norm(gradient, axis=1, keepdims=True), abs=1e-4
    )


def test_outside_the_grid_the_way_back_is_taken_off_and_shown():
    lumen = SampledLumen(np.full((3, 3, 3), 0.001, np.float32), [0, 0, 0], 0.001, np.eye(3))
    distance, normal = lumen.signed_distance_m([0.001, 0.001, 0.007])
    np.testing.assert_allclose(distance, 0.001 - 0.005, atol=1e-9)
    np.testing.assert_allclose(normal, [[0, 0, -1]])


def test_a_grid_of_a_tube_keeps_its_distances_and_unit_gradients():
    lumen = grid_of(BEND, [0.0, -0.008, -0.01], [0.04, 0.008, 0.03], 5e-4)
    rng = np.random.default_rng(3)
    points = BEND.axis_m(rng.uniform(0, 0.03, 400)) + rng.normal(0, 0.0015, (400, 3))
    truth, normal = BEND.signed_distance_m(points)
    distance, sampled = lumen.signed_distance_m(points)
    off_axis = truth < 0.002
    assert np.abs(distance - truth)[off_axis].max() < 5e-5
    assert np.einsum('ni,ni->n', normal, sampled)[off_axis].min() > 0.97
    by_wall = truth < 0.001
    length = np.linalg.norm(numeric_gradient(lumen, points[by_wall]), axis=1)
    assert np.abs(length - 1).max() < 0.06


def test_the_wall_of_a_tube_is_closed_and_holds_its_volume():
    tube = TubeLumen(0.004, [0, 0, 0], [0.2, 0.1, 1])
    lumen = grid_of(tube, [-0.012, -0.01, -0.02], [0.012, 0.01, 0.02], 5e-4)
    wall = wall_mesh(lumen)
    edges = np.sort(wall.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    _, uses = np.unique(edges, axis=0, return_counts=True)
    assert (uses == 2).all()
    height = 0.0395  # of the grid
    slant = np.sqrt(1 + 0.2**2 + 0.1**2)
    assert wall.volume_m3() == pytest.approx(np.pi * 0.004**2 * height * slant, rel=0.02)
    assert lumen.volume_m3() == pytest.approx(np.pi * 0.004**2 * height * slant, rel=0.03)


def voxels_of(lumen, low, count, spacing):
    """Return which voxels have their middle inside, as a CT's segmentation would."""
    axes = [a + s * np.arange(n) for a, n, s in zip(low, count, spacing, strict=True)]
    z, y, x = np.meshgrid(*axes[::-1], indexing='ij')
    points = np.stack([x.ravel(), y.ravel(), z.ravel()], axis=1)
    return (lumen.signed_distance_m(points)[0] > 0).reshape(x.shape)


@pytest.mark.parametrize('direction', [(0, 0, 1), (0.5, 0.3, 1), (1, 0.2, 0.4)])
@pytest.mark.parametrize('radius', [0.004, 0.012])
def test_a_tube_comes_back_from_voxels_of_thick_slices(direction, radius):
    """Voxels of 0.7 x 0.7 x 2.5 mm: mean radius within 3 %, no step of a slice left."""
    tube = TubeLumen(radius, [0, 0, 0], direction)
    spacing, low = (0.7e-3, 0.7e-3, 2.5e-3), (-0.028, -0.028, -0.035)
    mask = voxels_of(tube, low, (81, 81, 29), spacing)
    grid = LumenGrid.around((-0.02,) * 3, (0.02,) * 3, 0.8e-3)
    box, field = smooth_field(mask, spacing, low, grid, 1.2e-3)
    assert field.shape == grid.shape
    lumen = SampledLumen(to_distance(field, 0.8e-3), grid.corner_m, 0.8e-3, np.eye(3))
    wall = wall_mesh(lumen).vertices_m
    away = -tube.signed_distance_m(wall)[0] + radius
    side = np.abs(wall).max(axis=1) < 0.016
    assert np.mean(away[side]) == pytest.approx(radius, rel=0.03)
    assert np.std(away[side]) < 0.45e-3
    axis = tube.axis_m(np.linspace(-0.01, 0.01, 21))
    assert np.mean(lumen.inscribed_radius_m(axis)) == pytest.approx(radius, rel=0.06)
    assert np.all(lumen.signed_distance_m(axis)[0] > radius - 0.8e-3)


def test_distances_to_a_sphere_are_those_of_the_formula():
    step, radius = 0.8e-3, 9e-3
    z, y, x = np.indices((36, 36, 36)) * step - 14e-3
    truth = radius - np.sqrt(x**2 + y**2 + z**2)
    bent = (np.tanh(truth / 4e-3) * 3e-3).astype(np.float32)  # the same surface, other values
    distance = to_distance(bent, step, outside_m=3e-3)
    close = (truth > -2.5e-3) & (truth < 8.5e-3)
    assert np.abs(distance - truth)[close].max() < 0.1e-3
    assert np.all(np.sign(distance[np.abs(truth) > 1e-4]) == np.sign(truth[np.abs(truth) > 1e-4]))


@pytest.mark.parametrize(
    ('make', 'match'),
    [
        (lambda: TubeLumen(3.0, [0, 0, 0], [0, 0, 1]), '3 mm is 0.003'),
        (lambda: TubeLumen(0.003, [0, 0, 0], [0, 0, 1], 0.002, 1.0, [1, 0, 0]), 'above radius_m'),
        (lambda: TubeLumen(0.003, [0, 0, 0], [0, 0, 1], 0.02, 1.0), 'needs towards'),
        (lambda: SampledLumen(np.zeros((3, 3)), [0, 0, 0], 1e-3, np.eye(3)), 'nz, ny, nx'),
        (lambda: SampledLumen(np.zeros((3, 3, 3)), [0, 0, 0], 0.8, np.eye(3)), '0.8 mm'),
        (lambda: SampledLumen(np.zeros((3, 3, 3)), [0, 0, 0], 1e-3, 2 * np.eye(3)), 'orthonormal'),
        (lambda: to_distance(np.ones((4, 4, 4), np.float32), 1e-3), 'positive in a part'),
    ],
)
def test_errors_say_what_is_allowed(make, match):
    with pytest.raises(ValueError, match=match):
        make()


def test_a_wall_beyond_the_widest_place_is_refused():
    lumen = grid_of(TubeLumen(0.002, [0, 0, 0], [0, 0, 1]), [-0.004] * 3, [0.004] * 3, 5e-4)
    with pytest.raises(ValueError, match='offset_m must be below'):
        wall_mesh(lumen, 0.003)
