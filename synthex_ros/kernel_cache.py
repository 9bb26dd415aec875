"""Where compiled kernels are kept: another folder as soon as the source of any kernel changes.

Numba's cache asks whether the file of a kernel has changed, not whether those of the kernels that
it calls have: without this, one module's kernels would go on with another's old ones.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from synthex_ros.user_cache import cache_dir

_MARK = b'numba'
_KEPT = 3


def choose_kernel_cache(package: Path) -> Path | None:
    """Tell Numba, before it is imported, where to keep the compiled kernels of a package.

    A folder that the user chose by NUMBA_CACHE_DIR stays; where none can be made, Numba chooses.

    Args:
        package: folder of the sources.

    Returns:
        The folder, None where it was not chosen here.
    """
    if 'NUMBA_CACHE_DIR' in os.environ:
        return None
    try:
        folder = kernel_cache(package)
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # no home folder is a RuntimeError
        return None
    os.environ['NUMBA_CACHE_DIR'] = str(folder)
    return folder


def kernel_cache(package: Path) -> Path:
    """Return the folder for the compiled kernels of the present sources of a package.

    Older ones of the same package beyond the newest few are removed.
    """
    sources = hashlib.sha256()
    for path in sorted(package.rglob('*.py')):
        if _MARK in (content := path.read_bytes()):
            sources.update(content)
    place = hashlib.sha256(str(package.resolve()).encode()).hexdigest()[:8]
    folder = cache_dir() / 'kernels' / f'{place}-{sources.hexdigest()[:16]}'
    if not folder.exists():
        others = sorted(folder.parent.glob(f'{place}-*'), key=lambda other: other.stat().st_mtime)
        for old in others[: 1 - _KEPT]:
            shutil.rmtree(old, ignore_errors=True)
    return folder
