"""What a run has to reach to pass, and whether it did."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

AT_LEAST = frozenset({'targets_reached', 'detection_rate', 'dice_mean'})
"""Keys where more is better; for every other key the limit is the greatest value that passes."""

GOAL_KEYS = frozenset(
    {'tip_error_median_mm', 'path_rms_mm', 'path_end_error_mm', 'landmark_error_mean_mm'}
)
"""A run passes only if at least one of these was measured and held."""

DEFAULT_LIMITS = {
    'tip_error_median_mm': 1.0,
    'tip_error_p95_mm': 2.0,
    'path_rms_mm': 0.8,
    'detection_rate': 0.98,
    'landmark_error_mean_mm': 1.1,
    'dice_mean': 0.92,
}
REAL_TIME_LIMITS = {'frames_lost': 0.0, 'latency_p50_ms': 50.0, 'latency_p99_ms': 110.0}
"""Added in real time; in simulated time losses and delays are what the scenario asks for."""


@dataclass(frozen=True)
class Check:
    """One value against its limit; `passed` is None when there was nothing to measure."""

    key: str
    value: float | None
    limit: float
    passed: bool | None

    @property
    def rule(self) -> str:
        """Return the limit as people write it."""
        return f'{"≥" if self.key in AT_LEAST else "≤"} {self.limit:g}'


def limits_for(time_mode: str, targets: int, given: Mapping[str, float] | None) -> dict:
    """Return the limits of a run.

    Args:
        time_mode: 'real_time', 'paced', 'lockstep' or '' when not recorded.
        targets: number of targets; all of them have to be reached.
        given: the task's own limits, in place of the defaults.
    """
    limits = dict(DEFAULT_LIMITS if given is None else given)
    if time_mode == 'real_time' and given is None:
        limits |= REAL_TIME_LIMITS
    if targets:
        limits.setdefault('targets_reached', float(targets))
    return limits


def check_limits(values: Mapping[str, float | None], limits: Mapping[str, float]) -> list[Check]:
    """Compare `values`, keyed as in report.json, with `limits`."""
    checks = []
    for key, limit in limits.items():
        value = values.get(key)
        passed = None
        if value is not None and math.isfinite(value):
            passed = value >= limit if key in AT_LEAST else value <= limit
        checks.append(Check(key, value, limit, passed))
    return checks


def all_passed(checks: list[Check]) -> bool:
    """Tell whether no limit was broken and at least one that scores the run was held."""
    judged = any(check.passed for check in checks if check.key in GOAL_KEYS)
    return judged and all(check.passed is not False for check in checks)
