"""Images that many epochs and several loader processes read again and again."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

_log = logging.getLogger(__name__)


class KeptImages:
    """Decoded images in a file without a name, which goes when its last process ends.

    Processes that are forked later share it. Where the disk has no room for all of them none is
    kept, and a warning says so: a process that writes to a full disk through a map just ends.

    Args:
        count: how many images there are.
        shape: rows and columns; images of another shape are read anew each time.
    """

    def __init__(self, count: int, shape: tuple[int, int]) -> None:
        self._shape = shape
        try:
            self._pixels = _file((count, *shape), np.uint16)
            self._have = _file((count,), np.uint8)
            self._keeps = True
        except OSError as error:
            self._keeps = False
            _log.warning(
                '%s has no room for %d images, %.1f GB (%s): they are decoded anew in every '
                'epoch; free some space, or set TMPDIR to a folder with more',
                tempfile.gettempdir(), count, 2e-9 * count * np.prod(shape), error.strerror,
            )  # fmt: skip

    def image(self, index: int, read: Callable[[], NDArray[np.uint16]]) -> NDArray[np.uint16]:
        """Return image `index`, shape (rows, columns), from the file or by `read`."""
        if self._keeps and self._have[index]:
            return np.asarray(self._pixels[index])
        pixels = read()
        if self._keeps and pixels.shape == self._shape:
            self._pixels[index] = pixels
            self._have[index] = 1
        return pixels


def _file(shape: tuple[int, ...], kind: type) -> np.memmap:
    """Return zeros in a file that is already deleted; its room on the disk is taken at once.

    Raises:
        OSError: there is not enough.
    """
    size = int(np.prod(shape)) * np.dtype(kind).itemsize
    with tempfile.TemporaryFile() as file:
        os.posix_fallocate(file.fileno(), 0, size)
        return np.memmap(file, kind, 'r+', shape=shape)
