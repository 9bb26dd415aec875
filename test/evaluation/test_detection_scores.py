"""Scores of detections: COCO's definition, bins of contrast, centres in millimetres."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from synthex_ros.evaluation.detection_scores import Found, TrueDevice, truths_of
from synthex_ros.tracking.detections import Detection, box_iou


def truth(left, top, size=10.0, contrast=0.1, name='sphere'):
    return TrueDevice(name, (left, top, size, size), contrast, 0.2)


def seen(box, score, shift=0.0, name='sphere'):
    left, top, width, height = box
    centre = (left + width / 2 - 0.5 + shift, top + height / 2 - 0.5)
    return Detection(name, *centre, width, height, score)


def random_frames(rng, count=12):
    for _ in range(count):
        truths = [
            truth(*rng.uniform(0, 200, 2), contrast=rng.uniform(0.02, 0.4)) for _ in range(4)
        ]
        found = [
            seen(one.box_px, rng.random(), rng.normal(0, 2.5))
            for one in truths
            if rng.random() < 0.8
        ]
        found += [seen((*rng.uniform(0, 200, 2), 10.0, 10.0), rng.random()) for _ in range(2)]
        yield found, truths


def test_average_precision_is_cocos():
    found, images, annotations, results = Found(), [], [], []
    for number, (detections, truths) in enumerate(random_frames(np.random.default_rng(4)), 1):
        found.add(detections, truths)
        images.append({'id': number, 'width': 300, 'height': 300})
        for one in truths:
            annotations.append(
                {'id': len(annotations) + 1, 'image_id': number, 'category_id': 1, 'iscrowd': 0,
                 'bbox': list(one.box_px), 'area': one.box_px[2] * one.box_px[3]}
            )  # fmt: skip
        for item in detections:
            results.append({'image_id': number, 'category_id': 1, 'bbox': list(item.box_px),
                            'score': item.score})  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        reference = COCO()
        reference.dataset = {
            'images': images, 'annotations': annotations,
            'categories': [{'id': 1, 'name': 'sphere'}],
        }  # fmt: skip
        reference.createIndex()
        scored = COCOeval(reference, reference.loadRes(results), 'bbox')
        scored.evaluate()
        scored.accumulate()
        scored.summarize()
    assert found.summary()['ap50'] == pytest.approx(scored.stats[1], abs=1e-6)


def test_perfect_and_absent_detections():
    truths = [truth(10, 10), truth(60, 60)]
    perfect, absent = Found(), Found()
    perfect.add([seen(one.box_px, 0.9) for one in truths], truths)
    absent.add([], truths)
    assert perfect.summary()['ap50'] == pytest.approx(1)
    assert perfect.summary()['centre_error_mean_mm'] == pytest.approx(0)
    assert absent.summary()['ap50'] == 0
    assert np.isnan(absent.summary()['centre_error_mean_mm'])


def test_second_detection_of_a_device_and_another_class_are_false_alarms():
    found = Found()
    one = truth(10, 10)
    found.add([seen(one.box_px, 0.9), seen(one.box_px, 0.8, 0.5)], [one])
    found.add([seen(one.box_px, 0.7, name='soft_robot')], [one])
    assert found.match == [0, -1, -1]
    assert found.false_alarms_per_frame == pytest.approx(1.0)


def test_bins_leave_the_devices_of_others_out():
    found = Found()
    faint, strong = truth(10, 10, contrast=0.03), truth(60, 60, contrast=0.3)
    found.add([seen(strong.box_px, 0.9)], [faint, strong])
    bins = found.by_contrast()
    assert bins['0.02..0.05']['ap50'] == 0
    assert bins['0.2..1']['ap50'] == pytest.approx(1)
    assert bins['all']['found'] == 0.5
    assert np.isnan(bins['0.05..0.1']['ap50'])


def test_centre_error_is_measured_at_the_object():
    """A pixel of 0.3 mm at a magnification of 1.5 is 0.2 mm."""
    image = {'pixel_pitch_mm': 0.3, 'source_to_detector_mm': 1020.0}
    item = {
        'category_id': 1, 'bbox': [10, 10, 9, 9], 'contrast': 0.1, 'source_to_object_mm': 680.0
    }  # fmt: skip
    truths = truths_of(image, [item], ['sphere'])
    found = Found()
    found.add([seen(truths[0].box_px, 0.9, shift=2.0)], truths)
    assert found.summary()['centre_error_mean_mm'] == pytest.approx(0.4)


def test_overlap_of_boxes():
    assert box_iou((0, 0, 2, 2), (1, 0, 2, 2)) == pytest.approx(1 / 3)
    assert box_iou((0, 0, 2, 2), (2, 0, 2, 2)) == 0
    assert box_iou((0, 0, 2, 2), (0, 0, 2, 2)) == 1
