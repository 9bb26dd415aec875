"""`synthex render`: one radiograph or a cine to a folder."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from synthex_ros.rendering.request import RenderSettings

SHORT = {
    'tube_voltage_kv': '--kv',
    'charge_mas': '--mas',
    'detector_kerma_ngy': '--auto-exposure',
    'frame_rate_hz': '--fps',
    'formats': '--format',
    'field_px': '--field',
    'lao_deg': '--lao',
    'cran_deg': '--cran',
}
"""Second names of settings on the command line."""


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add the sub-command `render`."""
    parser = subparsers.add_parser(
        'render',
        help='make a radiograph or a cine of a CT',
        description='Make a radiograph or a cine of a CT, with masks, landmarks and camera beside '
        'it. Settings come from --config, then from the command line; config/render.yaml holds '
        'them all with their defaults.',
        allow_abbrev=False,
    )
    parser.add_argument('--out', type=Path, required=True, help='folder for the files')
    parser.add_argument('--config', help='YAML file of settings, such as config/render.yaml')
    parser.add_argument('--explain', action='store_true', help='write a picture of every stage')
    parser.add_argument(
        '--rao', type=float, dest='rao_deg', default=argparse.SUPPRESS, metavar='RAO_DEG',
        help='RAO; the same as a negative --lao [deg]',
    )  # fmt: skip
    parser.add_argument(
        '--caud', type=float, dest='caud_deg', default=argparse.SUPPRESS, metavar='CAUD_DEG',
        help='CAUD; the same as a negative --cran [deg]',
    )  # fmt: skip
    for item in dataclasses.fields(RenderSettings):
        _add(parser, item)
    parser.set_defaults(handler=run_render)


def _add(parser: argparse.ArgumentParser, item: dataclasses.Field) -> None:
    """Add the option of one setting; what is not given leaves no trace in the result."""
    options: dict[str, Any] = {'default': argparse.SUPPRESS, 'help': _help(item)}
    if isinstance(item.default, tuple):
        is_text = item.metadata.get('sizes') is None
        kind = str if is_text else (int if item.name.endswith('_px') else float)
        options |= {'nargs': '*', 'type': kind}
    elif isinstance(item.default, bool):
        options['action'] = argparse.BooleanOptionalAction
    else:
        options['type'] = type(item.default)
    if item.name == 'anatomy':
        parser.add_argument('anatomy', nargs='?', **options)
        return
    names = ['--' + item.name.replace('_', '-')]
    if item.name in SHORT:
        names.insert(0, SHORT[item.name])
    parser.add_argument(*names, dest=item.name, **options)


def _help(item: dataclasses.Field) -> str:
    default = item.default
    shown = ' '.join(map(str, default)) if isinstance(default, tuple) else default
    if isinstance(default, bool):
        shown = 'on' if default else 'off'
    return f'{item.metadata["doc"]} (default {shown if shown != "" else "none"})'


def run_render(args: argparse.Namespace) -> int:
    """Render what the settings say, and name the files.

    Raises:
        ValueError, OSError: a setting, the CT, the device or the folder is not fit for use.
    """
    from rich.console import Console

    settings = settings_of(args)
    from synthex_ros.rendering.studio import Studio
    from synthex_ros.rendering.writers import FrameWriter, check_folder

    check_folder(args.out)
    console = Console(highlight=False, soft_wrap=True)
    with console.status(f'reading {settings.anatomy}'):
        studio = Studio(settings)
    writer = FrameWriter(args.out, settings)
    files: list[Path] = []
    with console.status('rendering') as status:
        for frame in studio.frames():
            status.update(f'frame {frame.index + 1} of {settings.frames}')
            writer.add(frame)
            if args.explain and frame.index == 0:
                files += _explain_first(studio, frame, args.out)
        files += writer.finish()
    names = [path.name for path in files]
    shown = ', '.join(names if len(names) <= 12 else [*names[:5], '...', *names[-2:]])
    console.print(f'{args.out}: {len(names)} files: {shown}')
    return 0


def settings_of(args: argparse.Namespace) -> RenderSettings:
    """Return the settings of a command line: the file's, with the options' on top."""
    from synthex_ros.settings import load_settings

    names = [item.name for item in dataclasses.fields(RenderSettings)]
    given = {name: getattr(args, name) for name in names if hasattr(args, name)}
    for opposite, name in (('rao_deg', 'lao_deg'), ('caud_deg', 'cran_deg')):
        if hasattr(args, opposite):
            if name in given:
                raise ValueError(f'give either {name} or {opposite}, not both')
            given[name] = -getattr(args, opposite)
    return load_settings(RenderSettings, _config(args.config)).with_(**given)


def _config(name: str | None) -> Path | None:
    from synthex_ros import resources

    return None if name is None else resources.find('config', name)


def _explain_first(studio: Any, frame: Any, folder: Path) -> list[Path]:
    from synthex_ros.rendering.explain import explain

    seed = (studio.settings.seed + 1) % 2**31
    other = next(studio.with_(seed=seed).frames())
    return explain(frame, other.counts, folder)
