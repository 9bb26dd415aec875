"""Points that a person marked in a CT, read from a table."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synthex_ros.anatomy.grid import MM
from synthex_ros.anatomy.volume import Volume
from synthex_ros.geometry import invert_pose, transform_points

COLUMNS = ('name', 'x_mm', 'y_mm', 'z_mm')


def read_points_m(path: str | Path) -> dict[str, NDArray[np.float64]]:
    """Return points in `patient_lps` [m], shape (3,), by name.

    Args:
        path: CSV table with the columns name, x_mm, y_mm, z_mm; axes left, posterior, superior.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a column is missing or a coordinate is no number.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'no table of points {path}; columns: {", ".join(COLUMNS)}')
    with path.open(newline='', encoding='utf-8') as file:
        rows = list(csv.DictReader(file))
    try:
        points = {
            row['name'].strip(): np.array([float(row[key]) for key in COLUMNS[1:]]) for row in rows
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f'{path} must be a CSV table with the columns {", ".join(COLUMNS)} (patient LPS): '
            f'{error!r}'
        ) from error
    wrong = [name for name, point in points.items() if not np.isfinite(point).all()]
    if not points or wrong:
        raise ValueError(f'{path} must list points with finite coordinates, got {wrong or "none"}')
    return {name: point * MM for name, point in points.items()}


def check_in_volume(name: str, point_m: NDArray[np.float64], volume: Volume) -> None:
    """Check that a point, shape (3,) [m], lies in a CT.

    Raises:
        ValueError: it does not.
    """
    index = transform_points(invert_pose(volume.patient_from_grid), point_m) / volume.spacing_m
    last = np.array(volume.hu.shape[::-1]) - 1
    if np.all((index >= -0.5) & (index <= last + 0.5)):
        return
    corners_m = volume.index_to_patient_m(np.indices((2, 2, 2)).reshape(3, -1).T * last)
    low, high = corners_m.min(axis=0) / MM, corners_m.max(axis=0) / MM
    span = ', '.join(f'{a:.0f}..{b:.0f}' for a, b in zip(low, high, strict=True))
    got = ', '.join(f'{value:.1f}' for value in point_m / MM)
    raise ValueError(
        f'landmark {name!r} at ({got}) mm lies outside the CT {volume.name!r}, which spans '
        f'({span}) mm in patient LPS; points of RAS programs have x and y of the other sign'
    )
