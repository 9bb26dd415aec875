"""Cines of a breathing patient: image, masks and landmarks move together."""

import numpy as np
import pytest

from synthex_ros.anatomy.motion import ChestMotion
from synthex_ros.geometry import make_pose
from synthex_ros.rendering.request import make_settings
from synthex_ros.xray.ray_marcher import RayMarcher
from synthex_ros.xray.scene import Scene

BREATH = {
    'frames': 3,
    'frame_rate_hz': 1.0,
    'breathing_period_s': 4.0,
    'breathing_amplitude_m': 0.015,
    'breathing_model': 'deformable',
}
"""Frames at rest, at a quarter and at full inspiration."""


@pytest.fixture(scope='module')
def cine(studio):
    made = studio.with_(**BREATH, labels=('heart',), heart_rate_hz=1.25,
                        heartbeat_amplitude_m=0.004)  # fmt: skip
    return made, list(made.frames())


def test_the_first_frame_is_the_ct_at_rest(studio, cine):
    made, frames = cine
    still = studio.with_(labels=('heart',)).frame()
    np.testing.assert_array_equal(frames[0].counts, still.counts)
    masks = [frame.structures['heart'].mask for frame in (frames[0], still)]
    assert np.count_nonzero(masks[0] != masks[1]) < 0.02 * np.count_nonzero(masks[1])
    assert [frame.inspiration for frame in frames] == pytest.approx([0.0, 0.25, 1.0])
    assert [frame.contraction for frame in frames] == pytest.approx([0.0, 0.5, 1.0])


def test_a_frame_is_the_projection_of_the_deformed_ct(cine):
    """Against marching through the deformed volume: another projector, another path."""
    made, frames = cine
    motion = ChestMotion.of(made.volume, diaphragm_m=0.015, breastbone_m=0.004, heart_m=0.004)
    view = frames[2].radiograph.view.resized((32, 32))
    volume = motion.deformed(made.volume, 0.5, 2 * 1.25)
    pose = make_pose(translation_m=-made.volume.centre_patient_m)
    scene = Scene(volume, 'standard', pose)
    exact = RayMarcher(2e-3).area_density_g_cm2(volume, scene.table, view, pose).sum(0)
    made_area = np.asarray(frames[2].stages().anatomy.area_density_g_cm2).sum(0)
    share = made_area.shape[0] // 32
    coarse = made_area.reshape(32, share, 32, share).mean(axis=(1, 3))
    error = np.sqrt(np.mean((coarse - exact) ** 2)) / np.sqrt(np.mean(exact**2))
    assert error < 0.02
    rest = np.asarray(frames[0].stages().anatomy.area_density_g_cm2).sum(0)
    moved = np.sqrt(np.mean((made_area - rest) ** 2)) / np.sqrt(np.mean(rest**2))
    assert moved > 2 * error


def test_mask_and_landmark_follow_the_tissue(cine):
    """The heart rides down on the diaphragm; its mask's middle goes where its landmark goes."""
    _, frames = cine
    middles = [np.argwhere(f.structures['heart'].mask).mean(axis=0)[0] for f in frames]
    marks = [f.landmarks[0].pixel_px[1] for f in frames]
    assert middles[2] > middles[1] > middles[0]
    assert marks[2] - marks[0] == pytest.approx(middles[2] - middles[0], abs=1.0)
    assert marks[2] - marks[0] > 1.5


def test_a_sweep_breathes_too_and_is_the_same_every_time(studio):
    made = studio.with_(**BREATH, sweep_deg=30.0)
    first, again = (made.frame(2).counts for _ in range(2))
    np.testing.assert_array_equal(first, again)
    rigid = studio.with_(frames=3, frame_rate_hz=1.0, sweep_deg=30.0).frame(2).counts
    difference = np.log1p(first.astype(float)) - np.log1p(rigid.astype(float))
    assert np.sqrt(np.mean(difference**2)) > 0.02


def test_annotation_says_how_far_the_breath_is(cine):
    _, frames = cine
    entry = frames[1].annotation()
    assert entry['inspiration'] == pytest.approx(0.25)
    assert entry['contraction'] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({'breathing_model': 'deformabel'}, 'did you mean deformable'),
        ({'heartbeat_amplitude_m': 3.0}, 'looks like millimetres, pass 0.003'),
        ({'heart_rate_hz': 70.0}, 'heart_rate_hz must be 0.3..4'),
    ],
)
def test_wrong_settings(values, message):
    with pytest.raises(ValueError, match=message):
        make_settings(**values)


def test_a_heartbeat_needs_a_deformable_chest(studio):
    with pytest.raises(ValueError, match='needs breathing_model: deformable'):
        studio.with_(heartbeat_amplitude_m=0.003)
