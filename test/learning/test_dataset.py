"""A data set folder keeps every bit, repairs itself and says what is wrong with it."""

import json

import numpy as np
import pytest

from synthex_ros.learning.dataset import FrameFolder, FrameSet
from synthex_ros.learning.sampling import SceneSampling
from synthex_ros.settings import as_plain, load_settings
from synthex_ros.tracking.model import normalise

DESCRIPTION = {'seed': 1, 'landmarks': ['base', 'tip'], 'classes': ['background', 'device']}


@pytest.fixture
def folder(tmp_path):
    """Four frames of 24 x 32 px."""
    folder = FrameFolder(tmp_path / 'set')
    folder.begin(DESCRIPTION)
    rng = np.random.default_rng(0)
    for index in range(4):
        counts = rng.integers(0, 1 << 16, (24, 32)).astype(np.uint16)
        folder.write_images(index, counts, (counts > 40000).astype(np.uint8))
        points = {'base': [1.0 + index, 2.0, 1], 'tip': [30.5, 20.25, index % 2]}
        folder.append([{'id': index, 'landmarks': points}])
    return folder


def test_images_come_back_bit_by_bit(folder):
    counts = np.arange(24 * 32, dtype=np.uint16).reshape(24, 32) * 85
    mask = np.eye(24, 32, dtype=np.uint8) * 3
    folder.write_images(9, counts, mask)
    read = folder.read(9)
    np.testing.assert_array_equal(read[0], counts)
    np.testing.assert_array_equal(read[1], mask)
    assert (read[0].dtype, read[1].dtype) == (np.uint16, np.uint8)


def test_torn_last_line_is_removed_and_appending_goes_on(folder):
    path = folder.root / 'annotations.jsonl'
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"id": 4, "landmarks": {"ba')
    assert [item['id'] for item in folder.annotations()] == [0, 1, 2, 3]
    assert path.read_bytes() == whole
    folder.append([{'id': 4, 'landmarks': {}}])
    assert [item['id'] for item in folder.annotations()] == [0, 1, 2, 3, 4]


def test_line_torn_within_its_newline_is_repaired_too(folder):
    path = folder.root / 'annotations.jsonl'
    path.write_bytes(path.read_bytes()[:-1])
    assert [item['id'] for item in folder.annotations()] == [0, 1, 2]


def test_folder_made_otherwise_is_refused_by_what_differs(folder):
    folder.begin(DESCRIPTION)
    with pytest.raises(ValueError, match='made with other seed; continue'):
        folder.begin({**DESCRIPTION, 'seed': 2})


def test_frame_set_holds_all_frames_normalised_as_the_tracker_does(folder):
    frames = FrameSet.load(folder.root)
    assert len(frames) == 4
    np.testing.assert_array_equal(frames.landmarks[1], [[2, 2, 1], [30.5, 20.25, 1]])
    for row in range(4):
        labelled = frames.labelled(row)
        np.testing.assert_allclose(labelled.image, normalise(frames.counts[row]), atol=1e-5)
        assert labelled.image.dtype == np.float32
    assert len(FrameSet.load(folder.root, limit=2)) == 2


def test_missing_things_are_named_with_the_way_out(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match='no dataset.json.*synthex generate'):
        FrameSet.load(tmp_path)
    empty = FrameFolder(tmp_path / 'empty')
    empty.begin(DESCRIPTION)
    with pytest.raises(FileNotFoundError, match='no frames yet; run `synthex generate`'):
        FrameSet.load(empty.root)
    (folder.root / 'masks' / '000002.png').write_bytes(b'rubbish')
    with pytest.raises(FileNotFoundError, match='frame 2 of .* missing or damaged; delete'):
        FrameSet.load(folder.root)


def test_settings_are_read_from_yaml_and_checked(tmp_path):
    path = tmp_path / 'scene.yaml'
    path.write_text('anatomy: phantom\nprimary_deg: [-5, 5]\n')
    sampling = load_settings(SceneSampling, path)
    assert (sampling.anatomy, sampling.primary_deg) == ('phantom', (-5, 5))
    json.dumps(as_plain(sampling))
    assert load_settings(SceneSampling, None) == SceneSampling()
    for text, message in (
        ('primary: 1', r"unknown settings \['primary'\]; allowed are"),
        ('- 1', 'must hold a mapping of settings, got list'),
        ('primary_deg: [5, -5]', r'primary_deg must be \(low, high\), got \(5, -5\)'),
        ('negative_share: 2', 'negative_share must be 0..1, got 2'),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            load_settings(SceneSampling, path)
    with pytest.raises(FileNotFoundError, match='see config/'):
        load_settings(SceneSampling, tmp_path / 'none.yaml')
