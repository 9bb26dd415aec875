"""Generated frames: labels agree with geometry and pixels; the seed alone decides the bytes."""

import numpy as np
import pytest

from synthex_ros.devices.continuum.kinematics import ContinuumKinematics
from synthex_ros.geometry import transform_points
from synthex_ros.learning.coco import CocoFolder
from synthex_ros.learning.frame_maker import FrameMaker
from synthex_ros.learning.generate import generate
from synthex_ros.learning.imaging import ImagingSampling

from .conftest import FRAMES, SAMPLING, SEED

TUBE_RADIUS_PX = 3e-3 * 1.02 / 0.54 / 0.582e-3
"""Outer radius of the device on the detector, at its nearest to the source."""


@pytest.fixture(scope='module')
def maker():
    return FrameMaker(SAMPLING, SEED)


@pytest.fixture(scope='module')
def folder(frames_root):
    return CocoFolder(frames_root)


@pytest.fixture(scope='module')
def devices(folder):
    """Frames that show a device: image, annotation, counts, mask."""
    return [
        (folder.images[row], folder.annotations(row)[0], folder.counts(row), folder.mask(row))
        for row in range(FRAMES)
        if folder.annotations(row)
    ]


def contents(root):
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob('*'))
        if path.is_file()
    }


def keypoints(annotation):
    return np.reshape(annotation['keypoints'], (2, 3))


def depth_in_field(image, points):
    """Return how far inside the open field and the image points lie [px], negative outside."""
    top, bottom, left, right = image['field_px']
    u, v = points[:, 0] + 0.5, points[:, 1] + 0.5
    return np.min([u - left, right - u, v - top, bottom - v], axis=0)


def is_open(image):
    return image['field_px'] == [0.0, image['height'], 0.0, image['width']]


def test_the_set_shows_every_kind_of_frame(folder, devices):
    """Otherwise the tests below would say nothing."""
    assert 0 < len(devices) < FRAMES
    assert {is_open(image) for image in folder.images} == {True, False}
    assert {bool(image['distractors']) for image in folder.images} == {True, False}
    assert {image['chain']['lag'] for image in folder.images} == {True, False}
    levels = {int(level) for _, item, _, _ in devices for level in keypoints(item)[:, 2]}
    assert levels >= {1, 2}
    assert [image['id'] for image in folder.images] == list(range(FRAMES))


def test_landmarks_are_the_projected_ends_of_the_device(devices):
    """Pinhole projection of the kinematics with the stored camera, without the library's view."""
    kinematics = ContinuumKinematics()
    for image, item, _, _ in devices:
        angles = kinematics.notch_angles(np.array(item['control_rad']))
        ends = kinematics.landmarks(angles, 0.0, item['roll_rad'])
        world = transform_points(np.array(item['world_from_device_base']), ends)
        source = np.c_[world, np.ones(2)] @ np.linalg.inv(image['camera']['world_from_source']).T
        uvw = source[:, :3] @ np.array(image['camera']['k']).T
        points = uvw[:, :2] / uvw[:, 2:]
        np.testing.assert_allclose(item['keypoints_projected'], points, atol=1e-6)
        stored = keypoints(item)
        np.testing.assert_allclose(stored[stored[:, 2] > 0, :2], points[stored[:, 2] > 0])
        assert image['source_to_object_mm'] == pytest.approx(source[:, 2].mean() * 1e3)


def test_visibility_says_in_the_open_on_the_image_or_off_it(devices):
    for image, item, _, _ in devices:
        points = np.array(item['keypoints_projected'])
        depth = depth_in_field(image, points)
        size = [image['width'], image['height']]
        on_image = np.all((points >= -0.5) & (points < np.array(size) - 0.5), axis=1)
        expected = np.where(depth >= SAMPLING.landmark_margin_px, 2, np.where(on_image, 1, 0))
        shown = np.array(item['keypoint_contrast']) >= SAMPLING.least_contrast
        shown &= np.array(item['keypoint_snr']) >= SAMPLING.least_landmark_snr
        np.testing.assert_array_equal(
            keypoints(item)[:, 2], np.where(shown, expected, np.minimum(expected, 1))
        )


