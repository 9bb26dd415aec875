"""`synthex up` as a user runs it: until Ctrl-C, or until a node cannot start."""

import signal
import subprocess
import sys

import pytest

pytestmark = pytest.mark.graph


def up(domain, *overrides):
    """Start the controller alone; it needs no imager to become active."""
    scenario = ['chest_cm.yaml', 'imager:=none', 'tracker:=none', f'domain_id:={domain}']
    return subprocess.Popen(
        [sys.executable, '-m', 'synthex_ros.cli', 'up', *scenario, *overrides],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signals_stop_the_nodes_however_often_they_come(domain, number):
    with up(domain) as process:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if 'nodes active' in line:
                process.send_signal(number)
                process.send_signal(number)
    log = ''.join(lines)
    assert process.returncode == 0, log
    assert log.rstrip().endswith('stopped')
    assert 'remap rule' not in log


def test_node_that_cannot_start_ends_all_with_its_reason(domain):
    with up(domain, 'control.joint_lower:=[0.0, 1.0]') as process:
        log = process.stdout.read()
    assert process.returncode == 2
    assert 'control_node ended at start with code 1' in log
    assert 'joint_lower must have 4 numbers, got 2' in log
