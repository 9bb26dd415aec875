"""Threads of a training wait for each other briefly, unless the user says otherwise."""

import os
import subprocess
import sys

import pytest

from synthex_ros.learning.waiting_threads import let_threads_wait_briefly


@pytest.mark.parametrize(
    ('given', 'expected'),
    [
        ({}, '20000'),
        ({'GOMP_SPINCOUNT': '7'}, '7'),
        ({'OMP_WAIT_POLICY': 'ACTIVE'}, None),
    ],
    ids=['nothing set', 'spins set', 'policy set'],
)
def test_the_user_has_the_last_word(monkeypatch, given, expected):
    monkeypatch.setattr(os, 'environ', dict(given))
    let_threads_wait_briefly()
    assert os.environ.get('GOMP_SPINCOUNT') == expected


@pytest.mark.parametrize('module', ['commands', 'tiny_commands'])
def test_torch_is_not_there_before_it_is_said(module):
    """OpenMP reads its settings when it is loaded."""
    code = f'import sys, synthex_ros.learning.{module}; sys.exit("torch" in sys.modules)'
    assert subprocess.run([sys.executable, '-c', code], check=False).returncode == 0
