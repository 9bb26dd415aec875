"""Collimator blades: four plates of lead near the tube that leave an open field."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthex_ros.bodies import Body, TriangleMesh
from synthex_ros.geometry import View

DEPTH_M = 0.08
THICKNESS_M = 3e-3
MATERIAL = 'Pb'
_BEYOND = 0.05  # part of the image by which blades reach over its border


def blades(view: View, field_px: tuple[int, ...]) -> list[Body]:
    """Return the plates that shut out all but a field (top, bottom, left, right) [px].

    Their inner faces run along rays, so the edges of the field are as sharp as the focal spot
    lets them be. They carry label 0 and so do not show in masks.
    """
    rows, columns = view.geometry.shape_px
    top, bottom, left, right = (edge - 0.5 for edge in field_px)
    over = max(1.0, _BEYOND * max(rows, columns))
    far_top, far_bottom, far_left, far_right = -over, rows + over, -over, columns + over
    shut = {
        (far_top, top, far_left, far_right): field_px[0] > 0,
        (bottom, far_bottom, far_left, far_right): field_px[1] < rows,
        (top, bottom, far_left, left): field_px[2] > 0,
        (top, bottom, right, far_right): field_px[3] < columns,
    }
    return [
        Body(_plate(view, edges), MATERIAL, view.world_from_source)
        for edges, is_shut in shut.items()
        if is_shut
    ]


def open_field(shape_px: tuple[int, int], field_px: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return the pixels that the collimator leaves open, shape (rows, columns)."""
    is_open = np.ones(shape_px, bool)
    if field_px:
        top, bottom, left, right = field_px
        is_open[:] = False
        is_open[top:bottom, left:right] = True
    return is_open


def _plate(view: View, edges: tuple[float, float, float, float]) -> TriangleMesh:
    """Return the frustum over a rectangle of the image, in the source frame."""
    top, bottom, left, right = edges
    pixels = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    rays = view.geometry.back_project(pixels)
    rays = rays / rays[:, 2:]
    vertices = np.concatenate([rays * DEPTH_M, rays * (DEPTH_M + THICKNESS_M)])
    quads = [(0, 3, 2, 1), (4, 5, 6, 7)] + [
        (k, (k + 1) % 4, (k + 1) % 4 + 4, k + 4) for k in range(4)
    ]
    faces = [face for a, b, c, d in quads for face in ((a, b, c), (a, c, d))]
    return TriangleMesh(vertices, np.array(faces, np.int32))
