"""Deformation of the chest: identity at rest, one-to-one, tissue where the field says."""

import numpy as np
import pytest

from synthex_ros.anatomy import Volume, torso_phantom
from synthex_ros.anatomy.motion import SPINE_RADIUS_M, ChestMotion, deformed
from synthex_ros.geometry import pose_from_parameters

PHASES = [(0.2, 0.0), (0.5, 0.0), (0.0, 0.5), (0.5, 0.5), (0.8, 0.3)]
GENERIC = ChestMotion(0.15, -0.12, (0.0, 0.07), heart_centre_m=(0.02, -0.02, -0.02))


@pytest.fixture(scope='module')
def phantom():
    return torso_phantom((72, 60, 80), 5e-3)


def markers(rng, count=200):
    return rng.uniform([-0.17, -0.12, -0.2], [0.17, 0.12, 0.2], (count, 3))


def jacobians(motion, points, phase, cardiac_phase, step_m=1e-5):
    columns = [
        motion.pull_back(points + step_m * axis, phase, cardiac_phase)
        - motion.pull_back(points - step_m * axis, phase, cardiac_phase)
        for axis in np.eye(3)
    ]
    return np.linalg.det(np.stack(columns, axis=-1) / (2 * step_m))


def test_phase_zero_is_the_ct_itself(phantom):
    motion = ChestMotion.of(phantom)
    for phase in (0.0, 1.0, 3.0):
        same = deformed(phantom, phase, motion)
        np.testing.assert_array_equal(same.hu, phantom.hu)
    points = markers(np.random.default_rng(0))
    np.testing.assert_array_equal(motion.pull_back(points, 0.0), points)


def test_lujan_curve_rests_at_the_end_of_expiration():
    phases = np.linspace(0, 1, 101)
    curve = np.array([GENERIC.inspiration(phase) for phase in phases])
    assert curve[0] == 0
    assert curve[50] == pytest.approx(1)
    np.testing.assert_allclose(curve, curve[::-1], atol=1e-12)
    assert np.median(curve) < 0.3
    assert GENERIC.inspiration(1.25) == pytest.approx(GENERIC.inspiration(0.25))


@pytest.mark.parametrize(('phase', 'cardiac'), PHASES)
def test_the_field_is_one_to_one(phase, cardiac):
    determinants = jacobians(GENERIC, markers(np.random.default_rng(1), 3000), phase, cardiac)
    assert determinants.min() > 0.5
    assert determinants.max() < 1.6


@pytest.mark.parametrize(('phase', 'cardiac'), PHASES)
def test_moved_inverts_pull_back(phase, cardiac):
    points = markers(np.random.default_rng(2))
    back = GENERIC.pull_back(GENERIC.moved(points, phase, cardiac), phase, cardiac)
    np.testing.assert_allclose(back, points, atol=2e-7)


def test_displacement_is_largest_at_the_base_and_none_at_apex_and_spine():
    at = {
        'apex': [0.08, 0.0, 0.16],
        'spine': [0.0, 0.07 + SPINE_RADIUS_M / 2, -0.12],
        'table': [0.1, 0.2, -0.12],
        'base': [0.09, 0.0, -0.16],
        'middle': [0.09, 0.0, 0.015],
    }
    shift = {name: (GENERIC.moved(np.array(point), 0.5) - point)[2] for name, point in at.items()}
    assert shift['apex'] == shift['spine'] == shift['table'] == 0
    assert shift['base'] == pytest.approx(-GENERIC.diaphragm_m, rel=1e-3)
    assert shift['base'] < shift['middle'] < 0
    front = np.array([0.0, 0.07 - GENERIC.depth_m, -0.13])
    forward = GENERIC.moved(front, 0.5)[1] - front[1]
    assert forward == pytest.approx(-GENERIC.breastbone_m, rel=0.05)


