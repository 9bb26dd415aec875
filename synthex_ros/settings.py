"""Settings from YAML files, one dataclass a file; unknown keys are refused."""

from __future__ import annotations

import dataclasses
import difflib
from pathlib import Path
from typing import Any, TypeVar

import yaml

T = TypeVar('T')


def load_settings(cls: type[T], path: str | Path | None) -> T:
    """Return the dataclass `cls` filled from a YAML file; without a file, its defaults.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a mapping, a key that `cls` does not have, or a value it refuses.
    """
    if path is None:
        return cls()
    if not Path(path).is_file():
        raise FileNotFoundError(f'no settings file {path}; see config/ for examples')
    values = yaml.safe_load(Path(path).read_text(encoding='utf-8')) or {}
    if not isinstance(values, dict):
        raise ValueError(f'{path} must hold a mapping of settings, got {type(values).__name__}')
    known = [item.name for item in dataclasses.fields(cls)]  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(known))
    if unknown:
        close = [m for key in unknown for m in difflib.get_close_matches(str(key), known, n=1)]
        hint = f'; did you mean {", ".join(close)}?' if close else ''
        raise ValueError(f'{path} has unknown settings {unknown}; allowed are {known}{hint}')
    return cls(**{key: _frozen(value) for key, value in values.items()})


def as_plain(settings: Any) -> dict[str, Any]:
    """Return the settings as JSON types (tuples become lists)."""
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in dataclasses.asdict(settings).items()
    }


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
