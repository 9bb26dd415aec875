"""Generated frames: labels agree with geometry and pixels; the seed alone decides the bytes."""

import numpy as np
import pytest

from synthex_ros.devices.continuum.kinematics import ContinuumKinematics
from synthex_ros.geometry import transform_points
from synthex_ros.learning.dataset import FrameFolder
from synthex_ros.learning.generate import FrameMaker, generate
from synthex_ros.learning.labelled import inside

from .conftest import FRAMES, SAMPLING, SEED

TUBE_RADIUS_PX = 3e-3 * 1.02 / 0.54 / 0.582e-3
"""Outer radius of the device on the detector, at its nearest to the source."""


@pytest.fixture(scope='module')
def maker():
    return FrameMaker(SAMPLING, SEED)


@pytest.fixture(scope='module')
def frames(frames_root):
    folder = FrameFolder(frames_root)
    return [(item, *folder.read(item['id'])) for item in folder.annotations()]


def contents(root):
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob('*'))
        if path.is_file()
    }


def landmarks(annotation):
    rows = np.array(list(annotation['landmarks'].values()))
    return rows[:, :2], rows[:, 2] == 1


def in_field(annotation, points, shape):
    """Tell which points are neither off the detector nor behind the collimator."""
    top, bottom, left, right = annotation['field_px'] or (0, shape[0], 0, shape[1])
    within = inside(points, shape)
    return within & inside(points - [left, top], (bottom - top, right - left))


def test_the_set_shows_every_kind_of_frame(frames):
    """Otherwise the tests below would say nothing."""
    assert {item['has_device'] for item, _, _ in frames} == {True, False}
    assert {item['field_px'] is None for item, _, _ in frames} == {True, False}
    assert len({item['view'] for item, _, _ in frames}) == 2
    assert [item['id'] for item, _, _ in frames] == list(range(FRAMES))


def test_landmarks_are_the_projected_ends_of_the_device(frames):
    """Pinhole projection of the kinematics with the stored camera, without the library's view."""
    kinematics = ContinuumKinematics()
    for item, _, _ in frames:
        angles = kinematics.notch_angles(np.array(item['control_rad']))
        ends = kinematics.landmarks(angles, 0.0, item['roll_rad'])
        world = transform_points(np.array(item['world_from_device_base']), ends)
        source = np.c_[world, np.ones(2)] @ np.linalg.inv(item['world_from_source']).T
        uvw = source[:, :3] @ np.array(item['k']).T
        points, _ = landmarks(item)
        np.testing.assert_allclose(points, uvw[:, :2] / uvw[:, 2:], atol=1e-6)
        assert item['source_to_object_mm'] == pytest.approx(source[:, 2].mean() * 1e3)


def test_mask_reaches_every_visible_landmark(frames):
    checked = 0
    for item, _, mask in frames:
        points, visible = landmarks(item)
        for point in points[visible]:
            v, u = np.nonzero(mask)
            assert np.hypot(u - point[0], v - point[1]).min() < TUBE_RADIUS_PX
            checked += 1
    assert checked >= 4


def test_mask_lies_between_the_landmarks(frames):
    """The device bends by at most a quarter turn and a half, so it stays near its chord."""
    for item, _, mask in frames:
        points, visible = landmarks(item)
        if visible.all():
            v, u = np.nonzero(mask)
            middle, length = points.mean(axis=0), np.linalg.norm(np.diff(points, axis=0))
            centre = np.array([u.mean(), v.mean()])
            assert np.linalg.norm(centre - middle) < 0.5 * length + 2 * TUBE_RADIUS_PX


def test_visible_means_device_there_and_in_the_open_field(frames):
    for item, _, mask in frames:
        points, visible = landmarks(item)
        expected = in_field(item, points, mask.shape) & item['has_device']
        np.testing.assert_array_equal(visible, expected)


def test_frames_without_a_device_have_empty_masks(frames):
    for item, _, mask in frames:
        assert set(np.unique(mask)) <= {0, 1}
        assert mask.any() == item['has_device']


def test_the_device_is_darker_than_the_same_frame_without_it(frames, maker):
    for item, counts, mask in frames:
        if item['has_device'] and item['field_px'] is None:
            near = np.zeros_like(mask)
            v, u = np.nonzero(mask)
            near[max(v.min() - 12, 0) : v.max() + 12, max(u.min() - 12, 0) : u.max() + 12] = 1
            around = counts[(near == 1) & (mask == 0)]
            assert np.median(counts[mask == 1]) < np.median(around)


def test_behind_the_collimator_it_is_dark_and_unlabelled(frames):
    for item, counts, mask in frames:
        if item['field_px'] is not None:
            top, bottom, left, right = item['field_px']
            shut = np.ones(mask.shape, bool)
            shut[top:bottom, left:right] = False
            assert not mask[shut].any()
            assert np.median(counts[shut]) < 0.1 * np.median(counts[~shut])


def test_a_frame_made_alone_is_the_frame_of_the_set(frames, maker):
    for index in (5, 0):
        item, counts, mask = frames[index]
        frame = maker.frame(index)
        np.testing.assert_array_equal(frame.counts, counts)
        np.testing.assert_array_equal(frame.mask, mask)
        assert frame.annotation['landmarks'] == item['landmarks']


def test_another_seed_gives_other_frames(frames):
    other = FrameMaker(SAMPLING, SEED + 1).frame(0)
    assert not np.array_equal(other.counts, frames[0][1])
    assert other.annotation['landmarks'] != frames[0][0]['landmarks']


def test_interrupted_run_continues_to_the_same_bytes(frames_root, tmp_path):
    """Stopped after the first view, and in the middle of writing an annotation."""
    running = generate(SAMPLING, FRAMES, tmp_path, SEED, workers=1)
    assert [next(running), next(running)] == [0, 4]
    running.close()
    with (tmp_path / 'annotations.jsonl').open('a', encoding='utf-8') as file:
        file.write('{"id": 4, "landm')
    assert list(generate(SAMPLING, FRAMES, tmp_path, SEED, workers=1)) == [4, 8]
    assert contents(tmp_path) == contents(frames_root)


def test_finished_set_is_left_alone(frames_root):
    before = contents(frames_root)
    assert list(generate(SAMPLING, FRAMES, frames_root, SEED)) == [FRAMES]
    assert contents(frames_root) == before


def test_folder_of_another_seed_is_refused(frames_root):
    with pytest.raises(ValueError, match='made with other seed; continue with the same'):
        next(generate(SAMPLING, FRAMES, frames_root, SEED + 1))


def test_counts_of_frames_and_workers_are_checked(tmp_path):
    with pytest.raises(ValueError, match='must be positive, got 0 and 2'):
        next(generate(SAMPLING, 0, tmp_path, SEED))
