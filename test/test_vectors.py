"""Products, lengths and angles of single vectors are those of NumPy."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthex_ros.vectors import angle_rad, clamp, cross, length

NUMBERS = st.floats(-1e3, 1e3, allow_subnormal=False)
VECTORS = st.tuples(NUMBERS, NUMBERS, NUMBERS).map(np.array)


@given(VECTORS, VECTORS)
def test_products_and_lengths_are_those_of_numpy(a, b):
    assert np.array_equal(cross(a, b), np.cross(a, b))
    assert length(a) == pytest.approx(np.linalg.norm(a))


@given(st.floats(0, math.pi), VECTORS)
def test_a_vector_that_was_turned_is_that_angle_away(angle, axis):
    size = np.linalg.norm(axis)
    axis = axis / size if size > 1e-3 else np.array([0.0, 0.0, 1.0])
    start = np.cross(axis, np.eye(3)[np.argmin(np.abs(axis))])
    end = math.cos(angle) * start + math.sin(angle) * np.cross(axis, start)
    assert angle_rad(2 * start, 3 * end) == pytest.approx(angle, abs=1e-7)
    assert angle_rad(start, np.zeros(3)) == 0.0


def test_clamp_keeps_nan():
    assert [clamp(x, -1, 2) for x in (-5, 0.5, 7)] == [-1, 0.5, 2]
    assert math.isnan(clamp(math.nan, -1, 2))
