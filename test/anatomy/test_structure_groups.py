"""Groups of structures, vertebral bodies and marked points, on labels whose places are known."""

import numpy as np
import pytest

from synthex_ros.anatomy import load_volume, torso_phantom
from synthex_ros.anatomy.landmark_points import check_in_volume, read_points_m
from synthex_ros.anatomy.structure_groups import is_cut, merged_structures
from synthex_ros.anatomy.vertebral_body import vertebral_body_centre_m


@pytest.fixture(scope='module')
def volume():
    return torso_phantom()


def test_a_group_holds_the_voxels_of_its_structures_and_no_others(volume):
    groups = {'ribs': ['rib_left_*', 'rib_right_5'], 'heart': ['heart']}
    merged = merged_structures(volume, groups)
    names = volume.structures_like('rib_left_*')
    assert len(names) > 5
    ribs = np.any([volume.structure_mask(name) for name in [*names, 'rib_right_5']], axis=0)
    np.testing.assert_array_equal(merged.structure_mask('ribs'), ribs)
    np.testing.assert_array_equal(merged.structure_mask('heart'), volume.structure_mask('heart'))
    assert np.count_nonzero(merged.labels) == np.count_nonzero(merged.labels[merged.labels < 3])


def test_groups_that_a_volume_cannot_have_are_named(volume):
    with pytest.raises(ValueError, match=r"'rib_left_1' is in the groups 'left' and 'ribs'"):
        merged_structures(volume, {'left': ['rib_left_1'], 'ribs': ['rib_*']})
    with pytest.raises(ValueError, match=r"'vertebra_\*' is unknown.*did you mean vertebrae_"):
        merged_structures(volume, {'spine': ['vertebra_*']})


def test_a_structure_is_cut_where_the_volume_ends(volume):
    """T8 lies in the middle; the spinal cord runs through both ends."""
    assert not is_cut(volume, 'vertebrae_T8')
    assert is_cut(volume, 'spinal_cord')


def test_body_of_a_vertebra_lies_where_the_phantom_draws_it(volume):
    """The phantom's bodies are elliptic cylinders about (0, 70 mm), 26 mm apart from T1 on."""
    for level in (4, 8, 12):
        name = f'vertebrae_T{level}'
        body = vertebral_body_centre_m(volume, name)
        whole = volume.structure_centre_patient_m(name)
        height = 0.156 - 0.026 * (level - 1)
        np.testing.assert_allclose(body, [0.0, 0.070, height], atol=1.5 * volume.spacing_m[0])
        assert whole[1] - body[1] > volume.spacing_m[1], 'the arch lies behind the body'


def test_bodies_of_the_chest_ct_follow_the_spine():
    """Neighbouring bodies are 13 to 33 mm apart, and lie in front of the whole vertebra."""
    try:
        chest = load_volume('chest')
    except FileNotFoundError:
        pytest.skip('the chest CT is not installed')
    names = [f'vertebrae_T{level}' for level in range(1, 13)] + ['vertebrae_L1']
    bodies = np.array([vertebral_body_centre_m(chest, name) for name in names])
    steps_m = np.linalg.norm(np.diff(bodies, axis=0), axis=1)
    assert steps_m.min() > 0.013
    assert steps_m.max() < 0.033
    assert np.all(np.diff(bodies[:, 2]) < 0)
    wholes = np.array([chest.structure_centre_patient_m(name) for name in names])
    assert np.all(bodies[:, 1] < wholes[:, 1])
    assert not any(is_cut(chest, name) for name in names)
    assert is_cut(chest, 'vertebrae_L2')


def test_a_body_needs_a_vertebra(volume):
    with pytest.raises(ValueError, match=r"no voxel of 'spinal_cord' lies in front"):
        vertebral_body_centre_m(volume, 'spinal_cord')


def test_marked_points_are_read_in_metres(tmp_path):
    table = tmp_path / 'points.csv'
    table.write_text('name,x_mm,y_mm,z_mm\nFH_left,85.5,10,-42\n', encoding='utf-8')
    points = read_points_m(table)
    np.testing.assert_allclose(points['FH_left'], [0.0855, 0.010, -0.042])


@pytest.mark.parametrize(
    'text', ['name,x,y,z\na,1,2,3\n', 'name,x_mm,y_mm,z_mm\na,1,2,far\n', 'name,x_mm,y_mm,z_mm\n',
             'name,x_mm,y_mm,z_mm\na,1,2,nan\n']
)  # fmt: skip
def test_damaged_tables_of_points_are_named(tmp_path, text):
    table = tmp_path / 'points.csv'
    table.write_text(text, encoding='utf-8')
    with pytest.raises(ValueError, match=r'points\.csv must'):
        read_points_m(table)


def test_a_point_outside_the_ct_is_refused(volume):
    check_in_volume('in', np.zeros(3), volume)
    with pytest.raises(ValueError, match=r"landmark 'ASIS' at \(500.0, .*spans.*RAS"):
        check_in_volume('ASIS', np.array([0.5, 0.0, 0.0]), volume)
    with pytest.raises(FileNotFoundError, match='x_mm'):
        read_points_m('nowhere.csv')
