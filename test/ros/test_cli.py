"""The command line: sub-commands of the parts, readable errors."""

import subprocess
import sys
from pathlib import Path

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


@pytest.mark.parametrize(
    'words',
    [
        ['demo', 'magnetic', 'seed:=3', 'sim.latency_s:=0.1', '--out', 'X', '--verbose'],
        ['demo', '--out', 'X', '--verbose', 'magnetic', 'seed:=3', 'sim.latency_s:=0.1'],
        ['demo', 'magnetic', '--out', 'X', 'seed:=3', '--verbose', 'sim.latency_s:=0.1'],
    ],
    ids=['words first', 'options first', 'mixed'],
)
def test_demo_takes_words_and_options_in_any_order(words):
    args = cli.build_parser().parse_args(words)
    assert args.overrides == ['magnetic', 'seed:=3', 'sim.latency_s:=0.1']
    assert (args.out, args.verbose) == (Path('X'), True)


def test_up_and_evaluate_take_overrides_after_options():
    parse = cli.build_parser().parse_args
    for words in (['up', '--timeout', '5', 'a.yaml', 'seed:=3'],
                  ['up', 'a.yaml', '--timeout', '5', 'seed:=3']):  # fmt: skip
        args = parse(words)
        assert (args.scenario, args.overrides, args.timeout) == ('a.yaml', ['seed:=3'], 5.0)
    args = parse(['evaluate', 'task', '--out', 'X', 'CM-1', 'seed:=3'])
    assert (args.subject, args.name, args.overrides) == ('task', 'CM-1', ['seed:=3'])


def test_negative_coordinates_and_nested_commands_are_understood():
    parse = cli.build_parser().parse_args
    args = parse(['target', '-0.01', '--domain-id', '7', '0', '0.012'])
    assert (args.x, args.y, args.z, args.domain_id) == (-0.01, 0.0, 0.012, 7)
    args = parse(['bag', 'info', 'run.mcap'])
    assert (args.action, args.path) == ('info', Path('run.mcap'))


def test_unknown_option_is_named(capsys):
    with pytest.raises(SystemExit) as end:
        cli.build_parser().parse_args(['demo', '--outt', 'X', 'seed:=3'])
    assert end.value.code == 2
    assert 'unrecognized arguments: --outt' in capsys.readouterr().err


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
