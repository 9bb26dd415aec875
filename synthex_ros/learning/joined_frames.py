"""Frames of several folders, one after another, to train on together."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from synthex_ros.learning.dataset import FrameSet
from synthex_ros.learning.labelled import Labelled


class JoinedFrames:
    """What training reads of a `FrameSet`, of several.

    Args:
        parts: sets with the same classes and landmarks.

    Raises:
        ValueError: no sets, or they label other things.
    """

    def __init__(self, parts: Sequence[FrameSet]) -> None:
        if not parts:
            raise ValueError('training needs at least one folder of frames')
        first = parts[0]
        for part in parts[1:]:
            said = [(p.classes, p.landmark_names) for p in (first, part)]
            if said[0] != said[1]:
                raise ValueError(
                    f'{part.folder.root} labels {said[1]}, {first.folder.root} labels {said[0]}; '
                    'folders that are trained on together must label the same'
                )
        self._parts = list(parts)
        self._ends = list(accumulate(len(part) for part in parts))
        self.classes, self.overlapping = first.classes, first.overlapping

    def __len__(self) -> int:
        return self._ends[-1]

    @property
    def info(self) -> dict[str, Any]:
        """What the first folder's frames were made with, and under `also` the others'."""
        first, *others = (part.info for part in self._parts)
        return {**first, 'also': others} if others else first

    def shows_device(self, row: int) -> bool:
        """Tell whether anything is labelled in frame `row`."""
        part, inner = self._place(row)
        return part.shows_device(inner)

    def labelled(self, row: int) -> Labelled:
        """Return frame `row`, normalised as the tracker does it."""
        part, inner = self._place(row)
        return part.labelled(inner)

    def _place(self, row: int) -> tuple[FrameSet, int]:
        k = bisect_right(self._ends, row)
        return self._parts[k], row - (self._ends[k - 1] if k else 0)
