"""Fixtures that more than one graph test uses."""

import pytest


@pytest.fixture
def make_bench():
    """Make benches on one private domain."""
    rclpy = pytest.importorskip('rclpy')
    domain_coordinator = pytest.importorskip('domain_coordinator')
    from rclpy.context import Context

    from synthex_ros.ros.spin import make_executor

    from .tracker_bench import Bench

    with domain_coordinator.domain_id() as domain:
        context = Context()
        rclpy.init(context=context, domain_id=domain)
        executor = make_executor(context)
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
        executor.shutdown()
        rclpy.shutdown(context=context)
