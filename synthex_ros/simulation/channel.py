"""How frames travel from the detector to the network: late, jittered or lost, as seeded."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np

Frame = TypeVar('Frame')


@dataclass(order=True)
class _Delivery(Generic[Frame]):
    due_ns: int
    index: int
    frame: Frame = field(compare=False)


class FrameChannel(Generic[Frame]):
    """Deliver frames late, or not at all, the same way for the same seed.

    A frame is never delivered before an earlier one: jitter delays, it does not reorder.

    Args:
        latency_s: fixed delay from exposure to delivery [s], >= 0.
        jitter_s: standard deviation of a half-normal extra delay [s], >= 0.
        drop_rate: share of frames that are lost, 0..1.
        seed: seed of the channel's own generator.

    Raises:
        ValueError: a knob is out of range.
    """

    def __init__(self, latency_s: float, jitter_s: float, drop_rate: float, seed: int) -> None:
        if latency_s < 0 or jitter_s < 0 or not 0 <= drop_rate <= 1:
            raise ValueError(
                'latency_s and jitter_s must be >= 0 and drop_rate 0..1, '
                f'got {latency_s:g}, {jitter_s:g}, {drop_rate:g}'
            )
        self._latency_s, self._jitter_s, self._drop_rate = latency_s, jitter_s, drop_rate
        self._seed = seed
        self.clear()

    def clear(self) -> None:
        """Forget frames under way and start the random sequence again."""
        self._rng = np.random.default_rng(self._seed)
        self._queue: list[_Delivery[Frame]] = []
        self._last_due_ns = 0
        self._sent = 0
        self.lost = 0

    def send(self, exposure_ns: int, frame: Frame) -> None:
        """Accept a frame exposed at `exposure_ns` [ns]."""
        is_lost = self._rng.random() < self._drop_rate
        delay_s = self._latency_s + self._jitter_s * abs(self._rng.standard_normal())
        self._sent += 1
        if is_lost:
            self.lost += 1
            return
        self._last_due_ns = max(self._last_due_ns, exposure_ns + round(delay_s * 1e9))
        heapq.heappush(self._queue, _Delivery(self._last_due_ns, self._sent, frame))

    @property
    def next_due_ns(self) -> int | None:
        """When the next frame arrives [ns], or None if nothing is under way."""
        return self._queue[0].due_ns if self._queue else None

    def receive(self, now_ns: int) -> Frame | None:
        """Return the oldest frame due by `now_ns`, or None."""
        if not self._queue or self._queue[0].due_ns > now_ns:
            return None
        return heapq.heappop(self._queue).frame
