"""Play between a drive and what it moves: the play operator of hysteresis theory."""

from __future__ import annotations

import math


class Play:
    """Backlash of half width b: y_k = max(x_k - b, min(x_k + b, y_{k-1})).

    Source: M. Brokate and J. Sprekels, "Hysteresis and Phase Transitions", section 2.2.
    """

    def __init__(self, half_width: float, output: float = 0.0) -> None:
        """Start with the output at `output`; both in the unit of the input.

        Raises:
            ValueError: the half width is negative or not finite.
        """
        if not (math.isfinite(half_width) and half_width >= 0):
            raise ValueError(f'half_width must be finite and not negative, got {half_width}')
        self.half_width = half_width
        self.output = output

    def __call__(self, drive: float) -> float:
        """Move the drive to `drive` and return where the driven side now stands."""
        low, high = drive - self.half_width, drive + self.half_width
        self.output = max(low, min(high, self.output))
        return self.output
