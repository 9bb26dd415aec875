"""Look at a running graph from outside: which nodes are there, in which lifecycle state."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable
from typing import Any

import rclpy
from lifecycle_msgs.srv import GetState
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from synthex_ros.ros.transport import PROFILE, profile_variable, user_profile

_NUMBER = itertools.count(1)

DISCOVERY_S = 0.7
"""Time in which nodes that already run are seen; measured 0.14-0.42 s with the profile."""

_STALE_S = 5.0
"""Silence after which a client is made anew: it may wait for a node that was killed."""


class GraphProbe:
    """A node of its own context that asks others for their state.

    Args:
        domain_id: ROS domain, or None for ROS_DOMAIN_ID.
    """

    def __init__(self, domain_id: int | None) -> None:
        os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
        if user_profile(os.environ) is None:
            os.environ.setdefault(profile_variable(os.environ), str(PROFILE))
        self.context = Context()
        rclpy.init(args=[], context=self.context, domain_id=domain_id)
        name = f'synthex_probe_{os.getpid()}_{next(_NUMBER)}'
        self.node = Node(name, context=self.context, enable_rosout=False)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._clients: dict[str, Any] = {}
        self._heard_s: dict[str, float] = {}

    def close(self) -> None:
        """Leave the graph."""
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self.context)

    def spin_until(self, done: Callable[[], bool], timeout_s: float) -> bool:
        """Serve callbacks until `done()` or the time is over [s]; return `done()`."""
        deadline = time.monotonic() + timeout_s
        while not done() and time.monotonic() < deadline:
            self._executor.spin_once(timeout_sec=0.02)
        return done()

    def present(self) -> list[str]:
        """Return the absolute names of all nodes seen now; doubled names are doubled."""
        pairs = self.node.get_node_names_and_namespaces()
        return [f'{namespace.rstrip("/")}/{name}' for name, namespace in pairs]

    def state(self, full_name: str, timeout_s: float = 0.5) -> str:
        """Return the lifecycle state of a node, 'absent' or 'silent'."""
        client = self._client(full_name)
        if not client.service_is_ready():
            return 'absent'
        future = client.call_async(GetState.Request())
        if not self.spin_until(future.done, timeout_s):
            client.remove_pending_request(future)
            return 'silent'
        self._heard_s[full_name] = time.monotonic()
        return future.result().current_state.label

    def _client(self, full_name: str) -> Any:
        """Return the client that asks a node for its state."""
        now_s = time.monotonic()
        silent = now_s - self._heard_s.setdefault(full_name, now_s) > _STALE_S
        if silent and full_name in self._clients:
            self.node.destroy_client(self._clients.pop(full_name))
            self._heard_s[full_name] = now_s
        if full_name not in self._clients:
            self._clients[full_name] = self.node.create_client(GetState, f'{full_name}/get_state')
        return self._clients[full_name]
