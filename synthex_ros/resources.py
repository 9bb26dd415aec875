"""Find the files that are installed beside the package: config, launch, models.

They lie in the checkout (editable install), under `<prefix>/share/synthex_ros` (pip), or in a
package folder of the ament index (colcon).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

NAME = 'synthex_ros'


def share_folders() -> Iterator[Path]:
    """Yield the folders that may hold the package's files, the nearest first."""
    package = Path(__file__).resolve().parent
    checkout = package.parent
    if (checkout / 'package.xml').is_file() and (checkout / 'setup.py').is_file():
        yield checkout
    prefixes = [*package.parents, Path(sys.prefix)]
    prefixes += [Path(p) for p in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep) if p]
    for prefix in prefixes:
        if (prefix / 'share' / NAME / 'package.xml').is_file():
            yield prefix / 'share' / NAME


def share_folder() -> Path:
    """Return the folder that holds `config`, `launch` and `models`.

    Raises:
        FileNotFoundError: the package's files are not installed.
    """
    for folder in share_folders():
        return folder
    raise FileNotFoundError(
        f'no share/{NAME} beside the package, under {sys.prefix} or in AMENT_PREFIX_PATH; '
        'install with ./run, pip or colcon'
    )


def find(kind: str, name: str) -> Path:
    """Return the path of a file: `name` itself if it exists, else the package's `kind` folder.

    Args:
        kind: 'config', 'launch' or 'models'.
        name: path, or file name in that folder.

    Raises:
        FileNotFoundError: neither exists; names what the folder holds.
    """
    if Path(name).is_file():
        return Path(name)
    folder = share_folder() / kind
    if (folder / name).is_file():
        return folder / name
    held = ', '.join(sorted(path.name for path in folder.glob('*.*'))) or 'nothing'
    raise FileNotFoundError(f'no file {name!r}, and {kind}/ of the package holds {held}')
