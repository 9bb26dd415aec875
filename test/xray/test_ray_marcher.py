import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from synthex_ros.anatomy.materials import MaterialModel
from synthex_ros.geometry import (
    CArm,
    invert_pose,
    make_pose,
    pose_from_parameters,
    rotation,
    transform_points,
)
from synthex_ros.xray.ray_marcher import RayMarcher

from .boxes import blobs_volume, box_volume, centred, linear_table, stored_otherwise, view

REST = np.eye(4)


def march(volume, table, seen, pose, step_m):
    return RayMarcher(step_m).area_density_g_cm2(volume, table, seen, pose)


def relative_rmse(image, truth):
    return np.sqrt(np.mean((image - truth) ** 2) / np.mean(np.asarray(truth, float) ** 2))


def independent(volume, table, seen, world_from_patient, step_m):
    """Sum scipy's trilinear samples of every ray, in world coordinates, plane by plane."""
    rows, columns = seen.geometry.shape_px
    u, v = np.meshgrid(np.arange(columns), np.arange(rows))
    rays = seen.rays_world(np.stack([u, v], -1))
    grid_from_world = invert_pose(world_from_patient @ volume.patient_from_grid)
    out = np.zeros((len(table.names), rows, columns))
    for distance in np.arange(0.4 + step_m / 2, 1.0, step_m):
        points = transform_points(grid_from_world, seen.source_world_m + distance * rays)
        index = (points / volume.spacing_m)[..., ::-1]
        top = np.array(volume.hu.shape) - 1
        inside = np.all((index >= 0) & (index <= top), axis=-1)
        hu = map_coordinates(
            volume.hu.astype(float), np.moveaxis(index, -1, 0), order=1, mode='nearest'
        )
        out += np.where(inside, np.moveaxis(table.at(hu), -1, 0), 0) * step_m * 100
    return out


def box_chord_m(seen, half_m, patient_from_world):
    """Analytic path of every ray through an axis-aligned box about the patient origin."""
    rows, columns = seen.geometry.shape_px
    u, v = np.meshgrid(np.arange(columns), np.arange(rows))
    rays = seen.rays_world(np.stack([u, v], -1)) @ patient_from_world[:3, :3].T
    source = transform_points(patient_from_world, seen.source_world_m)
    near, far = (-half_m - source) / rays, (half_m - source) / rays
    entry, leave = np.minimum(near, far).max(-1), np.maximum(near, far).min(-1)
    return np.maximum(leave - entry, 0)


@pytest.mark.parametrize('angles', [(0, 0), (0.5, 0), (1.05, 0.35)])
def test_constant_box_has_analytic_chords(angles):
    volume, pose = box_volume(hu=200), pose_from_parameters([0.01, -0.02, 0.005], [0.2, -0.1, 0.3])
    seen = view(*angles)
    half = (np.array(volume.hu.shape[::-1]) - 1) / 2 * volume.spacing_m
    expected = 1.2 * 100 * box_chord_m(seen, half, invert_pose(pose))
    image = march(volume, linear_table(), seen, pose, 1e-3)[0]
    assert image.dtype == np.float32
    # The grid is marched a thousandth of a voxel short of its faces.
    np.testing.assert_allclose(image, expected, atol=5e-3)


def test_sphere_has_analytic_chords():
    radius, spacing = 0.04, np.full(3, 1.5e-3)
    axis = (np.arange(71) - 35) * 1.5e-3
    distance = np.sqrt(sum(a**2 for a in np.meshgrid(axis, axis, axis, indexing='ij')))
    # Density falls linearly over one voxel, so that the trilinear sphere has the right radius.
    hu = np.clip((radius - distance) / 1.5e-3 + 0.5, 0, 1) * 1000 - 1000
    seen = view(0.3, 0.2, 96)
    image = march(centred(hu.astype(np.int16), spacing), linear_table(), seen, REST, 5e-4)[0]
    u, v = np.meshgrid(np.arange(96), np.arange(96))
    along = seen.rays_world(np.stack([u, v], -1)) @ -seen.source_world_m
    square = radius**2 - np.sum(seen.source_world_m**2) + along**2
    expected = 200 * np.sqrt(np.maximum(square, 0))
    inner = expected > 0.5 * expected.max()
    assert np.count_nonzero(inner) > 500
    assert relative_rmse(image[inner], expected[inner]) < 0.003
    assert relative_rmse(image, expected) < 0.02  # the voxels round the rim off


