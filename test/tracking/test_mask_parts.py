"""Connected parts of a mask, and those too weak to be a device."""

import numpy as np
import pytest

from synthex_ros.tracking.mask_parts import mask_parts, without_weak_parts


def probabilities(*boxes):
    """Return classes (2, 40, 50) with boxes of (rows, columns, probability)."""
    device = np.zeros((40, 50), np.float32)
    for rows, columns, value in boxes:
        device[rows, columns] = value
    return np.stack([1 - device, device])


TWO = probabilities(
    (slice(2, 6), slice(3, 13), 0.9),  # 40 px, 36 in sum
    (slice(20, 30), slice(20, 30), 0.6),  # 100 px, 60 in sum
    (slice(35, 38), slice(0, 50), 0.4),  # below a half: no part
)


def test_sums_are_those_of_connected_pixels_above_a_half():
    parts, sums = mask_parts(TWO)
    assert sums == pytest.approx([0, 36, 60], rel=1e-5)
    assert (parts[3, 4], parts[25, 25], parts[36, 10]) == (1, 2, 0)


def test_weak_part_is_background_and_the_rest_is_left_alone():
    kept = without_weak_parts(TWO, 50)
    assert not kept[1, 2:6, 3:13].any()
    assert (kept[0, 2:6, 3:13] == 1).all()
    np.testing.assert_array_equal(kept[:, 10:], TWO[:, 10:])
    np.testing.assert_array_equal(without_weak_parts(TWO, 10), TWO)
    assert without_weak_parts(TWO, 61)[1].max() == np.float32(0.4)


def test_classes_of_one_device_make_one_part():
    joined = np.zeros((3, 10, 20), np.float32)
    joined[1, 5, :10], joined[2, 5, 10:] = 0.8, 0.7
    joined[0] = 1 - joined[1:].sum(axis=0)
    _, sums = mask_parts(joined)
    assert sums == pytest.approx([0, 15], rel=1e-5)


def test_empty_mask_has_no_part():
    parts, sums = mask_parts(probabilities())
    assert not parts.any()
    assert sums.tolist() == [0]
