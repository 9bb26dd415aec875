"""`synthex demo`: the closed loop on the chest CT, with a report to show."""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthex_ros.evaluation import commands as evaluation


@dataclass(frozen=True)
class Demo:
    """A demo: scenario, task and folder."""

    scenario: str
    task: str
    out: Path


DEMOS = {
    'continuum': Demo('chest_cm.yaml', 'demo', Path('out/demo')),
    'magnetic': Demo('guidewire_in_aorta.yaml', 'aorta', Path('out/demo_magnetic')),
    'droplet': Demo('droplet_coils.yaml', 'flow', Path('out/demo_droplet')),
    'robot': Demo('soft_robot_in_vessel.yaml', 'flow', Path('out/demo_robot')),
}


def register(subparsers: Any) -> None:
    """Add `demo`, and `task` as a subject of `evaluate`, to the command line."""
    evaluation.SUBJECTS['task'] = run_evaluate_task
    parser = subparsers.add_parser(
        'demo',
        help='steer a manipulator in a chest CT and write a report',
        description='Run the closed loop over ROS 2 and write bag, report.html, report.json and '
        'a preview. `demo magnetic` steers a magnetic guidewire through the aorta, `demo droplet` '
        'and `demo robot` move a ferrofluid droplet and a soft robot against flow. Overrides: '
        'seed:=3 tracker:=ground_truth sim.latency_s:=0.1',
    )
    parser.add_argument(
        'overrides', nargs='*', metavar='continuum|magnetic|droplet|robot|key:=value',
        help='which demo, and settings to change',
    )  # fmt: skip
    parser.add_argument('--scenario', default='', help='YAML file or name')
    parser.add_argument('--task', default='', help='demo, CM-1, CM-2, aorta or flow')
    parser.add_argument('--out', type=Path, help='folder to write (default out/demo...)')
    parser.add_argument('--verbose', action='store_true', help='show what the nodes print')
    parser.set_defaults(handler=run_demo)


def run_demo(args: argparse.Namespace) -> int:
    """Run the demo; return 0 when the report passed, 1 when a limit was broken.

    Raises:
        ValueError: there is no such demo.
    """
    which, overrides = 'continuum', list(args.overrides)
    if overrides and ':=' not in overrides[0]:
        which = overrides.pop(0)
    if which not in DEMOS:
        raise ValueError(f'demo must be one of {", ".join(DEMOS)}, got {which!r}')
    demo = DEMOS[which]
    return run_task(
        args.task or demo.task,
        args.out or demo.out,
        args.scenario or demo.scenario,
        overrides,
        args.verbose,
    )


def run_evaluate_task(args: argparse.Namespace) -> int:
    """Run `synthex evaluate task NAME`; return 0 when the report passed."""
    if args.name is None:
        raise ValueError('usage: synthex evaluate task CM-1|CM-2|MG-1..MG-5 [--out DIR]')
    if args.name.startswith('MG-'):
        from synthex_ros.evaluation.magnetic_commands import run_magnetic

        return run_magnetic(args)
    out = args.out or Path('out') / args.name
    return run_task(args.name, out, 'chest_cm.yaml', args.overrides, verbose=False)


def run_task(name: str, out: Path, scenario: str, overrides: list[str], verbose: bool) -> int:
    """Run a task, write its report into `out` and print the table; return 0 when it passed."""
    from rich.console import Console
    from rich.text import Text

    from synthex_ros.evaluation.commands import summary_table
    from synthex_ros.ros import task_run
    from synthex_ros.ros.transport import ensure_transport

    ensure_transport()
    console = Console(highlight=False, soft_wrap=True)
    started_s = time.monotonic()
    _fetch_if_needed(scenario, overrides, console)
    with console.status('reading the CT'):
        run = task_run.prepare(name, out, scenario, overrides)

    def log(section: str, line: str) -> None:
        if verbose or any(word in line for word in ('[ERROR]', '[FATAL]')):
            console.print(Text(f'{section:>8} | {line}', style='dim'))

    _execute(run, console, log)
    with console.status('evaluating the bag'):
        report = task_run.score(run, out)
    console.print(summary_table(report))
    for note in report.values['notes']:
        console.print(f'[dim]note: {note}')
    console.print(f'report: {out / "report.html"}', markup=False)
    console.print(f'preview: {out / "preview.webp"}', markup=False)
    passed = bool(report.values['passed'])
    verdict = '[green]passed' if passed else '[red]not passed'
    console.print(f'{verdict}[/] in {time.monotonic() - started_s:.0f} s')
    return 0 if passed else 1


def _fetch_if_needed(scenario: str, overrides: list[str], console: Any) -> None:
    from synthex_ros.anatomy.fetch import fetch_sample
    from synthex_ros.ros import task_run
    from synthex_ros.ros.bringup import load_scenario

    anatomy = load_scenario(scenario, overrides).node('sim').parameters['anatomy']
    if task_run.need_sample(anatomy):
        with console.status(f'fetching the {anatomy} CT'):
            fetch_sample(anatomy)


def _execute(run: Any, console: Any, log: Any) -> None:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from synthex_ros.ros import task_run

    columns = (
        TextColumn('{task.description}'),
        BarColumn(),
        TextColumn('{task.completed:.1f}/{task.total:.1f} s simulated'),
        TextColumn('tip to goal {task.fields[error]}'),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as bar:
        job = bar.add_task('starting', total=run.task.duration_s, error='-')

        def watch(progress: Any) -> None:
            error = progress.error_m * 1e3
            shown = f'{error:5.2f} mm' if error == error else '-'
            bar.update(job, completed=progress.time_s, error=shown)

        task_run.execute(run, watch, lambda text: bar.update(job, description=text), log)
