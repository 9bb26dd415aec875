"""Domain randomization: regular on every image, strong on some, as in SyntheX."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from synthex_ros.learning.geometry_transforms import (
    Placement,
    WholeFrame,
    elastic,
    shutter,
    superpose,
)
from synthex_ros.learning.intensity_transforms import FAVOURED, REGULAR, STRONG
from synthex_ros.learning.labelled import Labelled

_NAMES = sorted(STRONG)
_WEIGHTS = np.array([FAVOURED.get(name, 1.0) for name in _NAMES])

Background = Callable[[np.random.Generator], Labelled]
"""Draws a frame that shows no device."""


@dataclass(frozen=True)
class Randomization:
    """What is done to a frame before the network sees it.

    Attributes:
        placement: which part of the frame, and how it is turned, scaled and flipped.
        regular_probability: chance of each regular transform.
        strong_probability: chance that an image gets one to three strong transforms.
        elastic_probability: chance of a local distortion.
        elastic_px: greatest local distortion [px].
        superpose_probability: chance that a frame without device is put behind, where there is
            one.
        shutter_probability: chance of a round shutter.
    """

    placement: Placement | WholeFrame = field(default_factory=Placement)
    regular_probability: float = 0.5
    strong_probability: float = 0.3
    elastic_probability: float = 0.05
    elastic_px: float = 2.0
    superpose_probability: float = 0.0
    shutter_probability: float = 0.05

    def __post_init__(self):
        for name in ('regular', 'strong', 'elastic', 'superpose', 'shutter'):
            chance = getattr(self, f'{name}_probability')
            if not 0 <= chance <= 1:
                raise ValueError(f'{name}_probability must be 0..1, got {chance}')

    def __call__(
        self, sample: Labelled, rng: np.random.Generator, background: Background | None = None
    ) -> Labelled:
        """Return a randomized crop of a frame, with its labels."""
        moved = self.placement.taken(sample, rng)
        if rng.random() < self.elastic_probability:
            moved = elastic(moved, rng, self.elastic_px)
        if background is not None and rng.random() < self.superpose_probability:
            behind = self.placement.taken(background(rng), rng).image
            moved = replace(moved, image=superpose(moved.image, behind, rng))
        if rng.random() < self.shutter_probability:
            moved = shutter(moved, rng)
        image = moved.image
        for transform in REGULAR.values():
            if rng.random() < self.regular_probability:
                image = transform(image, rng)
        if rng.random() < self.strong_probability:
            count = int(rng.integers(1, 4))
            for name in rng.choice(_NAMES, count, False, _WEIGHTS / _WEIGHTS.sum()):
                image = STRONG[name](image, rng)
        return Labelled(np.ascontiguousarray(image, np.float32), moved.mask, moved.landmarks)
