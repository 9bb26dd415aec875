"""Average precision of boxes by pycocotools on folders of tiny devices."""

import json

import numpy as np
import pytest

from synthex_ros.learning.coco import CocoFolder
from synthex_ros.learning.tiny_scores import coco_ap50, found_in, summary_of
from synthex_ros.tracking.detections import Detection

NAMES = ('sphere', 'soft_robot')
BOXES = [(10.0, 20.0, 4.0, 4.0), (50.0, 60.0, 12.0, 6.0), (80.0, 10.0, 3.0, 8.0)]
CONTRASTS, CATEGORIES = (0.03, 0.2, 0.01), (1, 2, 1)


@pytest.fixture
def folder(tmp_path):
    annotations = [
        {'id': k + 1, 'image_id': 0, 'category_id': number, 'bbox': box, 'iscrowd': 0,
         'contrast': contrast, 'size_mm': 0.3 * box[2]}
        for k, (box, contrast, number) in enumerate(
            zip(BOXES, CONTRASTS, CATEGORIES, strict=True)
        )
    ]  # fmt: skip
    image = {'id': 0, 'file_name': '0.png', 'width': 128, 'height': 128,
             'pixel_pitch_mm': 0.3, 'source_to_detector_mm': 1000.0,
             'source_to_object_mm': 750.0}  # fmt: skip
    categories = [{'id': k + 1, 'name': name} for k, name in enumerate(NAMES)]
    content = {'images': [image], 'annotations': annotations, 'categories': categories}
    (tmp_path / 'annotations.json').write_text(json.dumps(content), encoding='utf-8')
    return CocoFolder(tmp_path)


def seen(k, score=0.9, name=None, right=0.0):
    left, top, width, height = BOXES[k]
    name = name or NAMES[CATEGORIES[k] - 1]
    centre = left + width / 2 - 0.5 + right, top + height / 2 - 0.5
    return Detection(name, *centre, width, height, score)


def test_everything_found_is_1_and_nothing_0(folder):
    assert coco_ap50(folder, [[seen(0), seen(1), seen(2)]]) == pytest.approx(1)
    assert coco_ap50(folder, [[]]) == 0
    assert np.isnan(coco_ap50(folder, [[seen(0)]], lambda _: False))


def test_boxes_of_four_pixels_may_be_a_third_of_their_width_aside(folder):
    """Overlap of two equal boxes apart by d of w: (w - d) / (w + d), 0.5 at a third."""
    alone = [lambda item: item['id'] == 1]
    assert coco_ap50(folder, [[seen(0, right=1.3)]], *alone) == pytest.approx(1)
    assert coco_ap50(folder, [[seen(0, right=1.4)]], *alone) == 0


def test_boxes_of_whole_pixels_are_those_of_the_pixels_touched(folder):
    """1.5 px aside of 4 are an overlap of 0.45; touched are columns 10-13 and 11-15: 3 of 6."""
    aside, alone = [[seen(0, right=1.5)]], lambda item: item['id'] == 1
    assert coco_ap50(folder, aside, alone) == 0
    assert coco_ap50(folder, aside, alone, whole_pixels=True) == pytest.approx(1)
    assert coco_ap50(folder, [[seen(0, right=2.1)]], alone, whole_pixels=True) == 0


def test_devices_that_do_not_count_are_neither_right_nor_wrong(folder):
    found = [[seen(0, 0.5), seen(1, 0.5), seen(2, 0.9)]]
    values = summary_of(folder, found)
    assert values['ap50'] == pytest.approx(1)
    assert summary_of(folder, [[seen(0), seen(1)]])['ap50'] == pytest.approx(1)
    assert coco_ap50(folder, [[seen(0), seen(1)]]) < 1


def test_wrong_class_is_wrong_unless_classes_are_left_out(folder):
    found = [[seen(0, 0.5, name='soft_robot'), seen(1), seen(2)]]
    values = summary_of(folder, found)
    assert values['ap50'] < 1
    assert values['ap50_classless'] == pytest.approx(1)
    assert values['ap50_soft_robot'] == pytest.approx(1)
    assert values['ap50_sphere'] == 0


def test_error_of_centres_is_that_at_the_object(folder):
    """One pixel of 0.3 mm on the detector is 0.225 mm at three quarters of the distance."""
    values = summary_of(folder, [[seen(1, right=1.0)]])
    assert values['centre_error_mean_mm'] == pytest.approx(0.225)
    assert found_in(folder, [[seen(1)]]).frames == 1
