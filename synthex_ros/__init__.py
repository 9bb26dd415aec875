"""Closed-loop X-ray guidance on ROS 2: from radiograph to robot command.

The library runs without ROS; only `synthex_ros.ros` imports rclpy.
"""

from pathlib import Path

from synthex_ros.kernel_cache import choose_kernel_cache

__version__ = '0.1.0'

choose_kernel_cache(Path(__file__).parent)
