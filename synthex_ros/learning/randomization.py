"""Domain randomization: regular on every image, strong on some, as in SyntheX."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from synthex_ros.learning.geometry_transforms import Placement, elastic, random_crop
from synthex_ros.learning.intensity_transforms import REGULAR, STRONG
from synthex_ros.learning.labelled import Labelled


@dataclass(frozen=True)
class Randomization:
    """What is done to a frame before the network sees it.

    Attributes:
        placement: crop, rotation, scaling and flips.
        regular_probability: chance of each regular transform.
        strong_probability: chance that an image gets one or two strong transforms.
        elastic_probability: chance of a local distortion.
        elastic_px: greatest local distortion [px].
    """

    placement: Placement = field(default_factory=Placement)
    regular_probability: float = 0.5
    strong_probability: float = 0.3
    elastic_probability: float = 0.05
    elastic_px: float = 2.0

    def __post_init__(self):
        for name in ('regular_probability', 'strong_probability', 'elastic_probability'):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f'{name} must be 0..1, got {getattr(self, name)}')

    def __call__(self, sample: Labelled, rng: np.random.Generator) -> Labelled:
        """Return a randomized crop of a frame, with its labels."""
        moved = random_crop(sample, self.placement, rng)
        if rng.random() < self.elastic_probability:
            moved = elastic(moved, rng, self.elastic_px)
        image = moved.image
        for transform in REGULAR.values():
            if rng.random() < self.regular_probability:
                image = transform(image, rng)
        if rng.random() < self.strong_probability:
            for name in rng.choice(sorted(STRONG), int(rng.integers(1, 3)), replace=False):
                image = STRONG[name](image, rng)
        return Labelled(np.ascontiguousarray(image, np.float32), moved.mask, moved.landmarks)
