"""A contact sheet of labelled frames, to look at before training on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from synthex_ros.learning.coco import LABELLED, VISIBLE, CocoFolder
from synthex_ros.tracking.model import log_counts

Picture = NDArray[np.uint8]

TILE_PX = 384
COLUMNS = 6
_SEEN, _HIDDEN = (80, 230, 80), (60, 60, 255)
_OUTLINES = ((60, 200, 255), (220, 200, 60), (200, 120, 255), (80, 120, 255), (80, 220, 160))


def grey_picture(counts: NDArray[np.uint16]) -> Picture:
    """Return a radiograph as film shows it, bone bright, shape (rows, columns, 3), uint8."""
    log = log_counts(counts)
    low, high = np.percentile(log[::4, ::4], (1, 99.5))
    unit = np.clip((high - log) / max(float(high - low), 1e-3), 0, 1)
    return cv2.cvtColor((unit * 255).astype(np.uint8), cv2.COLOR_GRAY2BGR).astype(np.uint8)


def draw_outline(picture: Picture, mask: NDArray[np.bool_], colour: tuple[int, int, int]) -> None:
    """Draw the outline of a mask, shape (rows, columns), into a picture (rows, columns, 3)."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, contours, -1, colour, 1)


def labelled_picture(folder: CocoFolder, row: int) -> Picture:
    """Return frame `row` with outlines of its masks and its keypoints.

    Each category has a colour. Visible keypoints are green crosses, labelled but hidden ones red.
    """
    picture = grey_picture(folder.counts(row))
    for number, mask in enumerate(folder.class_masks(row)):
        draw_outline(picture, mask, _OUTLINES[number % len(_OUTLINES)])
    for u, v, level in folder.keypoints(row):
        if level >= LABELLED:
            colour = _SEEN if level == VISIBLE else _HIDDEN
            cv2.drawMarker(picture, (round(u), round(v)), colour, cv2.MARKER_CROSS, 14, 1)
    return picture


def caption(folder: CocoFolder, row: int) -> str:
    """Return what is known of frame `row` in a few words."""
    image = folder.images[row]
    objects = image.get('distractors') or []
    parts = [str(image['id']), str(image.get('anatomy', '')), *objects]
    return ' '.join(part for part in parts if part)


def contact_sheet(
    pictures: Sequence[Picture], captions: Sequence[str], columns: int = COLUMNS
) -> Picture:
    """Return pictures side by side in rows of `columns`, each with its caption."""
    tiles = []
    for picture, text in zip(pictures, captions, strict=True):
        tile = cv2.resize(picture, (TILE_PX, TILE_PX), interpolation=cv2.INTER_AREA)
        cv2.putText(tile, text, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 255, 0), 1)
        tiles.append(tile)
    while len(tiles) % columns:
        tiles.append(np.full((TILE_PX, TILE_PX, 3), 255, np.uint8))
    rows = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    return np.vstack(rows).astype(np.uint8)


def write_preview(root: str | Path, frames: int = 24) -> Path:
    """Write preview.png of the first frames of a folder and return its path."""
    folder = CocoFolder(root)
    rows = range(min(frames, len(folder.images)))
    sheet = contact_sheet(
        [labelled_picture(folder, row) for row in rows], [caption(folder, row) for row in rows]
    )
    path = Path(root) / 'preview.png'
    if not cv2.imwrite(str(path), sheet):
        raise OSError(f'could not write {path}')
    return path
