"""COCO folders: what was written comes back, from this generator or any other source."""

import json

import cv2
import numpy as np
import pytest

from synthex_ros.learning.coco import (
    CocoFolder,
    CocoWriter,
    annotation_of,
    encoded,
    segmentation,
    write_image,
)
from synthex_ros.learning.dataset import FrameSet, training_sets
from synthex_ros.learning.sampling import SceneSampling
from synthex_ros.settings import as_plain, load_settings
from synthex_ros.tracking.model import normalise

INFO = {'seed': 1, 'sampling': {'a': (1, 2)}}
CATEGORY = {'id': 1, 'name': 'device', 'keypoints': ['base', 'tip']}
SHAPE = (24, 32)


def write_frame(writer, index):
    counts = np.random.default_rng(index).integers(0, 1 << 16, SHAPE).astype(np.uint16)
    name = f'{index:06d}.png'
    write_image(writer.root, name, counts)
    image = {'id': index, 'file_name': name, 'width': SHAPE[1], 'height': SHAPE[0]}
    points = np.array([[1.0 + index, 2.0, 2], [30.5, 20.25, index % 3]])
    annotations = [annotation_of(index, counts > 40000, points)]
    writer.append([{'image': image, 'annotations': annotations}])
    return counts


@pytest.fixture
def folder(tmp_path):
    """Four frames of 24 x 32 px, written out of order."""
    writer = CocoWriter(tmp_path / 'set', INFO, [CATEGORY])
    for index in (2, 0, 3, 1):
        write_frame(writer, index)
    writer.finish()
    return CocoFolder(tmp_path / 'set')


def foreign(root, image=None, annotation=None, pixels=None):
    """Write a one-frame folder as another source would."""
    root.mkdir()
    cv2.imwrite(str(root / 'a.png'), np.full(SHAPE, 1000, np.uint16) if pixels is None else pixels)
    content = {
        'images': [{'id': 7, 'file_name': 'a.png', 'width': 32, 'height': 24, **(image or {})}],
        'categories': [CATEGORY],
        'annotations': [] if annotation is None else [
            {'id': 1, 'image_id': 7, 'category_id': 1, **annotation}
        ],
    }  # fmt: skip
    (root / 'annotations.json').write_text(json.dumps(content), encoding='utf-8')
    return CocoFolder(root)


def test_images_masks_and_keypoints_come_back_in_order(folder):
    assert [image['id'] for image in folder.images] == [0, 1, 2, 3]
    for row in range(4):
        counts = np.random.default_rng(row).integers(0, 1 << 16, SHAPE).astype(np.uint16)
        np.testing.assert_array_equal(folder.counts(row), counts)
        np.testing.assert_array_equal(folder.mask(row), counts > 40000)
        np.testing.assert_array_equal(folder.keypoints(row)[:, 2], [2, row % 3])
    assert folder.classes == ('background', 'device')
    assert folder.landmarks == ('base', 'tip')


def test_pycocotools_reads_the_folder(folder, capsys):
    from pycocotools.coco import COCO

    coco = COCO(str(folder.root / 'annotations.json'))
    capsys.readouterr()
    assert len(coco.imgs) == len(coco.anns) == 4
    for row, annotation in enumerate(coco.loadAnns(coco.getAnnIds(imgIds=[0, 1, 2, 3]))):
        np.testing.assert_array_equal(coco.annToMask(annotation), folder.mask(row))
        assert annotation['area'] == folder.mask(row).sum()


@pytest.mark.parametrize('seed', range(5))
def test_run_lengths_undo_themselves(seed):
    mask = np.random.default_rng(seed).random((19, 33)) < 0.3 * seed
    np.testing.assert_array_equal(segmentation(encoded(mask), mask.shape), mask)


def test_polygons_of_other_tools_become_masks(tmp_path):
    """A square of 10 px, given as a polygon."""
    corners = [[5, 4, 15, 4, 15, 14, 5, 14]]
    mask = foreign(tmp_path / 'p', annotation={'segmentation': corners}).mask(0)
    assert mask[4:14, 5:15].all()
    assert mask.sum() == 100


def test_missing_keypoints_and_annotations_are_not_visible(tmp_path):
    corners = [[5, 4, 15, 4, 15, 14, 5, 14]]
    only_mask = foreign(tmp_path / 'm', annotation={'segmentation': corners})
    np.testing.assert_array_equal(only_mask.keypoints(0), np.zeros((2, 3)))
    nothing = foreign(tmp_path / 'n')
    assert not nothing.mask(0).any()
    assert not nothing.keypoints(0).any()


def test_inverted_and_8_bit_images_become_counts(tmp_path):
    ramp = np.tile(np.arange(32, dtype=np.uint16) * 2000, (24, 1))
    inverted = foreign(tmp_path / 'i', {'inverted': True}, pixels=np.uint16(65535) - ramp)
    np.testing.assert_array_equal(inverted.counts(0), ramp)
    bytes_ = foreign(tmp_path / 'b', pixels=(ramp >> 8).astype(np.uint8))
    np.testing.assert_array_equal(bytes_.counts(0), (ramp >> 8) * 257)


