"""Closed-loop X-ray guidance on ROS 2: from radiograph to robot command.

The library runs without ROS; only `synthex_ros.ros` imports rclpy.
"""

__version__ = '0.1.0'
