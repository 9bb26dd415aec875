"""The factorised projector against the marcher, analytic bodies and itself from elsewhere."""

import numba
import numpy as np
import pytest

from synthex_ros.anatomy.materials import MaterialModel, MaterialTable
from synthex_ros.anatomy.volume import Volume
from synthex_ros.geometry import (
    ProjectionGeometry,
    View,
    make_pose,
    pose_from_parameters,
    transform_points,
)
from synthex_ros.xray.ray_marcher import RayMarcher
from synthex_ros.xray.shear_warp import ShearWarpProjector

from .boxes import blobs_volume, box_volume, centred, linear_table, stored_otherwise, view

REST = np.eye(4)
TURNED = pose_from_parameters([0.02, 0.01, -0.03], [0.1, 0.3, -0.2])
DETAIL_PX = 128


def project(volume, table, seen, pose=REST, detail_px=DETAIL_PX):
    return ShearWarpProjector(detail_px).area_density_g_cm2(volume, table, seen, pose)


def march(volume, table, seen, pose=REST):
    return RayMarcher(2e-4).area_density_g_cm2(volume, table, seen, pose)


def relative_rmse(image, truth):
    return np.sqrt(np.mean((image - truth) ** 2) / np.mean(np.asarray(truth, float) ** 2))


@pytest.mark.parametrize('pose', [REST, TURNED])
@pytest.mark.parametrize(
    'angles_deg',
    [(0, 0), (30, 0), (44, 0), (46, 0), (90, 20), (-120, 35), (180, 0), (0, 60), (20, 89)],
)
def test_agrees_with_the_marcher_from_every_side(angles_deg, pose):
    volume, table, seen = blobs_volume(), linear_table(), view(*np.radians(angles_deg), 96)
    image = project(volume, table, seen, pose)
    assert image.dtype == np.float32
    assert image.flags.c_contiguous
    assert relative_rmse(image, march(volume, table, seen, pose)) < 3e-3


def test_no_seam_where_the_slices_change_axis():
    volume, table = blobs_volume(spacing_m=(3e-3,) * 3), linear_table()
    angles = np.radians(45 + np.array([-1e-3, 1e-3]))
    before, after = (project(volume, table, view(angle, 0, 96)) for angle in angles)
    assert relative_rmse(before, after) < 2.5e-3


def test_axis_by_ray_is_seamless_and_nearer_to_the_truth():
    volume, table = blobs_volume(spacing_m=(3e-3,) * 3), linear_table()
    seen = view(np.radians(45), 0.05, 96)
    truth = march(volume, table, seen)
    by_ray = ShearWarpProjector(384, axis_by_ray=True)
    error = relative_rmse(by_ray.area_density_g_cm2(volume, table, seen, REST), truth)
    assert error < relative_rmse(project(volume, table, seen, detail_px=384), truth)
    assert error < 2e-3


def test_a_voxel_counts_with_its_whole_volume():
    """The middle ray of a constant box runs through 60 voxels of 2 mm, not 59."""
    image = project(box_volume(hu=0), linear_table(), view(pixels=65))
    assert image[0, 32, 32] == pytest.approx(60 * 0.2, rel=1e-4)


def test_bone_in_air_has_no_rim_of_soft_tissue():
    """Voxels are classified before they are interpolated."""
    hu = np.full((30, 30, 30), -1000, np.int16)
    hu[10:20, 10:20, 10:20] = 1200
    table = MaterialModel().table()
    image = project(centred(hu, (3e-3,) * 3), table, view(pixels=64))
    assert image[table.names.index('bone')].max() > 4
    assert image[table.names.index('soft_tissue')].max() == 0
    assert image[table.names.index('lung')].max() == 0


def test_grid_pose_and_axis_order_do_not_matter():
    volume, table, seen = blobs_volume(), linear_table(), view(0.4, 0.2)
    stored = stored_otherwise(volume)
    np.testing.assert_allclose(
        project(stored, table, seen), project(volume, table, seen), atol=2e-3
    )


@pytest.mark.parametrize('count', [1, 2, 4, 6, 8])
def test_materials_are_kept_apart(count):
    densities = np.outer(np.ones(4096), np.arange(1, count + 1)).astype(np.float32)
    table = MaterialTable(tuple('abcdefgh'[:count]), -1024, densities)
    image = project(box_volume(), table, view(0.2, 0.1, 16))
    assert image.shape == (count, 16, 16)
    for material in range(count):
        np.testing.assert_allclose(image[material], (material + 1) * image[0], rtol=1e-4)


