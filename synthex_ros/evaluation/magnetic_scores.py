"""Results of the magnetic tasks: what a seed gave, what all seeds gave, and against what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class SeedResult:
    """What one seed of a task gave.

    Attributes:
        seed: the seed.
        case: which device, flow or target.
        values: measured numbers by name.
        failures: which limits were missed, in words; empty if the seed passed.
        answers_ms: processor time of every answer of controller and allocation [ms].
    """

    seed: int
    case: str
    values: dict[str, float]
    failures: tuple[str, ...]
    answers_ms: tuple[float, ...]

    @property
    def answer_p99_ms(self) -> float:
        """99th percentile of the answers' times [ms]."""
        return statistic(self.answers_ms, 'p99')


@dataclass(frozen=True)
class Wanted:
    """A number that a task wants.

    Attributes:
        key: of a value of `SeedResult`.
        limit: greatest value, or least with `at_least`.
        statistic: 'p95', 'max', 'min', 'median', 'mean' over the seeds.
        at_least: whether `limit` is the least value.
        case: of these cases only; '' for all.
        peer: what others report, in words.
    """

    key: str
    limit: float
    statistic: str = 'p95'
    at_least: bool = False
    case: str = ''
    peer: str = ''


@dataclass(frozen=True)
class TaskResult:
    """All seeds of a task.

    Attributes:
        name: of the task.
        title: one line for people.
        seeds: results by seed and case.
        wanted: what is wanted.
    """

    name: str
    title: str
    seeds: tuple[SeedResult, ...]
    wanted: tuple[Wanted, ...] = field(default=())

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for every wanted number: measured, limit, passed, peer."""
        rows = []
        for want in self.wanted:
            values = [
                s.values[want.key]
                for s in self.seeds
                if want.key in s.values and s.case.startswith(want.case)
            ]
            measured = statistic(values, want.statistic)
            passed = measured >= want.limit if want.at_least else measured <= want.limit
            rows.append(
                {
                    'what': f'{want.case} {want.key}'.strip(),
                    'statistic': want.statistic,
                    'measured': round(measured, 4),
                    'median': round(statistic(values, 'median'), 4),
                    'wanted': f'{">=" if want.at_least else "<="} {want.limit:g}',
                    'passed': bool(passed),
                    'peer': want.peer,
                }
            )
        answers_ms = [ms for s in self.seeds for ms in s.answers_ms]
        slow_ms = statistic(answers_ms, 'p99')
        slowest_ms = statistic([s.answer_p99_ms for s in self.seeds], 'max')
        rows.append(
            {
                'what': 'controller + allocation [ms]',
                'statistic': 'p99 of all answers',
                'measured': round(slow_ms, 3),
                'median': round(statistic(answers_ms, 'median'), 3),
                'wanted': '<= 5',
                'passed': slow_ms <= 5,
                'peer': f'(slowest run: {slowest_ms:.1f})',
            }
        )
        return rows

    @property
    def failed(self) -> list[SeedResult]:
        """Seeds that missed a limit."""
        return [result for result in self.seeds if result.failures]

    @property
    def passed(self) -> bool:
        """Whether every wanted number was reached."""
        return all(row['passed'] for row in self.rows())

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, ready for JSON."""
        return {
            'task': self.name,
            'title': self.title,
            'passed': self.passed,
            'rows': self.rows(),
            'failed_seeds': [
                {'seed': s.seed, 'case': s.case, 'failures': list(s.failures)} for s in self.failed
            ],
            'seeds': [
                {
                    'seed': s.seed, 'case': s.case, 'answer_p99_ms': round(s.answer_p99_ms, 3),
                    **{key: round(value, 5) for key, value in s.values.items()},
                }
                for s in self.seeds
            ],
        }  # fmt: skip


def statistic(values: Sequence[float], name: str) -> float:
    """Return 'p95', 'p99', 'max', 'min', 'median' or 'mean' of values; NaN without any."""
    if not len(values):
        return float('nan')
    parts = {'min': 0.0, 'median': 50.0, 'p95': 95.0, 'p99': 99.0, 'max': 100.0}
    return float(np.mean(values) if name == 'mean' else np.percentile(values, parts[name]))
