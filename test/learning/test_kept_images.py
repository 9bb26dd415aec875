"""Kept images are what was read, in this process and in those forked from it."""

import errno
import multiprocessing
import os

import numpy as np

from synthex_ros.learning.dataset import FrameSet
from synthex_ros.learning.kept_images import KeptImages

SHAPE = (6, 8)


def picture(index):
    return np.full(SHAPE, 100 + index, np.uint16)


def test_an_image_is_read_once():
    reads, kept = [], KeptImages(3, SHAPE)

    def read(index):
        reads.append(index)
        return picture(index)

    for index in (2, 0, 2, 0, 2):
        np.testing.assert_array_equal(kept.image(index, lambda i=index: read(i)), picture(index))
    assert reads == [2, 0]


def test_an_image_of_another_size_is_read_every_time():
    kept, odd = KeptImages(2, SHAPE), np.zeros((5, 5), np.uint16)
    for value in (1, 2):
        np.testing.assert_array_equal(kept.image(0, lambda v=value: odd + v), odd + value)


def test_a_forked_process_fills_the_file_for_all():
    kept = KeptImages(2, SHAPE)
    child = multiprocessing.get_context('fork').Process(
        target=lambda: kept.image(1, lambda: picture(1))
    )
    child.start()
    child.join()
    assert child.exitcode == 0

    def never():
        raise AssertionError('read again')

    np.testing.assert_array_equal(kept.image(1, never), picture(1))


def test_without_room_on_the_disk_images_are_read_every_time_and_a_warning_says_so(
    monkeypatch, caplog
):
    """Written through a map, a full disk ends the process without a word."""

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, 'posix_fallocate', full)
    kept, reads = KeptImages(3, SHAPE), []
    for _ in range(2):
        np.testing.assert_array_equal(
            kept.image(1, lambda: reads.append(1) or picture(1)), picture(1)
        )
    assert len(reads) == 2
    assert 'no room for 3 images' in caplog.text
    assert 'set TMPDIR' in caplog.text


def test_room_for_all_images_is_taken_at_once(monkeypatch):
    """A file of holes would find out that the disk is full when it is too late."""
    reserve, taken = os.posix_fallocate, []

    def noted(file, offset, size):
        reserve(file, offset, size)
        taken.append(512 * os.fstat(file).st_blocks)

    monkeypatch.setattr(os, 'posix_fallocate', noted)
    KeptImages(20, (256, 256))
    assert taken[0] >= 20 * 256 * 256 * 2


def test_kept_frames_equal_those_of_the_folder(frames_root):
    plain, kept = FrameSet(frames_root, 4), FrameSet(frames_root, 4, kept=True)
    for _ in range(2):
        for row in range(4):
            np.testing.assert_array_equal(plain.counts(row), kept.counts(row))
