"""`ros2 launch synthex_ros controller.launch.py`: the controller of a scenario, alone."""

from launch import LaunchDescription
from launch.actions import OpaqueFunction

from synthex_ros.ros.launching import declare_arguments, node_actions


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments; the node is made once their values are known."""
    function = OpaqueFunction(function=node_actions, kwargs={'sections': ('control',)})
    return LaunchDescription([*declare_arguments(), function])
