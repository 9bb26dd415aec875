"""Average precision of instance masks by pycocotools, the field's own implementation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from synthex_ros.evaluation.model_evaluation import FrameResult
from synthex_ros.learning.coco import CocoFolder, encoded, segmentation
from synthex_ros.learning.coco_protocol import coco_precision


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
    return coco_precision(images, data.categories, truth, found, 'segm')


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
