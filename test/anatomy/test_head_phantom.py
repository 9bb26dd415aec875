"""The procedural head is what an X-ray of a head is made of, and no two varied ones are alike."""

import numpy as np
import pytest

from synthex_ros.anatomy import head_phantom
from synthex_ros.learning.anatomies import (
    HEADS,
    PHANTOMS,
    draw_anatomy,
    load_anatomy,
    names_of,
    varied_head,
)

BONE_HU = 250


@pytest.fixture(scope='module')
def head():
    return head_phantom()


def along(head, start_m, end_m, count=400):
    """Return CT numbers along a line between two places in patient_lps."""
    places = np.linspace(start_m, end_m, count)
    offset, scale = head.patient_from_grid[:3, 3], np.array(head.spacing_m)
    x, y, z = np.rint((places - offset) / scale).astype(int).T
    return head.hu[z, y, x]


def test_vault_is_two_tables_with_diploe_between_and_as_thick_as_it_shall_be():
    for vault_m in (0.005, 0.008):
        fine = head_phantom((160, 200, 160), 1e-3, vault_m)
        line = along(fine, (0, 0.008, 0.045), (0, 0.008, 0.0795), 600)
        assert np.isclose(line[0], 35)
        beyond = along(fine, (0.0, 0.008, 0.03), (0.079, 0.008, 0.03), 790)
        thickness_m = 1e-4 * np.count_nonzero(beyond > BONE_HU)
        assert thickness_m == pytest.approx(vault_m, abs=1.2e-3)
        bone = beyond[beyond > BONE_HU]
        assert bone[0] > bone[len(bone) // 2] < bone[-1]


def test_what_a_head_has_lies_where_it_should(head):
    skull = head.structure_mask('skull')
    assert np.all(head.hu[skull] > BONE_HU)
    brain_l = head.structure_mask('brain').sum() * np.prod(head.spacing_m) * 1e3
    assert 1.0 < brain_l < 2.0
    heights = []
    for index in range(1, 6):
        z, y, _ = np.nonzero(head.structure_mask(f'vertebrae_C{index}'))
        heights.append(z.mean())
        assert y.mean() > head.hu.shape[1] / 2
    assert heights == sorted(heights, reverse=True)


def test_beam_through_the_middle_meets_air_cavities_bone_and_brain(head):
    line = along(head, (0.0, -0.115, -0.030), (0.0, 0.115, -0.030))
    inside = np.flatnonzero(line > -200)
    assert (line[inside[0] : inside[-1]] < -900).any()
    line = along(head, (0.0, -0.115, 0.03), (0.0, 0.115, 0.03))
    assert line[0] == line[-1] == -1000
    # Scalp, bone, brain, bone, scalp.
    bone = np.flatnonzero(np.diff((line > BONE_HU).astype(int)))
    assert len(bone) == 4


def test_head_is_the_same_on_both_sides(head):
    assert np.array_equal(head.hu, head.hu[:, :, ::-1])


def test_thickness_that_is_not_of_a_skull_is_refused():
    with pytest.raises(ValueError, match='vault_m'):
        head_phantom(vault_m=6.5)


def test_varied_heads_are_drawn_by_number_and_differ():
    first, again, other = varied_head(1), load_anatomy('head_phantom:1'), varied_head(2)
    assert first.sha256() == again.sha256() != other.sha256()
    assert first.name == 'head_phantom:1'
    assert (first.hu > BONE_HU).sum() > 20000
    rng = np.random.default_rng(0)
    drawn = {draw_anatomy({HEADS: 1.0, PHANTOMS: 1.0}, 2, rng) for _ in range(60)}
    assert drawn == {'head_phantom:1', 'head_phantom:2', 'phantom:1', 'phantom:2'}
    assert names_of({HEADS: 1.0, 'chest': 1.0}, 2) == ['chest', 'head_phantom:1', 'head_phantom:2']
