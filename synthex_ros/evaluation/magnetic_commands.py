"""`synthex evaluate task MG-n`: the magnetic tasks, their table and their JSON."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from synthex_ros.evaluation.magnetic_scores import TaskResult


def run_magnetic(args: argparse.Namespace) -> int:
    """Run a magnetic task, print its table, write `report.json`; return 0 when it passed.

    Raises:
        ValueError: settings were given, which these tasks do not take.
    """
    from rich.console import Console
    from rich.progress import Progress

    from synthex_ros.evaluation.magnetic_tasks import run_magnetic_task

    if args.overrides:
        raise ValueError(f'{args.name} takes --seeds and --out alone, got {args.overrides}')
    console = Console(highlight=False, soft_wrap=True)
    started_s = time.monotonic()
    with Progress(console=console, transient=True) as progress:
        job = progress.add_task(f'{args.name}, seeds', total=args.seeds)
        result = run_magnetic_task(
            args.name, args.seeds, args.processes, lambda: progress.advance(job)
        )
    out = args.out or Path('out') / args.name
    out.mkdir(parents=True, exist_ok=True)
    report = out / 'report.json'
    report.write_text(json.dumps(result.to_dict(), indent=1), encoding='utf-8')
    console.print(magnetic_table(result))
    for failed in result.failed:
        console.print(f'seed {failed.seed} ({failed.case}): {"; ".join(failed.failures)}')
    verdict = '[green]passed' if result.passed else '[red]not passed'
    console.print(f'{verdict}[/] in {time.monotonic() - started_s:.0f} s; report: {report}')
    return 0 if result.passed else 1


def magnetic_table(result: TaskResult) -> Any:
    """Return measured and wanted numbers as a rich table."""
    from rich.table import Table

    runs, failed = len(result.seeds), len(result.failed)
    table = Table(
        *('what', 'over the seeds', 'measured', 'median', 'wanted', 'passed', 'others report'),
        title=f'{result.name}: {result.title}',
        caption=f'{runs} runs, {failed} of them missed a limit of their own',
    )
    for row in result.rows():
        passed = '[green]yes' if row['passed'] else '[red]no'
        table.add_row(
            row['what'], row['statistic'], f'{row["measured"]:g}', f'{row["median"]:g}',
            row['wanted'], passed, row['peer'],
        )  # fmt: skip
    return table
