"""`synthex generate`, `synthex train`, `synthex export`, `synthex quantize`, `synthex study`."""

from __future__ import annotations

import argparse
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from synthex_ros.learning.waiting_threads import let_threads_wait_briefly


def register(subparsers) -> None:
    """Add the sub-commands to the `synthex` parser."""
    _add_generate(subparsers)
    _add_train(subparsers)
    _add_export(subparsers)
    _add_quantize(subparsers)
    _add_study(subparsers)


def _add_generate(subparsers) -> None:
    generate = subparsers.add_parser('generate', help='make labelled training or test frames')
    generate.add_argument(
        'scene', nargs='?', help='sampling ranges, such as config/generate_cm.yaml'
    )
    generate.add_argument('--frames', type=int, required=True, help='number of frames')
    generate.add_argument('--out', type=Path, required=True, help='folder; continued if not empty')
    generate.add_argument('--seed', type=int, default=0, help='same seed, same frames')
    generate.add_argument('--workers', type=int, default=2, help='processes')
    generate.add_argument(
        '--engine',
        choices=('processes', 'ray'),
        default='processes',
        help='ray: on the cluster of RAY_ADDRESS; needs synthex_ros[ray]',
    )
    generate.add_argument(
        '--preview', action='store_true', help='also write preview.png, 24 frames with labels'
    )
    generate.set_defaults(handler=run_generate)


def _add_train(subparsers) -> None:
    train = subparsers.add_parser('train', help='train the tracker network')
    train.add_argument('settings', nargs='?', help='such as config/train_cm.yaml')
    train.add_argument(
        '--data',
        type=Path,
        help='COCO folder, or one with train/ and val/; overrides the settings',
    )
    train.add_argument('--out', type=Path, default=Path('runs/cm'), help='folder of the run')
    train.add_argument('--resume', action='store_true', help='continue from its checkpoint')
    train.set_defaults(handler=run_train)


def _add_export(subparsers) -> None:
    export = subparsers.add_parser('export', help='write the ONNX model of a training run')
    export.add_argument(
        'checkpoint', type=Path, help='run folder, or a file such as runs/cm/best.pt'
    )
    export.add_argument('model', type=Path, nargs='?', help='ONNX file to write')
    export.add_argument('--out', type=Path, help='the same')
    export.add_argument('--test', type=Path, help='held-out frames to score the model on')
    _add_lines(export)
    export.add_argument('--made-by', action='append', default=[], help='command for the manifest')
    export.set_defaults(handler=run_export)


def _add_lines(parser: argparse.ArgumentParser) -> None:
    """Add what chooses by when a device is claimed."""
    parser.add_argument(
        '--empty', type=Path, help='frames without a device, to choose by when one is claimed'
    )
    parser.add_argument(
        '--false-alarms',
        type=float,
        default=0.01,
        help='greatest share of --empty that claims one',
    )


def _add_quantize(subparsers) -> None:
    quantize = subparsers.add_parser('quantize', help="write a tracker's model file in 8 bits")
    quantize.add_argument('model', help='model file, or the name of a shipped one')
    quantize.add_argument('--out', type=Path, required=True, help='ONNX file to write')
    quantize.add_argument(
        '--data', type=Path, required=True, help='training frames that say what is typical'
    )
    quantize.add_argument('--frames', type=int, default=64, help='how many of them')
    quantize.add_argument('--test', type=Path, help='held-out frames to score both files on')
    _add_lines(quantize)
    quantize.add_argument('--made-by', action='append', default=[], help='for the manifest')
    quantize.set_defaults(handler=run_quantize)


def _add_study(subparsers) -> None:
    study = subparsers.add_parser('study', help='train and test networks that differ in one thing')
    study.add_argument(
        'name', choices=('domain', 'size', 'ablation', 'patients'), help='what differs'
    )
    study.add_argument('settings', nargs='?', help='such as config/study.yaml')
    study.add_argument('--out', type=Path, default=Path('runs/study'), help='folder; continued')
    study.set_defaults(handler=run_study)


def _progress():
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    text = TextColumn('[progress.description]{task.description}')
    return Progress(text, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())


