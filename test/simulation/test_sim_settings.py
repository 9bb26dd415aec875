"""Parameters of the simulator that are optical parts: the frame changes as each must change it."""

import numpy as np
import pytest

from sim_node.params import SimParams
from sim_node.settings import room_settings
from synthex_ros.simulation.build import build_room

SMALL = {
    'anatomy': 'phantom',
    'anatomy_px': 64,
    'detector_px': 128,
    'pixel_pitch_m': 2.4e-3,
    'binning': 1,
    'device_base_pose': (0.0, 0.0, -0.12, 0.0, 0.0, 0.0),
}


def exposure(**changes):
    return build_room(room_settings(SimParams(**{**SMALL, **changes}))).room.expose(0)


def counts(**changes):
    return exposure(**changes).radiograph.counts.astype(float)


@pytest.fixture(scope='module')
def plain():
    return counts()


def test_grid_stops_scatter_more_than_primary():
    """It passes 70 % of the primary and 15 % of the scatter; shadows hold the most scatter."""
    without, with_grid = (
        counts(imaging_chain='full', grid=grid, charge_mas=5.0) for grid in ('none', 'focused')
    )
    order = np.argsort(without, axis=None)
    tenth = order.size // 10
    dark, bright = (
        with_grid.flat[part].mean() / without.flat[part].mean()
        for part in (order[:tenth], order[-tenth:])
    )
    assert 0.15 < dark < 0.8 * bright < 0.8 * 0.70


def test_grid_without_scatter_is_refused():
    with pytest.raises(ValueError, match='needs scatter that it can stop; set imaging_chain'):
        room_settings(SimParams(grid='focused'))


def test_panel_is_the_same_one_for_the_same_number(plain):
    first, again, other = (counts(panel_seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    ratio = first / np.maximum(plain, 1)
    beam = plain > 5000
    assert 0.01 < ratio[beam].std() < 0.05
    assert not np.array_equal(first, other)
    spread = [(image / np.maximum(plain, 1) - 1)[beam] for image in (first, other)]
    assert abs(np.corrcoef(spread)[0, 1]) < 0.9


def test_intensifier_is_round_darker_at_its_edge_and_moves_landmarks_outwards(plain):
    tube = {'image_intensifier': True, 'device_start': (0.03, 0.0, 0.0, 0.0)}
    seen = exposure(**tube)
    image = seen.radiograph.counts.astype(float)
    assert image[:4, :4].mean() < 0.02 * plain[:4, :4].mean()
    straight = exposure(**tube, intensifier_pincushion_percent=0.0)
    middle = np.array([63.5, 63.5])
    radii = [np.linalg.norm(x.landmarks_px - middle, axis=1) for x in (seen, straight)]
    off_axis = radii[1] > 5
    assert off_axis.any()
    assert np.all(radii[0][off_axis] > radii[1][off_axis])
    np.testing.assert_allclose(straight.landmarks_px, exposure().landmarks_px, atol=1e-6)


@pytest.mark.parametrize(
    ('name', 'weak', 'strong'),
    [
        ('intensifier_vignetting_percent', 0.0, 60.0),
        ('intensifier_glare_percent', 0.0, 40.0),
        ('intensifier_glare_reach_m', 0.005, 0.1),
        ('intensifier_s_distortion_deg', 0.0, 10.0),
    ],
)
def test_every_setting_of_the_intensifier_reaches_the_frame(name, weak, strong):
    fixed = {'image_intensifier': True, 'charge_mas': 5.0}
    images = [counts(**fixed, **{name: value}) for value in (weak, strong)]
    assert np.abs(images[0] - images[1]).mean() > 0.005 * images[0].mean()


def test_exposure_control_follows_the_field_of_the_collimator():
    """Less tissue lies behind the rim of the phantom than behind its middle."""

    def charge(*edges):
        seen = exposure(detector_kerma_gy=20e-9, collimator=edges)
        return seen.radiograph.technique.charge_mas

    middle, rim = charge(0.3, 0.7, 0.3, 0.7), charge(0.0, 1.0, 0.0, 0.1)
    assert rim < 0.5 * middle


def test_landmarks_behind_a_blade_are_not_visible():
    open_field = exposure()
    assert open_field.landmarks_visible.all()
    v = open_field.landmarks_px[:, 1] / 128
    between = float(v.mean())
    half = exposure(collimator=(0.0, between, 0.0, 1.0))
    np.testing.assert_array_equal(half.landmarks_visible, v < between)
    assert set(half.landmarks_visible.tolist()) == {True, False}
