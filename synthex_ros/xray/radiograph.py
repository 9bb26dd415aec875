"""What an exposure leaves: the image, the labels, and how it was made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthex_ros.geometry import View
from synthex_ros.xray.beam import Technique


@dataclass(frozen=True, eq=False)
class Radiograph:
    """One exposure.

    Attributes:
        counts: detector signal, shape (rows, columns), uint16, larger = more X-rays.
        mask: body label of each pixel, shape (rows, columns), uint8; the longer path wins.
        view: geometry and pose of the exposure.
        technique: tube settings.
        kerma_area_product_gy_m2: air kerma times area of the open field of the pulse [Gy m^2].
        air_kerma_gy: air kerma of the pulse at the interventional reference point, without
            backscatter: 15 cm from the isocentre towards the source (IEC 60601-2-43) [Gy].
    """

    counts: NDArray[np.uint16]
    mask: NDArray[np.uint8]
    view: View
    technique: Technique
    air_kerma_gy: float
    kerma_area_product_gy_m2: float
