"""`ros2 launch synthex_ros closed_loop.launch.py`: the nodes of a scenario.

Arguments, back ends and parameters come from `synthex_ros.ros.bringup`, as for `synthex up`.
"""

from launch import LaunchDescription
from launch.actions import OpaqueFunction

from synthex_ros.ros.launching import declare_arguments, node_actions


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments; the nodes are made once their values are known."""
    return LaunchDescription([*declare_arguments(), OpaqueFunction(function=node_actions)])
