"""Supervision of node processes: start, failure, kill, respawn, orphans."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

from synthex_ros.ros import probe, task_run
from synthex_ros.ros.claims import Claims
from synthex_ros.ros.graph import DomainTakenError, Graph, GraphError

pytestmark = pytest.mark.graph


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f'/proc/{pid}/stat') as file:
        return file.read().rsplit(')', 1)[1].split()[0] != 'Z'


def wait_for(done, what, timeout_s=20.0):
    deadline = time.monotonic() + timeout_s
    while not done():
        assert time.monotonic() < deadline, f'missing after {timeout_s} s: {what}'
        os.sched_yield()


def test_nodes_start_stop_in_order_and_leave_nothing(
    domain, describe, talker_environment, tmp_path
):
    calls = tmp_path / 'calls'
    lines = []
    nodes = [describe(name, calls_file=str(calls)) for name in ('one', 'two')]
    with Graph(nodes, domain, lambda *line: lines.append(line), talker_environment) as graph:
        graph.wait_active(30.0)
        assert graph.poll() == {}
        pids = [process.pid for process in graph.processes.values()]
    steps = [line.split() for line in calls.read_text(encoding='utf-8').splitlines()]
    for pid in pids:
        own = [step for step, writer in steps if writer == str(pid)]
        assert own == ['configure', 'activate', 'deactivate', 'cleanup']
        assert not alive(pid)
    assert [process.exit_code() for process in graph.processes.values()] == [0, 0]
    assert {section for section, _ in lines} == {'one', 'two'}
    assert any('transport profile' in line for _, line in lines)


def test_a_run_without_a_domain_leaves_one_that_is_taken_to_who_holds_it(
    domain, describe, monkeypatch
):
    node, taken = describe('alone_here'), (domain + 1) % 100
    scenario = SimpleNamespace(nodes=lambda: [node], settings={'domain_id': None})
    monkeypatch.setattr(task_run.random, 'sample', lambda *_: [taken, domain])
    others = Claims()
    assert others.take(taken, [node.full_name]) == []
    graph = task_run.started_graph(scenario, lambda *_: None)
    try:
        assert graph.domain_id == domain
        assert graph.processes['alone_here'].running()
    finally:
        graph.stop()
    monkeypatch.setattr(task_run.random, 'sample', lambda *_: [taken])
    with pytest.raises(DomainTakenError, match=f'ROS domain {taken} is taken'):
        task_run.started_graph(scenario, lambda *_: None)
    others.release()


def test_node_that_dies_at_start_is_named_with_its_reason(domain, describe, talker_environment):
    nodes = [describe('good'), describe('bad', fault='configure')]
    graph = Graph(nodes, domain, environment=talker_environment)
    graph.start()
    with pytest.raises(GraphError, match=r'(?s)bad ended at start.*no model file talker.onnx'):
        graph.wait_active(30.0)
    assert not graph.processes['good'].running()


def test_taken_domain_is_refused_but_another_namespace_is_fine(
    domain, describe, talker_environment
):
    with Graph([describe()], domain, environment=talker_environment) as graph:
        graph.wait_active(30.0)
        with pytest.raises(GraphError, match=f'domain {domain} is taken: /talker'):
            Graph([describe()], domain, environment=talker_environment).start()
        other = replace(describe(), namespace='cell_2')
        with Graph([other], domain, environment=talker_environment) as second:
            second.wait_active(30.0)
        assert graph.state('talker') == 'active'


def test_killed_node_is_reported_or_started_again(domain, describe, talker_environment):
    nodes = [describe('mortal'), describe('phoenix', respawn=True)]
    with Graph(nodes, domain, environment=talker_environment) as graph:
        graph.wait_active(30.0)
        for process in graph.processes.values():
            process.signal(signal.SIGKILL)
        wait_for(lambda: graph.wait(0.05).get('mortal') == -signal.SIGKILL, 'exit code')
        wait_for(
            lambda: graph.wait(0.05) == {'mortal': -9} and graph.processes['phoenix'].starts,
            'only mortal is dead',
        )
        wait_for(lambda: graph.state('phoenix') == 'active', 'phoenix active')
        assert graph.processes['phoenix'].starts == 2


def test_a_node_that_was_silent_is_asked_again_by_a_new_client(
    domain, describe, talker_environment, monkeypatch
):
    monkeypatch.setattr(probe, '_STALE_S', 0.1)
    with Graph([describe()], domain, environment=talker_environment) as graph:
        graph.wait_active(30.0)
        first, node = graph._probe._clients['/talker'], graph.processes['talker']
        node.signal(signal.SIGSTOP)
        try:
            wait_for(lambda: graph.state('talker') == 'silent', 'silence')
            assert graph.state('talker') != 'active'
        finally:
            node.signal(signal.SIGCONT)
        wait_for(lambda: graph.state('talker') == 'active', 'an answer')
        assert graph._probe._clients['/talker'] is not first


def test_callback_error_ends_the_node_safely_with_an_error(domain, describe, talker_environment):
    with Graph([describe(fault='callback')], domain, environment=talker_environment) as graph:
        wait_for(lambda: graph.wait(0.05) == {'talker': 1}, 'exit code 1')
        log = graph.processes['talker'].last_lines()
    assert 'callback failed, stopping: callback went wrong' in log


def test_node_that_ignores_signals_is_killed(domain, tmp_path, describe, talker_environment):
    (tmp_path / 'deaf.py').write_text(
        textwrap.dedent("""
        import signal
        from talker import Talker, run

        class Deaf(Talker):
            def deactivate(self):
                signal.signal(signal.SIGALRM, signal.SIG_IGN)
                while True:
                    signal.pause()

        run(Deaf)
        """)
    )
    path = os.pathsep.join([str(tmp_path), talker_environment['PYTHONPATH']])
    graph = Graph(
        [describe(module='deaf')], domain, environment={**talker_environment, 'PYTHONPATH': path}
    )
    graph.start()
    graph.wait_active(30.0)
    graph.stop(term_s=0.3, kill_s=0.6)
    assert graph.processes['talker'].exit_code() == -signal.SIGKILL


def test_loading_node_stops_at_once(domain, tmp_path, describe, talker_environment):
    (tmp_path / 'slow.py').write_text(
        textwrap.dedent("""
        import sys, threading
        from talker import Talker, run

        class Slow(Talker):
            def configure(self):
                self.get_logger().info('loading')
                threading.Event().wait(60.0)

        sys.exit(run(Slow))
        """)
    )
    path = os.pathsep.join([str(tmp_path), talker_environment['PYTHONPATH']])
    environment = {**talker_environment, 'PYTHONPATH': path}
    with Graph([describe(module='slow')], domain, environment=environment) as graph:
        process = graph.processes['talker']
        wait_for(lambda: any('loading' in line for line in process.tail), 'loading')
    assert process.exit_code() == 0


def test_no_orphan_is_left_when_the_supervisor_is_killed(domain, talker_environment):
    script = f"""
    from synthex_ros.ros.bringup import NodeDescription
    from synthex_ros.ros.graph import Graph
    graph = Graph([NodeDescription('a', 'talker', 'talker', 'a', '', {{}})], {domain})
    graph.start()
    graph.wait_active(30.0)
    print(graph.processes['a'].pid, flush=True)
    graph.wait(60.0)
    """
    with subprocess.Popen(
        [sys.executable, '-c', textwrap.dedent(script)],
        env=talker_environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as supervisor:
        pid = int(supervisor.stdout.readline())
        assert alive(pid)
        supervisor.kill()
    wait_for(lambda: not alive(pid), 'end of the orphan')
