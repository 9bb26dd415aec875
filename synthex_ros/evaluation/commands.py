"""`synthex evaluate` and `synthex bag`: scores of runs and models, repair of bags."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any


def register(subparsers: Any) -> None:
    """Add `evaluate` and `bag` to the command line."""
    _register_evaluate(subparsers)
    _register_bag(subparsers)


def _register_evaluate(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        'evaluate',
        help='score a bag or a tracker model',
        description='synthex evaluate BAG [--out DIR]: report.json, report.html and a preview '
        'from the bag alone.  synthex evaluate model MODEL.onnx --data DIR: landmark '
        'errors, detection, masks, false alarms and the worst frames of a COCO folder; of a '
        'model of foreign objects, AP of masks and boxes.  '
        'synthex evaluate task CM-1|CM-2 [key:=value ...]: run the closed loop on a task '
        'and score it.  synthex evaluate task MG-1..MG-5 [--seeds 50]: magnetic devices.',
    )
    parser.add_argument('subject', help=f'a bag, or one of: {", ".join(SUBJECTS)}')
    parser.add_argument('name', nargs='?', help='the model file, or the task')
    parser.add_argument('overrides', nargs='*', metavar='key:=value', help='task: settings')
    parser.add_argument('--out', type=Path, help='folder of the report')
    parser.add_argument('--data', type=Path, help='model: COCO folder')
    parser.add_argument('--frames', type=int, help='model: first frames of the folder alone')
    parser.add_argument('--threads', type=int, default=2, help='CPU threads of the model')
    parser.add_argument('--seeds', type=int, default=50, help='task MG-n: how many seeds')
    parser.add_argument('--processes', type=int, help='task MG-n: how many seeds at a time')
    parser.add_argument(
        '--reach-tolerance-mm', type=float, default=1.5, help='error at which a target is reached'
    )
    parser.set_defaults(handler=run_evaluate)


def _register_bag(subparsers: Any) -> None:
    parser = subparsers.add_parser('bag', help='repair a bag, or show what is in it')
    actions = parser.add_subparsers(dest='action', metavar='action', required=True)
    repair = actions.add_parser('repair', help='keep every whole message of a torn bag')
    repair.add_argument('path', type=Path, help='bag folder or .mcap file')
    repair.set_defaults(handler=run_bag_repair)
    info = actions.add_parser('info', help='topics, messages and payload hashes')
    info.add_argument('path', type=Path, help='bag folder or .mcap file')
    info.set_defaults(handler=run_bag_info)


def run_evaluate(args: argparse.Namespace) -> int:
    """Score what `args.subject` names; return 0 when it passed."""
    return SUBJECTS.get(args.subject, run_evaluate_bag)(args)


def run_evaluate_bag(args: argparse.Namespace) -> int:
    """Write the report of a bag and print its checks; return 1 when a limit is broken."""
    from rich.console import Console

    from synthex_ros.evaluation.goals import TargetRules
    from synthex_ros.evaluation.report import write_report

    bag = Path(args.subject)
    out = args.out or (bag if bag.is_dir() else bag.parent) / 'report'
    console = Console(highlight=False, soft_wrap=True)
    with console.status(f'evaluating {bag}'):
        report = write_report(bag, out, TargetRules(args.reach_tolerance_mm * 1e-3))
    console.print(summary_table(report))
    for note in report.values['notes']:
        console.print(f'[dim]note: {note}')
    console.print(f'report: {out / "report.html"}', markup=False)
    return 0 if report.values['passed'] else 1


def summary_table(report: Any) -> Any:
    """Return the numbers of a run and their limits as a rich table."""
    from rich.table import Table

    table = Table('what', 'value', 'limit', 'passed')
    limits = {check.key: check for check in report.checks}
    for key, value in report.values.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            continue
        check = limits.get(key)
        passed = {True: '[green]yes', False: '[red]no', None: ''}[check.passed if check else None]
        table.add_row(key, f'{value:g}', check.rule if check else '', passed)
    return table


def run_evaluate_model(args: argparse.Namespace) -> int:
    """Score a model on a data set, write its report and print the table; return 0.

    Raises:
        ValueError: the model file or the data set was not given.
    """
    from rich.console import Console
    from rich.progress import Progress

    from synthex_ros.evaluation.model_evaluation import OnnxPredictor
    from synthex_ros.evaluation.model_report import report_model
    from synthex_ros.evaluation.object_evaluation import ObjectFinder
    from synthex_ros.evaluation.object_report import report_objects
    from synthex_ros.tracking import objects

    if args.name is None or args.data is None:
        raise ValueError('usage: synthex evaluate model MODEL.onnx --data DIR [--out DIR]')
    console = Console(highlight=False, soft_wrap=True)
    model = Path(args.name)
    out = args.out or model.with_name(f'{model.stem}.evaluation')
    with Progress(console=console, transient=True) as progress:
        job = progress.add_task('frames', total=None)
        rest = (
            args.data,
            out,
            args.frames,
            lambda frames: progress.update(job, total=frames),
            lambda: progress.advance(job),
        )
        if objects.model_kind(model) == objects.KIND:
            values = report_objects(ObjectFinder(model, args.threads), *rest)
            shown = object_table(values)
        else:
            values = report_model(OnnxPredictor(model, args.threads), model.name, *rest)
            shown = model_table(values)
    console.print(shown)
    console.print(f'report: {out / "evaluation.html"}', markup=False)
    return 0


def model_table(values: dict[str, Any]) -> Any:
    """Return gated and ungated landmark errors side by side as a rich table."""
    from rich.table import Table

    def text(value: float | None, decimals: int = 2, scale: float = 1) -> str:
        return '–' if value is None else f'{scale * value:.{decimals}f}'

    alarms = values['false_alarms']['landmark']
    table = Table(
        'error',
        *('n', 'mean ± std', 'p95', '95 % CI'),
        *('n', 'mean ± std', 'p95', '95 % CI'),
        title=f'{values["frames"]} frames · all landmarks (left), NCC > {values["gate_ncc"]:g} '
        '(right)',
        caption=f'detected {text(values["detection_rate"], 2, 100)} %   '
        f'Dice {text(values["dice_mean"], 3)}   AP50 {text(values["instances"]["ap50"], 3)}   '
        f'false alarms {alarms["count"]} of {alarms["of"]} frames without a device'
        + dice_line(values['dice_by_class']),
    )
    for name, both in values['errors'].items():
        cells = [
            cell
            for s in (both['all'], both['gated'])
            for cell in (
                str(s['count']),
                f'{text(s["mean"])} ± {text(s["std"])}',
                text(s['p95']),
                f'± {text(s["ci95"])}',
            )
        ]
        table.add_row(name.replace('[', '\\['), *cells)
    return table


def dice_line(parts: dict[str, Any]) -> str:
    """Return the Dice of each class in frames that show it, where there are several, as a line."""
    if len(parts) < 2:
        return ''
    shown = (
        f'{name} {part["there"]["mean"]:.3f}'
        for name, part in parts.items()
        if part['there']['count']
    )
    return '\nDice of ' + '   '.join(shown)


def object_table(values: dict[str, Any]) -> Any:
    """Return the precision of a model of foreign objects, of all and by kind, as a rich table."""
    from rich.table import Table

    from synthex_ros.evaluation.object_report import HEAD, object_rows

    counts = values['from_score']
    table = Table(
        *HEAD,
        title=f'{values["frames"]} frames · AP over IoU 0.5 to 0.95, by pycocotools',
        caption=f'from score {counts["score"]:g}: {counts["found"]} found, {counts["missed"]} '
        f'missed, {counts["false"]} false',
    )
    for row in object_rows(values):
        table.add_row(*row)
    return table


def run_bag_repair(args: argparse.Namespace) -> int:
    """Repair a bag and say what was kept; return 0."""
    from rich.console import Console

    from synthex_ros.evaluation.bag_repair import repair_bag

    result = repair_bag(args.path)
    text = f'{args.path} is whole'
    if result.repaired:
        text = f'{args.path} repaired: {result.messages} messages kept, '
        text += f'{result.torn_bytes} torn bytes, {result.damaged_chunks} damaged chunks'
    Console(highlight=False, soft_wrap=True).print(text, markup=False)
    return 0


def run_bag_info(args: argparse.Namespace) -> int:
    """Print topics, types and payload hashes of a bag; return 0."""
    from rich.console import Console
    from rich.table import Table

    from synthex_ros.evaluation.bag_reader import BagReader, payload_hashes

    with BagReader(args.path) as bag:
        types, custom = dict(bag.topics), dict(bag.custom)
    hashes = payload_hashes(args.path)
    table = Table('topic', 'type', 'SHA-256 of the payloads')
    for topic in sorted(types):
        table.add_row(topic, types[topic], hashes.get(topic, 'no messages')[:16])
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    for key, value in custom.items():
        console.print(f'{key}: {value}', markup=False)
    return 0


SUBJECTS: dict[str, Callable[[argparse.Namespace], int]] = {'model': run_evaluate_model}
"""First words of `synthex evaluate` that are not a bag."""