@pytest.mark.parametrize('angles', [(0, 0), (0.52, 0), (1.05, 0.35), (-2.0, 0.6)])
def test_agrees_with_an_independent_projector(angles):
    volume, table, seen = blobs_volume(), MaterialModel().table(), view(*angles, pixels=40)
    pose = pose_from_parameters([0.02, 0.01, -0.03], [0.1, 0.3, -0.2])
    truth = independent(volume, table, seen, pose, 2e-4)
    image = march(volume, table, seen, pose, 5e-4)
    assert image.shape == (4, 40, 40)
    assert relative_rmse(image.sum(0), truth.sum(0)) < 1e-3
    for material in range(4):
        assert relative_rmse(image[material], truth[material]) < 0.01


def test_flipped_conventions_would_be_seen():
    seen, table = view(1.05, 0.35, 40), linear_table()
    image = march(blobs_volume(), table, seen, REST, 1e-3)[0]
    assert relative_rmse(image[::-1], image) > 0.1
    assert relative_rmse(image[:, ::-1], image) > 0.1


def test_coarse_step_stays_within_a_tenth_of_a_percent():
    volume, table, seen = blobs_volume(), linear_table(), view(0.5, 0.1)
    fine = march(volume, table, seen, REST, 1e-4)
    assert relative_rmse(march(volume, table, seen, REST, 1e-3), fine) < 1e-3


def test_moving_patient_and_arm_together_changes_nothing():
    volume, table, seen = blobs_volume(), linear_table(), view(0.4, 0.2)
    shift = pose_from_parameters([0.3, -1.2, 0.7], [0.7, 0.2, -1.1])
    moved = CArm(world_from_carm_isocenter=shift).view(0.4, 0.2).resized((64, 64))
    np.testing.assert_allclose(
        march(volume, table, moved, shift, 1e-3),
        march(volume, table, seen, REST, 1e-3),
        atol=2e-3,
    )


def test_grid_pose_and_axis_order_do_not_matter():
    """The same anatomy stored with x and y swapped and its own grid pose gives the same image."""
    volume, table, seen = blobs_volume(), linear_table(), view(0.4, 0.2)
    stored = stored_otherwise(volume)
    np.testing.assert_allclose(
        march(stored, table, seen, REST, 1e-3),
        march(volume, table, seen, REST, 1e-3),
        atol=2e-3,
    )


def test_mirror_symmetric_anatomy_has_a_mirror_symmetric_image():
    volume = blobs_volume()
    hu = np.maximum(volume.hu, volume.hu[:, :, ::-1])
    image = march(centred(hu, volume.spacing_m), linear_table(), view(), REST, 1e-3)[0]
    np.testing.assert_allclose(image, image[:, ::-1], atol=1e-3)


def test_head_is_up_and_patient_right_is_right():
    """A dense spot at the patient's right and head appears at small rows and large columns."""
    hu = np.full((40, 40, 40), -1000, np.int16)
    hu[34:37, 18:21, 3:6] = 1000  # superior, and -x which is the patient's right
    image = march(centred(hu, (4e-3,) * 3), linear_table(), view(), REST, 1e-3)[0]
    row, column = np.unravel_index(np.argmax(image), image.shape)
    assert row < 20
    assert column > 44


def test_more_than_four_materials_are_kept_apart():
    names = tuple('abcdef')
    densities = np.outer(np.ones(4096), np.arange(1, 7)).astype(np.float32)
    table = type(linear_table())(names, -1024, densities)
    image = march(box_volume(), table, view(pixels=16), REST, 1e-3)
    for material in range(6):
        np.testing.assert_allclose(image[material], (material + 1) * image[0], rtol=1e-5)


def test_hu_beyond_the_table_take_its_ends():
    table = linear_table(hu_max=100)
    dense = march(box_volume(hu=3000), table, view(pixels=16), REST, 1e-3)
    last = march(box_volume(hu=100), table, view(pixels=16), REST, 1e-3)
    np.testing.assert_allclose(dense, last, rtol=1e-5)


def test_source_inside_the_volume_counts_the_way_ahead_only():
    volume = box_volume(shape=(400, 400, 400), spacing_m=(4e-3,) * 3)
    image = march(volume, linear_table(), view(pixels=17), REST, 1e-3)[0]
    half = 399 / 2 * 4e-3
    distance = min(1.02, 0.7 + half)
    assert image[8, 8] == pytest.approx(100 * distance, rel=1e-3)


def test_parallel_axis_rays_miss_or_hit():
    beside = make_pose(rotation('z', 0.0), [1.0, 0, 0])
    image = march(box_volume(), linear_table(), view(pixels=17), beside, 1e-3)
    assert not image.any()


def test_step_in_millimetres_is_refused():
    with pytest.raises(ValueError, match='1 mm is 0.001'):
        march(box_volume(), linear_table(), view(), REST, 1.0)
