"""COCO's protocol of average precision by pycocotools, the field's own implementation."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

Json = dict[str, Any]

KINDS = ('ap', 'ap50', 'ap75')
"""AP over overlaps (IoU) of 0.5 to 0.95, and at 0.5 and 0.75."""


def coco_protocol(
    images: Sequence[Json],
    categories: Sequence[Json],
    truth: Sequence[Json],
    found: Sequence[Json],
    kind: str,
) -> COCOeval:
    """Return pycocotools' protocol of some results, not run yet.

    Args:
        images: COCO's entries.
        categories: COCO's categories.
        truth: COCO's annotations.
        found: results in COCO's format, at least one.
        kind: what overlaps: 'segm' (masks) or 'bbox'.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        reference = COCO()
        reference.dataset = {
            'info': {},
            'images': list(images),
            'categories': list(categories),
            'annotations': list(truth),
        }
        reference.createIndex()
        return COCOeval(reference, reference.loadRes(list(found)), kind)


def coco_precision(
    images: Sequence[Json],
    categories: Sequence[Json],
    truth: Sequence[Json],
    found: Sequence[Json],
    kind: str,
) -> dict[str, float | None]:
    """Return AP, AP50 and AP75; None without truth, 0 where nothing was found.

    Arguments are those of `coco_protocol`; `found` may be empty.
    """
    if not truth or not found:
        return dict.fromkeys(KINDS, 0.0 if truth else None)
    protocol = coco_protocol(images, categories, truth, found, kind)
    with contextlib.redirect_stdout(io.StringIO()):
        protocol.evaluate()
        protocol.accumulate()
        protocol.summarize()
    return {name: round(float(protocol.stats[i]), 5) for i, name in enumerate(KINDS)}
