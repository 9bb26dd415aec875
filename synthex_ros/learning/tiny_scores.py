"""Average precision of a detector of tiny devices by pycocotools, which is the field's own."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from synthex_ros.evaluation.detection_scores import Found, truths_of
from synthex_ros.learning.coco import CocoFolder
from synthex_ros.tracking.detections import Detection
from synthex_ros.tracking.detector import DetectorModel

LEAST_SCORE = 0.005
"""Of a detection that average precision counts; COCO's own protocol has no such limit."""

FOUND_SCORE = 0.05
"""Of a detection by which a device is found."""

Annotation = dict[str, Any]

_IOU = 0.5
_LEAST_CONTRAST, _CLEAR_CONTRAST = 0.02, 0.05
_SIZES_MM = (0.0, 0.8, 1.2, 2.5, np.inf)


def detect_all(model: DetectorModel, folder: CocoFolder, limit: int) -> list[list[Detection]]:
    """Return the detections of the first frames of a folder, also of low scores."""
    rows = range(min(limit, len(folder.images)))
    return [model.detect(folder.counts(row), min_score=LEAST_SCORE) for row in rows]


def found_in(folder: CocoFolder, detections: Sequence[Sequence[Detection]]) -> Found:
    """Return which devices of the first frames of a folder were found."""
    found = Found()
    for row, seen in enumerate(detections):
        truths = truths_of(folder.images[row], folder.annotations(row), folder.classes[1:])
        found.add([one for one in seen if one.score >= FOUND_SCORE], truths)
    return found


def coco_ap50(
    folder: CocoFolder,
    detections: Sequence[Sequence[Detection]],
    counted: Callable[[Annotation], bool] = lambda _: True,
    classless: bool = False,
    whole_pixels: bool = False,
) -> float:
    """Return AP at an overlap of boxes of 0.5, the mean over classes; NaN without devices.

    Args:
        folder: the frames, from the first on.
        detections: of each frame.
        counted: tells by its annotation whether a device counts; what finds another one is
            neither right nor wrong.
        classless: a device counts as found under the name of another class, too.
        whole_pixels: true and found boxes are those of the pixels that they touch, as boxes of
            masks or drawn by hand are, and not sub-pixel ones.
    """
    box = _touched if whole_pixels else list
    numbers = {item['name']: item['id'] for item in folder.categories}
    truths: list[Annotation] = []
    results: list[Annotation] = []
    for row, seen in enumerate(detections):
        image = folder.images[row]['id']
        for item in folder.annotations(row):
            edges = box(item['bbox'])
            truths.append({
                'id': len(truths) + 1, 'image_id': image, 'bbox': edges,
                'category_id': 1 if classless else item['category_id'],
                'area': edges[2] * edges[3], 'iscrowd': int(not counted(item)),
            })  # fmt: skip
        results += [
            {'image_id': image, 'category_id': 1 if classless else numbers[one.name],
             'bbox': box(one.box_px), 'score': one.score}
            for one in seen
        ]  # fmt: skip
    if all(item['iscrowd'] for item in truths):
        return float('nan')
    if not results:
        return 0.0
    images = [folder.images[row] for row in range(len(detections))]
    return _mean_precision(images, folder.categories, truths, results)


def _touched(box: Sequence[float]) -> list[float]:
    """Return the box (left, top, width, height) of all pixels that a box reaches into."""
    left, top, width, height = box
    first, last = np.floor([left, top]), np.ceil([left + width, top + height])
    return [*map(float, first), *map(float, last - first)]


def _mean_precision(
    images: list[Annotation],
    categories: list[Annotation],
    truths: list[Annotation],
    results: list[Annotation],
) -> float:
    with contextlib.redirect_stdout(io.StringIO()):
        reference = COCO()
        reference.dataset = {
            'info': {},
            'images': images,
            'categories': categories,
            'annotations': truths,
        }
        reference.createIndex()
        protocol = COCOeval(reference, reference.loadRes(results), 'bbox')
        protocol.params.iouThrs = np.array([_IOU])
        protocol.evaluate()
        protocol.accumulate()
    precision = protocol.eval['precision'][0, :, :, 0, -1]
    known = precision[:, (precision > -1).all(axis=0)]
    return float(known.mean()) if known.size else float('nan')


def summary_of(folder: CocoFolder, detections: Sequence[Sequence[Detection]]) -> dict[str, float]:
    """Return AP50 of devices of a Michelson contrast of 0.02 and more, and of parts of them.

    Also the mean error of the centres at the object [mm] of devices of 0.05 and more that were
    found.
    """

    def visible(item: Annotation) -> bool:
        return float(item.get('contrast', 1.0)) >= _LEAST_CONTRAST

    def of_class(number: int) -> Callable[[Annotation], bool]:
        return lambda item: visible(item) and item['category_id'] == number

    def of_size(low: float, high: float) -> Callable[[Annotation], bool]:
        return lambda item: visible(item) and low <= item.get('size_mm', 0.0) < high

    values = {
        'ap50': coco_ap50(folder, detections, visible),
        'ap50_classless': coco_ap50(folder, detections, visible, classless=True),
        'ap50_whole_pixels': coco_ap50(folder, detections, visible, whole_pixels=True),
    }
    for category in folder.categories:
        name = f'ap50_{category["name"]}'
        values[name] = coco_ap50(folder, detections, of_class(category['id']))
    for low, high in zip(_SIZES_MM[:-1], _SIZES_MM[1:], strict=True):
        name = f'ap50_{low:g}_to_{high:g}_mm'
        values[name] = coco_ap50(folder, detections, of_size(low, high))
    clear = found_in(folder, detections).summary(_CLEAR_CONTRAST)
    return values | {'centre_error_mean_mm': clear['centre_error_mean_mm']}


def scores_of(model: DetectorModel, folder: CocoFolder) -> dict[str, Any]:
    """Return what `synthex tiny evaluate` prints of a model on all frames of a folder, by name."""
    detections = detect_all(model, folder, len(folder.images))
    found = found_in(folder, detections)
    return {
        'frames': found.frames,
        'by_contrast': found.by_contrast(),
        'false_alarms': found.false_alarms_per_frame,
        **summary_of(folder, detections),
    }
