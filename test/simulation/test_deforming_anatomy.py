"""Breathing and heartbeat deform the anatomy; cached states are interpolated."""

from dataclasses import replace

import numpy as np
import pytest

from synthex_ros.anatomy import torso_phantom
from synthex_ros.anatomy.motion import ChestMotion
from synthex_ros.anatomy.volume import Volume
from synthex_ros.geometry import CArm, make_pose
from synthex_ros.simulation.breathing import Breathing
from synthex_ros.simulation.deforming_anatomy import (
    DeformingAnatomy,
    coarse_to_fine,
    neighbours,
)
from synthex_ros.xray.renderer import Renderer
from synthex_ros.xray.scene import Scene

VIEW = CArm(pixel_pitch_m=4.8e-3, detector_px=64, binning=1).view(0.0, 0.0)
TIP_M = np.zeros(3)
PERIOD_S = 4.0


@pytest.fixture(scope='module')
def phantom():
    return torso_phantom((72, 60, 80), 5e-3)


def deforming(volume, *, materials='standard', background=False, heart_m=0.004, **kwargs):
    pose = make_pose(translation_m=-volume.centre_patient_m)
    renderer = Renderer(Scene(volume, materials, pose), anatomy_px=64)
    motion = ChestMotion.of(volume, heart_m=heart_m)
    return DeformingAnatomy(
        renderer, motion, Breathing(period_s=PERIOD_S), 1.125, background=background, **kwargs
    )


def layer(made, time_s, view=VIEW, **kwargs):
    return made.layer(view, None, time_s, TIP_M, **kwargs)


@pytest.mark.parametrize('materials', ['standard', 'detailed'])
def test_full_inspiration_is_the_projection_of_the_deformed_ct(phantom, materials):
    """Slabs and cached states give the image of the whole deformed CT, regions and all."""
    made = deforming(phantom, materials=materials)
    seen = layer(made, 2.0)
    assert made.shares(2.0) == pytest.approx((1.0, 0.5))
    exact = []
    scene = made._renderer.scene
    for contraction in (1 / 3, 2 / 3):
        volume = made.motion.slab(phantom, 1.0, contraction)
        whole = Renderer(replace(scene, volume=volume), anatomy_px=64)
        exact.append(whole.anatomy(VIEW).area_density_g_cm2)
    expected = (exact[0] + exact[1]) / 2
    error = np.abs(seen.area_density_g_cm2 - expected)
    assert error.max() < 2e-4 * expected.max()


def test_time_zero_is_the_ct_at_rest_and_a_breath_is_periodic(phantom):
    made = deforming(phantom, heart_m=0.0)
    rest = made._renderer.anatomy(VIEW)
    np.testing.assert_array_equal(layer(made, 0.0).signal_kev, rest.signal_kev)
    half = [layer(made, t).signal_kev for t in (1.5, 1.5 + PERIOD_S, 2.5)]
    np.testing.assert_allclose(half[1], half[0], rtol=1e-5)
    np.testing.assert_allclose(half[2], half[0], rtol=1e-5)
    assert np.abs(half[0] / rest.signal_kev - 1).max() > 0.05


def test_the_diaphragm_moves_the_apex_and_spine_rest(phantom):
    """Columns through the lower lung darken less or more; above the apex nothing changes."""
    made = deforming(phantom, heart_m=0.0)
    change = np.abs(np.log(layer(made, 2.0).signal_kev / layer(made, 0.0).signal_kev))
    top = VIEW.project(make_pose(translation_m=-phantom.centre_patient_m)[:3, 3] + [
        0.0, 0.0, made.motion.apex_z_m + 0.03
    ])[1]  # fmt: skip
    rows = np.arange(64)
    upwards = VIEW.project(np.array([0.0, 0.0, 0.1]))[1] < VIEW.project(TIP_M)[1]
    assert upwards
    assert change[rows < top - 1].max(initial=0.0) < 1e-3
    assert change.max() > 0.1


def test_heartbeat_lightens_the_rim_of_the_heart_and_nothing_else(phantom):
    made = deforming(phantom)
    still = replace(made.motion, diaphragm_m=0.0, breastbone_m=0.0)
    beating = DeformingAnatomy(
        made._renderer, still, Breathing(period_s=PERIOD_S), 1.0, background=False
    )
    change = layer(beating, 0.5).signal_kev / layer(beating, 0.0).signal_kev
    assert change.max() > 1.02
    reach_m = 1.6 * still.heart_radius_m
    heart = np.array(still.heart_centre_m) - phantom.centre_patient_m
    u, v = VIEW.project(heart)
    rows, columns = np.indices(change.shape)
    pitch_m = VIEW.geometry.pixel_pitch_m[0] * 0.7 / 1.02
    away = np.hypot(rows - v, columns - u) * pitch_m > 1.4 * reach_m
    np.testing.assert_allclose(change[away], 1.0, atol=2e-3)


def test_background_reaches_the_same_images_and_starts_at_rest(phantom):
    waiting, ahead = deforming(phantom), deforming(phantom, background=True)
    first = layer(ahead, 0.0)
    np.testing.assert_array_equal(first.signal_kev, layer(waiting, 0.0).signal_kev)
    ahead.wait()
    for time_s in (0.7, 2.0, 2.9):
        np.testing.assert_array_equal(
            layer(ahead, time_s).signal_kev, layer(waiting, time_s).signal_kev
        )
    ahead.close()


def test_a_moving_c_arm_sees_the_ct_shifted_as_the_tissue_at_the_device(phantom):
    made = deforming(phantom, heart_m=0.0)
    seen = layer(made, 2.0, moving=True)
    tissue = made.motion.pull_back_at(phantom.centre_patient_m, 1.0, 0.0)
    shift = seen.world_from_patient[:3, 3] - made._renderer.scene.world_from_patient[:3, 3]
    np.testing.assert_allclose(shift, phantom.centre_patient_m - tissue, atol=1e-12)
    assert made._job is None, 'no states are made for views that pass by'


def test_less_memory_means_fewer_states(phantom):
    made = deforming(phantom)
    assert made._levels(2**20) == (9, 4)
    assert made._levels(57 * 2**20) == (3, 2)
    assert deforming(phantom, heart_m=0.0)._levels(25 * 2**20) == (9, 1)


def test_a_state_that_cannot_be_made_is_reported(phantom):
    made = deforming(phantom, background=True)
    made._make = lambda *_: (_ for _ in ()).throw(MemoryError('no room'))
    made._states(VIEW, None)
    made.wait()
    with pytest.raises(RuntimeError, match='could not be projected'):
        layer(made, 0.1)


def test_levels_in_order_and_neighbours_among_those_that_are_ready():
    for count in (1, 2, 3, 4, 7, 9):
        assert sorted(coarse_to_fine(count)) == list(range(count))
    assert coarse_to_fine(9)[:3] == [0, 8, 4]
    assert neighbours([0], 5.0) == (0, 0, 0.0)
    assert neighbours([0, 4, 8], 5.0) == (4, 8, 0.25)
    assert neighbours([0, 4], 6.0) == (4, 4, 0.0)
    assert neighbours([0, 4, 8], 8.0) == (8, 8, 0.0)


def test_heartbeat_needs_a_labelled_heart(phantom):
    bare = Volume(phantom.hu, phantom.spacing_m, phantom.patient_from_grid)
    assert deforming(bare)._levels(2**20) == (9, 1)