def test_mask_reaches_every_visible_landmark_and_none_behind_a_blade(devices):
    checked = 0
    for image, item, _, mask in devices:
        v, u = np.nonzero(mask)
        assert depth_in_field(image, np.column_stack([u, v])).min() > 0
        for point in keypoints(item)[keypoints(item)[:, 2] == 2]:
            assert np.hypot(u - point[0], v - point[1]).min() < TUBE_RADIUS_PX
            checked += 1
    assert checked >= 4


def test_mask_lies_between_the_landmarks(devices):
    """The device bends by at most a quarter turn and a half, so it stays near its chord."""
    for _, item, _, mask in devices:
        points = keypoints(item)
        if np.all(points[:, 2] == 2):
            v, u = np.nonzero(mask)
            middle, length = points[:, :2].mean(axis=0), np.linalg.norm(np.diff(points, axis=0))
            centre = np.array([u.mean(), v.mean()])
            assert np.linalg.norm(centre - middle) < 0.5 * length + 2 * TUBE_RADIUS_PX


def test_the_device_takes_the_signal_that_its_contrast_says(devices, maker):
    """The picture loses in the mask what the same frame without the device says it should."""
    for image, item, counts, mask in devices:
        if image['chain']['lag'] or image['chain']['electronic_noise_counts'] > 8:
            continue
        v, u = np.nonzero(mask)
        near = np.zeros_like(mask)
        near[max(v.min() - 12, 0) : v.max() + 12, max(u.min() - 12, 0) : u.max() + 12] = 1
        around = counts[(near == 1) & (mask == 0)].astype(float)
        assert item['contrast'] > 0
        assert np.median(counts[mask == 1]) < np.percentile(around, 80)


def test_behind_the_blades_it_is_dark(folder):
    for row, image in enumerate(folder.images):
        if not is_open(image) and not image['chain']['scatter']:
            top, bottom, left, right = (round(edge) for edge in image['field_px'])
            shut = np.ones((image['height'], image['width']), bool)
            shut[max(top - 4, 0) : bottom + 4, max(left - 4, 0) : right + 4] = False
            counts = folder.counts(row)
            brightest = np.percentile(counts[~shut], 99)  # the field may be full of dense tissue
            assert np.median(counts[shut]) < 0.1 * brightest


def test_a_frame_made_alone_is_the_frame_of_the_set(folder, maker):
    for index in (5, 0):
        frame = maker.frame(index)
        np.testing.assert_array_equal(frame.counts, folder.counts(index))
        np.testing.assert_array_equal(frame.mask, folder.mask(index))
        stored = folder.annotations(index)
        assert [item['keypoints'] for item in frame.annotations] == [
            item['keypoints'] for item in stored
        ]


def test_another_seed_gives_other_frames(folder):
    other = FrameMaker(SAMPLING, SEED + 1).frame(0)
    assert not np.array_equal(other.counts, folder.counts(0))


def test_interrupted_run_continues_to_the_same_bytes(frames_root, tmp_path):
    """Stopped after the first view and in the middle of a line; continued by two workers."""
    running = generate(SAMPLING, FRAMES, tmp_path, SEED, workers=1)
    assert [next(running), next(running)] == [0, 4]
    running.close()
    with (tmp_path / 'log.jsonl').open('a', encoding='utf-8') as file:
        file.write('{"image": {"id": 4, "fi')
    assert list(generate(SAMPLING, FRAMES, tmp_path, SEED, workers=2))[-1] == FRAMES
    assert contents(tmp_path) == contents(frames_root)


def test_finished_set_is_left_alone(frames_root):
    before = contents(frames_root)
    assert list(generate(SAMPLING, FRAMES, frames_root, SEED)) == [FRAMES]
    assert contents(frames_root) == before


@pytest.mark.parametrize('name', ['detector_kerma_ngy', 'electronic_noise_counts'])
@pytest.mark.parametrize('limits', [(0.0, 1.0), (-1.0, 1.0), (1.0, float('inf'))])
def test_what_is_drawn_in_its_logarithm_must_be_positive(name, limits):
    with pytest.raises(ValueError, match=f'{name} must be positive and finite'):
        ImagingSampling(**{name: limits})


def test_folder_of_another_seed_is_refused(frames_root):
    with pytest.raises(ValueError, match='made with other seed; continue with the same'):
        next(generate(SAMPLING, FRAMES, frames_root, SEED + 1))


def test_counts_of_frames_and_workers_are_checked(tmp_path):
    with pytest.raises(ValueError, match='must be positive, got 0 and 2'):
        next(generate(SAMPLING, 0, tmp_path, SEED))
