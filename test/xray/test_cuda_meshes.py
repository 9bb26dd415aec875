"""Paths through meshes by the CUDA kernels are those of `mesh_tracer`."""

import numpy as np
import pytest
import trimesh

from synthex_ros.bodies import Body, TriangleMesh
from synthex_ros.geometry import pose_from_parameters
from synthex_ros.xray.cuda.meshes import mask_of, paths_by_solid, trace_frames
from synthex_ros.xray.device_layer import label_image, trace_bodies

from .boxes import view


def body(mesh, position_m=(0, 0, 0), rpy_rad=(0, 0, 0), material='stainless_steel', label=1):
    shape = TriangleMesh(np.asarray(mesh.vertices, float), np.asarray(mesh.faces, np.int32))
    return Body(shape, material, pose_from_parameters(position_m, rpy_rad), label)


def scenes():
    """Two frames: overlapping solids and labels, then a single tube; one at the border."""
    sphere = trimesh.creation.icosphere(3, 0.02)
    rod = trimesh.creation.cylinder(2e-3, 0.08, sections=40)
    tube = trimesh.creation.annulus(4e-3, 6e-3, 0.05, sections=48)
    return (
        [
            body(sphere, (0.01, 0, 0.02)),
            body(rod, (0, 0, 0.01), (0.3, 1.1, 0.2), label=2),
            body(rod, (0, 0.02, 0), (1.3, 0.1, 0.7), label=2),
            body(tube, (-0.1, 0, 0.09), (0, 1.2, 0), 'nitinol', 7),
        ],
        [body(tube, (0.02, 0, -0.03), (0.4, 0.2, 0), 'nitinol', 0)],
    )


@pytest.mark.parametrize('finer', [1, 3])
def test_paths_entries_and_exits_are_those_of_the_cpu(cuda_device, finer):
    views = [view(0.2, 0.1, 96), view(-0.4, 0.3, 96)]
    images = trace_frames(cuda_device, views, scenes(), finer)
    top, bottom, left, right = images.box
    for frame, (seen, bodies) in enumerate(zip(views, scenes(), strict=True)):
        layers = trace_bodies(bodies, seen, finer)
        assert images.materials[frame] == tuple(item.material for item in layers)
        for index, item in enumerate(layers):
            truth = item.layer.full((96, 96))
            path = np.zeros((96, 96))
            path[top:bottom, left:right] = cuda_device.download(images.path_m)[frame, index]
            np.testing.assert_allclose(path, truth, atol=1e-7)
            hit = truth > 1e-6
            assert hit.any()
            for name, empty in (('entry_m', np.inf), ('exit_m', -np.inf)):
                wide, expected = np.full((2, 96, 96), empty)
                wide[top:bottom, left:right] = cuda_device.download(getattr(images, name))[
                    frame, index
                ]
                expected[item.layer.slices] = getattr(item.layer, name)
                np.testing.assert_allclose(wide, expected, rtol=2e-7)


def test_masks_are_those_of_the_cpu(cuda_device):
    views = [view(0.2, 0.1, 96), view(-0.4, 0.3, 96)]
    images = trace_frames(cuda_device, views, scenes())
    masks = cuda_device.download(mask_of(cuda_device, images, (2, 96, 96)))
    for mask, seen, bodies in zip(masks, views, scenes(), strict=True):
        np.testing.assert_array_equal(mask, label_image(trace_bodies(bodies, seen), (96, 96)))
    assert set(np.unique(masks[0])) == {0, 1, 2, 7}
    assert not masks[1].any(), 'label 0 is not drawn'


def test_order_of_faces_does_not_change_a_bit(cuda_device):
    """Sums are integers, so threads may add in any order."""
    rng, seen = np.random.default_rng(0), view(0.3, 0.1, 96)
    mesh = trimesh.creation.icosphere(3, 0.03)
    whole = body(mesh)
    mesh.faces = mesh.faces[rng.permutation(len(mesh.faces))]
    first, second = (trace_frames(cuda_device, [seen], [[item]]) for item in (whole, body(mesh)))
    np.testing.assert_array_equal(
        cuda_device.download(first.path_m), cuda_device.download(second.path_m)
    )


def test_paths_of_one_material_add_up(cuda_device):
    seen = view(0.2, 0.1, 96)
    images = trace_frames(cuda_device, [seen, seen], scenes())
    paths = cuda_device.download(
        paths_by_solid(cuda_device, images, ['nitinol', 'stainless_steel'])
    )
    by_layer = cuda_device.download(images.path_m)
    np.testing.assert_allclose(paths[0, 0], by_layer[0, 0])
    np.testing.assert_allclose(paths[0, 1], by_layer[0, 1] + by_layer[0, 2], rtol=1e-6)
    assert not paths[1, 1].any()


def test_nothing_on_the_detector_is_none(cuda_device):
    ball = trimesh.creation.icosphere(1, 0.01)
    assert trace_frames(cuda_device, [view()], [[]]) is None
    assert trace_frames(cuda_device, [view()], [[body(ball, (0.6, 0, 0))]]) is None


def test_bodies_behind_the_source_are_refused(cuda_device):
    ball = trimesh.creation.icosphere(1, 0.01)
    with pytest.raises(ValueError, match='frame 1, at or behind the focal spot'):
        trace_frames(cuda_device, [view(), view()], [[body(ball)], [body(ball, (0, 0.7, 0))]])
    with pytest.raises(ValueError, match=r'label must be 0..255'):
        trace_frames(cuda_device, [view()], [[body(ball, label=300)]])
