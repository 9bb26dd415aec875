"""Evaluate a model of foreign objects: evaluation.json, evaluation.html and the worst frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from synthex_ros.evaluation.model_data import open_folder
from synthex_ros.evaluation.object_evaluation import ObjectFinder, ObjectFrame, run_finder
from synthex_ros.evaluation.page_parts import card, picture, table, whole_page
from synthex_ros.evaluation.report_files import write_report_files
from synthex_ros.learning.coco import CocoFolder
from synthex_ros.learning.object_precision import object_precision, precision_by_kind
from synthex_ros.learning.preview import caption, contact_sheet, grey_picture

Values = dict[str, Any]

_WORST, _COLUMNS = 20, 5
_TRUE, _FOUND = (60, 200, 255), (255, 120, 60)


def report_objects(
    find: ObjectFinder,
    folder: str | Path,
    out: str | Path,
    limit: int | None = None,
    begin: Callable[[int], None] = lambda _: None,
    progress: Callable[[], None] = lambda: None,
) -> Values:
    """Score a model on a folder, write the report and return its numbers.

    Args:
        find: the model.
        folder: COCO folder.
        out: folder for evaluation.json, evaluation.html and worst.png; made if absent.
        limit: how many frames; default all.
        begin: called with the number of frames.
        progress: called once a frame.

    Raises:
        DatasetError: the folder is not what it should be.
    """
    data, out = open_folder(folder), Path(out)
    begin(min(limit or len(data.images), len(data.images)))
    frames = run_finder(find, data, limit, progress)
    least = find.model.metadata.min_score
    values = {
        'model': find.model.path.name,
        'data': Path(folder).name,
        'frames': len(frames),
        **object_values(data, frames, least),
    }
    worst = worst_frames(frames, least)
    values['worst'] = [data.images[frame.row]['id'] for frame in worst]
    sheet = gallery(data, worst, least)
    write_report_files(out, values, page(values, sheet), sheet)
    return values


def object_values(data: CocoFolder, frames: Sequence[ObjectFrame], least: float) -> Values:
    """Return precision of all and by kind, and what is found, missed and false from a score on."""
    found = [frame.found for frame in frames]
    counts = np.array([frame.counts(least) for frame in frames]).sum(axis=0)
    return {
        **object_precision(data, found),
        'kinds': precision_by_kind(data, found),
        'from_score': {
            'score': least,
            **dict(zip(('found', 'missed', 'false'), map(int, counts), strict=True)),
        },
    }


def object_rows(values: Values) -> list[tuple[str, ...]]:
    """Return the rows of the table that people read: all objects, then each kind."""
    rows = [('all', {**values, 'found': None}), *values['kinds'].items()]
    return [
        (
            name,
            str(part['objects']),
            *(_number(part[kind][key]) for kind in ('mask', 'box') for key in ('ap', 'ap50')),
            _number(part['mask']['ap75']),
            _number(part['found']),
        )
        for name, part in rows
    ]


HEAD = ('kind', 'objects', 'AP masks', 'AP50', 'AP boxes', 'AP50', 'AP75 masks', 'found at 0.5')
"""Of the table of `object_rows`; AP is over IoU 0.5 to 0.95."""


def worst_frames(frames: Sequence[ObjectFrame], least: float) -> list[ObjectFrame]:
    """Return the frames with most missed and false objects, the worst first."""

    def wrong(frame: ObjectFrame) -> int:
        _, missed, false = frame.counts(least)
        return missed + false

    return sorted(frames, key=wrong, reverse=True)[:_WORST]


def gallery(data: CocoFolder, worst: Sequence[ObjectFrame], least: float) -> NDArray[np.uint8]:
    """Return a contact sheet of frames with true (yellow) and found (blue) outlines."""
    pictures, captions = [], []
    for frame in worst:
        drawn = grey_picture(data.counts(frame.row))
        found = [item.mask for item in frame.found if item.score >= least]
        for colour, masks in ((_TRUE, frame.truth), (_FOUND, found)):
            for mask in masks:
                contours, _ = cv2.findContours(
                    mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE
                )
                cv2.drawContours(drawn, contours, -1, colour, 1)
        hits, missed, false = frame.counts(least)
        pictures.append(drawn)
        captions.append(f'{hits} found {missed} missed {false} false: {caption(data, frame.row)}')
    return contact_sheet(pictures, captions, _COLUMNS)


def page(values: Values, sheet: NDArray[np.uint8]) -> str:
    """Return the page of the report; it refers to no other file."""
    mask, box, counts = values['mask'], values['box'], values['from_score']
    numbers = [
        ('AP of masks', _number(mask['ap']), ''),
        ('AP50 of masks', _number(mask['ap50']), ''),
        ('AP of boxes', _number(box['ap']), ''),
        ('AP50 of boxes', _number(box['ap50']), ''),
        (f'found from score {counts["score"]:g}', str(counts['found']), ''),
        ('missed', str(counts['missed']), ''),
        ('false', str(counts['false']), ''),
    ]
    cards = [
        card(
            'Precision',
            'By pycocotools, one category: AP is over IoU 0.5 to 0.95. By kind, what is found of '
            'other kinds is left out, and what is found of nothing counts against every kind. '
            'Found: share with a mask of IoU 0.5 or more, whatever its score.',
            table(HEAD, object_rows(values)),
            wide=True,
        ),
        card(
            'The worst frames',
            'True masks (yellow) and found ones (blue).',
            picture(sheet, 'worst frames'),
            wide=True,
        ),
    ]
    return whole_page(
        f'Model report: {values["model"]}',
        f'{values["data"]}  ·  {values["frames"]} frames, {values["objects"]} objects',
        numbers,
        cards,
    )


def _number(value: float | None) -> str:
    return '–' if value is None else f'{value:.3f}'
