"""What sim_node delivers to a subscriber in another process: frames, losses, processor time.

    python benchmark/sim_rate.py [--pixels 1024] [--rate 30] [--seconds 300] [key:=value ...]

The default is the native detector, 1536 x 1536 at 15 frames/s. The simulator runs alone, with the
continuum manipulator in the chest CT and every effect of the imaging chain. Printed are the frames
that were due, those that came, gaps in the `frame_index` of those that came (a simulator that is
late leaves frames out, a transport loses them), and processor time of the simulator's process and
of this one, as a part of two cores.
"""

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticArray
from rich.console import Console
from rich.table import Table
from sensor_msgs.msg import Image

from synthex_ros.ros import messages, qos, topics
from synthex_ros.ros.bringup import load_scenario
from synthex_ros.ros.graph import Graph
from synthex_ros.ros.probe import GraphProbe
from synthex_ros.ros.transport import ensure_transport

NATIVE_PX, NATIVE_PITCH_M = 1536, 194e-6
TICKS = os.sysconf('SC_CLK_TCK')


def processor_s(pid: int) -> float:
    """Return the processor time that a process has used [s]."""
    fields = Path(f'/proc/{pid}/stat').read_text(encoding='ascii').rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak_memory_mb(pid: int) -> float:
    """Return the largest resident size of a process [MB]."""
    lines = Path(f'/proc/{pid}/status').read_text(encoding='ascii').splitlines()
    return float(next(line for line in lines if line.startswith('VmHWM')).split()[1]) / 1024


class Counter:
    """Counts images and the frame indices of their exposures.

    Args:
        node: owner of the subscriptions.
    """

    def __init__(self, node) -> None:
        self.clear()
        profile = qos.frame_subscription('real_time')
        node.create_subscription(Image, topics.IMAGE_RAW, self._image, profile)
        node.create_subscription(DiagnosticArray, topics.EXPOSURE, self._exposure, qos.STATE)

    def _image(self, message: Image) -> None:
        stamp_ns = messages.stamp_ns(message.header.stamp)
        self.images.append(stamp_ns)
        self.delays_ms.append((time.time_ns() - stamp_ns) * 1e-6)

    def _exposure(self, message: DiagnosticArray) -> None:
        index = int(messages.from_exposure(message)['frame_index'])
        self.exposures[messages.stamp_ns(message.header.stamp)] = index

    def clear(self) -> None:
        """Start counting anew."""
        self.images: list[int] = []
        self.exposures: dict[int, int] = {}
        self.delays_ms: list[float] = []

    def lost(self) -> int:
        """Return how many frames between the first and the last image did not come."""
        seen = [self.exposures[stamp] for stamp in self.images if stamp in self.exposures]
        return seen[-1] - seen[0] + 1 - len(set(seen))


def main() -> int:
    """Run the simulator, count, print; return 0 when nothing was lost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('overrides', nargs='*', metavar='key:=value')
    parser.add_argument('--pixels', type=int, default=NATIVE_PX)
    parser.add_argument('--rate', type=float, default=15.0)
    parser.add_argument('--seconds', type=float, default=300.0)
    parser.add_argument('--domain-id', type=int, default=77)
    args = parser.parse_args()
    ensure_transport()
    pitch = NATIVE_PITCH_M * NATIVE_PX / args.pixels
    scenario = load_scenario(
        'chest_cm.yaml',
        [
            f'sim.detector_px:={args.pixels}',
            'sim.binning:=1',
            f'sim.pixel_pitch_m:={pitch:.9f}',
            f'sim.frame_rate_hz:={args.rate}',
            'sim.time_mode:=real_time',
            'sim.imaging_chain:=full',
            'sim.frame_threads:=0',
            *args.overrides,
        ],
    )
    probe = GraphProbe(args.domain_id)
    counter = Counter(probe.node)
    with Graph([scenario.node('sim')], args.domain_id) as graph:
        started = time.monotonic()
        graph.wait_active(90.0)
        probe.spin_until(lambda: bool(counter.images), 30.0)
        start_s = time.monotonic() - started
        probe.spin_until(lambda: False, 3.0)
        pid = graph.processes['sim'].pid
        counter.clear()
        before, clock = (processor_s(pid), processor_s(os.getpid())), time.monotonic()
        probe.spin_until(lambda: False, args.seconds)
        elapsed = time.monotonic() - clock
        after = (processor_s(pid), processor_s(os.getpid()))
        memory = peak_memory_mb(pid)
    probe.close()
    lost, due = counter.lost(), round(args.rate * elapsed)
    busy = [100 * (b - a) / elapsed / 2 for a, b in zip(before, after, strict=True)]
    delays = sorted(counter.delays_ms)
    table = Table(
        title=f'{args.pixels} x {args.pixels} at {args.rate:g} frames/s, {elapsed:.0f} s'
    )
    for heading in ('due', 'delivered', 'lost', 'frames/s', 'delay p50, p99 ms'):
        table.add_column(heading, justify='right')
    table.add_column('sim, subscriber: % of 2 cores', justify='right')
    table.add_column('sim MB', justify='right')
    table.add_column('first frame s', justify='right')
    table.add_row(
        str(due), str(len(counter.images)), str(lost), f'{len(counter.images) / elapsed:.2f}',
        f'{statistics.median(delays):.1f}, {delays[int(0.99 * len(delays))]:.1f}',
        f'{busy[0]:.0f}, {busy[1]:.0f}', f'{memory:.0f}', f'{start_s:.1f}',
    )  # fmt: skip
    Console().print(table)
    return int(lost > 0)


if __name__ == '__main__':
    sys.exit(main())
