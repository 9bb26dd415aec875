"""A volume knows where its voxels are; the phantom is an anatomy of formulas."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthex_ros.anatomy import Volume, torso_phantom
from synthex_ros.geometry import pose_from_parameters

POSE = pose_from_parameters((0.1, -0.2, 0.3), (0.1, -0.2, 0.3))


def small_volume(**changes):
    hu = np.arange(4 * 3 * 2, dtype=np.int16).reshape(4, 3, 2) - 1030
    values = {'hu': hu, 'spacing_m': (1e-3, 2e-3, 3e-3), 'patient_from_grid': POSE, **changes}
    return Volume(**values)


def test_centre_is_the_mean_of_all_voxel_positions():
    volume = small_volume()
    index_zyx = np.stack(np.indices(volume.hu.shape), -1).reshape(-1, 3)
    positions = volume.index_to_patient_m(index_zyx[:, ::-1])
    np.testing.assert_allclose(positions.mean(0), volume.centre_patient_m, atol=1e-12)
    np.testing.assert_allclose(volume.size_m, [2e-3, 6e-3, 12e-3])


def test_padding_is_set_and_the_callers_array_is_not_touched():
    hu = np.full((2, 2, 2), -2048, np.int16)
    assert small_volume(hu=hu).hu.max() == -1024
    assert hu.max() == -2048


def test_fortran_order_becomes_c_order():
    hu = np.asfortranarray(small_volume().hu)
    volume = small_volume(hu=hu)
    assert volume.hu.flags.c_contiguous
    np.testing.assert_array_equal(volume.hu, hu)


@given(st.tuples(*[st.integers(0, n - 1) for n in (2, 3, 4)]))
def test_centre_of_a_one_voxel_structure_is_that_voxel(index_xyz):
    labels = np.zeros((4, 3, 2), np.uint8)
    labels[index_xyz[::-1]] = 7
    volume = small_volume(labels=labels, structures={'pancreas': 7})
    assert volume.structure_mask('pancreas').sum() == 1
    np.testing.assert_allclose(
        volume.structure_centre_patient_m('pancreas'), volume.index_to_patient_m(index_xyz)
    )


def test_hash_sees_everything_but_the_name():
    labels = np.zeros((4, 3, 2), np.uint8)
    base = small_volume(labels=labels, structures={'heart': 51})
    hu, other = base.hu.copy(), labels.copy()
    hu[0, 0, 0] += 1
    other[0, 0, 0] = 1
    changes = [
        {'hu': hu},
        {'labels': other},
        {'labels': None, 'structures': {}},
        {'structures': {'heart': 52}},
        {'spacing_m': (1e-3, 2e-3, 3.1e-3)},
        {'patient_from_grid': np.eye(4)},
    ]
    hashes = {dataclasses.replace(base, **change).sha256() for change in changes}
    assert len(hashes | {base.sha256()}) == len(changes) + 1
    assert dataclasses.replace(base, name='other').sha256() == base.sha256()


@pytest.mark.parametrize(
    ('changes', 'reason'),
    [
        ({'hu': np.zeros((4, 3, 2), np.float32)}, 'int16'),
        ({'hu': np.zeros((4, 3), np.int16)}, r'shape \(z, y, x\)'),
        ({'spacing_m': (0.7, 0.7, 2.5)}, '0.7 mm is 0.0007'),
        ({'labels': np.zeros((4, 3, 3), np.uint8)}, 'on the grid of hu'),
        ({'structures': {'heart': 51}}, 'labels is None'),
        ({'patient_from_grid': np.diag([1e3, 1e3, 1e3, 1])}, 'rigid'),
    ],
)
def test_impossible_volumes(changes, reason):
    with pytest.raises(ValueError, match=reason):
        small_volume(**changes)


def test_structures_need_labels():
    with pytest.raises(ValueError, match='no segmentation'):
        small_volume().structure_mask('heart')


@pytest.fixture(scope='module')
def phantom():
    return torso_phantom()


def test_phantom_is_the_same_every_time(phantom):
    assert torso_phantom().sha256() == phantom.sha256()


def test_phantom_lies_as_a_patient_does(phantom):
    """Heart to the left, spine behind, ribs on their sides, vertebrae in order from the head."""
    centre = phantom.structure_centre_patient_m
    assert centre('heart')[0] > 0.01
    assert centre('vertebrae_T8')[1] > centre('heart')[1] + 0.05 > centre('sternum')[1] + 0.1
    heights = [centre(f'vertebrae_T{k}')[2] for k in range(1, 13)]
    np.testing.assert_allclose(np.diff(heights), -0.026, atol=2.5e-3)
    assert centre('rib_left_5')[0] > 0.05
    assert centre('rib_right_5')[0] < -0.05
    assert phantom.hu[phantom.structure_mask('lung_lower_lobe_left')].max() < -700
    assert phantom.hu[phantom.structure_mask('vertebrae_T8')].min() > 100


def test_phantom_heart_has_the_volume_of_its_ellipsoid(phantom):
    """What the later spine and ribs do not cover; they do not reach it."""
    voxel_m3 = np.prod(phantom.spacing_m)
    volume_m3 = phantom.structure_mask('heart').sum() * voxel_m3
    assert volume_m3 == pytest.approx(4 / 3 * np.pi * 0.052 * 0.045 * 0.055, rel=0.01)


def test_phantom_keeps_its_shape_on_a_finer_grid(phantom):
    fine = torso_phantom((100, 192, 256), 1.5625e-3)
    coarse_heart = phantom.structure_centre_patient_m('heart')
    np.testing.assert_allclose(fine.structure_centre_patient_m('heart'), coarse_heart, atol=1.5e-3)
