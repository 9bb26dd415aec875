"""Vessels from a file: what `synthex vessels` writes is read back, and slips are named."""

import json

import numpy as np
import pytest

from synthex_ros.anatomy.vessels import procedural_tree
from synthex_ros.anatomy.vessels.map_file import read_vessel_map
from synthex_ros.cli import main

STRAIGHT = {'name': 'a', 'points_m': [[0, 0, 0], [0, 0, 0.1]], 'radius_m': [0.004, 0.003]}
BRANCH = {'name': 'b', 'points_m': [[0, 0, 0.1], [0.02, 0, 0.15]], 'radius_m': [0.002, 0.002]}


def written(tmp_path, branches):
    path = tmp_path / 'vessels.json'
    path.write_text(json.dumps({'branches': branches}))
    return path


def test_what_the_command_writes_is_the_tree_again(tmp_path):
    assert main(['vessels', 'procedural', '--seed', '3', '--out', str(tmp_path)]) == 0
    own, read = procedural_tree(3).tree, read_vessel_map(tmp_path / 'vessels.json')
    assert read.length_m == pytest.approx(own.length_m, rel=1e-3)
    assert len(read.points_m) == len(own.points_m)
    assert [b.name for b in read.branches] == [b.name for b in own.branches]
    order = np.lexsort(own.points_m.round(5).T), np.lexsort(read.points_m.round(5).T)
    np.testing.assert_allclose(own.points_m[order[0]], read.points_m[order[1]], atol=1e-5)
    np.testing.assert_allclose(own.radius_m[order[0]], read.radius_m[order[1]], atol=1e-5)


def test_a_branch_hangs_on_the_point_where_it_begins(tmp_path):
    tree = read_vessel_map(written(tmp_path, [STRAIGHT, BRANCH]))
    assert tree.parent.tolist() == [-1, 0, 1]
    assert tree.structure_of([1, 2]) == ['a', 'b']


@pytest.mark.parametrize(
    ('branches', 'reason'),
    [
        ([], 'holds no branches'),
        ([{'name': 'a'}], 'as `synthex vessels --out` writes them'),
        ([{**STRAIGHT, 'points_m': [[0, 0, 0], [0, 0, 100]]}], 'looks like millimetres'),
        ([{**STRAIGHT, 'points_m': [[0, 0, 0]]}], 'N >= 2'),
        ([{**STRAIGHT, 'radius_m': [0.004]}], 'must have 2 numbers'),
        ([{**STRAIGHT, 'radius_m': [0.004, -1.0]}], 'radius_m must be 0..0.1 m'),
        ([STRAIGHT, {**BRANCH, 'points_m': [[0, 0, 0.12], [0, 0, 0.2]]}], 'begins 20.0 mm from'),
    ],
)
def test_a_file_that_is_no_tree_is_refused(tmp_path, branches, reason):
    with pytest.raises(ValueError, match=reason):
        read_vessel_map(written(tmp_path, branches))


def test_a_file_that_is_not_there_or_no_json_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match='synthex vessels --out'):
        read_vessel_map(tmp_path / 'none.json')
    (tmp_path / 'no.json').write_text('solid wall')
    with pytest.raises(ValueError, match='must be a JSON object'):
        read_vessel_map(tmp_path / 'no.json')
