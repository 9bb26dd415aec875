"""The chain of display steps, and the 8-bit picture at its end.

A step holds settings and nothing else. What it has to remember of earlier frames is its state,
which the chain carries from frame to frame: in `DisplayChain.states`, for everybody to see.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]

WHITE = 255.0


class DisplayStep(Protocol):
    """One step of a display chain.

    A step that only moves pixels may say so with `keeps_values = True`: at the end of a chain it
    then acts on the 8-bit picture, a quarter of the memory.
    """

    def apply(self, image: Image, state: Any, interval_s: float) -> tuple[Image, Any]:
        """Return the image after this step, and what the step must know at the next frame.

        Args:
            image: shape (rows, columns), float32, contiguous; may be overwritten.
            state: what the step returned at the frame before; None at the first.
            interval_s: time since the frame before [s].
        """


class DisplayChain:
    """Shows the frames of one detector, in the order in which they were taken.

    Attributes:
        steps: what is done to each frame, first to last. The last image is shown black at 0 and
            white at 1.
        states: what each step remembers; None before the first frame.
    """

    def __init__(self, steps: Sequence[DisplayStep]) -> None:
        self.steps = tuple(steps)
        self.states: list[Any] = [None] * len(self.steps)
        self._work = np.empty((0, 0), np.float32)
        self._last = len(self.steps)
        while self._last and getattr(self.steps[self._last - 1], 'keeps_values', False):
            self._last -= 1

    def reset(self) -> None:
        """Forget all frames."""
        self.states = [None] * len(self.steps)

    def tones(self, counts: NDArray, interval_s: float = 1 / 15) -> Image:
        """Return a frame after all steps, black 0 to white 1, not clipped, float32.

        Args:
            counts: detector counts, shape (rows, columns); left as they are.
            interval_s: time since the frame before [s].

        Raises:
            ValueError: the frame is not a grey image, or the interval is not positive.
        """
        _check(counts, interval_s)
        image = np.array(counts, np.float32, order='C')
        return self._applied(image, 0, len(self.steps), interval_s)

    def show(self, counts: NDArray, interval_s: float = 1 / 15) -> NDArray[np.uint8]:
        """Return the picture of a frame, shape (rows, columns), uint8; see `tones`."""
        _check(counts, interval_s)
        if self._work.shape != counts.shape:
            self._work = np.empty(counts.shape, np.float32)
        np.copyto(self._work, counts, casting='unsafe')
        grey = eight_bit(self._applied(self._work, 0, self._last, interval_s))
        return self._applied(grey, self._last, len(self.steps), interval_s)

    def _applied(self, image: Any, first: int, last: int, interval_s: float) -> Any:
        for index in range(first, last):
            step = self.steps[index]
            image, self.states[index] = step.apply(image, self.states[index], interval_s)
        return image


def _check(counts: NDArray, interval_s: float) -> None:
    if np.ndim(counts) != 2 or not np.size(counts):
        raise ValueError(f'counts must have shape (rows, columns), got {np.shape(counts)}')
    if not interval_s > 0:
        raise ValueError(f'interval_s must be positive, got {interval_s:g}')


def eight_bit(tones: Image) -> NDArray[np.uint8]:
    """Return tones, black 0 to white 1, rounded to 0..255; what lies outside is cut off.

    Args:
        tones: shape (rows, columns), float32; overwritten.
    """
    np.clip(tones, np.float32(0), np.float32(1), out=tones)
    return np.asarray(cv2.convertScaleAbs(tones, alpha=WHITE), np.uint8).reshape(tones.shape)
