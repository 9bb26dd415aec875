"""`synthex tiny`: data, training, export and scores of the detector of tiny devices."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthex_ros.learning.waiting_threads import let_threads_wait_briefly

if TYPE_CHECKING:
    from rich.progress import Progress

    from synthex_ros.learning.tiny_run import TinyRun


def register(subparsers: Any) -> None:
    """Add `tiny` to the command line."""
    parser = subparsers.add_parser('tiny', help='detector of devices of 0.55-5 mm')
    actions = parser.add_subparsers(dest='action', metavar='action', required=True)
    generate = actions.add_parser('generate', help='make labelled frames with tiny devices')
    generate.add_argument('scene', nargs='?', help='such as config/generate_tiny.yaml')
    generate.add_argument('--frames', type=int, required=True, help='number of frames')
    generate.add_argument('--out', type=Path, required=True, help='folder; continued if begun')
    generate.add_argument('--seed', type=int, default=0, help='same seed, same frames')
    generate.add_argument('--workers', type=int, default=2, help='processes')
    generate.set_defaults(handler=run_generate)
    train = actions.add_parser('train', help='train the detector')
    train.add_argument('settings', nargs='?', help='such as config/train_tiny.yaml')
    train.add_argument('--out', type=Path, default=Path('runs/tiny'), help='folder of the run')
    train.add_argument('--resume', action='store_true', help='continue from its checkpoint')
    train.set_defaults(handler=run_train)
    second = actions.add_parser('train-second', help='train a second look at what it finds')
    second.add_argument('settings', nargs='?', help='such as config/train_tiny_second.yaml')
    second.add_argument('--out', type=Path, default=Path('runs/tiny_second'), help='run folder')
    second.add_argument('--resume', action='store_true', help='continue from its checkpoint')
    second.set_defaults(handler=run_train_second)
    export = actions.add_parser('export', help='write the ONNX model of a training run')
    export.add_argument('checkpoint', type=Path, help='such as runs/tiny/best.pt')
    export.add_argument('--out', type=Path, required=True, help='ONNX file to write')
    export.add_argument('--test', type=Path, help='folder of held-out frames to score it on')
    export.add_argument('--made-by', action='append', default=[], help='command for the manifest')
    export.set_defaults(handler=run_export)
    evaluate = actions.add_parser('evaluate', help='AP50 and centre error by contrast')
    evaluate.add_argument('model', type=Path, help='detector model')
    evaluate.add_argument('--data', type=Path, required=True, help='COCO folder')
    evaluate.add_argument('--threads', type=int, default=2, help='CPU threads of the model')
    evaluate.add_argument('--out', type=Path, help='JSON file to write')
    evaluate.set_defaults(handler=run_evaluate)


def run_generate(args: argparse.Namespace) -> int:
    """Make frames; continue where an earlier run stopped."""
    from rich.progress import Progress

    from synthex_ros.learning.tiny_scene import TinySampling, generate_tiny
    from synthex_ros.settings import load_settings

    sampling = load_settings(TinySampling, args.scene)
    with Progress() as progress:
        task = progress.add_task('frames', total=args.frames)
        for done in generate_tiny(sampling, args.frames, args.out, args.seed, args.workers):
            progress.update(task, completed=done)
    return 0


def run_train(args: argparse.Namespace) -> int:
    """Train, with a line an epoch."""
    let_threads_wait_briefly()
    from rich.progress import Progress

    from synthex_ros.learning.tiny_training import TinySettings, TinyTraining
    from synthex_ros.settings import load_settings

    training = TinyTraining(load_settings(TinySettings, args.settings), args.out, args.resume)
    with Progress() as progress:
        _train(training, progress)
    return 0


def run_train_second(args: argparse.Namespace) -> int:
    """Collect candidates and train a second look at them, with a line an epoch."""
    let_threads_wait_briefly()
    from rich.progress import Progress

    from synthex_ros.learning.second_look_training import SecondLookSettings, SecondLookTraining
    from synthex_ros.settings import load_settings

    settings = load_settings(SecondLookSettings, args.settings)
    with Progress() as progress:
        task = progress.add_task('frames looked at', total=None)

        def collecting(frames: int) -> None:
            progress.update(task, completed=frames)

        training = SecondLookTraining(settings, args.out, args.resume, collecting)
        progress.remove_task(task)
        _train(training, progress)
    return 0


def _train(training: TinyRun, progress: Progress) -> None:
    task = progress.add_task('steps', total=training.steps)

    def step(epoch: int, number: int, loss: float) -> None:
        progress.update(task, completed=epoch * training.steps_per_epoch + number)

    def epoch(record: dict[str, Any]) -> None:
        losses = ' '.join(f'{record[name]:.3f}' for name in training.losses)
        every = record['detection']['all']
        progress.console.print(
            f'epoch {record["epoch"]:3d}  loss {losses}  AP50 {record["ap50"]:.3f}, of any '
            f'class {record["ap50_classless"]:.3f}  centre '
            f'{every["centre_error_mean_mm"]:.3f} mm  {record["seconds"]:.0f} s'
        )

    training.run(step, epoch)


def run_export(args: argparse.Namespace) -> int:
    """Write the model file and its manifest."""
    from rich.console import Console

    from synthex_ros.learning.tiny_export import export_detector

    commands = [*args.made_by, shlex.join(['synthex', *sys.argv[1:]])]
    manifest = export_detector(args.checkpoint, args.out, args.test, commands)
    Console().print(f'{args.out}: {manifest["parameters"]} parameters', markup=False)
    if 'test' in manifest:
        print_scores(args.out.name, manifest['test'])
    return 0


def run_evaluate(args: argparse.Namespace) -> int:
    """Score a detector on a folder, print the table and write the JSON file."""
    from synthex_ros.learning.coco import CocoFolder
    from synthex_ros.learning.tiny_scores import scores_of
    from synthex_ros.tracking.detector import DetectorModel

    content = scores_of(DetectorModel(args.model, args.threads), CocoFolder(args.data))
    print_scores(args.model.name, content)
    if args.out:
        args.out.write_text(json.dumps(content, indent=1) + '\n', encoding='utf-8')
    return 0


def print_scores(name: str, content: dict[str, Any]) -> None:
    """Print a model's scores: a table by contrast, and the numbers of all."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f'{name} on {content["frames"]} frames')
    for heading in ('contrast', 'devices', 'AP50', 'found', 'centre [mm]', 'p95 [mm]'):
        table.add_column(heading, justify='right')
    for part, row in content['by_contrast'].items():
        cells = (f'{row[key]:.3f}' for key in list(row)[1:])
        table.add_row(part, str(row['devices']), *cells)
    console = Console()
    console.print(table)
    for key, value in content.items():
        if isinstance(value, float):
            console.print(f'{key}: {value:.3f}')
