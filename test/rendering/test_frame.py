"""What a rendered frame says about itself is true of its image."""

import numpy as np
import pytest

from synthex_ros.geometry import CArm, make_pose
from synthex_ros.rendering import RenderSettings, radiograph
from synthex_ros.rendering.studio import Studio
from synthex_ros.simulation.room import Renderer
from synthex_ros.xray.renderer import Technique
from synthex_ros.xray.scene import Scene

from .conftest import SMALL

BENT = (0.0, 0.0, 0.002, -0.002)


def test_five_lines_give_the_picture_of_the_renderer(studio):
    """The image is the one that anybody gets who asks the renderer for the same view."""
    image = radiograph(**SMALL, lao_deg=30, cran_deg=10, charge_mas=0.05, seed=3)
    volume = studio.volume
    pose = make_pose(translation_m=-volume.centre_patient_m)
    technique = Technique(80.0, 0.05, 0.008, (('Al', 3.0), ('Cu', 0.1)))
    renderer = Renderer(Scene(volume, world_from_patient=pose), technique, anatomy_px=128)
    joints = image.radiograph.view.world_from_source
    view = CArm(binning=12).view(np.radians(0), 0)
    assert view.geometry == image.radiograph.view.geometry
    expected = renderer.render(image.radiograph.view, [], np.random.default_rng([3, 0]))
    np.testing.assert_array_equal(image.counts, expected.counts)
    towards_detector = joints[:3, 2]  # LAO to the left (+x), CRAN to the head (+z)
    np.testing.assert_allclose(np.degrees(np.arcsin(towards_detector[2])), 10)
    left_over_front = np.arctan2(towards_detector[0], -towards_detector[1])
    np.testing.assert_allclose(np.degrees(left_over_front), 30)


def test_same_seed_same_image_another_seed_another_noise(studio):
    first, again, other = (studio.with_(seed=seed).frame() for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.counts, again.counts)
    assert np.any(first.counts != other.counts)


def test_expected_counts_are_the_mean_of_many_noises(studio):
    quiet = studio.with_(charge_mas=0.5, device='continuum')
    frames = [quiet.with_(seed=seed).frame().counts.astype(float) for seed in range(12)]
    expected = frames[0] * 0 + quiet.frame().stages().expected_counts
    mean = np.mean(frames, axis=0)
    rows, columns = np.gradient(expected)
    smooth = np.hypot(rows, columns) < 0.02 * expected  # blur moves what lies beside edges
    assert np.count_nonzero(smooth) > 1000
    assert np.median(mean[smooth] / expected[smooth]) == pytest.approx(1, abs=3e-3)


def test_landmarks_lie_where_the_device_is(studio):
    frame = studio.with_(device='continuum', device_joints=BENT, supersampling=2).frame()
    marks = {mark.name: mark for mark in frame.landmarks}
    assert set(marks) == {'base', 'tip'}
    assert marks['base'].pixel_px == pytest.approx((63.5, 63.5))
    assert marks['base'].depth_m == pytest.approx(0.7)
    for mark in marks.values():
        assert mark.visible
        u, v = np.round(mark.pixel_px).astype(int)
        assert frame.mask[v - 2 : v + 3, u - 2 : u + 3].any()


def test_depth_is_the_distance_to_the_near_surface(studio):
    """A tube of 6 mm at the isocentre begins 3 mm before it, seen from the focal spot."""
    frame = studio.with_(device='continuum', binning=4, detector_px=1024).frame()
    inside = frame.mask > 0
    assert np.isfinite(frame.depth_m[inside]).all()
    assert np.isnan(frame.depth_m[~inside]).all()
    assert np.nanmin(frame.depth_m) == pytest.approx(0.697, abs=5e-4)
    assert np.nanmax(frame.depth_m) < 0.7035


def test_collimator_shuts_out_all_but_the_field(studio):
    field = (20, 100, 30, 90)
    request = {'device': 'continuum', 'labels': ('heart', 'vertebrae_T1')}
    open_frame = studio.with_(**request).frame()
    frame = studio.with_(**request, field_px=field).frame()
    inside = frame.open_field
    assert np.count_nonzero(inside) == 80 * 60
    core = np.zeros_like(inside)
    core[22:98, 32:88] = True
    shut = ~inside
    shut[17:103, 27:93] = False
    assert frame.counts[shut].mean() < 0.02 * np.median(open_frame.counts)
    ratio = frame.stages().primary_counts[core] / open_frame.stages().primary_counts[core]
    np.testing.assert_allclose(ratio, 1, rtol=1e-5)
    assert not frame.mask[~inside].any()
    visible = {mark.name: mark.visible for mark in frame.landmarks}
    assert visible == {'base': True, 'tip': True, 'heart': True, 'vertebrae_T1': False}
    share = (
        frame.radiograph.kerma_area_product_gy_m2 / open_frame.radiograph.kerma_area_product_gy_m2
    )
    assert share == pytest.approx(80 * 60 / 128**2, rel=0.02)


