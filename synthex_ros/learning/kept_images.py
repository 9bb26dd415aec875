"""Images that many epochs and several loader processes read again and again."""

from __future__ import annotations

import tempfile
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray


class KeptImages:
    """Decoded images in a file without a name, which goes when its last process ends.

    Processes that are forked later share it.

    Args:
        count: how many images there are.
        shape: rows and columns; images of another shape are read anew each time.
    """

    def __init__(self, count: int, shape: tuple[int, int]) -> None:
        self._pixels = _file((count, *shape), np.uint16)
        self._have = _file((count,), np.uint8)

    def image(self, index: int, read: Callable[[], NDArray[np.uint16]]) -> NDArray[np.uint16]:
        """Return image `index`, shape (rows, columns), from the file or by `read`."""
        if self._have[index]:
            return np.asarray(self._pixels[index])
        pixels = read()
        if pixels.shape == self._pixels.shape[1:]:
            self._pixels[index] = pixels
            self._have[index] = 1
        return pixels


def _file(shape: tuple[int, ...], kind: type) -> np.memmap:
    """Return zeros in a sparse file that is already deleted."""
    with tempfile.TemporaryFile() as file:
        file.truncate(int(np.prod(shape)) * np.dtype(kind).itemsize)
        return np.memmap(file, kind, 'r+', shape=shape)
