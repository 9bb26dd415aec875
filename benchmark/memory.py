"""Peak memory of a simulated room with the chest CT while the C-arm sweeps.

    python benchmark/memory.py [--materials standard detailed] [--pixels 512 1536] [--deforming]

Each row is a process of its own that builds a room as sim_node does, takes frames at rest, sweeps
the C-arm by 90 degrees with a frame every 3 degrees, and takes frames at rest again. Printed are
the memory after the start and the greatest ever (ru_maxrss); sim_node's ROS libraries come on top.
With --deforming, all states of breath and heartbeat are made of the last view: this takes minutes.
"""

import argparse
import resource
import subprocess
import sys
import time

MIB = 2**20
LIMIT_MIB = 1500e6 / MIB


def resident_mib() -> float:
    """Return the memory that this process has now [MiB]."""
    with open('/proc/self/statm', encoding='ascii') as file:
        return int(file.read().split()[1]) * resource.getpagesize() / MIB


def measure(materials: str, pixels: int, deforming: bool) -> None:
    """Run one room in this process and print what it took."""
    import numpy as np

    from sim_node.params import SimParams
    from sim_node.settings import room_settings
    from synthex_ros.simulation.build import build_room

    motion = {'breathing_model': 'deformable', 'breathing_amplitude_m': 0.015,
              'heartbeat_amplitude_m': 0.003} if deforming else {}  # fmt: skip
    params = SimParams(
        materials=materials, binning=1, detector_px=pixels, pixel_pitch_m=0.298 / pixels, **motion
    )
    room = build_room(room_settings(params)).room
    started = resident_mib()
    orbit = np.radians(np.arange(-30, 61, 3))
    for index, angle in enumerate(orbit):
        room.axes.positions[0] = angle
        room.expose(index)
        room.advance(0.1)
    if room.deforming is not None:
        room.deforming.wait()
    room.expose(len(orbit))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f'{started:.0f} {peak:.0f}')


def main() -> int:
    """Measure each case in its own process; return 1 when one is over the limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--materials', nargs='+', default=['standard', 'detailed'])
    parser.add_argument('--pixels', type=int, nargs='+', default=[512, 1536])
    parser.add_argument('--deforming', action='store_true', help='breathing and heartbeat as well')
    parser.add_argument('--case', nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.case:
        measure(args.case[0], int(args.case[1]), args.case[2] == 'deforming')
        return 0
    motion, worst = 'deforming' if args.deforming else 'none', 0.0
    print(f'chest CT, sweep of 90 degrees, motion: {motion}', flush=True)
    for materials in args.materials:
        for pixels in args.pixels:
            case = [sys.executable, __file__, '--case', materials, str(pixels), motion]
            begin = time.monotonic()
            said = subprocess.run(case, check=True, capture_output=True, text=True).stdout
            started, peak = said.split()[-2:]
            worst = max(worst, float(peak))
            print(
                f'{materials:>8s} {pixels:5d} px: {started:>5s} MiB after the start, '
                f'{peak:>5s} MiB at most ({time.monotonic() - begin:.0f} s)',
                flush=True,
            )
    print(f'limit {LIMIT_MIB:.0f} MiB: {"held" if worst <= LIMIT_MIB else "exceeded"}')
    return int(worst > LIMIT_MIB)


if __name__ == '__main__':
    sys.exit(main())
