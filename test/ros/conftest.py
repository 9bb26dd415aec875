"""Nodes on a private ROS domain: in this process, or each in its own."""

import os
import sys
import time
from pathlib import Path

import domain_coordinator
import pytest
import rclpy
from rclpy.context import Context
from rclpy.node import Node

from synthex_ros.ros.bringup import NodeDescription
from synthex_ros.ros.spin import make_executor

FOLDER = str(Path(__file__).parent)
sys.path.insert(0, FOLDER)  # for the node in talker.py, here and as `python -m talker`


class LocalGraph:
    """Nodes of one context and the executor that serves them."""

    def __init__(self, domain_id):
        self.context = Context()
        rclpy.init(context=self.context, domain_id=domain_id)
        self.executor = make_executor(self.context)
        self.nodes = []

    def add(self, node):
        self.nodes.append(node)
        self.executor.add_node(node)
        return node

    def observer(self, name='observer'):
        return self.add(Node(name, context=self.context, enable_rosout=False))

    def spin_until(self, done, what, timeout_s=20.0):
        deadline = time.monotonic() + timeout_s
        while not done():
            assert time.monotonic() < deadline, f'missing after {timeout_s} s: {what}'
            self.executor.spin_once(timeout_sec=0.05)

    def call(self, client, request):
        self.spin_until(client.service_is_ready, client.srv_name)
        future = client.call_async(request)
        self.spin_until(future.done, f'answer of {client.srv_name}')
        return future.result()

    def close(self):
        for node in self.nodes:
            self.executor.remove_node(node)
            node.destroy_node()
        self.executor.shutdown()
        rclpy.try_shutdown(context=self.context)


@pytest.fixture
def domain(monkeypatch):
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    with domain_coordinator.domain_id() as domain_id:
        yield domain_id


@pytest.fixture
def local(domain):
    graph = LocalGraph(domain)
    yield graph
    graph.close()


@pytest.fixture
def talker_environment():
    inherited = os.environ.get('PYTHONPATH')
    return {
        **os.environ,
        'PYTHONPATH': f'{FOLDER}{os.pathsep}{inherited}' if inherited else FOLDER,
    }


@pytest.fixture
def describe():
    def description(name='talker', respawn=False, module='talker', **parameters):
        return NodeDescription(name, 'talker', module, name, '', parameters, respawn=respawn)

    return description
