"""The page and its plots, written from sections."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmark.validation.section import Section, Table

NAME = 'xray_validation'
COMMAND = '.venv/bin/python -m benchmark.validation'


def write(sections: Sequence[Section], out: Path, quick: bool) -> Path:
    """Write the page and its plots to a folder and return the page's path."""
    folder = out / NAME
    folder.mkdir(parents=True, exist_ok=True)
    for plot in (plot for section in sections for plot in section.plots):
        plot.figure.savefig(folder / f'{plot.name}.png', metadata={'Software': None})
    page = out / f'{NAME}.md'
    parts = [_opening(sections, quick), *(section.markdown(NAME) for section in sections)]
    page.write_text('\n\n'.join(parts) + '\n', encoding='utf-8')
    return page


def _opening(sections: Sequence[Section], quick: bool) -> str:
    checks = [check for section in sections for check in section.checks]
    passed = sum(check.passed for check in checks)
    command = f'{COMMAND} --quick' if quick else COMMAND
    rows = [
        (f'[{section.title}](#{_anchor(section.title)})', check.what, *check.cells)
        for section in sections
        for check in section.checks
    ]
    table = Table(('topic', 'deviation', 'measured', 'limit', ''), rows).markdown()
    text = (
        f'# Validation of the X-ray engine\n\nMade by `{command}`; do not edit. '
        f'{passed} of {len(checks)} deviations are within their limits.\n\n'
        'Every topic says how it was measured, what it is compared with and how far the two are '
        'apart; all randomness is seeded. What depends on the time of day or the machine (speed) '
        'is in `benchmark/README.md`.'
    )
    return f'{text}\n\n{table}'


def _anchor(title: str) -> str:
    kept = ''.join(c for c in title.lower() if c.isalnum() or c in ' -')
    return kept.replace(' ', '-')