def test_nine_materials_are_refused():
    table = MaterialTable(tuple('abcdefghi'), -1024, np.ones((4096, 9), np.float32))
    with pytest.raises(ValueError, match='at most 8 materials'):
        project(box_volume(), table, view(pixels=16))


def test_hu_beyond_the_table_take_its_ends():
    table = linear_table(hu_max=100)
    dense, last = (project(box_volume(hu=hu), table, view(pixels=16)) for hu in (3000, 100))
    np.testing.assert_array_equal(dense, last)


def test_another_table_is_not_answered_from_memory():
    volume, seen, projector = box_volume(), view(pixels=16), ShearWarpProjector()
    first = projector.area_density_g_cm2(volume, linear_table(), seen, REST)
    doubled = linear_table()
    doubled = MaterialTable(doubled.names, doubled.hu_min, 2 * doubled.density_g_cm3)
    second = projector.area_density_g_cm2(volume, doubled, seen, REST)
    np.testing.assert_allclose(second, 2 * first, rtol=1e-5)


@pytest.mark.parametrize('depth_m', [0.0, 1.02])
@pytest.mark.parametrize('angles', [(0, 0), (0.6, 0.3)])
def test_only_what_lies_between_source_and_detector_counts(depth_m, angles):
    volume, table, seen = box_volume(), linear_table(), view(*angles, 33)
    pose = make_pose(None, transform_points(seen.world_from_source, [[0, 0, depth_m]])[0])
    image = project(volume, table, seen, pose)
    # Half a voxel more at the faces, and up to a slice at the cut.
    np.testing.assert_allclose(image, march(volume, table, seen, pose), atol=0.7)
    assert np.abs(image - march(volume, table, seen, pose)).mean() < 0.15
    assert image.max() > 1


def test_a_very_wide_cone_is_marched():
    wide = ProjectionGeometry(0.3, (0.02, 0.02), (49.5, 49.5), (100, 100))
    volume, table = box_volume(), linear_table()
    seen = View(wide, make_pose(None, [0, 0, -0.15]))
    expected = RayMarcher().area_density_g_cm2(volume, table, seen, REST)
    assert expected.any()
    np.testing.assert_array_equal(project(volume, table, seen), expected)


def test_a_patient_beside_the_beam_is_not_seen():
    assert not project(
        box_volume(), linear_table(), view(pixels=17), make_pose(None, [1, 0, 0])
    ).any()


def test_threads_do_not_change_the_bytes():
    volume, table, seen = blobs_volume(), MaterialModel().table(), view(0.3, 0.1, 80)
    many = project(volume, table, seen)
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        one = project(volume, table, seen)
    finally:
        numba.set_num_threads(before)
    np.testing.assert_array_equal(one, many)


def test_small_and_oblong_images():
    volume, table, seen = blobs_volume(), linear_table(), view(0.3, 0.1, 64)
    wide = type(seen)(seen.geometry.resized((20, 64)), seen.world_from_source)
    assert relative_rmse(project(volume, table, wide), march(volume, table, wide)) < 4e-3


def test_no_slabs_are_refused():
    volume, seen = blobs_volume(), view(0.3, 0.1, 32)
    with pytest.raises(ValueError, match='slabs are empty; pass those'):
        ShearWarpProjector().of_slabs(volume, [], seen, REST)


def test_unusable_detail_is_refused():
    with pytest.raises(ValueError, match='detail_px must be 16..4096'):
        ShearWarpProjector(4)


@pytest.mark.parametrize('angles', [(0.0, 0.0), (1.5, 0.1), (0.2, 1.2)])
def test_slabs_one_at_a_time_are_the_whole(angles):
    """Slices across y, x and z; a slab has no border of its own."""
    volume, table, seen = blobs_volume(), MaterialModel().table(), view(*angles)
    projector = ShearWarpProjector(128)
    whole = projector.area_density_g_cm2(volume, table, seen, REST)

    def slabs():
        for first, last in ((0, 3), (3, 15), (15, 24)):
            pose = volume.patient_from_grid.copy()
            pose[:3, 3] = volume.index_to_patient_m([0, 0, first])
            yield first, Volume(volume.hu[first:last], volume.spacing_m, pose), table

    assert projector.adds_up(volume, seen, REST)
    parts = projector.of_slabs(volume, slabs(), seen, REST)
    np.testing.assert_allclose(parts, whole, atol=2e-5 * whole.max())
