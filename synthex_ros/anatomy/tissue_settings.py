"""A tissue model from the `tissue:` section of a settings file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

from synthex_ros.anatomy.tissue import TissueModel, tissue_model
from synthex_ros.anatomy.tissue_rules import Contrast, Metal, Override

T = TypeVar('T')

_KEYS = ('model', 'curve', 'contrast', 'metal', 'overrides')


def tissue_from_settings(section: Mapping[str, Any]) -> TissueModel:
    """Return the tissue model that a settings section describes.

    Args:
        section: `model` (a preset, default 'standard') and, to change it: `curve` (fields of its
            curve over HU), `contrast` (true, false or fields of `Contrast`), `metal` (false, true,
            a material's name or fields of `Metal`) and `overrides` (by structure: a material's
            name or fields of `Override`).

    Raises:
        ValueError: an unknown key or a value out of range; the message says which are allowed.
    """
    _check_keys('tissue', section, _KEYS)
    model = tissue_model(section.get('model', 'standard'))
    if 'curve' in section:
        model = replace(model, curve=_changed(model.curve, 'tissue.curve', section['curve']))
    if 'contrast' in section:
        contrast = _rule(Contrast, model.contrast, 'tissue.contrast', section['contrast'])
        model = replace(model, contrast=contrast)
    if 'metal' in section:
        metal = _rule(Metal, model.metal, 'tissue.metal', section['metal'])
        model = replace(model, metal=metal)
    overrides = section.get('overrides') or {}
    if not isinstance(overrides, Mapping):
        raise ValueError(f'tissue.overrides must map structures to materials, got {overrides!r}')
    return replace(
        model,
        overrides={
            str(name): _changed(Override(), f'tissue.overrides.{name}', _named(Override, entry))
            for name, entry in overrides.items()
        },
    )


def _rule(cls: type[T], current: T | None, name: str, entry: Any) -> T | None:
    if entry is None or entry is False:
        return None
    if entry is True:
        return current or cls()
    return _changed(current or cls(), name, _named(cls, entry))


def _named(cls: type, entry: Any) -> Any:
    """Return the settings of a rule; a bare name is that of its material."""
    if isinstance(entry, str):
        return {'agent' if cls is Contrast else 'material': entry}
    return entry


def _changed(rule: T, name: str, entry: Any) -> T:
    allowed = tuple(item.name for item in fields(rule))  # type: ignore[arg-type]
    _check_keys(name, entry, allowed)
    try:
        return replace(rule, **{key: _tuples(value) for key, value in entry.items()})  # type: ignore[type-var]
    except (TypeError, ValueError) as error:
        raise ValueError(f'{name}: {error}') from error


def _check_keys(name: str, section: Any, allowed: tuple[str, ...]) -> None:
    if not isinstance(section, Mapping):
        raise ValueError(f'{name} must hold some of {", ".join(allowed)}, got {section!r}')
    unknown = [str(key) for key in section if key not in allowed]
    if unknown:
        raise ValueError(
            f'{name} does not know {", ".join(unknown)}; it may hold {", ".join(allowed)}'
        )


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
