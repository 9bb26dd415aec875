"""Parameter dataclasses without ROS: conversion, checks, messages."""

from dataclasses import dataclass, fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthex_ros.ros import parameters
from synthex_ros.ros.parameters import bounded, choice, flag, numbers, text, words


@dataclass(frozen=True)
class Params:
    rate_hz: float = bounded(15.0, 1.0, 30.0, 'pulse rate [Hz]')
    count: int = bounded(3, 0, 10, 'frames')
    mode: str = choice('a', ('a', 'b'), 'what')
    on: bool = flag(True, 'beam')
    name: str = text('x', 'name')
    pose: tuple[float, ...] = numbers([0.0, 1.0], 'x y', low=-2.0, high=2.0)
    topics: tuple[str, ...] = words(['t'], 'topics')


def test_defaults_survive_a_round_trip():
    assert parameters.build(Params, parameters.defaults(Params)) == Params()


@given(rate=st.floats(1.0, 30.0), count=st.integers(0, 10), x=st.floats(-2.0, 2.0))
def test_allowed_values_arrive_unchanged(rate, count, x):
    params = parameters.build(Params, {'rate_hz': rate, 'count': count, 'pose': [x, x]})
    assert (params.rate_hz, params.count, params.pose) == (rate, count, (x, x))


def test_whole_numbers_become_floats():
    params = parameters.build(Params, {'rate_hz': 10, 'pose': [1, 2]})
    assert isinstance(params.rate_hz, float)
    assert all(isinstance(value, float) for value in params.pose)


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({'rate_hz': 31.0}, r'rate_hz must be 1..30, got 31 \(pulse rate'),
        ({'rate_hz': float('nan')}, 'rate_hz must be 1..30, got nan'),
        ({'rate_hz': 'fast'}, "rate_hz must be a float, got 'fast'"),
        ({'count': 2.5}, 'count must be a int'),
        ({'count': True}, 'count must be a int'),
        ({'mode': 'c'}, "mode must be one of .*got 'c'"),
        ({'on': 1}, 'on must be a bool'),
        ({'pose': [1.0]}, 'pose must have 2 numbers, got 1'),
        ({'pose': [1.0, 3.0]}, 'each number of pose must be -2..2'),
        ({'pose': 'xy'}, 'pose must be a list'),
        ({'rate_hertz': 1.0}, "no parameter 'rate_hertz'; did you mean 'rate_hz'"),
    ],
)
def test_bad_values_say_what_is_allowed(values, message):
    with pytest.raises(ValueError, match=message):
        parameters.build(Params, values)


@pytest.mark.parametrize(
    'make',
    [
        lambda: bounded(5.0, 0.0, 1.0, 'too large'),
        lambda: choice('c', ('a', 'b'), 'not there'),
        lambda: numbers([], 'empty'),
        lambda: words([], 'empty'),
    ],
)
def test_impossible_fields_are_refused(make):
    with pytest.raises(ValueError, match='default'):
        make()


def test_descriptor_carries_range_meaning_and_read_only():
    rate, count, mode = (parameters.descriptor(item) for item in fields(Params)[:3])
    assert rate.floating_point_range[0].to_value == 30.0
    assert count.integer_range[0].to_value == 10
    assert rate.description == 'pulse rate [Hz]'
    assert rate.read_only
    assert mode.additional_constraints == 'one of: a, b'
