"""What the tip was asked to do, and how well the true tip did it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthex_ros.evaluation.metrics import Array, distance_to_polyline, interpolate, rms

Stamps = NDArray[np.int64]


@dataclass(frozen=True)
class TargetGoal:
    """A tip position asked for from a time on.

    Attributes:
        active_ns: stamp from which it holds [ns].
        point_m: position [m], shape (3,).
        frame: frame of `point_m`.
    """

    active_ns: int
    point_m: Array
    frame: str = 'world'


@dataclass(frozen=True)
class PathGoal:
    """A path asked for from a time on.

    Attributes:
        active_ns: stamp from which it holds [ns].
        stamps_ns: time of each point [ns], shape (N,); None for a path without times.
        points_m: positions [m], shape (N, 3).
        frame: frame of `points_m`.
    """

    active_ns: int
    stamps_ns: Stamps | None
    points_m: Array
    frame: str = 'world'


Goal = TargetGoal | PathGoal


@dataclass(frozen=True)
class TargetRules:
    """When a target counts as reached.

    Attributes:
        tolerance_m: error at which a target is reached [m].
        dwell_s: time allowed [s].
        final_s: length of the mean at the end that is the final error [s].
        settle_s: time skipped at the start of a path [s].
    """

    tolerance_m: float = 1.5e-3
    dwell_s: float = 4.0
    final_s: float = 0.5
    settle_s: float = 1.5

    def __post_init__(self):
        if not 0 < self.tolerance_m < 0.1:
            raise ValueError(f'tolerance_m must be 0..0.1 m, got {self.tolerance_m:g}')
        if not 0 < self.final_s <= self.dwell_s:
            raise ValueError(f'final_s must be 0..dwell_s, got {self.final_s:g}')


@dataclass(frozen=True)
class TargetResult:
    """How one target went.

    Attributes:
        goal: what was asked.
        start_error_m: error when it became active [m].
        final_error_m: mean error at the end [m]; NaN without truth there.
        reached: the error fell to the tolerance in time.
        reach_s: time until then [s], or None.
    """

    goal: TargetGoal
    start_error_m: float
    final_error_m: float
    reached: bool
    reach_s: float | None


def goal_spans(goals: Sequence[Goal], end_ns: int) -> list[tuple[Goal, int]]:
    """Return each goal with the stamp [ns] at which the next one or the run ends it, in order."""
    ordered = sorted(goals, key=lambda goal: goal.active_ns)
    ends = [goal.active_ns for goal in ordered[1:]] + [end_ns + 1]
    return [
        (goal, stop) for goal, stop in zip(ordered, ends, strict=True) if goal.active_ns < stop
    ]


def score_target(
    goal: TargetGoal, stop_ns: int, stamps_ns: Stamps, tips_m: Array, rules: TargetRules
) -> TargetResult:
    """Score one target by the true tip [m], shape (N, 3), from its activation to `stop_ns`."""
    stop_ns = min(stop_ns, goal.active_ns + round(rules.dwell_s * 1e9) + 1)
    inside = (stamps_ns >= goal.active_ns) & (stamps_ns < stop_ns)
    error_m = np.linalg.norm(tips_m[inside] - goal.point_m, axis=1)
    times_ns = stamps_ns[inside]
    known = np.isfinite(error_m)
    error_m, times_ns = error_m[known], times_ns[known]
    if error_m.size == 0:
        return TargetResult(goal, float('nan'), float('nan'), False, None)
    hits = np.flatnonzero(error_m <= rules.tolerance_m)
    last = min(stop_ns - 1, int(times_ns[-1]))
    final = error_m[times_ns > last - round(rules.final_s * 1e9)]
    reach_s = float(times_ns[hits[0]] - goal.active_ns) * 1e-9 if hits.size else None
    return TargetResult(goal, float(error_m[0]), float(final.mean()), hits.size > 0, reach_s)


def path_errors(
    goal: PathGoal, stop_ns: int, stamps_ns: Stamps, tips_m: Array, rules: TargetRules
) -> Array:
    """Return the distance of the true tip [m] to the path at each stamp; NaN when not followed.

    A path with times is compared at the same time; one without, by distance to its line.
    """
    start_ns = goal.active_ns
    if goal.stamps_ns is not None:
        start_ns = max(start_ns, int(goal.stamps_ns[0]))
    start_ns += round(rules.settle_s * 1e9)
    inside = (stamps_ns >= start_ns) & (stamps_ns < stop_ns)
    errors = np.full(len(stamps_ns), np.nan)
    if goal.stamps_ns is None:
        errors[inside] = distance_to_polyline(tips_m[inside], goal.points_m)
    else:
        asked = interpolate(goal.stamps_ns, goal.points_m, stamps_ns[inside])
        errors[inside] = np.linalg.norm(tips_m[inside] - asked, axis=1)
    return errors


@dataclass(frozen=True)
class GoalScore:
    """Results of all goals of a run.

    Attributes:
        targets: one result a target, in order.
        reference_m: what was asked at each truth stamp [m], shape (N, 3); NaN when nothing.
        error_m: distance of the true tip to that [m], shape (N,).
        path_rms_m: over all paths, after settling [m]; NaN without a path.
        path_end_m: distance of the tip from the end of the last path, when that was over or the
            run ended [m]; NaN without a path.
    """

    targets: list[TargetResult]
    reference_m: Array
    error_m: Array
    path_rms_m: float
    path_end_m: float = float('nan')


def score_goals(
    goals: Sequence[Goal], stamps_ns: Stamps, tips_m: Array, rules: TargetRules
) -> GoalScore:
    """Score every goal by the true tip [m], shape (N, 3), at `stamps_ns` [ns], shape (N,)."""
    reference = np.full((len(stamps_ns), 3), np.nan)
    targets: list[TargetResult] = []
    followed, path_end_m = [np.empty(0)], float('nan')
    end_ns = int(stamps_ns[-1]) if len(stamps_ns) else 0
    for goal, stop_ns in goal_spans(goals, end_ns):
        inside = (stamps_ns >= goal.active_ns) & (stamps_ns < stop_ns)
        if isinstance(goal, TargetGoal):
            targets.append(score_target(goal, stop_ns, stamps_ns, tips_m, rules))
            reference[inside] = goal.point_m
            continue
        followed.append(path_errors(goal, stop_ns, stamps_ns, tips_m, rules))
        if inside.any():
            path_end_m = float(np.linalg.norm(tips_m[inside][-1] - goal.points_m[-1]))
        if goal.stamps_ns is not None:
            held = np.clip(stamps_ns[inside], goal.stamps_ns[0], goal.stamps_ns[-1])
            reference[inside] = interpolate(goal.stamps_ns, goal.points_m, held)
    error = np.linalg.norm(tips_m - reference, axis=1)
    return GoalScore(targets, reference, error, rms(np.concatenate(followed)), path_end_m)
