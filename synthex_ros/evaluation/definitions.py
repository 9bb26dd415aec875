"""Message definitions as a bag carries them, read from the environment's `share` folders."""

from __future__ import annotations

import json
import os
import re
import sys
from functools import lru_cache
from pathlib import Path

from synthex_ros.evaluation.errors import BagError

_SEPARATOR = '=' * 80
_PRIMITIVES = frozenset(
    ('bool', 'byte', 'char', 'float32', 'float64', 'string', 'wstring')
    + tuple(f'{sign}int{bits}' for sign in ('', 'u') for bits in (8, 16, 32, 64))
)
_TYPE_NAME = re.compile(r'^[a-z][a-z0-9_]*/msg/[A-Z][A-Za-z0-9]*$')


@lru_cache(maxsize=256)
def message_definition(type_name: str) -> str:
    """Return the text of a message and of every message it contains, in the `ros2msg` form.

    Dependencies follow the message itself, each after a line of 80 '=' and `MSG: pkg/Type`
    (MCAP specification, appendix "Well-known schema encodings", `ros2msg`).

    Args:
        type_name: full name, such as 'sensor_msgs/msg/Image'.

    Raises:
        BagError: the name is not a message name, or no `share` folder holds its text.
    """
    if not _TYPE_NAME.match(type_name):
        raise BagError(f"message type must look like 'sensor_msgs/msg/Image', got {type_name!r}")
    text = _message_text(type_name)
    parts, seen, pending = [text], {type_name}, _dependencies(type_name, text)
    while pending:
        name = pending.pop(0)
        if name in seen:
            continue
        seen.add(name)
        text = _message_text(name)
        parts.append(f'{_SEPARATOR}\nMSG: {name.replace("/msg/", "/")}\n{text}')
        pending += _dependencies(name, text)
    return '\n'.join(parts)


@lru_cache(maxsize=256)
def type_hash(type_name: str) -> str:
    """Return the RIHS01 hash of a message type (REP 2011), or '' where none is installed."""
    package, _, short = type_name.split('/')
    for folder in share_folders():
        path = folder / package / 'msg' / f'{short}.json'
        if path.is_file():
            hashes = json.loads(path.read_text(encoding='utf-8'))['type_hashes']
            return next((h['hash_string'] for h in hashes if h['type_name'] == type_name), '')
    return ''


def share_folders() -> list[Path]:
    """Return the `share` folders to search: AMENT_PREFIX_PATH first, then this interpreter's."""
    prefixes = [p for p in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep) if p]
    folders = [Path(prefix) / 'share' for prefix in [*prefixes, sys.prefix]]
    return [folder for folder in dict.fromkeys(folders) if folder.is_dir()]


def _message_text(type_name: str) -> str:
    package, _, short = type_name.split('/')
    folders = share_folders()
    for folder in folders:
        path = folder / package / 'msg' / f'{short}.msg'
        if path.is_file():
            return path.read_text(encoding='utf-8').strip() + '\n'
    raise BagError(
        f'no definition of {type_name} in {", ".join(map(str, folders))}; '
        f'install the package {package} or source the workspace that holds it'
    )


def _dependencies(type_name: str, text: str) -> list[str]:
    """Return the full names of the messages that `text` uses as fields, in order."""
    package = type_name.split('/')[0]
    names = []
    for line in text.splitlines():
        words = line.split('#', 1)[0].split()
        if not words:
            continue
        base = re.split(r'\[|<=', words[0])[0]
        if base in _PRIMITIVES:
            continue
        owner, _, short = base.rpartition('/')
        names.append(f'{owner.removesuffix("/msg") or package}/msg/{short}')
    return names