def test_heart_contracts_towards_its_centre():
    centre = np.array(GENERIC.heart_centre_m)
    assert np.allclose(GENERIC.moved(centre, 0.0, 0.5), centre)
    directions = np.random.default_rng(3).normal(size=(50, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    distances = np.linspace(0.005, 0.079, 300)
    ways = centre + distances[:, None, None] * directions
    moved = np.linalg.norm(GENERIC.moved(ways, 0.0, 0.5) - centre, axis=-1)
    inward = distances[:, None] - moved
    assert inward.min() >= 0
    assert inward.max() == pytest.approx(GENERIC.heart_m, rel=0.02)
    outside = centre + 0.0801 * directions
    np.testing.assert_array_equal(GENERIC.moved(outside, 0.0, 0.5), outside)


@pytest.mark.parametrize('rpy', [(0, 0, 0), (0.1, -0.2, 0.3)])
def test_a_marker_moves_by_the_analytic_displacement(rpy):
    """A soft ball in air, in an oblique grid: its centre of mass follows the field."""
    shape, spacing = (60, 60, 60), (2e-3, 1.5e-3, 2.5e-3)
    pose = pose_from_parameters((0.02, 0.0, -0.1), rpy)
    empty = Volume(np.full(shape, -1000, np.int16), spacing, pose)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing='ij')[::-1], axis=-1)
    where = empty.index_to_patient_m(index)
    marker = empty.index_to_patient_m([28, 30, 29])
    motion = ChestMotion(0.2, -0.1, (0.2, 0.2), 0.3, tuple(marker + 0.02))
    square = np.sum((where - marker) ** 2, axis=-1)
    ball = Volume((-1000 + 2000 * np.exp(-square / 0.007**2)).astype(np.int16), spacing, pose)
    for phase, cardiac in ((0.5, 0.0), (0.35, 0.4)):
        warped = motion.deformed(ball, phase, cardiac)
        mass = warped.hu + 1000.0
        found = (where * mass[..., None]).sum((0, 1, 2)) / mass.sum()
        expected = motion.moved(marker, phase, cardiac)
        assert np.linalg.norm(expected - marker) > 2e-3
        np.testing.assert_allclose(found, expected, atol=5e-4)  # the field bends


def test_structures_follow_and_volumes_are_roughly_kept(phantom):
    motion = ChestMotion.of(phantom)
    now = motion.deformed(phantom, 0.5, 0.5)
    liver_side = phantom.structure_mask('vertebrae_T6'), now.structure_mask('vertebrae_T6')
    assert np.count_nonzero(liver_side[0] != liver_side[1]) <= 0.02 * liver_side[0].sum()
    for name in ('lung_lower_lobe_right', 'lung_lower_lobe_left', 'heart', 'aorta'):
        before, after = (np.count_nonzero(v.structure_mask(name)) for v in (phantom, now))
        assert after == pytest.approx(before, rel=0.25), name
    lungs = [n for n in phantom.structures if n.startswith('lung')]
    before, after = (
        sum(np.count_nonzero(v.structure_mask(n)) for n in lungs) for v in (phantom, now)
    )
    assert after > before, 'a breath makes the lungs larger'
    shift = now.structure_centre_patient_m('lung_lower_lobe_right')
    shift = shift - phantom.structure_centre_patient_m('lung_lower_lobe_right')
    assert -motion.diaphragm_m < shift[2] < -0.2 * motion.diaphragm_m
    body = [np.count_nonzero(v.hu > -300) for v in (phantom, now)]
    assert body[1] == pytest.approx(body[0], rel=0.03)


def test_parts_are_found_by_structure_or_guessed(phantom):
    found = ChestMotion.of(phantom, diaphragm_m=0.01)
    assert found.diaphragm_m == 0.01
    assert found.spine_m == pytest.approx((0, 0.075), abs=0.01)
    heart = phantom.structure_centre_patient_m('heart')
    np.testing.assert_allclose(found.heart_centre_m, heart)
    assert 0.03 < found.heart_radius_m < 0.06
    bare = Volume(phantom.hu, phantom.spacing_m, phantom.patient_from_grid)
    guessed = ChestMotion.of(bare)
    assert guessed.heart_centre_m is None
    assert guessed.apex_z_m > guessed.base_z_m
    assert not np.array_equal(deformed(bare, 0.5).hu, bare.hu)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'diaphragm_m': 15.0}, '15 mm is 0.015'),
        ({'apex_z_m': -0.2}, 'z points to the head'),
        ({'apex_z_m': -0.06, 'diaphragm_m': 0.04}, 'would fold tissue: at most'),
        ({'heart_m': 0.02, 'heart_radius_m': 0.03}, 'heart_m = 0.02 m would fold'),
        ({'exponent': 0}, 'exponent must be 1..10'),
    ],
)
def test_impossible_motions(change, message):
    with pytest.raises(ValueError, match=message):
        ChestMotion(**{'apex_z_m': 0.15, 'base_z_m': -0.12, 'spine_m': (0.0, 0.07), **change})
