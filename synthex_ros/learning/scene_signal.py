"""The expected signal of a training frame with some bodies or others, and what its noise hides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from synthex_ros.bodies import Body
from synthex_ros.learning.view_setup import ViewSetup
from synthex_ros.learning.visibility import Shadow
from synthex_ros.xray.detector import Detector

Array = NDArray[np.float64]

_LEAST_KEV2 = 1e-12


class ReadSignal:
    """What a detector reads of the energy it absorbs.

    Args:
        detector: with its full scale, read-out noise and Swank factor.
        gain_counts_kev: counts for each keV absorbed.
    """

    def __init__(self, detector: Detector, gain_counts_kev: float) -> None:
        self._full_kev = detector.full_scale / gain_counts_kev
        self._readout_kev2 = (detector.electronic_noise_counts / gain_counts_kev) ** 2
        self._swank = detector.swank_factor

    def readable(self, signal_kev: Array) -> Array:
        """Return a signal [keV] of any shape, cut at full scale: what saturates shows nothing."""
        return np.minimum(signal_kev, self._full_kev)

    def quantum_kev2(self, absorbed_kev2: Array) -> Array:
        """Return the quantum variance as read [keV^2] of that absorbed (Swank, 1973)."""
        return absorbed_kev2 / self._swank

    def shadow(self, lost_kev: Array, quantum_kev2: Array) -> Shadow:
        """Return a loss of signal and its noise, of the same pixels, shape (N,)."""
        return Shadow(lost_kev, np.maximum(quantum_kev2, _LEAST_KEV2), self._readout_kev2)


class SceneSignal(ReadSignal):
    """Expected images of a view, as its detector can tell them apart.

    Args:
        setup: the view.
    """

    def __init__(self, setup: ViewSetup) -> None:
        self._setup, renderer = setup, setup.renderer
        beam = renderer.beam(setup.technique)
        super().__init__(renderer.detector, beam.gain_counts_kev(setup.seen.view.geometry))

    def expected(self, bodies: Sequence[Body]) -> tuple[Array, Array]:
        """Return signal [keV] and quantum variance [keV^2] with some bodies, (rows, columns)."""
        setup = self._setup
        image = setup.renderer.expected_kev(
            setup.seen.view, bodies, setup.seen.world_from_patient, technique=setup.technique
        )
        signal = self.readable(image.signal_kev.astype(float))
        return signal, self.quantum_kev2(image.variance_kev2.astype(float))
