"""`ros2 launch synthex_ros imager.launch.py`: the imager and device of a scenario, alone."""

from launch import LaunchDescription
from launch.actions import OpaqueFunction

from synthex_ros.ros.launching import declare_arguments, node_actions


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments; the node is made once their values are known."""
    function = OpaqueFunction(function=node_actions, kwargs={'sections': ('sim',)})
    return LaunchDescription([*declare_arguments(), function])
