"""Real time on this machine: four processes, 512 x 512 at 15 frames/s, for a minute.

    python benchmark/real_time.py [--out DIR] [key:=value ...]

Prints what the bag says: frames lost, exposure-to-command time, errors; and how busy the machine
was. Compare with the same command under another load, never with a number from another machine.
"""

import argparse
import os
import sys
from pathlib import Path

from synthex_ros.ros.demo import run_task


def main() -> int:
    """Run the task and print the table; return 0 when every limit held."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('overrides', nargs='*', metavar='key:=value')
    parser.add_argument('--out', type=Path, default=Path('out/RT-1'))
    args = parser.parse_args()
    print(f'{os.cpu_count()} cores, load average before: {os.getloadavg()[0]:.2f}')
    code = run_task('RT-1', args.out, 'chest_cm.yaml', args.overrides, verbose=False)
    print(f'load average after: {os.getloadavg()[0]:.2f}')
    return code


if __name__ == '__main__':
    sys.exit(main())
