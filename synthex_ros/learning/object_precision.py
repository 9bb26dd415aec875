"""Average precision of foreign objects, masks and boxes, by pycocotools.

AP is the mean over overlaps (IoU) of 0.5 to 0.95, AP50 and AP75 at one overlap, all over one
category. By kind, objects of other kinds are neither missed nor false: what is found of them is
taken away; what is found of nothing counts against every kind.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools import mask as rle

from synthex_ros.learning.coco import CocoFolder, encoded, segmentation
from synthex_ros.learning.coco_protocol import coco_precision, coco_protocol
from synthex_ros.tracking.object_masks import FoundObject

Values = dict[str, Any]

_TYPES = {'mask': 'segm', 'box': 'bbox'}
_CATEGORIES = ({'id': 1, 'name': 'object'},)
_HALF = 0.5


def object_precision(folder: CocoFolder, found: Sequence[Sequence[FoundObject]]) -> Values:
    """Return {'mask': {'ap', 'ap50', 'ap75'}, 'box': ..., 'objects': ...} of the first frames.

    Args:
        folder: COCO folder whose annotations are all of one category.
        found: objects of each of its first frames, with any score.
    """
    truth, results = truth_of(folder, len(found)), results_of(folder, found)
    return {name: _precision(folder, truth, results, name) for name in _TYPES} | {
        'objects': len(truth)
    }


def precision_by_kind(folder: CocoFolder, found: Sequence[Sequence[FoundObject]]) -> Values:
    """Return the precision of each kind of object, with how many there are and are found.

    Found is what overlaps by half with something that was found, whatever its score.
    """
    truth, results = truth_of(folder, len(found)), results_of(folder, found)
    parts = {}
    for kind in sorted({item['kind'] for item in truth}):
        own = [item for item in truth if item['kind'] == kind]
        others = {item['id'] for item in truth if item['kind'] != kind}
        part: Values = {'objects': len(own)}
        for name in _TYPES:
            kept = _without(folder, truth, results, others, name)
            part[name] = _precision(folder, own, kept, name)
        part['found'] = _found_share(own, results)
        parts[kind] = part
    return parts


def truth_of(folder: CocoFolder, frames: int) -> list[Values]:
    """Return the annotations of the first frames, as pycocotools takes them."""
    truth: list[Values] = []
    for row in range(frames):
        image = folder.images[row]
        shape = int(image['height']), int(image['width'])
        for item in folder.annotations(row):
            coded = encoded(segmentation(item['segmentation'], shape))
            truth.append(
                {
                    'id': len(truth) + 1,
                    'image_id': image['id'],
                    'category_id': 1,
                    'iscrowd': 0,
                    'area': item['area'],
                    'bbox': item['bbox'],
                    'segmentation': coded,
                    'kind': str(item.get('kind', 'not said')),
                }
            )
    return truth


def results_of(folder: CocoFolder, found: Sequence[Sequence[FoundObject]]) -> list[Values]:
    """Return what was found in the first frames, in COCO's format of results."""
    return [
        {
            'image_id': folder.images[row]['id'],
            'category_id': 1,
            'segmentation': encoded(item.mask),
            'bbox': list(item.box_px),
            'score': item.score,
        }
        for row, items in enumerate(found)
        for item in items
    ]


def _precision(
    folder: CocoFolder, truth: list[Values], results: list[Values], name: str
) -> dict[str, float | None]:
    return coco_precision(folder.images, _CATEGORIES, truth, _of(results, name), _TYPES[name])


def _of(results: list[Values], name: str) -> list[Values]:
    """Return results with masks or boxes alone: pycocotools takes boxes where there are any."""
    dropped = 'bbox' if name == 'mask' else 'segmentation'
    return [{key: value for key, value in item.items() if key != dropped} for item in results]


def _without(
    folder: CocoFolder, truth: list[Values], results: list[Values], others: set[int], name: str
) -> list[Values]:
    """Return the results that are not matched to others, at an overlap of a half."""
    if not results:
        return []
    protocol = coco_protocol(folder.images, _CATEGORIES, truth, _of(results, name), _TYPES[name])
    with contextlib.redirect_stdout(io.StringIO()):
        protocol.params.areaRng, protocol.params.areaRngLbl = [[0, 1e10]], ['all']
        protocol.evaluate()
    matched: set[int] = set()
    for image in protocol.evalImgs:
        if image is None:
            continue
        at_half = np.asarray(image['dtMatches'])[0]
        pairs = zip(image['dtIds'], at_half, strict=True)
        matched |= {number for number, true in pairs if int(true) in others}
    return [item for number, item in enumerate(results, start=1) if number not in matched]


def _found_share(own: list[Values], results: list[Values]) -> float:
    hits = 0
    for item in own:
        here = [r['segmentation'] for r in results if r['image_id'] == item['image_id']]
        hits += bool(here) and bool(rle.iou(here, [item['segmentation']], [0]).max() >= _HALF)
    return round(hits / len(own), 5)
