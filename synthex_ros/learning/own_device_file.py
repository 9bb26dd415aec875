"""A device of the user's own from its YAML file: closed meshes, or a Python class.

    name: biopsy_needle
    parts:
      - {mesh: needle.stl, material: stainless_steel}
    landmarks: {hub: [0, 0, 0], tip: [0, 0, 60]}   # in the unit of the meshes

    name: bent_needle
    python: bent_needle.py:BentNeedle              # or package.module:BentNeedle
    settings: {length_m: 0.06}

Paths are relative to the file. `docs/your_device.md` walks through both.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from synthex_ros.learning.own_device import OwnDevice, Part, RigidDevice
from synthex_ros.rendering.mesh_file import METRES, read_mesh
from synthex_ros.settings import as_plain, load_settings
from synthex_ros.xray.attenuation import density_g_cm3

SUFFIXES = ('.yaml', '.yml')
_PART_KEYS = ('mesh', 'material', 'labelled')


@dataclass(frozen=True)
class OwnDeviceFile:
    """What the file of a device holds.

    Attributes:
        name: of the category in data sets, and of the class of models.
        parts: closed meshes, each a mapping with `mesh` (STL, OBJ or PLY), `material` and, where
            it is drawn but not labelled, `labelled: false`.
        unit: of the meshes and landmarks, 'mm' or 'm'.
        landmarks: points (x, y, z) by name in the frame of the meshes [unit]; the first and the
            last are the ends of the device.
        python: file and class, or module and class, in place of meshes.
        settings: keyword arguments of that class.
    """

    name: str = ''
    parts: Sequence[Mapping[str, Any]] = ()
    unit: str = 'mm'
    landmarks: Mapping[str, Sequence[float]] = field(default_factory=dict)
    python: str = ''
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        if not (isinstance(self.name, str) and self.name.isidentifier()):
            raise ValueError(
                f'name must be letters, digits and underscores, such as biopsy_needle, got '
                f'{self.name!r}'
            )
        if bool(self.parts) == bool(self.python):
            raise ValueError('a device has either parts (meshes) or python (a class)')
        if self.unit not in METRES:
            raise ValueError(f'unit must be one of {", ".join(METRES)}, got {self.unit!r}')
        if self.python and self.landmarks:
            raise ValueError('landmarks of a Python class are named by the class, not here')
        if self.parts and not self.landmarks:
            raise ValueError('landmarks must name a point at least, such as {tip: [0, 0, 60]}')


@dataclass(frozen=True, eq=False)
class KnownDevice:
    """A device of the user's own, read and checked.

    Attributes:
        name: of its category.
        device: draws it.
        about: content of its file and SHA-256 of the files that it names, in JSON types.
    """

    name: str
    device: OwnDevice
    about: dict[str, Any]


def is_device_file(name: str) -> bool:
    """Tell whether the name of a device is that of a file."""
    return Path(name).suffix.lower() in SUFFIXES


def read_own_device(path: str | Path) -> KnownDevice:
    """Read a device's file and what it names.

    Raises:
        FileNotFoundError: the file, a mesh or the Python file is missing.
        ValueError: a setting, mesh, material, landmark or class is not what it must be.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f'no device file {path}; docs/your_device.md shows how to write one'
        )
    try:
        content = load_settings(OwnDeviceFile, path)
    except ValueError as error:
        raise ValueError(str(error) if str(path) in str(error) else f'{path}: {error}') from error
    if content.python:
        device, files = _from_class(path, content)
    else:
        device, files = _from_meshes(path, content)
    sums = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    return KnownDevice(content.name, device, {**as_plain(content), 'sha256': sums})


def _from_meshes(path: Path, content: OwnDeviceFile) -> tuple[OwnDevice, list[Path]]:
    parts, files = [], []
    for item in content.parts:
        unknown = sorted(set(item) - set(_PART_KEYS)) if isinstance(item, Mapping) else [item]
        if unknown or 'mesh' not in item or 'material' not in item:
            raise ValueError(
                f'{path}: each of parts must be a mapping of mesh, material and, if needed, '
                f'labelled, got {item!r}'
            )
        file = path.parent / item['mesh']
        if not file.is_file():
            raise FileNotFoundError(f'{path}: no mesh {file}; paths are relative to that file')
        _check_material(path, item['material'])
        parts.append(
            Part(read_mesh(file, content.unit), item['material'], item.get('labelled', True))
        )
        files.append(file)
    if not any(part.labelled for part in parts):
        raise ValueError(f'{path}: a part at least must be labelled')
    return RigidDevice(parts, _landmarks(path, content, parts)), files


def _landmarks(path: Path, content: OwnDeviceFile, parts: list[Part]) -> dict[str, Any]:
    """Return the landmarks [m]; refuse what is no point or lies far away from the meshes."""
    corners = np.concatenate([part.mesh.vertices_m for part in parts])
    low, high = corners.min(axis=0), corners.max(axis=0)
    room = np.linalg.norm(high - low)
    points = {}
    for name, value in content.landmarks.items():
        try:
            point = np.array(value, float)
        except (TypeError, ValueError):
            point = np.zeros(0)
        if point.shape != (3,) or not np.isfinite(point).all():
            raise ValueError(
                f'{path}: landmark {name} must be three finite numbers [{content.unit}], '
                f'got {value!r}'
            )
        point = point * METRES[content.unit]
        if np.any(point < low - room) or np.any(point > high + room):
            at, least, most = (np.round(corner, 4).tolist() for corner in (point, low, high))
            raise ValueError(
                f'{path}: landmark {name} at {at} m lies far from the meshes, {least} to {most} '
                f'm; landmarks are in the frame and unit of the meshes, here {content.unit}'
            )
        points[str(name)] = point
    return points


def _check_material(path: Path, material: str) -> None:
    try:
        density_g_cm3(material)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error


def _from_class(path: Path, content: OwnDeviceFile) -> tuple[OwnDevice, list[Path]]:
    where, _, name = content.python.rpartition(':')
    if not where or not name.isidentifier():
        raise ValueError(
            f'{path}: python must be FILE.py:CLASS or MODULE:CLASS, got {content.python!r}'
        )
    module = _module_of_file(path, path.parent / where) if where.endswith('.py') else None
    if module is None:
        try:
            module = importlib.import_module(where)
        except ImportError as error:
            raise ValueError(f'{path}: cannot import {where}: {error}') from error
    made = getattr(module, name, None)
    if not callable(made):
        raise ValueError(f'{path}: {where} has no class {name}')
    try:
        device = made(**content.settings)
    except TypeError as error:
        raise ValueError(f'{path}: {name} cannot be made with its settings: {error}') from error
    names = getattr(device, 'landmarks', ())
    if isinstance(names, str) or not len(names) or not hasattr(device, 'draw'):
        raise ValueError(
            f'{path}: {name} must have landmarks, a tuple of names, and draw(rng); '
            'synthex_ros/learning/own_device.py says what they are'
        )
    file = getattr(module, '__file__', None)
    return device, [Path(file)] if file else []


def _module_of_file(path: Path, file: Path) -> Any:
    """Return the module that a Python file makes; its own imports find files beside it."""
    if not file.is_file():
        raise FileNotFoundError(f'{path}: no Python file {file}; paths are relative to that file')
    name = f'synthex_device_{hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:12]}'
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ValueError(f'{path}: {file} cannot be imported')
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up by its name.
    sys.modules[name] = module
    sys.path.insert(0, str(file.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise ValueError(f'{path}: {file} fails: {type(error).__name__}: {error}') from error
    finally:
        sys.path.pop(0)
    return module
