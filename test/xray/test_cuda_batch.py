"""Batches of labelled frames are the frames of `Renderer`."""

from dataclasses import replace

import numpy as np
import pytest

from synthex_ros.geometry import pose_from_parameters
from synthex_ros.xray.beam import Technique
from synthex_ros.xray.collimator import Collimator
from synthex_ros.xray.cuda.batch import BatchRenderer, Exposure
from synthex_ros.xray.cuda.projector import CudaProjector
from synthex_ros.xray.detector import Detector
from synthex_ros.xray.focal_spot import FocalSpot
from synthex_ros.xray.imaging_chain import Heel, ImagingChain
from synthex_ros.xray.renderer import Renderer
from synthex_ros.xray.scatter import KernelScatter
from synthex_ros.xray.scene import Scene

from .boxes import blobs_volume, view
from .test_cuda_meshes import scenes
from .test_ray_marcher import relative_rmse

SILENT = Detector(quantum_noise=False, electronic_noise_counts=0.0)
PIXELS = 96


@pytest.fixture(scope='module')
def anatomies():
    return Scene(blobs_volume(0)), Scene(blobs_volume(1))


def exposures(anatomies, indices=range(4)):
    """Four frames: two anatomies, views, techniques and poses; one without a device."""
    bodies = (*scenes(), [], scenes()[0])
    techniques = Technique(), Technique(70, 0.05), Technique(), Technique(110, 0.2)
    return [
        Exposure(
            anatomies[index // 2],
            view(0.3 * index, 0.1, PIXELS),
            bodies[index],
            np.random.default_rng(index),
            techniques[index],
            pose_from_parameters([0, 0, 0.01 * index]) if index % 2 else None,
        )
        for index in indices
    ]


def by_cpu(item, detector, chain=None, finer=1):
    renderer = Renderer(item.scene, detector=detector, chain=chain, supersampling=finer)
    return renderer.render(
        item.view, item.bodies, item.rng, item.world_from_patient, technique=item.technique
    )


def largest_error(device, anatomies, detector, chain=None, finer=1):
    """Return the largest relative RMSE of four frames whose masks are those of the CPU."""
    renderer = BatchRenderer(
        detector, chain, CudaProjector(256, device), supersampling=finer, chunk_frames=3
    )
    frames = renderer.render(exposures(anatomies))
    assert frames.counts.shape == frames.mask.shape == (4, PIXELS, PIXELS)
    assert frames.counts.dtype == np.uint16
    errors = []
    for index, item in enumerate(exposures(anatomies)):
        truth = by_cpu(item, detector, chain, finer)
        np.testing.assert_array_equal(frames.mask[index], truth.mask)
        counts, expected = (image.astype(float) for image in (frames.counts[index], truth.counts))
        assert expected.std() > 0.05 * expected.mean()
        errors.append(relative_rmse(counts, expected))
    return max(errors)


def test_expected_signal_and_masks_are_those_of_the_cpu(cuda_device, anatomies):
    assert largest_error(cuda_device, anatomies, SILENT) < 0.005


def test_noisy_frames_are_those_of_the_cpu(cuda_device, anatomies):
    """The same generator gives the same noise, so frames agree as their expectations do."""
    assert largest_error(cuda_device, anatomies, Detector()) < 0.005


def test_supersampled_devices(cuda_device, anatomies):
    assert largest_error(cuda_device, anatomies, SILENT, finer=2) < 0.005


def test_scatter_heel_collimator_and_panel(cuda_device, anatomies):
    chain = ImagingChain(
        collimator=Collimator(left=0.2, right=0.8),
        heel=Heel(),
        scatter=KernelScatter(),
        panel_seed=3,
    )
    assert largest_error(cuda_device, anatomies, SILENT, chain) < 0.005


def test_a_device_takes_the_place_of_tissue(cuda_device):
    """A body of water in water of the same density changes nothing that can be seen."""
    import trimesh

    from .boxes import box_volume
    from .test_cuda_meshes import body

    scene = Scene(box_volume(0, (60, 60, 60)))
    ball = body(trimesh.creation.icosphere(4, 0.03), material='water')
    renderer = BatchRenderer(SILENT, projector=CudaProjector(None, cuda_device))
    items = [
        Exposure(scene, view(0.2, 0.1, PIXELS), bodies, np.random.default_rng(0))
        for bodies in ([], [ball])
    ]
    frames = renderer.render(items)
    hit = frames.mask[1] > 0
    assert np.count_nonzero(hit) > 50
    without, behind = frames.counts.astype(float)[:, hit]
    # Soft tissue of the table is not exactly water.
    np.testing.assert_allclose(behind, without, rtol=0.03)


def test_a_frame_does_not_depend_on_its_batch(cuda_device, anatomies):
    together = BatchRenderer(projector=CudaProjector(64, cuda_device)).render(exposures(anatomies))
    for index in range(4):
        alone = BatchRenderer(projector=CudaProjector(64, cuda_device), chunk_frames=1).render(
            exposures(anatomies, [index])
        )
        assert np.abs(alone.counts[0].astype(int) - together.counts[index]).max() <= 1
        np.testing.assert_array_equal(alone.mask[0], together.mask[index])


def test_frames_of_one_view_share_its_projection(cuda_device, anatomies):
    first, second = exposures(anatomies, [0, 1])
    again = Exposure(
        first.scene, first.view, second.bodies, np.random.default_rng(9), Technique(70, 0.05)
    )
    projector = CudaProjector(64, cuda_device)
    sent, areas = [], projector.areas

    def counted(volume, table, views, poses):
        sent.append(len(views))
        return areas(volume, table, views, poses)

    projector.areas = counted
    frames = BatchRenderer(projector=projector).render([first, second, again])
    assert sent == [2]
    expected = by_cpu(replace(again, rng=np.random.default_rng(9)), Detector())
    assert relative_rmse(frames.counts[2], expected.counts.astype(float)) < 0.01


def test_effects_that_are_left_to_the_cpu_are_named(cuda_device):
    projector = CudaProjector(64, cuda_device)
    with pytest.raises(ValueError, match='got focal_spot; leave it out'):
        BatchRenderer(chain=ImagingChain(focal_spot=FocalSpot()), projector=projector)
    with pytest.raises(ValueError, match='chunk_frames must be at least 1'):
        BatchRenderer(projector=projector, chunk_frames=0)


def test_images_of_a_batch_have_one_size(cuda_device, anatomies):
    items = exposures(anatomies, [0])
    other = Exposure(anatomies[0], view(pixels=32), [], np.random.default_rng(0))
    with pytest.raises(ValueError, match='one image size'):
        BatchRenderer(projector=CudaProjector(64, cuda_device)).render([*items, other])
