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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synthex_ros.learning.own_device import OwnDevice
from synthex_ros.learning.own_device_class import drawn_device
from synthex_ros.learning.own_device_meshes import rigid_device
from synthex_ros.rendering.mesh_file import METRES
from synthex_ros.settings import as_plain, load_settings

SUFFIXES = ('.yaml', '.yml')


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
        for name, kind in (('parts', Sequence), ('landmarks', Mapping), ('settings', Mapping)):
            value = getattr(self, name)
            if not isinstance(value, kind) or isinstance(value, str):
                shape = 'list' if kind is Sequence else 'mapping'
                raise ValueError(f'{name} must be a {shape}, got {value!r}')
        if not isinstance(self.python, str):
            raise ValueError(f'python must be FILE.py:CLASS or MODULE:CLASS, got {self.python!r}')
        if bool(self.parts) == bool(self.python):
            raise ValueError('a device has either parts (meshes) or python (a class)')
        if self.unit not in tuple(METRES):
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
        about: content of its file and SHA-256 of the files that it names, in their order, in JSON
            types.
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
    device: OwnDevice
    if content.python:
        device, files = drawn_device(path, content.python, content.settings)
    else:
        device, files = rigid_device(path, content.parts, content.landmarks, content.unit)
    sums = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    return KnownDevice(content.name, device, {**as_plain(content), 'sha256': sums})
