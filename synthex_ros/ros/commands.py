"""`synthex up`: run a scenario until Ctrl-C."""

from __future__ import annotations

import argparse
import signal
from typing import Any

_COLOURS = {'sim': 'cyan', 'tracker': 'green', 'control': 'magenta', 'recorder': 'yellow'}


_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def register(subparsers: Any) -> None:
    """Add `up` to the command line."""
    parser = subparsers.add_parser(
        'up',
        help='run the nodes of a scenario, each in its own process',
        description='Run a scenario until Ctrl-C. Overrides: seed:=3 tracker:=ground_truth '
        'sim.latency_s:=0.1 frame_rate_hz:=10',
    )
    parser.add_argument('scenario', nargs='?', default='', help='YAML file or name')
    parser.add_argument('overrides', nargs='*', metavar='key:=value', help='settings to change')
    parser.add_argument(
        '--timeout', type=float, default=300.0, help='longest wait for the nodes to start [s]'
    )
    parser.set_defaults(handler=run_up)


def run_up(args: argparse.Namespace) -> int:
    """Run a scenario; return 0 after Ctrl-C, 1 where a node has failed."""
    from rich.console import Console
    from rich.text import Text

    from synthex_ros.ros.bringup import load_scenario
    from synthex_ros.ros.graph import Graph

    console = Console(highlight=False, soft_wrap=True)

    def show(section: str, line: str) -> None:
        text = Text(f'{section:>8} | ', style=_COLOURS.get(section, ''))
        console.print(text + Text(line))

    scenario, overrides = args.scenario, list(args.overrides)
    if ':=' in scenario:
        scenario, overrides = '', [scenario, *overrides]
    for number in _STOP_SIGNALS:
        signal.signal(number, _interrupt_once)
    try:
        loaded = load_scenario(scenario, overrides)
        with Graph(loaded.nodes(), loaded.settings['domain_id'], sink=show) as graph:
            graph.wait_active(args.timeout)
            console.print(
                f'{len(graph.nodes)} nodes active on domain {graph.domain_id}, Ctrl-C ends'
            )
            return _watch(graph, console)
    except KeyboardInterrupt:
        console.print('stopped')
        return 0


def _interrupt_once(_number: int, _frame: Any) -> None:
    """Begin to stop; another Ctrl-C must not leave nodes behind (stopping ends by itself)."""
    for number in _STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _watch(graph: Any, console: Any) -> int:
    reported: dict[str, int] = {}
    while True:
        ended = graph.wait(0.2)
        for section in ended.keys() - reported.keys():
            console.print(f'[red]{section} ended with code {ended[section]}; the rest goes on')
        reported |= ended
        if 'sim' in ended or len(ended) == len(graph.nodes):
            return int(any(reported.values()))
