"""Scores of a model of foreign objects on frames of which every object is known."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from synthex_ros.evaluation.commands import object_table
from synthex_ros.evaluation.model_data import DatasetError, open_folder
from synthex_ros.evaluation.object_evaluation import ObjectFinder, run_finder
from synthex_ros.evaluation.object_report import report_objects, worst_frames
from synthex_ros.learning.coco import CocoWriter, annotation_of, write_image
from synthex_ros.tracking.object_masks import FoundObject

SIZE = 96
PLATE, WIRE = np.zeros((2, SIZE, SIZE), bool)
PLATE[20:50, 10:40] = True
WIRE[30:33, 5:90] = True


def folder_of(root, pitch=0.5):
    """Frame 0 shows a plate and a wire across it, frame 1 a wire, frame 2 nothing."""
    writer = CocoWriter(root, {}, [{'id': 1, 'name': 'foreign_object'}])
    for number, parts in enumerate(({'plate': PLATE, 'wire': WIRE}, {'wire': WIRE}, {})):
        name = f'{number}.png'
        write_image(root, name, np.full((SIZE, SIZE), 1000 + number, np.uint16))
        image = {'id': number, 'file_name': name, 'width': SIZE, 'height': SIZE}
        image |= {'pixel_pitch_mm': pitch} if pitch else {}
        items = [annotation_of(number, mask, None, kind=kind) for kind, mask in parts.items()]
        writer.append([{'image': image, 'annotations': items}])
    writer.finish()
    return root


class Finder:
    """Sees every object, and in frame 2 a plate that is not there."""

    model = SimpleNamespace(
        metadata=SimpleNamespace(min_score=0.3), path=SimpleNamespace(name='objects.onnx')
    )

    def __call__(self, counts, pixel_pitch_mm):
        assert pixel_pitch_mm == 0.5
        return {
            1000: [FoundObject(0.9, PLATE), FoundObject(0.8, WIRE)],
            1001: [FoundObject(0.7, WIRE), FoundObject(0.2, WIRE)],
            1002: [FoundObject(0.6, PLATE)],
        }[int(counts[0, 0])]


def test_report_says_what_is_found_missed_and_false(tmp_path):
    values = report_objects(Finder(), folder_of(tmp_path / 'data'), tmp_path / 'out')
    assert values['from_score'] == {'score': 0.3, 'found': 3, 'missed': 0, 'false': 1}
    assert values['mask']['ap'] == values['box']['ap50'] == 1.0
    assert values['kinds']['wire']['objects'] == 2
    assert values['kinds']['plate']['found'] == 1.0
    assert values['worst'][0] == 2
    assert json.loads((tmp_path / 'out' / 'evaluation.json').read_text(encoding='utf-8')) == values
    page = (tmp_path / 'out' / 'evaluation.html').read_text(encoding='utf-8')
    assert 'AP of masks' in page
    assert 'data:image/jpeg' in page
    assert (tmp_path / 'out' / 'worst.png').is_file()
    table = object_table(values)
    assert table.row_count == 3
    assert '3 found, 0 missed, 1 false' in table.caption


def test_two_findings_of_one_object_count_once(tmp_path):
    frames = run_finder(Finder(), open_folder(folder_of(tmp_path)))
    assert frames[1].counts(0.3) == (1, 0, 0)
    assert frames[1].counts(0.1) == (1, 0, 1)
    assert frames[0].counts(0.85) == (1, 1, 0)
    assert [frame.row for frame in worst_frames(frames, 0.3)] == [2, 0, 1]


def test_masks_that_share_pixels_are_apart(tmp_path):
    frames = run_finder(Finder(), open_folder(folder_of(tmp_path)))
    assert np.all(np.diag(frames[0].overlaps) == 1)
    assert frames[0].overlaps[0, 1] < 0.1


def test_frames_of_another_pitch_are_brought_to_the_models():
    """A frame of half the pitch is seen at half its size and comes back at its own."""
    seen = []

    def find(counts, least):
        seen.append(counts.shape)
        return [FoundObject(0.9, np.ones(counts.shape, bool))]

    finder = ObjectFinder.__new__(ObjectFinder)
    finder.model = SimpleNamespace(metadata=SimpleNamespace(pixel_pitch_mm=0.6), find=find)
    (item,) = finder(np.full((128, 64), 900, np.uint16), 0.3)
    assert seen == [(64, 32)]
    assert item.mask.shape == (128, 64)
    assert item.mask.all()
    finder(np.full((128, 64), 900, np.uint16), 0.6)
    assert seen[1] == (128, 64)


def test_frames_without_pitch_are_refused(tmp_path):
    with pytest.raises(DatasetError, match='has no pixel_pitch_mm'):
        run_finder(Finder(), open_folder(folder_of(tmp_path, pitch=None)))
