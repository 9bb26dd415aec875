"""Line integrals of the CUDA kernels agree with both projectors of the CPU."""

import numpy as np
import pytest

from synthex_ros.anatomy.materials import MaterialModel, MaterialTable
from synthex_ros.geometry import invert_pose, make_pose, pose_from_parameters
from synthex_ros.xray.cuda.projector import CudaProjector
from synthex_ros.xray.ray_marcher import RayMarcher
from synthex_ros.xray.renderer import Renderer
from synthex_ros.xray.scene import Scene
from synthex_ros.xray.shear_warp import ShearWarpProjector

from .boxes import blobs_volume, box_volume, linear_table, stored_otherwise, view
from .test_ray_marcher import box_chord_m, relative_rmse

REST = np.eye(4)
ANGLES = [(0, 0), (0.5, 0), (0.79, 0), (1.05, 0.35), (1.571, 0), (0, 0.9)]


@pytest.mark.parametrize('angles', ANGLES)
def test_agrees_with_the_reference_mode_of_the_cpu(cuda_device, angles):
    volume, table, seen = blobs_volume(), MaterialModel().table(), view(*angles, pixels=48)
    pose = pose_from_parameters([0.02, 0.01, -0.03], [0.1, 0.3, -0.2])
    truth = ShearWarpProjector(1024, axis_by_ray=True).area_density_g_cm2(
        volume, table, seen, pose
    )
    image = CudaProjector(None, cuda_device).area_density_g_cm2(volume, table, seen, pose)
    assert image.shape == truth.shape == (4, 48, 48)
    assert image.dtype == np.float32
    for material in range(4):
        assert relative_rmse(image[material], truth[material]) < 0.002


@pytest.mark.parametrize('angles', [(0, 0), (0.52, 0), (1.05, 0.35), (-2.0, 0.6)])
def test_agrees_with_the_ray_marcher(cuda_device, angles):
    """Materials interpolate alike where density is linear in HU; the marcher ends at centres."""
    volume, table, seen = blobs_volume(), linear_table(), view(*angles, pixels=40)
    truth = RayMarcher(2e-4).area_density_g_cm2(volume, table, seen, REST)
    image = CudaProjector(None, cuda_device).area_density_g_cm2(volume, table, seen, REST)
    assert relative_rmse(image, truth) < 0.005


def test_constant_box_has_analytic_chords(cuda_device):
    volume, pose = box_volume(hu=200), pose_from_parameters([0.01, -0.02, 0.005], [0.2, -0.1, 0.3])
    seen = view(0.5, 0.2)
    image = CudaProjector(None, cuda_device).area_density_g_cm2(
        volume, linear_table(), seen, pose
    )[0]
    # Each voxel counts with its whole volume: the box ends half a voxel beyond the centres.
    half = np.array(volume.hu.shape[::-1]) / 2 * volume.spacing_m
    expected = 1.2 * 100 * box_chord_m(seen, half, invert_pose(pose))
    assert relative_rmse(image, expected) < 0.01
    inner = expected > 0.95 * expected.max()
    assert np.count_nonzero(inner) > 50
    # Corners of the box are rounded over one voxel.
    error = np.abs(image[inner] / expected[inner] - 1)
    assert np.median(error) < 1e-3
    assert error.max() < 0.02


def test_interpolated_image_agrees_with_a_ray_a_pixel(cuda_device):
    volume, table, seen = blobs_volume(), MaterialModel().table(), view(0.6, 0.2, pixels=160)
    every = CudaProjector(None, cuda_device).area_density_g_cm2(volume, table, seen, REST)
    few = CudaProjector(80, cuda_device).area_density_g_cm2(volume, table, seen, REST)
    assert few.shape == every.shape
    assert few.min() >= 0
    assert relative_rmse(few.sum(0), every.sum(0)) < 0.002
    edge = np.s_[:, :2, :]
    np.testing.assert_allclose(few[edge], every[edge], atol=0.02 * every.max())


