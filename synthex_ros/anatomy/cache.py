"""Decoded copies of samples that load fast, kept on the user's machine."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synthex_ros.user_cache import cache_dir

_LOG = logging.getLogger(__name__)


def sha256_of(*paths: Path) -> str:
    """Return one hash of the contents of files."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def cached_arrays(key: str, decode: Callable[[], dict[str, NDArray]]) -> dict[str, NDArray]:
    """Return decoded arrays by name, from the cache if they are there and undamaged.

    Args:
        key: file name in the cache; must change with the content.
        decode: makes the arrays; its errors pass through.
    """
    path = cache_dir() / 'decoded' / f'{key}.npz'
    try:
        with path.open('rb') as file, np.load(file, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except FileNotFoundError:
        pass
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        _LOG.warning('decoded copy %s is damaged and is made again: %s', path, error)
    arrays = decode()
    _store(path, arrays)
    return arrays


def _store(path: Path, arrays: dict[str, NDArray]) -> None:
    """Write beside the target and rename, so that no reader sees half a file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=path.parent, suffix='.partial')
        try:
            with os.fdopen(handle, 'wb') as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]
            os.replace(partial, path)
        except BaseException:
            Path(partial).unlink(missing_ok=True)
            raise
    except OSError as error:
        _LOG.info('no decoded copy kept, loading will be slower: %s', error)
