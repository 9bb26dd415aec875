"""The package's folder in the user's cache."""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir() -> Path:
    """Return the package's folder in the user's cache (XDG base directory specification)."""
    root = os.environ.get('XDG_CACHE_HOME')
    return (Path(root) if root else Path.home() / '.cache') / 'synthex_ros'
