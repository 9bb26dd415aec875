"""Parameters of a node as one frozen dataclass: default, range and meaning stand in one line.

    @dataclass(frozen=True)
    class SimParams:
        frame_rate_hz: float = bounded(15.0, 1.0, 30.0, 'X-ray pulse rate [Hz]')
        time_mode: str = choice('real_time', ('real_time', 'lockstep'), 'what drives the time')

`declare` turns the fields into ROS parameters with range, description and type; the values come
back as an instance of the same class. A field is read-only unless it says `mutable=True`.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import yaml

T = TypeVar('T')


def _entry(default: Any, doc: str, mutable: bool, **constraints: Any) -> Any:
    return dataclasses.field(
        default=default, metadata={'doc': doc, 'mutable': mutable, **constraints}
    )


def bounded(default: float, low: float, high: float, doc: str, mutable: bool = False) -> Any:
    """Return a numeric field; it is an integer parameter where `default` is an int.

    Args:
        default: value where the user gives none, within `low`..`high`.
        low: smallest allowed value, in the unit of the field's name.
        high: largest allowed value.
        doc: one line with the unit in brackets.
        mutable: whether it may change while the node runs.
    """
    if not low <= default <= high:
        raise ValueError(f'default must lie in {low:g}..{high:g}, got {default:g} ({doc})')
    kind = int if isinstance(default, int) else float
    return _entry(default, doc, mutable, range=(kind(low), kind(high)))


def choice(default: str, options: Sequence[str], doc: str, mutable: bool = False) -> Any:
    """Return a text field that takes one of `options`."""
    if default not in options:
        raise ValueError(f'default must be one of {list(options)}, got {default!r} ({doc})')
    return _entry(default, doc, mutable, options=tuple(options))


def text(default: str, doc: str, mutable: bool = False) -> Any:
    """Return a free text field (names, paths)."""
    return _entry(default, doc, mutable)


def flag(default: bool, doc: str, mutable: bool = False) -> Any:
    """Return a yes/no field."""
    return _entry(bool(default), doc, mutable)


def numbers(
    default: Sequence[float],
    doc: str,
    low: float = -math.inf,
    high: float = math.inf,
    mutable: bool = False,
) -> Any:
    """Return a field of as many numbers as `default` has, each within `low`..`high`.

    Poses are six numbers: x, y, z [m], roll, pitch, yaw [rad].
    """
    if not default:
        raise ValueError(f'default needs at least one number, its length is the rule ({doc})')
    values = tuple(float(value) for value in default)
    return _entry(values, doc, mutable, each=(low, high), length=len(values))


def words(default: Sequence[str], doc: str, mutable: bool = False) -> Any:
    """Return a field of texts, any number of them but at least one."""
    if not default:
        raise ValueError(f'default needs at least one text: ROS cannot type an empty list ({doc})')
    return _entry(tuple(default), doc, mutable)


def coerce(field: dataclasses.Field, value: Any) -> Any:
    """Return `value` in the type of a parameter field, checked against its constraints.

    Whole numbers are accepted for float fields, lists for tuples.

    Raises:
        ValueError: wrong type, out of range, not one of the options, wrong length.
    """
    default, name = field.default, field.name
    if isinstance(default, tuple):
        kind = type(default[0])
        if isinstance(value, str) or not hasattr(value, '__iter__'):
            raise ValueError(f'{name} must be a list, got {value!r}')
        result: Any = tuple(_coerce_scalar(name, item, kind) for item in value)
    else:
        result = _coerce_scalar(name, value, type(default))
    _check_constraints(field, result)
    return result


def _coerce_scalar(name: str, value: Any, kind: type) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not kind:
        raise ValueError(
            f'{name} must be a {kind.__name__}, got {value!r} ({type(value).__name__})'
        )
    return value


def _check_constraints(field: dataclasses.Field, value: Any) -> None:
    name, rules = field.name, field.metadata
    if 'range' in rules:
        low, high = rules['range']
        if not low <= value <= high:
            raise ValueError(f'{name} must be {low:g}..{high:g}, got {value:g} ({rules["doc"]})')
    if 'options' in rules and value not in rules['options']:
        raise ValueError(f'{name} must be one of {list(rules["options"])}, got {value!r}')
    if 'length' in rules:
        low, high = rules['each']
        if len(value) != rules['length']:
            raise ValueError(f'{name} must have {rules["length"]} numbers, got {len(value)}')
        if not all(low <= item <= high and math.isfinite(item) for item in value):
            raise ValueError(f'each number of {name} must be {low:g}..{high:g}, got {value}')


def build(cls: type[T], values: Mapping[str, Any]) -> T:
    """Return `cls(**values)` with every value checked and converted by its field.

    Raises:
        ValueError: a name that `cls` lacks (the closest one is named), or a bad value.
    """
    known = {item.name: item for item in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            raise ValueError(f'{cls.__name__} has no parameter {name!r}{closest(name, known)}')
    return cls(**{name: coerce(known[name], value) for name, value in values.items()})


def mapping(text: str, name: str) -> dict[str, Any]:
    """Return the mapping that a parameter holds as YAML text.

    Raises:
        ValueError: it is not YAML, or no mapping.
    """
    try:
        values = yaml.safe_load(text or '{}')
    except yaml.YAMLError as error:
        raise ValueError(f'{name} is not YAML: {error}') from error
    if not isinstance(values, dict):
        raise ValueError(f'{name} must be a mapping such as {{radius_m: 0.001}}, got {text!r}')
    return values


def closest(name: str, known: Mapping[str, Any] | Sequence[str]) -> str:
    """Return '; did you mean ...?' for a misspelt name, or the list of known names."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f'; did you mean {near[0]!r}?' if near else f'; known: {", ".join(sorted(known))}'


def defaults(cls: type) -> dict[str, Any]:
    """Return every parameter's default as plain YAML values (tuples become lists)."""
    return {
        item.name: list(item.default) if isinstance(item.default, tuple) else item.default
        for item in dataclasses.fields(cls)
    }


def declare(node: Any, cls: type[T]) -> T:
    """Declare every field of `cls` as a parameter of `node` and return the values.

    Raises:
        ValueError: a value of the wrong type, out of range or not among the options.
    """
    from rclpy.exceptions import ParameterException

    values = {}
    for item in dataclasses.fields(cls):  # type: ignore[arg-type]
        default = list(item.default) if isinstance(item.default, tuple) else item.default
        try:
            values[item.name] = node.declare_parameter(item.name, default, descriptor(item)).value
        except ParameterException as error:
            slip = '; write 1.0, not 1' if 'INTEGER' in str(error) else ''
            raise ValueError(f'parameter {error} ({_rule(item)}{slip})') from None
    return build(cls, values)


def descriptor(field: dataclasses.Field) -> Any:
    """Return the ParameterDescriptor of a field: description, range, read-only or not."""
    from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor

    result = ParameterDescriptor(
        description=field.metadata['doc'],
        additional_constraints=_rule(field),
        read_only=not field.metadata['mutable'],
    )
    if 'range' in field.metadata:
        low, high = field.metadata['range']
        if isinstance(field.default, int):
            result.integer_range = [IntegerRange(from_value=low, to_value=high)]
        else:
            result.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
    return result


def _rule(field: dataclasses.Field) -> str:
    rules = field.metadata
    if 'range' in rules:
        return f'allowed: {rules["range"][0]:g}..{rules["range"][1]:g}'
    if 'options' in rules:
        return f'one of: {", ".join(rules["options"])}'
    if 'length' in rules:
        return f'{rules["length"]} numbers'
    return f'a {type(field.default).__name__}'
