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
        'from the bag alone.  synthex evaluate model MODEL.onnx --data DIR: landmark errors, '
        'detection and Dice on a data set, gated and ungated.  synthex evaluate task CM-1|CM-2 '
        '[key:=value ...]: run the closed loop on a task and score it.',
    )
    parser.add_argument('subject', help=f'a bag, or one of: {", ".join(SUBJECTS)}')
    parser.add_argument('name', nargs='?', help='the model file, or the task')
    parser.add_argument('overrides', nargs='*', metavar='key:=value', help='task: settings')
    parser.add_argument('--out', type=Path, help='folder (bag) or JSON file (model) to write')
    parser.add_argument('--data', type=Path, help='data set folder')
    parser.add_argument('--threads', type=int, default=2, help='CPU threads of the model')
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
    """Score a model on a data set, print the table and write the JSON file; return 0.

    Raises:
        ValueError: the model file or the data set was not given.
    """
    import json

    from rich.console import Console
    from rich.progress import Progress

    from synthex_ros.evaluation.model_evaluation import (
        OnnxPredictor,
        frame_count,
        read_samples,
        score_model,
        score_values,
    )

    if args.name is None or args.data is None:
        raise ValueError('usage: synthex evaluate model MODEL.onnx --data DIR')
    console = Console(highlight=False, soft_wrap=True)
    predict = OnnxPredictor(args.name, args.threads)
    with Progress(console=console, transient=True) as progress:
        job = progress.add_task('frames', total=frame_count(args.data))
        samples = read_samples(args.data, predict.landmarks)
        score = score_model(predict, samples, lambda: progress.advance(job))
    console.print(model_table(score))
    out = args.out or Path(args.name).with_suffix('.evaluation.json')
    text = json.dumps({'model': Path(args.name).name, **score_values(score)}, indent=2)
    out.write_text(text + '\n', encoding='utf-8')
    console.print(f'written: {out}', markup=False)
    return 0


def model_table(score: Any) -> Any:
    """Return gated and ungated landmark errors side by side as a rich table."""
    from rich.table import Table

    from synthex_ros.evaluation.metrics import GATE_NCC, summarize
    from synthex_ros.evaluation.model_evaluation import table_rows

    overlap = summarize(score.dice)
    table = Table(
        'error',
        *('n', 'mean ± std', 'p95', '95 % CI'),
        *('n', 'mean ± std', 'p95', '95 % CI'),
        title=f'{score.frames} frames · all landmarks (left), NCC > {GATE_NCC:g} (right)',
        caption=f'detected {score.errors.detection_rate * 100:.2f} %   '
        f'Dice {overlap.mean:.3f} ± {overlap.std:.3f} (CI {overlap.ci95:.3f})',
    )
    for name, every, gated in table_rows(score):
        cells = [
            cell
            for s in (every, gated)
            for cell in (
                str(s.count),
                f'{s.mean:.2f} ± {s.std:.2f}',
                f'{s.p95:.2f}',
                f'± {s.ci95:.2f}',
            )
        ]
        table.add_row(name.replace('[', '\\['), *cells)
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
