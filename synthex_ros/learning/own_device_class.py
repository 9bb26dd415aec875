"""A device of the user's own from a Python class, as its file names it."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synthex_ros.learning.own_device import OwnDevice


def drawn_device(
    path: Path, python: str, settings: Mapping[str, Any]
) -> tuple[OwnDevice, list[Path]]:
    """Return a device of a class, and the file that the class is in.

    Args:
        path: of the device's file, for paths and messages.
        python: FILE.py:CLASS or MODULE:CLASS.
        settings: keyword arguments of the class.

    Raises:
        FileNotFoundError: the Python file is missing.
        ValueError: it fails, has no such class, or the class is not one of a device.
    """
    where, _, name = python.rpartition(':')
    if not where or not name.isidentifier():
        raise ValueError(f'{path}: python must be FILE.py:CLASS or MODULE:CLASS, got {python!r}')
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
        device = made(**settings)
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