def test_batch_is_the_same_as_one_by_one(cuda_device):
    volume, table = blobs_volume(), MaterialModel().table()
    projector = CudaProjector(32, cuda_device)
    views = [view(angle, 0.1, pixels=40) for angle in (0.0, 0.2, 1.4)]
    poses = [pose_from_parameters([0, 0, 0.01 * n]) for n in range(3)]
    area, coarse = projector.areas(volume, table, views, poses)
    assert area.shape == (3, 4, 40, 40)
    assert coarse.shape == (3, 4, 36, 36)
    images = cuda_device.download(area)
    for image, seen, pose in zip(images[:2], views, poses, strict=False):
        alone = projector.area_density_g_cm2(volume, table, seen, pose)
        np.testing.assert_array_equal(image, alone)
    # The last one alone is read from the layout for views along x, to the same numbers.
    alone = projector.area_density_g_cm2(volume, table, views[2], poses[2])
    np.testing.assert_allclose(images[2], alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('count', [1, 3, 6, 8])
def test_any_number_of_materials_up_to_eight(cuda_device, count):
    densities = np.outer(np.ones(4096), np.arange(1, count + 1)).astype(np.float32)
    table = MaterialTable(tuple('abcdefgh'[:count]), -1024, densities)
    image = CudaProjector(None, cuda_device).area_density_g_cm2(
        box_volume(), table, view(pixels=16), REST
    )
    assert image[0].max() > 1
    for material in range(count):
        np.testing.assert_allclose(image[material], (material + 1) * image[0], rtol=1e-4)


def test_grid_pose_and_axis_order_do_not_matter(cuda_device):
    volume, table, seen = blobs_volume(), linear_table(), view(0.4, 0.2)
    projector = CudaProjector(None, cuda_device)
    np.testing.assert_allclose(
        projector.area_density_g_cm2(stored_otherwise(volume), table, seen, REST),
        projector.area_density_g_cm2(volume, table, seen, REST),
        atol=2e-3,
    )


def test_only_what_lies_between_source_and_detector_counts(cuda_device):
    volume = box_volume(shape=(100, 100, 100), spacing_m=(16e-3,) * 3)
    image = CudaProjector(None, cuda_device).area_density_g_cm2(
        volume, linear_table(), view(pixels=17), REST
    )
    truth = ShearWarpProjector(256).area_density_g_cm2(
        volume, linear_table(), view(pixels=17), REST
    )
    np.testing.assert_allclose(image, truth, rtol=0.005)
    beside = make_pose(None, [1.0, 0, 0])
    missed = CudaProjector(None, cuda_device).area_density_g_cm2(
        box_volume(), linear_table(), view(pixels=17), beside
    )
    assert not missed.any()


def test_a_new_table_replaces_the_packed_volume(cuda_device):
    volume, projector = box_volume(), CudaProjector(None, cuda_device)
    seen = view(pixels=16)
    light = MaterialTable(('a',), -1024, np.full((4096, 1), 1, np.float32))
    heavy = MaterialTable(('a',), -1024, np.full((4096, 1), 2, np.float32))
    first = projector.area_density_g_cm2(volume, light, seen, REST)
    second = projector.area_density_g_cm2(volume, heavy, seen, REST)
    np.testing.assert_allclose(second, 2 * first, rtol=1e-5)


def test_a_renderer_takes_it(cuda_device):
    scene = Scene(blobs_volume())
    seen, rng = view(0.3, 0.1, pixels=64), np.random.default_rng
    on_gpu = Renderer(scene, projector=CudaProjector(None, cuda_device))
    frame = on_gpu.render(seen, [], rng(3)).counts.astype(float)
    truth = Renderer(scene).render(seen, [], rng(3)).counts.astype(float)
    assert relative_rmse(frame, truth) < 0.005


def test_bad_arguments_are_refused(cuda_device):
    with pytest.raises(ValueError, match=r'detail_px must be 16..4096 px or None, got 2'):
        CudaProjector(2, cuda_device)
    projector = CudaProjector(None, cuda_device)
    with pytest.raises(ValueError, match='one image size'):
        projector.areas(
            box_volume(), linear_table(), [view(pixels=16), view(pixels=17)], [REST, REST]
        )
