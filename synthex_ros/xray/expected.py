"""The expected image of a scene with devices, before noise and light spread."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from synthex_ros.geometry import ProjectionGeometry
from synthex_ros.xray.anatomy_layer import AnatomyLayer
from synthex_ros.xray.detector import CoveredPixels
from synthex_ros.xray.intensifier import ImageIntensifier

Image = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ExpectedImage:
    """What a detector absorbs in the mean; all images of shape (rows, columns).

    Attributes:
        primary_kev: energy of primary quanta a pixel [keV], float32.
        scatter_kev: energy of scattered quanta a pixel [keV], float32.
        variance_kev2: quantum variance of both, without light statistics [keV^2], float32.
        mask: body label of each pixel, uint8.
    """

    primary_kev: Image
    scatter_kev: Image
    variance_kev2: Image
    mask: NDArray[np.uint8]

    @property
    def signal_kev(self) -> Image:
        """Primary and scatter together [keV], float32."""
        return self.primary_kev + self.scatter_kev

    def through(self, tube: ImageIntensifier, geometry: ProjectionGeometry) -> ExpectedImage:
        """Return what an image intensifier makes of it."""
        return ExpectedImage(
            tube.signal(self.primary_kev, geometry),
            tube.signal(self.scatter_kev, geometry),
            tube.variance(self.variance_kev2, geometry),
            tube.moved_labels(self.mask, geometry),
        )


def compose(
    layer: AnatomyLayer, covered: CoveredPixels | None, mask: NDArray[np.uint8]
) -> ExpectedImage:
    """Return anatomy, devices and scatter as one image.

    Args:
        layer: anatomy of the view.
        covered: signal and variance of the pixels that devices change.
        mask: body labels, shape (rows, columns).
    """
    primary, variance = layer.signal_kev.copy(), layer.variance_kev2.copy()
    if covered is not None:
        place = covered.pixels()
        primary[place], variance[place] = covered.values
    scatter = np.zeros_like(primary)
    if layer.scatter is not None:
        size, coarse = primary.shape[::-1], layer.scatter.signal_kev
        wide = cv2.resize(coarse, size, interpolation=cv2.INTER_LINEAR)
        scatter = np.asarray(wide, np.float32).reshape(primary.shape)
        variance += np.float32(layer.scatter.quantum_kev) * scatter
    return ExpectedImage(primary, scatter, variance, mask)