def test_torn_last_line_is_removed_and_appending_goes_on(tmp_path):
    writer = CocoWriter(tmp_path, INFO, [CATEGORY])
    for index in range(3):
        write_frame(writer, index)
    log = tmp_path / 'log.jsonl'
    whole = log.read_bytes()
    log.write_bytes(whole + b'{"image": {"id": 3, "fi')
    assert writer.known() == {0, 1, 2}
    assert log.read_bytes() == whole
    log.write_bytes(whole[:-1])
    assert writer.known() == {0, 1}


def test_a_finished_folder_grows_and_its_bytes_do_not_depend_on_order(tmp_path, folder):
    writer = CocoWriter(tmp_path / 'other', INFO, [CATEGORY])
    write_frame(writer, 0)
    write_frame(writer, 2)
    writer.finish()
    again = CocoWriter(tmp_path / 'other', INFO, [CATEGORY])
    assert again.known() == {0, 2}
    write_frame(again, 3)
    write_frame(again, 1)
    again.finish()
    first, second = (
        (root / 'annotations.json').read_bytes() for root in (folder.root, tmp_path / 'other')
    )
    assert first == second
    assert sorted(p.name for p in folder.root.iterdir()) == ['annotations.json', 'images']


def test_folder_made_otherwise_is_refused_by_what_differs(folder):
    CocoWriter(folder.root, INFO, [CATEGORY])
    with pytest.raises(ValueError, match='made with other seed; continue'):
        CocoWriter(folder.root, {**INFO, 'seed': 2}, [CATEGORY])


def test_missing_things_are_named_with_the_way_out(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no annotations.json\); make one with'):
        CocoFolder(tmp_path)
    CocoWriter(tmp_path / 'begun', INFO, [CATEGORY])
    with pytest.raises(FileNotFoundError, match='was not finished; run the same'):
        CocoFolder(tmp_path / 'begun')
    (folder.root / 'images' / '000002.png').write_bytes(b'rubbish')
    with pytest.raises(FileNotFoundError, match='000002.png of .* missing or damaged'):
        folder.counts(2)
    (folder.root / 'annotations.json').write_text('{"images": []}')
    with pytest.raises(ValueError, match='is no COCO file'):
        CocoFolder(folder.root)


def test_frame_set_is_normalised_as_the_tracker_does(folder):
    frames = FrameSet(folder.root, limit=3)
    assert len(frames) == 3
    np.testing.assert_array_equal(frames.landmarks(2), [[3, 2, 1], [30.5, 20.25, 1]])
    np.testing.assert_array_equal(frames.landmarks(1)[:, 2], [1, 0])
    for row, (counts, _, _) in enumerate(frames):
        labelled = frames.labelled(row)
        np.testing.assert_array_equal(labelled.image, normalise(counts))
        assert labelled.image.dtype == np.float32


def test_settings_are_read_from_yaml_and_checked(tmp_path):
    path = tmp_path / 'scene.yaml'
    path.write_text('anatomies: {phantom: 1}\nprimary_deg: [-5, 5]\nimaging: {lag_share: 0.5}\n')
    sampling = load_settings(SceneSampling, path)
    assert (sampling.anatomies, sampling.primary_deg) == ({'phantom': 1}, (-5, 5))
    assert sampling.imaging.lag_share == 0.5
    json.dumps(as_plain(sampling))
    assert load_settings(SceneSampling, None) == SceneSampling()
    for text, message in (
        ('primary: 1', r"unknown settings \['primary'\]; allowed are"),
        ('- 1', 'must hold a mapping of settings, got list'),
        ('primary_deg: [5, -5]', r'primary_deg must be \(low, high\), got \(5, -5\)'),
        ('negative_share: 2', 'negative_share must be 0..1, got 2'),
        ('imaging: {lag: 1}', r"imaging has unknown settings \['lag'\]"),
        ('distractors: {share: 3}', 'share must be 0..1, got 3'),
        ('anatomies: {chest: 0}', 'positive weights'),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            load_settings(SceneSampling, path)
    with pytest.raises(FileNotFoundError, match='see config/'):
        load_settings(SceneSampling, tmp_path / 'none.yaml')


def test_the_last_tenth_is_kept_for_validation_from_the_start_of_a_view_on(tmp_path):
    """40 frames, 3 a view: row 36 begins a view, 37 to 39 and 35 are in others."""
    writer = CocoWriter(tmp_path, INFO, [CATEGORY])
    for index in range(40):
        name = f'{index:06d}.png'
        image = {'id': index, 'file_name': name, 'width': 2, 'height': 2, 'camera': index // 3}
        writer.append([{'image': image, 'annotations': []}])
    writer.finish()
    train, validation = training_sets(str(tmp_path), '', 0)
    assert (len(train), len(validation)) == (36, 4)
    assert validation.image(0)['id'] == 36
    assert len(training_sets(str(tmp_path), '', 10)[0]) == 10
    views = [
        {part.image(row)['camera'] for row in range(len(part))} for part in (train, validation)
    ]
    assert not views[0] & views[1]
