"""Breathing as a slow rigid motion of the anatomy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthex_ros.geometry import Array, make_pose

BREATHING_MODELS = ('rigid', 'deformable')
"""The whole anatomy moves alike, as `Breathing` says, or the chest deforms: `ChestMotion`."""


@dataclass(frozen=True)
class Breathing:
    """Periodic rigid motion, at rest at the end of expiration.

    Displacement is amplitude * sin^4(pi t / period), the end-expiration-weighted form of
    Lujan et al., Medical Physics 26(5), 1999, equation 1 with n = 2.

    Attributes:
        amplitude_m: peak displacement [m]; 0 switches breathing off.
        period_s: one breath [s].
        direction_lps: direction of inspiration in patient axes; the default is mostly caudal
            with some anterior motion.
        phases: cached displacements between rest and full inspiration.
    """

    amplitude_m: float = 0.0
    period_s: float = 4.0
    direction_lps: tuple[float, float, float] = (0.0, -0.3, -1.0)
    phases: int = 9

    def __post_init__(self):
        if not 0 <= self.amplitude_m <= 0.05:
            raise ValueError(f'amplitude_m must be 0..0.05 m, got {self.amplitude_m:g}')
        if not self.period_s > 0.5:
            raise ValueError(f'period_s must be above 0.5 s, got {self.period_s:g}')

    def inspiration(self, time_s: float) -> float:
        """Return the share of full inspiration, 0..1, at `time_s` [s]."""
        return float(np.sin(np.pi * time_s / self.period_s) ** 4)

    def displacement(self, inspiration: float) -> Array:
        """Return the anatomy's displacement in patient axes as a 4x4 pose [m]."""
        direction = np.asarray(self.direction_lps, float)
        shift = inspiration * self.amplitude_m * direction / np.linalg.norm(direction)
        return make_pose(translation_m=shift)

    def neighbours(self, inspiration: float) -> tuple[float, float, float]:
        """Return the cached inspirations below and above, and the weight of the upper one."""
        position = inspiration * (self.phases - 1)
        low = min(int(position), self.phases - 2)
        return low / (self.phases - 1), (low + 1) / (self.phases - 1), position - low
