"""What a topic of the validation page consists of, and its Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure


@dataclass(frozen=True)
class Check:
    """One measured deviation and what it may be.

    Attributes:
        what: the deviation in words.
        measured: its value.
        limit: greatest value that passes.
        unit: of both.
    """

    what: str
    measured: float
    limit: float
    unit: str = '%'

    @property
    def passed(self) -> bool:
        """Whether the deviation is within its limit; NaN is not."""
        return self.measured <= self.limit

    @property
    def cells(self) -> tuple[str, ...]:
        """Deviation, limit and verdict as text."""
        measured, limit = (f'{value:.2g} {self.unit}' for value in (self.measured, self.limit))
        return measured.strip(), limit.strip(), 'pass' if self.passed else '**fail**'


@dataclass(frozen=True)
class Table:
    """Rows of text under headings."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """Return the table as Markdown, numbers to the right."""
        ends = ('| --- |', ' ---: |')
        rule = ends[0] + ends[1] * (len(self.headings) - 1)
        rows = (self.headings, *self.rows)
        lines = [f'| {" | ".join(row)} |' for row in rows]
        return '\n'.join([lines[0], rule, *lines[1:]])


@dataclass(frozen=True)
class Plot:
    """A figure, the name of its file and what it shows."""

    name: str
    figure: Figure
    caption: str


@dataclass(frozen=True)
class Section:
    """One topic.

    Attributes:
        title: heading.
        method: Markdown: what was done, and against what.
        checks: deviations with limits.
        tables: further numbers.
        plots: figures.
        notes: Markdown below the numbers: what they mean, what was left out.
    """

    title: str
    method: str
    checks: Sequence[Check] = ()
    tables: Sequence[Table] = ()
    plots: Sequence[Plot] = ()
    notes: str = ''

    def markdown(self, folder: str) -> str:
        """Return the section; its plots lie in `folder`."""
        parts = [f'## {self.title}', self.method]
        if self.checks:
            rows = [(check.what, *check.cells) for check in self.checks]
            parts.append(Table(('deviation', 'measured', 'limit', ''), rows).markdown())
        parts += [table.markdown() for table in self.tables]
        parts += [f'![{p.caption}]({folder}/{p.name}.png)' for p in self.plots]
        return '\n\n'.join([*parts, self.notes] if self.notes else parts)
