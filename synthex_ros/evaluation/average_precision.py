"""Average precision of instance masks by pycocotools, the field's own implementation."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from synthex_ros.evaluation.model_evaluation import FrameResult
from synthex_ros.learning.coco import CocoFolder, encoded, segmentation


def average_precision(
    data: CocoFolder, results: Sequence[FrameResult], class_names: Sequence[str] | None = None
) -> dict[str, float | None]:
    """Return COCO's AP (IoU 0.5 to 0.95), AP50 and AP75 of masks.

    Args:
        data: the folder with the true masks.
        results: what a model found in its frames.
        class_names: names of the model's classes, background first; default the folder's.
    """
    images = [result.image for result in results]
    found = _found(data, results, class_names or data.classes)
    truth = _truth(data, results)
    if not truth or not found:
        missing = None if not truth else 0.0
        return {'ap': missing, 'ap50': missing, 'ap75': missing}
    with contextlib.redirect_stdout(io.StringIO()):
        reference = COCO()
        reference.dataset = {
            'info': {},
            'images': images,
            'categories': data.categories,
            'annotations': truth,
        }
        reference.createIndex()
        protocol = COCOeval(reference, reference.loadRes(found), 'segm')
        protocol.evaluate()
        protocol.accumulate()
        protocol.summarize()
    kinds = ('ap', 'ap50', 'ap75')
    return {kind: round(float(protocol.stats[i]), 5) for i, kind in enumerate(kinds)}


def _truth(data: CocoFolder, results: Sequence[FrameResult]) -> list[dict[str, Any]]:
    truth: list[dict[str, Any]] = []
    for result in results:
        shape = int(result.image['height']), int(result.image['width'])
        for item in data.annotations(result.row):
            if item.get('segmentation'):
                coded = encoded(segmentation(item['segmentation'], shape))
                area = item.get('area') or int(segmentation(coded, shape).sum())
                truth.append(
                    {
                        'id': len(truth) + 1,
                        'image_id': result.image['id'],
                        'category_id': item['category_id'],
                        'iscrowd': item.get('iscrowd', 0),
                        'area': area,
                        'segmentation': coded,
                    }
                )
    return truth


def _found(
    data: CocoFolder, results: Sequence[FrameResult], class_names: Sequence[str]
) -> list[dict[str, Any]]:
    """Return detections with the folder's category of the same name; others are left out."""
    numbers = {item['name']: item['id'] for item in data.categories}
    found = []
    for result in results:
        for item in result.instances:
            name = class_names[item['category']]
            if name in numbers:
                rest = {key: value for key, value in item.items() if key != 'category'}
                found.append({**rest, 'category_id': numbers[name]})
    return found
