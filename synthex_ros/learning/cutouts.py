"""Cut and paste: objects of one's own labelled radiographs, as solids that attenuate as they did.

After Seibold et al. (arXiv 2501.12022), who paste masks of real objects into other radiographs. A
pasted picture has the noise, blur and scatter of where it was cut out. So what is cut out here is
turned into a sheet: each pixel of the mask is as thick as takes what is missing from the signal
there, the background behind it painted in from around (Telea, J. Graphics Tools 9 (2004) 23). The
sheet is then a body like any other, with the physics and labels of the new frame.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from synthex_ros.bodies import TriangleMesh
from synthex_ros.learning.coco import CocoFolder, segmentation
from synthex_ros.xray.attenuation import density_g_cm3, mass_attenuation_cm2_g

Array = NDArray[np.float64]

EFFECTIVE_KEV = 60.0
"""Energy at which a sheet takes as much as its object did."""

_LEAST, _MOST = 0.01, 4.0
"""Attenuation (mu t) that a pixel of a mask has at least and at most: dark pixels are noise."""

_LEAST_PX, _CELLS, _AROUND_PX = 30, 64, 3


@lru_cache(maxsize=4)
def read_cutouts(folder: str, material: str) -> tuple[TriangleMesh, ...]:
    """Return the objects of a COCO folder as sheets in the xy plane, z to the detector.

    Sizes are those at the depth of `source_to_object_mm`, where images say so, and on the
    detector otherwise.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: it has no mask of 30 pixels, an image has no `pixel_pitch_mm`, or the material
            is unknown.
    """
    # 1/m: attenuation coefficient times density, from 1/cm.
    mu = 100 * float(
        mass_attenuation_cm2_g(material, [EFFECTIVE_KEV])[0] * density_g_cm3(material)
    )
    found = tuple(_sheets(CocoFolder(folder), mu))
    if not found:
        raise ValueError(f'{folder} has no object with a mask of {_LEAST_PX} pixels to cut out')
    return found


def cutouts_sha256(folder: str) -> str:
    """Return the SHA-256 of the labels of a folder.

    Raises:
        FileNotFoundError, ValueError: it is no finished COCO folder.
    """
    root = CocoFolder(folder).root
    return hashlib.sha256((root / 'annotations.json').read_bytes()).hexdigest()


def _sheets(folder: CocoFolder, mu_per_m: float) -> Iterator[TriangleMesh]:
    for row, image in enumerate(folder.images):
        annotations = folder.annotations(row)
        if not annotations:
            continue
        if 'pixel_pitch_mm' not in image:
            raise ValueError(f'{folder.root}: images need pixel_pitch_mm to cut objects out')
        counts = np.asarray(folder.counts(row), np.float32)
        masks = [segmentation(item['segmentation'], counts.shape) for item in annotations]
        taken = attenuation(counts, np.logical_or.reduce(masks))
        for mask in masks:
            if np.count_nonzero(mask) >= _LEAST_PX:
                yield sheet(np.where(mask, taken, 0.0), _pixel_m(image), mu_per_m)


def _pixel_m(image: dict) -> float:
    """Return the size of a pixel at the object."""
    pitch_m = image['pixel_pitch_mm'] * 1e-3
    if not ('source_to_detector_mm' in image and 'source_to_object_mm' in image):
        return float(pitch_m)
    return float(pitch_m * image['source_to_object_mm'] / image['source_to_detector_mm'])


def attenuation(counts: NDArray[np.float32], mask: NDArray[np.bool_]) -> Array:
    """Return what objects take, -ln(counts / background), shape (rows, columns); 0 off the mask.

    Args:
        counts: radiograph, larger = more X-rays, shape (rows, columns).
        mask: pixels of all objects in it.
    """
    counts = np.maximum(counts, 1.0)
    around = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8))
    # In the logarithm the background of an object is as smooth in the dark as in the bright.
    behind = cv2.inpaint(np.log(counts), around, _AROUND_PX, cv2.INPAINT_TELEA)
    taken = cv2.GaussianBlur(behind - np.log(counts), (0, 0), 0.7)
    return np.where(mask, np.clip(taken, _LEAST, _MOST), 0.0)


def sheet(taken: Array, pixel_m: float, mu_per_m: float) -> TriangleMesh:
    """Return the closed sheet of a map of attenuation about its middle, in the xy plane.

    At most 64 cells a side; a corner of cells is as thick as they are in the mean.

    Args:
        taken: attenuation mu t of each pixel, 0 off the object, shape (rows, columns).
        pixel_m: size of a pixel [m].
        mu_per_m: linear attenuation coefficient of the sheet [1/m].
    """
    rows, columns = np.nonzero(taken)
    box = taken[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    cells, cell_m = _reduced(box, pixel_m)
    solid = cells > 0
    height, width = cells.shape
    corner = _corner_means(cells, solid)
    v, u = np.nonzero(np.isfinite(corner))
    number = np.full(corner.shape, -1)
    number[v, u] = np.arange(len(v))
    half = corner[v, u] / mu_per_m / 2
    place = np.stack([(u - width / 2) * cell_m, (v - height / 2) * cell_m], axis=1)
    vertices = np.concatenate([np.column_stack([place, half]), np.column_stack([place, -half])])
    return TriangleMesh(vertices, _faces(solid, number, len(v)))


def _reduced(box: Array, pixel_m: float) -> tuple[Array, float]:
    """Return a map of at most 64 cells a side, of the same sum, and the size of a cell [m]."""
    step = -(-max(box.shape) // _CELLS)
    if step == 1:
        return box, pixel_m
    padded = np.pad(box, [(0, -size % step) for size in box.shape])
    rows, columns = (size // step for size in padded.shape)
    return padded.reshape(rows, step, columns, step).mean(axis=(1, 3)), pixel_m * step


def _corner_means(cells: Array, solid: NDArray[np.bool_]) -> Array:
    """Return the mean of the solid cells around each corner; NaN where there is none."""
    total = np.zeros(np.add(cells.shape, 1))
    count = np.zeros(total.shape)
    for down in (0, 1):
        for right in (0, 1):
            part = np.s_[down : down + cells.shape[0], right : right + cells.shape[1]]
            total[part] += cells
            count[part] += solid
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _faces(solid: NDArray[np.bool_], number: NDArray[np.int_], under: int) -> NDArray[np.int32]:
    """Return the faces of a sheet, counter-clockwise from outside.

    Args:
        solid: cells of the sheet, shape (rows, columns).
        number: of each corner, shape (rows + 1, columns + 1); that below it is `under` more.
        under: number of corners of a side.
    """
    a, b, c, d = number[:-1, :-1], number[:-1, 1:], number[1:, 1:], number[1:, :-1]
    top = np.stack([part[solid] for part in (a, b, c, d)], axis=1)
    quads = [top, top[:, ::-1] + under]
    padded = np.pad(solid, 1)
    # An edge of a solid cell whose neighbour is empty has a wall; each runs as the cell does.
    for neighbour, first, second in (
        (padded[:-2, 1:-1], a, b),
        (padded[1:-1, 2:], b, c),
        (padded[2:, 1:-1], c, d),
        (padded[1:-1, :-2], d, a),
    ):
        edge = solid & ~neighbour
        here, there = first[edge], second[edge]
        quads.append(np.stack([there, here, here + under, there + under], axis=1))
    four = np.concatenate(quads)
    return np.concatenate([four[:, [0, 1, 2]], four[:, [0, 2, 3]]]).astype(np.int32)
