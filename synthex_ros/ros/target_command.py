"""`synthex target`: send the tip of a running graph to a point, without a ROS installation."""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

_WAIT_S = 10.0


def register(subparsers: Any) -> None:
    """Add `target` to the command line."""
    parser = subparsers.add_parser(
        'target',
        help='send the tip of a running graph to a point',
        description='Publish control/target [m, world frame]: 0 0 0 is the isocentre, x to the '
        "patient's left, y to posterior, z to superior. Example: synthex target 0.01 0 0.012",
    )
    for axis in 'xyz':
        parser.add_argument(axis, type=float, help='[m]')
    parser.add_argument('--domain-id', type=int, help='ROS domain; default: ROS_DOMAIN_ID, else 0')
    parser.add_argument('--namespace', default='', help='namespace of the graph')
    parser.set_defaults(handler=run_target)


def run_target(args: argparse.Namespace) -> int:
    """Publish the target once a controller listens.

    Raises:
        ValueError: a coordinate that is not a point in the room.
        TimeoutError: no controller listens on this domain.
    """
    point = (args.x, args.y, args.z)
    if not all(abs(value) < 2.0 for value in point):
        raise ValueError(f'a target must lie within 2 m of the isocentre, got {point}; metres?')
    import rclpy
    from geometry_msgs.msg import PoseStamped
    from rclpy.context import Context
    from rclpy.duration import Duration
    from rich.console import Console

    from synthex_ros.geometry import make_pose
    from synthex_ros.ros import messages, qos, topics
    from synthex_ros.ros.spin import make_executor

    inherited = int(os.environ.get('ROS_DOMAIN_ID') or 0)
    domain = inherited if args.domain_id is None else args.domain_id
    context = Context()
    rclpy.init(args=[], context=context, domain_id=domain)
    node = rclpy.create_node('target', namespace=args.namespace, context=context)
    executor = make_executor(context)
    executor.add_node(node)
    try:
        publisher = node.create_publisher(PoseStamped, topics.TARGET, qos.GOALS)
        deadline_s = time.monotonic() + _WAIT_S
        while publisher.get_subscription_count() == 0:
            if time.monotonic() > deadline_s:
                raise TimeoutError(
                    f'nobody listens to {topics.TARGET} on domain {domain}: start `synthex up`, '
                    'or name its domain with --domain-id'
                )
            executor.spin_once(timeout_sec=0.05)
        header = messages.make_header(0, 'world')
        pose = make_pose(translation_m=point)
        publisher.publish(messages.to_pose_stamped(pose, header))
        publisher.wait_for_all_acked(Duration(seconds=2.0))
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.shutdown(context=context)
    Console(highlight=False).print(f'target {point} m sent on domain {domain}')
    return 0