def run_generate(args: argparse.Namespace) -> int:
    """Make frames; continue where an earlier run stopped."""
    from synthex_ros.learning.generate import generate
    from synthex_ros.learning.sampling import SceneSampling
    from synthex_ros.settings import load_settings

    sampling = load_settings(SceneSampling, args.scene)
    with _progress() as progress:
        task = progress.add_task('frames', total=args.frames)
        made = generate(sampling, args.frames, args.out, args.seed, args.workers, args.engine)
        for done in made:
            progress.update(task, completed=done)
        if args.preview:
            from synthex_ros.learning.preview import write_preview

            progress.console.print(f'preview: {write_preview(args.out)}')
    return 0


def run_train(args: argparse.Namespace) -> int:
    """Train and draw the loss curves."""
    let_threads_wait_briefly()
    from synthex_ros.learning.curves import draw_history
    from synthex_ros.learning.recipes import load_recipe

    settings, line, start = load_recipe(args.settings)
    if args.data is not None:
        train, validation = _folders(args.data)
        settings = replace(settings, train=train, validation=validation)
    with _progress() as progress:
        training = start(settings, args.out, args.resume, **_first_watched(settings, progress))
        total = training.settings.epochs * training.steps_per_epoch
        task = progress.add_task('steps', total=total)

        def report(epoch: int, step: int, loss: float) -> None:
            done = epoch * training.steps_per_epoch + step
            progress.update(task, completed=done, description=f'epoch {epoch + 1} loss {loss:.3f}')

        training.run(report, lambda record: progress.console.print(line(record)))
    draw_history(args.out)
    return 0


def _first_watched(settings, progress) -> dict[str, Any]:
    """Return what shows how far a training is that looks through all frames before it begins."""
    from synthex_ros.learning.closer_training import CloserSettings

    if not isinstance(settings, CloserSettings):
        return {}
    task = progress.add_task('frames looked through')
    return {'collecting': lambda done, total: progress.update(task, completed=done, total=total)}


def _folders(data: Path) -> tuple[str, str]:
    """Return the folders of a data set for training and validation; '' is the last tenth."""
    if (data / 'train').is_dir():
        validation = data / 'val'
        return str(data / 'train'), str(validation) if validation.is_dir() else ''
    return str(data), ''


def run_export(args: argparse.Namespace) -> int:
    """Write the ONNX file and its manifest, and print what it scores."""
    from rich.console import Console

    from synthex_ros.learning.recipes import exporter

    command = shlex.join(['synthex', *sys.argv[1:]])
    run, target = args.checkpoint, args.model or args.out
    if target is None:
        raise ValueError(f'which file to write? name it: synthex export {run} MODEL.onnx')
    checkpoint = run / 'best.pt' if run.is_dir() else run
    chosen = {}
    if args.empty is not None:
        chosen = {'empty': args.empty, 'false_alarms': args.false_alarms}
    commands = [*args.made_by, command]
    manifest = exporter(checkpoint, bool(chosen))(
        checkpoint, target, args.test, commands, **chosen
    )
    console = Console()
    for part in ('validation', 'test', 'inference_ms'):
        if part in manifest:
            console.print({part: manifest[part]})
    return 0


def run_quantize(args: argparse.Namespace) -> int:
    """Write the 8-bit file and its manifest, and print both files' scores and times."""
    from rich.console import Console

    from synthex_ros.learning.int8_export import export_int8
    from synthex_ros.resources import find

    commands = [*args.made_by, shlex.join(['synthex', *sys.argv[1:]])]
    source = find('models', args.model)
    manifest = export_int8(
        source, args.out, args.data, args.frames, args.test, commands, args.empty,
        args.false_alarms,
    )  # fmt: skip
    console = Console()
    for name, entries in ((source.name, manifest['of']), (args.out.name, manifest)):
        console.print({name: {k: entries[k] for k in ('inference_ms', 'test') if k in entries}})
    return 0


def run_study(args: argparse.Namespace) -> int:
    """Run a study, or go on with it, and print its tables."""
    let_threads_wait_briefly()
    from rich.console import Console
    from rich.markdown import Markdown

    from synthex_ros.learning.study import Study, StudySettings, table
    from synthex_ros.settings import load_settings

    console = Console()
    settings = load_settings(StudySettings, args.settings)
    study = Study(args.name, settings, args.out, lambda line: console.print(line, style='dim'))
    console.print(Markdown(table(study.run())))
    return 0
