"""Projected structures against chords of solids, a marcher and the labels themselves."""

import numpy as np
import pytest

from synthex_ros.anatomy.phantom import torso_phantom
from synthex_ros.geometry import CArm, invert_pose, make_pose
from synthex_ros.xray.label_projection import LabelProjector, cut_out
from synthex_ros.xray.ray_marcher import RayMarcher

TURNED = make_pose(translation_m=(0.01, -0.02, 0.015))


@pytest.fixture(scope='module')
def volume():
    return torso_phantom()


@pytest.fixture(scope='module')
def view():
    return CArm(binning=16).view(0.5, 0.2)


def labelled_path_m(volume, name, view, world_from_patient, step_m=5e-4):
    """March the label image itself: length of the samples whose nearest voxel has the label."""
    mask = volume.structure_mask(name)
    rows, columns = view.geometry.shape_px
    u, v = np.meshgrid(np.arange(columns), np.arange(rows))
    grid_from_world = invert_pose(world_from_patient @ volume.patient_from_grid)
    rays = view.rays_world(np.stack([u, v], -1)) @ grid_from_world[:3, :3].T
    start = grid_from_world[:3, :3] @ view.source_world_m + grid_from_world[:3, 3]
    path = np.zeros((rows, columns))
    for distance in np.arange(0.3, 1.02, step_m):
        index = np.rint((start + distance * rays) / volume.spacing_m).astype(int)
        inside = np.all((index >= 0) & (index < np.array(mask.shape[::-1])), axis=-1)
        x, y, z = np.where(inside[..., None], index, 0).transpose(2, 0, 1)
        path += step_m * (inside & mask[z, y, x])
    return path


@pytest.mark.parametrize('name', ['heart', 'vertebrae_T8', 'lung_lower_lobe_left'])
def test_path_is_that_of_rays_through_the_labels(volume, view, name):
    image = LabelProjector(volume).project(name, view, TURNED)
    truth = labelled_path_m(volume, name, view, TURNED)
    assert image.path_m.dtype == np.float32
    error = image.path_m - truth
    assert np.sqrt(np.mean(error**2)) < 0.35 * volume.spacing_m[0]
    assert image.path_m.sum() == pytest.approx(truth.sum(), rel=0.01)
    voxel = volume.spacing_m[0]
    assert image.mask[truth > 2 * voxel].all()
    assert not image.path_m[truth == 0].max() > 3 * voxel


def test_fast_and_marched_projection_agree(volume, view):
    fast = LabelProjector(volume).project('heart', view, TURNED)
    slow = LabelProjector(volume, RayMarcher(5e-4)).project('heart', view, TURNED)
    assert np.sqrt(np.mean((fast.path_m - slow.path_m) ** 2)) < 0.01 * slow.path_m.max()


def test_longest_chord_of_an_ellipsoid(volume):
    """Along the beam the phantom's heart is 2 * 45 mm thick."""
    view = CArm(binning=16).view()
    pose = make_pose(translation_m=-volume.structure_centre_patient_m('heart'))
    path = LabelProjector(volume).project('heart', view, pose).path_m
    assert path.max() == pytest.approx(0.090, abs=volume.spacing_m[1])


def test_structures_that_share_a_surface_share_the_ray(volume, view):
    """Lobes fill the lung without gap or overlap: their paths add up to the lung's."""
    lobes = ['lung_upper_lobe_left', 'lung_lower_lobe_left']
    projector = LabelProjector(volume)
    parts = [projector.project(name, view, np.eye(4)).path_m for name in lobes]
    truth = sum(labelled_path_m(volume, name, view, np.eye(4)) for name in lobes)
    assert sum(parts).sum() == pytest.approx(truth.sum(), rel=0.01)


def test_cut_out_keeps_every_voxel_where_it_was(volume):
    part = cut_out(volume, 'vertebrae_T8')
    inside = part.hu > 0
    assert np.count_nonzero(inside) == np.count_nonzero(volume.structure_mask('vertebrae_T8'))
    centre = np.argwhere(inside).mean(axis=0)[::-1]
    expected = volume.structure_centre_patient_m('vertebrae_T8')
    np.testing.assert_allclose(part.index_to_patient_m(centre), expected, atol=1e-12)
    assert not inside[[0, -1]].any()
    assert not inside[:, [0, -1]].any()
    assert not inside[:, :, [0, -1]].any()


def test_mask_follows_its_threshold(volume, view):
    projector = LabelProjector(volume)
    thin = projector.project('heart', view, np.eye(4), 1e-3)
    thick = projector.project('heart', view, np.eye(4), 50e-3)
    assert thick.mask.sum() < thin.mask.sum()
    assert not thick.mask[thick.path_m < 50e-3].any()
    with pytest.raises(ValueError, match='looks like millimetres'):
        projector.project('heart', view, np.eye(4), 2.0)


def test_unknown_structure_is_named(volume, view):
    with pytest.raises(ValueError, match=r"'hart' is unknown.*did you mean heart"):
        LabelProjector(volume).project('hart', view, np.eye(4))
