"""Command line: `python -m benchmark.foreign make|score`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from benchmark.foreign.score import results_of, table


def main() -> int:
    """Make or score foreign frames; return 2 where a peer is missing."""
    parser = argparse.ArgumentParser(prog='benchmark.foreign', description=__doc__)
    actions = parser.add_subparsers(dest='action', required=True)
    maker = actions.add_parser('make', help='write frames, or more of them')
    maker.add_argument('folder', type=Path)
    maker.add_argument('--frames', type=int, default=200)
    maker.add_argument('--seed', type=int, default=900)
    maker.add_argument('--anatomies', nargs='+', default=['chest', 'head'])
    scorer = actions.add_parser('score', help='score a model on frames')
    scorer.add_argument('model', type=Path)
    scorer.add_argument('--data', type=Path, required=True)
    scorer.add_argument('--flip', action='store_true', help='show it every frame as a negative')
    scorer.add_argument('--threads', type=int, default=2)
    args = parser.parse_args()
    return {'make': make_frames, 'score': score_model}[args.action](args)


def make_frames(args: argparse.Namespace) -> int:
    """Write frames to a folder; continue where an earlier run stopped."""
    from benchmark.foreign.frames import ForeignFrames, make
    from benchmark.validation.gvxr_paths import GvxrMissingError

    console = Console()
    try:
        frames = ForeignFrames(args.seed, tuple(args.anatomies))
        with Progress(console=console) as progress:
            task = progress.add_task('frames', total=args.frames)
            for done in make(frames, args.frames, args.folder):
                progress.update(task, completed=done)
    except (ImportError, FileNotFoundError, GvxrMissingError, ValueError) as error:
        console.print(f'no frames: {error}', markup=False)
        return 2
    console.print(f'{args.frames} frames in {args.folder}', markup=False)
    return 0


def score_model(args: argparse.Namespace) -> int:
    """Print the table of a model."""
    results = results_of(args.model, args.data, args.flip, args.threads)
    title = f'{args.model.name} on {args.data}' + (', negatives' if args.flip else '')
    Console(width=140).print(table(results, title))
    return 0


if __name__ == '__main__':
    sys.exit(main())
