"""Names of nodes that graphs of one machine hold."""

import subprocess
import sys

import pytest

from synthex_ros.ros.claims import Claims

HOLDER = """
import sys
from synthex_ros.ros.claims import Claims
claims = Claims()
print(claims.take({domain}, ['/talker']), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holders():
    """Three holders of names, as three graphs would be."""
    holders = Claims(), Claims(), Claims()
    yield holders
    for holder in holders:
        holder.release()


def test_name_is_held_once_on_a_domain_and_free_after_release(domain, holders):
    first, second, third = holders
    assert first.take(domain, ['/one', '/two']) == []
    assert second.take(domain, ['/two', '/three']) == ['/two']
    assert second.take(domain, ['/cell/two', '/three']) == []
    first.release()
    assert third.take(domain, ['/one']) == []
    assert second.take(domain, ['/two']) == []


def test_refused_claim_holds_none_of_its_names(domain, holders):
    first, second, third = holders
    assert first.take(domain, ['/a']) == []
    assert second.take(domain, ['/a', '/b']) == ['/a']
    assert third.take(domain, ['/b']) == []


def test_name_is_held_for_other_processes_until_the_holder_dies(domain, holders):
    command = [sys.executable, '-c', HOLDER.format(domain=domain)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == '[]\n'
        assert holders[0].take(domain, ['/talker']) == ['/talker']
        holder.kill()
        holder.wait()
    assert holders[0].take(domain, ['/talker']) == []


def test_long_names_stay_apart(domain, holders):
    long = '/cell' * 40
    assert holders[0].take(domain, [f'{long}/a', f'{long}/b']) == []
