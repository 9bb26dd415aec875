"""The open field of a request: as the collimator's edges and as pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthex_ros.geometry import ProjectionGeometry
from synthex_ros.xray.collimator import Collimator
from synthex_ros.xray.intensifier import ImageIntensifier


def make_collimator(shape_px: tuple[int, int], field_px: tuple[int, ...]) -> Collimator | None:
    """Return the blades that leave a field (top, bottom, left, right) [px]; None for no field."""
    if not field_px:
        return None
    (rows, columns), (top, bottom, left, right) = shape_px, field_px
    return Collimator(top / rows, bottom / rows, left / columns, right / columns)


def open_field(
    geometry: ProjectionGeometry,
    field_px: tuple[int, ...],
    intensifier: ImageIntensifier | None = None,
) -> NDArray[np.bool_]:
    """Return the pixels that collimator and image intensifier leave open, (rows, columns)."""
    is_open = np.ones(geometry.shape_px, bool)
    if field_px:
        top, bottom, left, right = field_px
        is_open[:] = False
        is_open[top:bottom, left:right] = True
    return is_open if intensifier is None else intensifier.moved_labels(is_open, geometry)
