"""Play of a cable drive: the output follows the input only at the edges of a dead band."""

from __future__ import annotations

import numpy as np


class PlayOperator:
    """Backlash as a play operator, y = clip(y, u - w, u + w) with half width w.

    The elementary hysteresis operator of Prandtl-Ishlinskii models; see Brokate & Sprekels,
    Hysteresis and Phase Transitions (1996), section 2.2.

    Args:
        half_width: half of the dead band, 0 for none [unit of the input].
        output: output to start from [unit of the input].
    """

    def __init__(self, half_width: float, output: float = 0.0) -> None:
        if not (np.isfinite(half_width) and half_width >= 0):
            raise ValueError(f'half_width must be 0 or more, got {half_width}')
        self.half_width = half_width
        self.output = output

    def after(self, position: float) -> float:
        """Return what the output would be for this input, without moving."""
        return float(np.clip(self.output, position - self.half_width, position + self.half_width))

    def move(self, position: float) -> float:
        """Move the input and return the output."""
        self.output = self.after(position)
        return self.output

    def input_for(self, wanted: float, position: float, dead_band: float) -> float:
        """Return the input that brings the output to `wanted`: the inverse of the play.

        Args:
            wanted: output to reach.
            position: present input, returned when the output is near enough.
            dead_band: difference to leave alone, so that noise does not cause reversals.
        """
        if wanted > self.output + dead_band:
            return wanted + self.half_width
        if wanted < self.output - dead_band:
            return wanted - self.half_width
        return position

    def edge_towards(self, position: float, aim: float) -> float:
        """Return the input at the edge of the dead band on the way from `position` to `aim`.

        Between `position` and the edge the output stands still, so this part of the way can be
        travelled at full speed.
        """
        if aim > position:
            return float(np.clip(self.output + self.half_width, position, aim))
        return float(np.clip(self.output - self.half_width, aim, position))
