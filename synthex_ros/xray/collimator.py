"""Blades that limit the beam to a rectangle on the detector."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.geometry import ProjectionGeometry


@dataclass(frozen=True)
class Collimator:
    """The open field, as parts of the detector's sides: 0 is the first edge, 1 the last.

    Attributes:
        top: upper edge.
        bottom: lower edge.
        left: edge at the first columns.
        right: edge at the last columns.
        penumbra_m: width on the detector over which an edge fades [m]; a spot of 0.6 mm and
            blades 0.3 m from it make 1.4 mm.
        leakage: part of the beam that passes the blades.
    """

    top: float = 0.0
    bottom: float = 1.0
    left: float = 0.0
    right: float = 1.0
    penumbra_m: float = 1.4e-3
    leakage: float = 1e-3

    def __post_init__(self):
        for low, high in (('top', 'bottom'), ('left', 'right')):
            if not 0 <= getattr(self, low) < getattr(self, high) <= 1:
                raise ValueError(
                    f'{low} and {high} must satisfy 0 <= {low} < {high} <= 1, '
                    f'got {getattr(self, low):g} and {getattr(self, high):g}'
                )
        if not 0 <= self.penumbra_m <= 0.05 or not 0 <= self.leakage < 1:
            raise ValueError(
                'penumbra_m must be 0..0.05 m and leakage 0..1, '
                f'got {self.penumbra_m:g} and {self.leakage:g}'
            )

    @property
    def limits(self) -> bool:
        """Whether any blade stands in the field."""
        return (self.top, self.bottom, self.left, self.right) != (0.0, 1.0, 0.0, 1.0)

    def box_px(self, geometry: ProjectionGeometry) -> tuple[float, float, float, float]:
        """Return the open field as (top, bottom, left, right) pixel edges."""
        rows, columns = geometry.shape_px
        return self.top * rows, self.bottom * rows, self.left * columns, self.right * columns

    def contains(self, pixels_px: ArrayLike, geometry: ProjectionGeometry) -> NDArray[np.bool_]:
        """Tell which points (u, v) [px], (..., 2), of a pinhole image lie in the open field."""
        top, bottom, left, right = self.box_px(geometry)
        u, v = np.moveaxis(np.asarray(pixels_px, float) + 0.5, -1, 0)
        return (v >= top) & (v <= bottom) & (u >= left) & (u <= right)

    def field_size_m(self, geometry: ProjectionGeometry) -> tuple[float, float]:
        """Return height and width of the open field on the detector [m]."""
        (rows, columns), (pitch_v, pitch_u) = geometry.shape_px, geometry.pixel_pitch_m
        return (
            (self.bottom - self.top) * rows * pitch_v,
            (self.right - self.left) * columns * pitch_u,
        )

    def transmission(self, geometry: ProjectionGeometry) -> NDArray[np.float32]:
        """Return the part of the beam that reaches each pixel, shape (rows, columns), float32."""
        (rows, columns), (pitch_v, pitch_u) = geometry.shape_px, geometry.pixel_pitch_m
        down = self._open(rows, self.top, self.bottom, pitch_v)
        across = self._open(columns, self.left, self.right, pitch_u)
        share = np.outer(down, across)
        return (self.leakage + (1 - self.leakage) * share).astype(np.float32)

    def _open(self, count: int, low: float, high: float, pitch_m: float) -> NDArray[np.float64]:
        """Return the open part of each pixel of a side; an edge at the border does not fade."""
        fade_px = max(self.penumbra_m / pitch_m, 1.0)
        position = np.arange(count) + 0.5
        result = np.ones(count)
        if low > 0:
            result = np.minimum(result, np.clip((position - low * count) / fade_px + 0.5, 0, 1))
        if high < 1:
            result = np.minimum(result, np.clip((high * count - position) / fade_px + 0.5, 0, 1))
        return result
