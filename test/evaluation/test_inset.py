"""A device that its markers would cover is shown beside them, magnified."""

import numpy as np
from PIL import Image

from synthex_ros.evaluation.display import Display, Overlay
from synthex_ros.evaluation.inset import is_small, middle_of, with_inset

SHAPE = (320, 400)


def frame(u, v, half):
    rows, columns = np.indices(SHAPE)
    inside = (np.abs(columns - u) <= half) & (np.abs(rows - v) <= half)
    counts = np.where(inside, 300, 20000).astype(np.uint16)
    return counts, Overlay(mask=inside.astype(np.uint8), landmarks=np.array([[u, v]]))


def shown(u, v, half):
    counts, overlay = frame(u, v, half)
    display = Display((5.0, 10.0), SHAPE, 512)
    picture = Image.new('RGB', (512, round(512 * 320 / 400)), (90, 0, 0))
    return np.asarray(with_inset(picture, display, counts, overlay))


def test_the_inset_shows_the_device_in_its_middle_and_larger():
    picture = shown(120.0, 200.0, 5.0)
    changed = np.any(picture != (90, 0, 0), axis=-1)
    rows, columns = np.nonzero(changed)
    inset = picture[rows.min() + 1 : rows.max(), columns.min() + 1 : columns.max(), 0]
    assert np.ptp(rows) == np.ptp(columns)
    dark = np.nonzero(inset < 60)
    assert np.allclose([axis.mean() for axis in dark], (inset.shape[0] - 1) / 2, atol=2)
    assert np.ptp(dark[0]) > 2 * 11 * 512 / 400


def test_large_devices_and_frames_without_one_stay_as_they_are():
    assert np.all(shown(200.0, 160.0, 60.0) == (90, 0, 0))
    assert not is_small(frame(200.0, 160.0, 60.0)[1])
    assert not is_small(Overlay())
    assert middle_of(Overlay(landmarks=np.full((2, 2), np.nan))) is None


def test_a_device_at_the_border_does_not_leave_the_picture():
    picture = shown(2.0, 317.0, 4.0)
    assert picture.shape == (410, 512, 3)
    assert np.any(picture != (90, 0, 0))
