"""A device of the user's own from closed meshes, as its file names them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from synthex_ros.learning.own_device import Part, RigidDevice
from synthex_ros.rendering.mesh_file import METRES, read_mesh
from synthex_ros.xray.attenuation import density_g_cm3

_PART_KEYS = ('mesh', 'material', 'labelled')


def rigid_device(
    path: Path, parts: Sequence[Any], landmarks: Mapping[str, Any], unit: str
) -> tuple[RigidDevice, list[Path]]:
    """Return a device of meshes, and the files that were read.

    Args:
        path: of the device's file, for paths and messages.
        parts: mappings of `mesh`, `material` and perhaps `labelled`.
        landmarks: points (x, y, z) by name [unit].
        unit: of meshes and landmarks, 'mm' or 'm'.

    Raises:
        FileNotFoundError: a mesh is missing.
        ValueError: a mesh, material or landmark is not what it must be.
    """
    read, files = [], []
    for item in parts:
        file = path.parent / _checked(path, item)['mesh']
        if not file.is_file():
            raise FileNotFoundError(f'{path}: no mesh {file}; paths are relative to that file')
        mesh = read_mesh(file, unit)
        read.append(Part(mesh, item['material'], item.get('labelled', True)))
        files.append(file)
    if not any(part.labelled for part in read):
        raise ValueError(f'{path}: a part at least must be labelled')
    corners = np.concatenate([part.mesh.vertices_m for part in read])
    points = {
        str(name): _landmark(path, str(name), value, unit, corners)
        for name, value in landmarks.items()
    }
    return RigidDevice(read, points), files


def _checked(path: Path, item: Any) -> Mapping[str, Any]:
    """Return an entry of `parts` if it is one."""
    is_part = isinstance(item, Mapping) and set(item) <= set(_PART_KEYS)
    texts = ('mesh', 'material')
    if not is_part or not all(isinstance(item.get(name), str) for name in texts):
        raise ValueError(
            f'{path}: each of parts must be a mapping of mesh, material and, if needed, '
            f'labelled, got {item!r}'
        )
    if not isinstance(item.get('labelled', True), bool):
        raise ValueError(f'{path}: labelled must be true or false, got {item["labelled"]!r}')
    try:
        density_g_cm3(item['material'])
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error
    return item


def _landmark(path: Path, name: str, value: Any, unit: str, corners: Any) -> Any:
    """Return a landmark [m]; refuse what is no point or lies far away from the meshes."""
    try:
        point = np.array(value, float) * METRES[unit]
    except (TypeError, ValueError):
        point = np.zeros(0)
    if point.shape != (3,) or not np.isfinite(point).all():
        raise ValueError(
            f'{path}: landmark {name} must be three finite numbers [{unit}], got {value!r}'
        )
    low, high = corners.min(axis=0), corners.max(axis=0)
    room = np.linalg.norm(high - low)
    if np.any(point < low - room) or np.any(point > high + room):
        at, least, most = (np.round(corner, 4).tolist() for corner in (point, low, high))
        raise ValueError(
            f'{path}: landmark {name} at {at} m lies far from the meshes, {least} to {most} m; '
            f'landmarks are in the frame and unit of the meshes, here {unit}'
        )
    return point
