"""Compiled kernels are kept until the source of any kernel changes."""

import os
import subprocess
import sys

import pytest

from synthex_ros.kernel_cache import choose_kernel_cache, kernel_cache

INNER = 'import numba\n\n@numba.njit(cache=True)\ndef inner(x):\n    return {} * x\n'
OUTER = """import numba
from inner import inner

@numba.njit(cache=True)
def outer(x):
    return inner(x) + 1
"""
USE = 'from outer import outer; print(outer(10))'


@pytest.fixture
def package(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    monkeypatch.delenv('NUMBA_CACHE_DIR', raising=False)
    folder = tmp_path / 'package'
    folder.mkdir()
    (folder / 'inner.py').write_text(INNER.format(2))
    (folder / 'outer.py').write_text(OUTER)
    (folder / 'other.py').write_text('A = 1\n')
    return folder


def result(package, folder):
    run = subprocess.run(
        [sys.executable, '-c', USE],
        env=os.environ | {'NUMBA_CACHE_DIR': str(folder), 'PYTHONPATH': str(package)},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(run.stdout)


def test_a_kernel_follows_the_kernel_of_another_module_that_it_calls(package):
    folder = kernel_cache(package)
    assert result(package, folder) == 21
    (package / 'inner.py').write_text(INNER.format(3))
    assert result(package, folder) == 21, "this Numba needs no help: remove 'kernel_cache'"
    assert result(package, kernel_cache(package)) == 31


def test_other_sources_change_nothing(package):
    before = kernel_cache(package)
    (package / 'other.py').write_text('A = 2\n')
    assert kernel_cache(package) == before


def test_a_folder_that_the_user_chose_stays(package, monkeypatch):
    monkeypatch.setenv('NUMBA_CACHE_DIR', 'mine')
    assert choose_kernel_cache(package) is None
    assert os.environ['NUMBA_CACHE_DIR'] == 'mine'


def test_numba_is_told_of_the_folder(package, monkeypatch):
    monkeypatch.setenv('NUMBA_CACHE_DIR', '')
    monkeypatch.delenv('NUMBA_CACHE_DIR')
    assert choose_kernel_cache(package) == kernel_cache(package)
    assert os.environ['NUMBA_CACHE_DIR'] == str(kernel_cache(package))


def test_where_no_folder_can_be_made_numba_chooses(package, tmp_path):
    (tmp_path / 'cache').write_text('a file where a folder should be')
    assert choose_kernel_cache(package) is None
    assert 'NUMBA_CACHE_DIR' not in os.environ


def test_only_the_newest_few_are_kept(package):
    made = []
    for number in range(6):
        (package / 'inner.py').write_text(INNER.format(number))
        folder = kernel_cache(package)
        folder.mkdir(parents=True)
        os.utime(folder, (number, number))
        made.append(folder)
    assert [folder.exists() for folder in made] == [False] * 3 + [True] * 3
