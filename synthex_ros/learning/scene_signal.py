"""The expected signal of a training frame with some bodies or others, and what its noise hides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from synthex_ros.bodies import Body
from synthex_ros.learning.view_setup import ViewSetup
from synthex_ros.learning.visibility import Shadow

Array = NDArray[np.float64]

_LEAST_KEV2 = 1e-12


class SceneSignal:
    """Expected images of a view, as its detector can tell them apart.

    What is above the detector's full scale is cut: what saturates the panel shows nothing.

    Args:
        setup: the view.
    """

    def __init__(self, setup: ViewSetup) -> None:
        self._setup, detector = setup, setup.renderer.detector
        geometry = setup.seen.view.geometry
        gain = setup.renderer.beam(setup.technique).gain_counts_kev(geometry)
        self._full_kev = detector.full_scale / gain
        self._readout_kev2 = (detector.electronic_noise_counts / gain) ** 2
        self._swank = detector.swank_factor

    def expected(self, bodies: Sequence[Body]) -> tuple[Array, Array]:
        """Return signal [keV] and quantum variance [keV^2] with some bodies, (rows, columns)."""
        setup = self._setup
        image = setup.renderer.expected_kev(
            setup.seen.view, bodies, setup.seen.world_from_patient, technique=setup.technique
        )
        signal = np.minimum(image.signal_kev.astype(float), self._full_kev)
        return signal, image.variance_kev2.astype(float) / self._swank

    def shadow(self, lost_kev: Array, quantum_kev2: Array) -> Shadow:
        """Return a loss of signal and its noise, of the same pixels, shape (N,)."""
        return Shadow(lost_kev, np.maximum(quantum_kev2, _LEAST_KEV2), self._readout_kev2)
