"""Centre lines of vessels from a file: `vessels.json` of `synthex vessels --out`, or one's own.

The file is a JSON object with `branches`, each with `name`, `points_m` (N x 3 numbers [m], from
the end nearer to the root) and `radius_m` (N numbers [m]). The first branch begins at the root,
every other one at a point of one before it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthex_ros.anatomy.vessels.tree import VesselTree

Array = NDArray[np.float64]

_JOINED_M = 1e-4
_LARGEST_M = 3.0


def read_vessel_map(path: str | Path) -> VesselTree:
    """Return the tree of vessels in a file, in the file's own frame [m].

    Raises:
        FileNotFoundError: no such file.
        ValueError: not such a file, or branches that do not hang together.
    """
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(
            f'no vessel map at {file}; `synthex vessels --out FOLDER` writes FOLDER/vessels.json'
        )
    try:
        branches = json.loads(file.read_text(encoding='utf-8'))['branches']
        read = [_branch(number, branch, file) for number, branch in enumerate(branches)]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(
            f'{file} must be a JSON object with branches of name, points_m and radius_m, as '
            f'`synthex vessels --out` writes them; {type(error).__name__}: {error}'
        ) from error
    if not read:
        raise ValueError(f'{file} holds no branches')
    return _joined(read, file)


def _branch(number: int, branch: Any, file: Path) -> tuple[str, Array, Array]:
    """Return name, points and radii of a branch, checked."""
    name = str(branch['name'])
    where = f'{file}: branch {number} ({name})'
    try:
        points, radius = (np.asarray(branch[key], float) for key in ('points_m', 'radius_m'))
    except ValueError as error:
        raise ValueError(f'{where}: points_m and radius_m must be numbers; {error}') from None
    if points.ndim != 2 or points.shape[1] != 3 or len(points) < 2:
        raise ValueError(f'{where}: points_m must be N x 3, N >= 2, got {points.shape}')
    if radius.shape != (len(points),):
        raise ValueError(f'{where}: radius_m must have {len(points)} numbers, got {radius.shape}')
    largest = float(np.abs(points).max())
    if not (np.all(np.isfinite(points)) and largest <= _LARGEST_M):
        hint = '; looks like millimetres' if np.isfinite(largest) else ''
        raise ValueError(f'{where}: points must be within {_LARGEST_M:g} m, got {largest:g}{hint}')
    if not np.all((radius > 0) & (radius < 0.1)):
        raise ValueError(f'{where}: radius_m must be 0..0.1 m, got {radius.min()}..{radius.max()}')
    return name, points, radius


def _joined(branches: list[tuple[str, Array, Array]], file: Path) -> VesselTree:
    """Return the tree of branches, each hung on the point where it begins."""
    _, first, width = branches[0]
    points, radius, parent, structure = [first[:1]], [width[:1]], [-1], [0]
    for number, (name, line, widths) in enumerate(branches):
        known = np.concatenate(points)
        away = np.linalg.norm(known - line[0], axis=1)
        start, count = int(np.argmin(away)), len(known)
        if away[start] > _JOINED_M:
            raise ValueError(
                f'{file}: branch {number} ({name}) begins {1e3 * away[start]:.1f} mm from every '
                'branch before it; its first point must be one of theirs'
            )
        points.append(line[1:])
        radius.append(widths[1:])
        parent += [start, *range(count, count + len(line) - 2)]
        structure += [number] * (len(line) - 1)
    names = tuple(name for name, _, _ in branches)
    return VesselTree(
        np.concatenate(points),
        np.concatenate(radius),
        np.array(parent),
        np.array(structure),
        names,
    )
