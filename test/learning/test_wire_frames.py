"""Guidewires in training frames: they lie as wires lie, labels agree with the pixels."""

import numpy as np
import pytest

from synthex_ros.devices.magnetic.guidewire_parameters import LANDMARK_NAMES, GuidewireParameters
from synthex_ros.learning.coco import CocoFolder
from synthex_ros.learning.distractors import Distractors
from synthex_ros.learning.generate import generate
from synthex_ros.learning.imaging import ImagingSampling
from synthex_ros.learning.sampling import SceneSampling
from synthex_ros.learning.wire_curves import STEP_M, bent_tip, free_line, vessel_line
from synthex_ros.learning.wire_sampling import WireSampling

SAMPLING = SceneSampling(
    anatomies={'phantom': 1.0},
    materials='standard',
    device='guidewire',
    image_px=384,
    negative_share=0.2,
    edge_share=0.0,
    imaging=ImagingSampling(collimated_share=0.0, lag_share=0.0),
    distractors=Distractors(share=0.2),
    wire=WireSampling(vessel_share=0.5),
)


def steps_of(line):
    return np.linalg.norm(np.diff(line, axis=0), axis=1)


def turns_of(line):
    tangents = np.diff(line, axis=0) / steps_of(line)[:, None]
    return np.arccos(np.clip(np.sum(tangents[1:] * tangents[:-1], axis=1), -1, 1))


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp('wire') / 'frames'
    assert list(generate(SAMPLING, 10, root, 3, workers=1))[-1] == 10
    return CocoFolder(root)


@pytest.mark.parametrize('curvature', [3.0, 20.0])
def test_a_free_line_has_the_curvature_asked_for_and_ends_along_z(curvature):
    rng = np.random.default_rng(1)
    lines = [free_line(0.3, curvature, rng) for _ in range(30)]
    turns = np.concatenate([turns_of(line) for line in lines]) / STEP_M
    assert np.sqrt(np.mean(turns**2)) == pytest.approx(curvature, rel=0.2)
    for line in lines:
        assert np.allclose(line[-1], 0)
        assert np.allclose(line[-2], [0, 0, -STEP_M], atol=1e-5)
        assert np.allclose(steps_of(line), STEP_M, rtol=1e-6)


def test_a_line_in_a_vessel_stays_in_what_is_free_and_reaches_its_walls():
    rng = np.random.default_rng(2)
    axis = np.zeros((100, 3))
    axis[:, 2] = np.linspace(0, 0.2, 100)
    away = []
    for _ in range(20):
        line = vessel_line(axis, np.full(100, 8e-3), rng)
        away.append(np.linalg.norm(line[:, :2], axis=1))
        assert line[0, 2] < line[-1, 2]
    away = np.concatenate(away)
    assert away.max() <= 8e-3
    assert np.percentile(away, 90) > 4e-3


def test_a_tip_is_bent_by_the_angle_over_its_length_and_nothing_is_stretched():
    line = np.zeros((101, 3))
    line[:, 0] = np.arange(101) * STEP_M
    bent = bent_tip(line, 0.02, np.radians(90), np.random.default_rng(0))
    assert np.allclose(bent[:81], line[:81])
    assert np.allclose(steps_of(bent), STEP_M)
    last = (bent[-1] - bent[-2]) / STEP_M
    assert last @ [1, 0, 0] == pytest.approx(0.0, abs=1e-9)


def test_the_set_names_the_wire_and_its_landmarks(folder):
    assert folder.classes == ('background', 'guidewire')
    assert folder.landmarks == LANDMARK_NAMES
    shown = [folder.annotations(row) for row in range(10)]
    assert any(shown)
    assert not all(shown)
    assert {item[0]['in_vessel'] for item in shown if item} == {True, False}


def test_landmarks_lie_on_the_wire_as_far_apart_as_it_is_built(folder):
    for row in range(10):
        for item in folder.annotations(row):
            image = folder.images[row]
            line = np.array(item['centerline_world_m'])
            source = (
                np.c_[line, np.ones(len(line))]
                @ np.linalg.inv(image['camera']['world_from_source']).T
            )
            uvw = source[:, :3] @ np.array(image['camera']['k']).T
            pixels = uvw[:, :2] / uvw[:, 2:]
            marker, tip = np.array(item['keypoints_projected'])
            assert np.allclose(tip, pixels[-1], atol=0.1)
            # the marker is within half a station of some point of the centre line
            scale = image['camera']['k'][0][0] / uvw[-1, 2]
            assert np.min(np.linalg.norm(pixels - marker, axis=1)) < 0.51 * 5e-3 * scale * 1.2
            longest = GuidewireParameters().flexible_length_m + 5e-3
            assert np.linalg.norm(marker - tip) < longest * scale * 1.2


def test_visible_landmarks_are_covered_by_the_mask(folder):
    seen = 0
    for row in range(10):
        rows, columns = np.nonzero(folder.mask(row))
        for u, v, level in folder.keypoints(row):
            if level == 2:
                seen += 1
                assert np.min(np.hypot(columns - u, rows - v)) < 2.0
    assert seen >= 4


def test_the_same_seed_gives_the_same_wires(folder, tmp_path):
    list(generate(SAMPLING, 4, tmp_path / 'again', 3, workers=1))
    again = CocoFolder(tmp_path / 'again')
    for row in range(4):
        assert np.array_equal(again.counts(row), folder.counts(row))
        assert again.annotations(row) == folder.annotations(row)


@pytest.mark.parametrize(
    'wire',
    [{'vessel_share': 1.5}, {'taper_length_m': (0.1, 0.03)}, {'magnet_length_m': (0, 1e-3)}],
)
def test_ranges_that_make_no_wire_are_refused(wire):
    with pytest.raises(ValueError, match=next(iter(wire))):
        WireSampling(**wire)


def test_an_unknown_device_is_refused_with_those_that_are_known(tmp_path):
    with pytest.raises(ValueError, match='device must be one of continuum, guidewire'):
        next(generate(SceneSampling(device='stent'), 1, tmp_path, 0))
