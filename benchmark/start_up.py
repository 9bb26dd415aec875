"""Time from the start of sim_node's process to its first frame, and what takes it.

    python benchmark/start_up.py [--runs 3] [key:=value ...]

The node runs as `synthex up` runs it; a subscriber of carm/image_raw in this process waits for the
first frame. The first run warms the caches (decoded CT, compiled kernels) and is not counted.
Below it, the same steps are timed one by one in a process of their own.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time

import rclpy
from sensor_msgs.msg import Image

from synthex_ros.ros import qos, topics

LIMIT_S = 5.0
DEADLINE_S = 120.0

STEPS = """
import time
marks = [('interpreter', time.perf_counter())]
def mark(name):
    marks.append((name, time.perf_counter()))
import numpy; mark('numpy')
import numba; mark('numba')
import rclpy; mark('rclpy')
import sim_node.node; mark('package and messages')
from synthex_ros.anatomy import load_volume
from sim_node.params import SimParams
from sim_node.settings import room_settings
from synthex_ros.simulation.build import build_room
load_volume('chest'); mark('CT')
built = build_room(room_settings(SimParams())); mark('room (CT again, first view)')
built.room.expose(0); mark('first frame')
built.room.expose(1); mark('second frame')
for (_, before), (name, after) in zip(marks[:-1], marks[1:]):
    print(f'  {name:30s} {after - before:6.2f} s')
"""


def first_frame_s(arguments: list[str]) -> float:
    """Return the seconds from starting the process to its first frame here."""
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node('start_up', context=context)
    frames: list[Image] = []
    node.create_subscription(Image, topics.IMAGE_RAW, frames.append, qos.FRAME_SUBSCRIBE)
    executor = rclpy.executors.SingleThreadedExecutor(context=context)
    executor.add_node(node)
    start = time.monotonic()
    process = subprocess.Popen([sys.executable, '-m', 'sim_node', *arguments])
    try:
        while not frames:
            executor.spin_once(timeout_sec=0.05)
            if process.poll() is not None or time.monotonic() - start > DEADLINE_S:
                raise RuntimeError('sim_node sent no frame; see its messages above')
        return time.monotonic() - start
    finally:
        process.terminate()
        process.wait()
        node.destroy_node()
        rclpy.shutdown(context=context)


def main() -> int:
    """Measure and print; return 1 when the median is over the limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('overrides', nargs='*', metavar='key:=value')
    parser.add_argument('--runs', type=int, default=3)
    args = parser.parse_args()
    os.environ.setdefault('ROS_DOMAIN_ID', '77')
    ros = [item for value in args.overrides for item in ('-p', value)]
    arguments = ['--ros-args', *ros] if ros else []
    times = [first_frame_s(arguments) for _ in range(args.runs + 1)]
    print('seconds to the first frame:', ' '.join(f'{value:.2f}' for value in times))
    middle = statistics.median(times[1:])
    print(f'median {middle:.2f} s, limit {LIMIT_S:g} s')
    subprocess.run([sys.executable, '-c', STEPS], check=True)
    return int(middle > LIMIT_S)


if __name__ == '__main__':
    sys.exit(main())
