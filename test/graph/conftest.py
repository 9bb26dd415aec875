"""Fixtures that more than one graph test uses."""

import itertools
from contextlib import ExitStack

import pytest

# Benches take the lowest numbers that are free, again and again, and a node that has just been
# destroyed in this process can be seen there for a while: graphs of processes stay away from them.
_HIGH = itertools.cycle(range(100, 50, -1))


@pytest.fixture
def free_domain():
    """Give the number of a domain that no other test has, another one with every call."""
    domain_coordinator = pytest.importorskip('domain_coordinator')
    with ExitStack() as held:
        yield lambda: held.enter_context(domain_coordinator.domain_id(lambda: next(_HIGH)))


@pytest.fixture
def domain():
    """A context and an executor on a private domain; nodes are gone before they are."""
    rclpy = pytest.importorskip('rclpy')
    domain_coordinator = pytest.importorskip('domain_coordinator')
    from rclpy.context import Context

    from synthex_ros.ros.spin import make_executor

    with domain_coordinator.domain_id() as number:
        context = Context()
        rclpy.init(context=context, domain_id=number)
        executor = make_executor(context)
        yield context, executor
        executor.shutdown()
        rclpy.shutdown(context=context)


@pytest.fixture
def make_bench(domain):
    """Make benches of the tracker on one private domain."""
    from .tracker_bench import Bench

    context, executor = domain
    benches = []

    def make(**values):
        benches.append(Bench(context, executor, **values))
        return benches[-1]

    yield make
    for bench in benches:
        bench.tracker.shut_down()
        executor.remove_node(bench.tracker)
        executor.remove_node(bench.node)
        bench.tracker.destroy_node()
        bench.node.destroy_node()
