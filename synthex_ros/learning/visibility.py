"""What can be seen of a device: the signal-to-noise ratio of an ideal observer.

The ratio is that of an observer who knows what to look for and where, in white noise (Barrett and
Myers, Foundations of Image Science, 13.2): the root of the sum of (lost signal)^2 over variance.
The light spread of the scintillator acts on signal and quantum noise alike and takes nothing from
it. Quantum noise falls with the exposure; read-out noise, in counts, is a fixed part of full scale
and does not, because a mode with more dose has less gain. Of two places of a landmark, the lost
signal is the difference of the two pictures: no observer tells them apart better.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

ROSE_SNR = 5.0
"""Above it a detail is seen with certainty (Rose, J. Opt. Soc. Am. 38 (1948) 196)."""

_HALVINGS = 40


@dataclass(frozen=True, eq=False)
class Shadow:
    """What a device takes from the expected signal of some pixels.

    Attributes:
        lost_kev: signal that is lost, shape (N,) [keV].
        quantum_kev2: variance of quantum noise there, shape (N,) [keV^2].
        readout_kev2: variance of read-out noise [keV^2].
    """

    lost_kev: Array
    quantum_kev2: Array
    readout_kev2: float

    def snr(self, exposure: float = 1.0) -> float:
        """Return the signal-to-noise ratio at a multiple of the exposure."""
        variance = self.quantum_kev2 / exposure + self.readout_kev2
        return float(np.sqrt(np.sum(self.lost_kev**2 / variance)))

    def exposure_for(self, snr: float, highest: float) -> float | None:
        """Return the least multiple of the exposure, 1 to `highest`, that reaches a ratio.

        None where even `highest` does not.
        """
        if self.snr(1.0) >= snr:
            return 1.0
        if self.snr(highest) < snr:
            return None
        low, high = 1.0, highest
        for _ in range(_HALVINGS):
            middle = float(np.sqrt(low * high))
            low, high = (low, middle) if self.snr(middle) >= snr else (middle, high)
        return high
