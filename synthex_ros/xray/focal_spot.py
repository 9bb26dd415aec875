"""Blur by the size of the focal spot: the more, the farther an object is from the detector."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from synthex_ros.geometry import ProjectionGeometry
from synthex_ros.xray.anatomy_layer import AnatomyLayer

_NEGLIGIBLE_PX = 0.05
_REACH = 4.0  # standard deviations
_SAMPLED_FROM_PX = 0.7


@dataclass(frozen=True)
class FocalSpot:
    """An even square focal spot, blurred as a Gaussian of the same variance.

    A point at distance d from the spot is drawn as the spot's pinhole image, enlarged by
    source_to_detector / d - 1 (Bushberg et al., The Essential Physics of Medical Imaging, 7.2).
    Quantum noise arises behind the blur and keeps its sharpness.

    Attributes:
        width_m: side of the spot [m]; 0.3 and 0.6 mm are usual for fluoroscopy.
    """

    width_m: float = 0.6e-3

    def __post_init__(self):
        if not 0 <= self.width_m <= 5e-3:
            raise ValueError(f'width_m must be 0..0.005 m, got {self.width_m:g}; 0.6 mm is 0.0006')

    def sigma_px(self, geometry: ProjectionGeometry, distance_m: float) -> tuple[float, float]:
        """Return the deviation along columns and rows [px] for objects at a distance [m]."""
        if not distance_m > 0:
            raise ValueError(f'distance_m must be positive, got {distance_m:g}')
        enlarged = max(geometry.source_to_detector_m / distance_m - 1, 0.0)
        sigma_m = enlarged * self.width_m / np.sqrt(12)
        pitch_v, pitch_u = geometry.pixel_pitch_m
        return sigma_m / pitch_u, sigma_m / pitch_v

    def blurred_layer(self, layer: AnatomyLayer, distance_m: float) -> AnatomyLayer:
        """Return the layer of an anatomy that stands at about `distance_m` from the spot [m]."""
        taps = self.taps(layer.view.geometry, distance_m)
        if taps is None:
            return layer
        return replace(
            layer,
            signal_kev=_blurred(layer.signal_kev, taps),
            variance_kev2=_blurred(layer.variance_kev2, taps),
        )

    def taps(
        self, geometry: ProjectionGeometry, distance_m: float
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
        """Return the blur down and across an image at a distance [m]; None is negligible."""
        across, down = self.sigma_px(geometry, distance_m)
        if max(across, down) < _NEGLIGIBLE_PX:
            return None
        return _taps(down), _taps(across)


def _blurred(
    image: NDArray[np.float32], taps: tuple[NDArray[np.float32], NDArray[np.float32]]
) -> NDArray[np.float32]:
    (down, across), border = taps, cv2.BORDER_REPLICATE
    return np.asarray(cv2.sepFilter2D(image, cv2.CV_32F, across, down, borderType=border))


def _taps(sigma_px: float) -> NDArray[np.float32]:
    """Return a Gaussian's samples, sum 1; three taps of the same variance where it is narrow."""
    if sigma_px < _SAMPLED_FROM_PX:
        side = sigma_px**2 / 2
        return np.array([side, 1 - 2 * side, side], np.float32)
    reach = int(np.ceil(_REACH * sigma_px))
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma_px) ** 2)
    return (taps / taps.sum()).astype(np.float32)