def test_automatic_exposure_sets_the_charge(studio):
    little, much = (studio.with_(detector_kerma_ngy=ngy).frame() for ngy in (10.0, 100.0))
    charges = [f.radiograph.technique.charge_mas for f in (little, much)]
    assert charges[1] == pytest.approx(10 * charges[0])
    assert much.radiograph.air_kerma_gy == pytest.approx(10 * little.radiograph.air_kerma_gy)


def test_air_kerma_is_reported_15_cm_before_the_isocentre(studio):
    near, far = (studio.with_(source_to_isocenter_m=m).frame() for m in (0.65, 0.85))
    ratio = near.radiograph.air_kerma_gy / far.radiograph.air_kerma_gy
    assert ratio == pytest.approx((0.70 / 0.50) ** 2)


def test_sweep_turns_and_the_device_moves_through_the_cine(studio):
    cine = studio.with_(
        frames=3, sweep_deg=40.0, lao_deg=-20.0, device='continuum', device_joints=BENT,
        device_joints_end=(0.02, 0.0, 0.002, -0.002), frame_rate_hz=10.0,
    )  # fmt: skip
    frames = list(cine.frames())
    assert [frame.primary_deg for frame in frames] == [-20, 0, 20]
    assert [frame.time_s for frame in frames] == pytest.approx([0, 0.1, 0.2])
    tips = np.array([frame.landmarks[1].world_m for frame in frames])
    np.testing.assert_allclose(np.diff(tips, axis=0), [[0, 0, 0.01]] * 2, atol=1e-12)
    np.testing.assert_array_equal(cine.frame(1).counts, frames[1].counts)


def test_breathing_moves_the_anatomy_and_its_landmarks(studio):
    cine = studio.with_(
        frames=2, frame_rate_hz=0.5, breathing_amplitude_m=0.02, breathing_period_s=4.0,
        labels=('vertebrae_T8',), device='continuum',
    )  # fmt: skip
    rest, full = cine.frames()
    moved = {
        mark.name: np.subtract(full.landmarks[k].world_m, mark.world_m)
        for k, mark in enumerate(rest.landmarks)
    }
    assert np.linalg.norm(moved['vertebrae_T8']) == pytest.approx(0.02)
    assert moved['vertebrae_T8'][2] < -0.018
    np.testing.assert_array_equal(moved['tip'], 0)


def test_isocenter_at_a_structure_puts_it_in_the_middle(studio):
    frame = studio.with_(isocenter_at='heart', labels=('heart',)).frame()
    assert frame.landmarks[0].pixel_px == pytest.approx((63.5, 63.5))
    rows, columns = np.nonzero(frame.structures['heart'].mask)
    assert rows.mean() == pytest.approx(63.5, abs=4)
    assert columns.mean() == pytest.approx(63.5, abs=4)


def test_display_shows_the_left_of_the_patient_on_the_right(studio):
    """The phantom's heart lies to the left; in a frontal view it must be on the right."""
    frame = studio.with_(labels=('heart',)).frame()
    mirrored = frame.structures['heart'].mask[:, ::-1]
    assert np.nonzero(mirrored)[1].mean() > 64
    assert frame.display().dtype == np.uint8
    bright = np.log1p(frame.counts[:, ::-1].astype(float))
    assert np.corrcoef(bright.ravel(), frame.display().ravel())[0, 1] > 0.9


def test_studio_of_another_view_keeps_the_ct(studio):
    assert studio.with_(lao_deg=10.0).volume is studio.volume
    assert Studio(RenderSettings(**SMALL)).volume is not studio.volume


def test_device_outside_the_beam_is_said_and_not_seen(studio, caplog):
    frame = studio.with_(device='continuum', device_pose=(0.4, 0, 0, 0, 0, 0)).frame()
    assert not frame.mask.any()
    assert not any(mark.visible for mark in frame.landmarks)
    assert 'outside the beam' in caplog.text
    np.testing.assert_array_equal(frame.counts, studio.frame().counts)


def test_full_chain_adds_scatter_and_lag(studio):
    """Behind a torso without a grid there is as much scatter as primary, or more."""
    full = studio.with_(imaging_chain='full', charge_mas=1.0)
    stages = full.frame().stages()
    ratio = np.median(stages.scatter_counts) / np.median(stages.primary_counts)
    assert 0.5 < ratio < 10
    cine = full.with_(
        frames=2, device='continuum', device_pose_end=(0.05, 0, 0, 0, 0, 0), frame_rate_hz=30.0
    )
    after = list(cine.frames())[1].counts.astype(float)
    alone = cine.frame(1).counts.astype(float)
    assert np.any(after != alone)


def test_realism_leaves_physics_out(studio):
    naive = studio.with_(realism='naive', imaging_chain='full')
    first, other = naive.with_(seed=1).frame(), naive.with_(seed=2).frame()
    np.testing.assert_array_equal(first.counts, other.counts)
    assert not first.stages().scatter_counts.any()
    with pytest.raises(ValueError, match='realism must be one of naive, heuristic, realistic'):
        studio.with_(realism='real')
    with pytest.raises(ValueError, match='imaging_chain must be one of ideal, full'):
        studio.with_(imaging_chain='ful')
    with pytest.raises(ValueError, match='tissue model must be one of'):
        studio.with_(materials='fine')
