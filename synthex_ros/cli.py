"""`synthex`: one command; each part of the library adds its own sub-commands."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
from collections.abc import Sequence
from typing import Any

from synthex_ros import __version__
from synthex_ros.errors import SynthexError

COMMAND_MODULES = (
    'synthex_ros.ros.demo',
    'synthex_ros.ros.commands',
    'synthex_ros.ros.target_command',
    'synthex_ros.anatomy.commands',
    'synthex_ros.xray.material_commands',
    'synthex_ros.rendering.commands',
    'synthex_ros.navigation.commands',
    'synthex_ros.learning.commands',
    'synthex_ros.learning.tiny_commands',
    'synthex_ros.evaluation.commands',
)
"""Modules with `register(subparsers)`; they import what they need inside their handlers."""


class Parser(argparse.ArgumentParser):
    """A parser that takes words and options in any order: `demo magnetic --out DIR seed:=3`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_order = False

    def add_subparsers(self, **kwargs: Any) -> Any:
        """Add sub-commands; what comes before and after them stays in order."""
        self._in_order = True
        return super().add_subparsers(**kwargs)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse options first, then all words together; argparse would take the words in parts."""
        if self._in_order:
            return super().parse_known_args(args, namespace)
        self._in_order = True  # until Python 3.12, the intermixed parser calls this method
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._in_order = False


def build_parser() -> argparse.ArgumentParser:
    """Return the parser with the sub-commands of every part that is installed."""
    parser = Parser(
        prog='synthex', description='Closed-loop X-ray guidance on ROS 2. Research software.'
    )
    parser.add_argument('--version', action='version', version=f'synthex_ros {__version__}')
    parser.add_argument('--debug', action='store_true', help='show the traceback of an error')
    subparsers = parser.add_subparsers(dest='command', metavar='command', required=True)
    for name in COMMAND_MODULES:
        if importlib.util.find_spec(name) is not None:
            importlib.import_module(name).register(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one sub-command.

    Args:
        argv: command line without the program name; default `sys.argv[1:]`.

    Returns:
        The sub-command's exit code; 2 for an error of the user's, 130 for Ctrl-C.
    """
    args = build_parser().parse_args(argv)
    try:
        return int(args.handler(args) or 0)
    except (SynthexError, ValueError, OSError) as error:
        if args.debug:
            raise
        from rich.console import Console
        from rich.text import Text

        text = Text(f'synthex {args.command}: ', style='bold red') + Text(str(error))
        Console(stderr=True, highlight=False, soft_wrap=True).print(text)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == '__main__':
    sys.exit(main())
