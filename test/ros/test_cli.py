"""The command line: sub-commands of the parts, readable errors."""

import subprocess
import sys

import pytest

from synthex_ros import __version__, cli
from synthex_ros.errors import SynthexError


def test_version(capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(['--version'])
    assert end.value.code == 0
    assert capsys.readouterr().out.strip() == f'synthex_ros {__version__}'


def test_mistake_gives_one_line_and_code_2(capsys):
    assert cli.main(['up', 'chest_cm.yaml', 'sede:=3', 'tracker:=none']) == 2
    error = capsys.readouterr().err
    assert error.startswith('synthex up: ')
    assert "no parameter 'sede'" in error
    assert 'Traceback' not in error


def test_debug_shows_where_it_came_from():
    with pytest.raises(FileNotFoundError, match=r'nowhere\.yaml'):
        cli.main(['--debug', 'up', 'nowhere.yaml'])


@pytest.mark.parametrize(('error', 'code'), [(SynthexError('x'), 2), (KeyboardInterrupt(), 130)])
def test_exit_codes(monkeypatch, error, code):
    from synthex_ros.ros import commands

    def run(_args):
        raise error

    monkeypatch.setattr(commands, 'run_up', run)
    assert cli.main(['up']) == code


def test_help_needs_no_heavy_library():
    code = (
        'import sys\n'
        'from synthex_ros.cli import build_parser\n'
        'build_parser()\n'
        "heavy = {'rclpy', 'torch', 'numba', 'mujoco', 'onnxruntime', 'matplotlib'}\n"
        'sys.exit(str(sorted(heavy & set(sys.modules))) if heavy & set(sys.modules) else 0)\n'
    )
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
