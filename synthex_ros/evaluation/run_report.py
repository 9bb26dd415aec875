"""The report of a run as numbers: `report.json`, a contract that other tools read."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from synthex_ros.evaluation.bag_reader import BagReader
from synthex_ros.evaluation.errors import BagError
from synthex_ros.evaluation.goals import TargetRules
from synthex_ros.evaluation.limits import Check, all_passed, check_limits, limits_for
from synthex_ros.evaluation.metrics import percentile, summarize
from synthex_ros.evaluation.run_data import RunData, load_run
from synthex_ros.evaluation.scores import RunScores, score_run

HASH_KEYS = ('config', 'ct', 'model')


@dataclass(frozen=True)
class RunReport:
    """A scored run.

    Attributes:
        data: arrays of the bag.
        scores: scores of the arrays.
        values: content of report.json.
        checks: every limit with its value.
        rules: when a target counts as reached.
    """

    data: RunData
    scores: RunScores
    values: dict[str, Any]
    checks: list[Check]
    rules: TargetRules


def report_run(bag: BagReader, rules: TargetRules | None = None) -> RunReport:
    """Score a bag.

    Raises:
        BagError: the bag holds no message of the interface at all.
    """
    rules = rules or TargetRules()
    data = load_run(bag)
    if not any((len(data.frames), len(data.truth_tip), len(data.commands), len(data.landmarks))):
        listed = ', '.join(sorted(bag.topics)) or 'no topics'
        raise BagError(
            f'{bag.path} holds nothing to evaluate: no frames, tip or commands; {listed}'
        )
    scores = score_run(data, rules)
    numbers = _numbers(data, scores)
    limits = limits_for(
        data.custom.get('time_mode', ''), int(numbers['targets'] or 0), _given_limits(data)
    )
    checks = check_limits(numbers, limits)
    values = {
        **numbers,
        'passed': all_passed(checks),
        'limits': limits,
        'time_mode': data.custom.get('time_mode'),
        'task': data.custom.get('task'),
        'versions': _mapping(data.custom.get('versions')) | {'evaluated_with': _own_version()},
        'hashes': {key: data.custom.get(f'{key}_sha256') or None for key in HASH_KEYS},
        'git_revision': data.custom.get('git_revision') or None,
        'notes': scores.notes + _repair_notes(bag),
    }
    return RunReport(data, scores, values, checks, rules)


def write_json(values: dict[str, Any], path: Path) -> None:
    """Write `report.json`; numbers are finite or null."""
    path.write_text(
        json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + '\n', encoding='utf-8'
    )


def _numbers(data: RunData, scores: RunScores) -> dict[str, float | None]:
    """Return the flat numbers of report.json; what does not apply is None."""
    goals, landmarks = scores.goals, scores.landmarks
    targets = goals.targets if goals is not None else []
    final_mm = np.array([target.final_error_m for target in targets]) * 1e3
    errors_mm = landmarks.detector_mm if landmarks is not None else np.empty(0)
    gated_mm = landmarks.gated(errors_mm) if landmarks is not None else np.empty(0)
    object_mm = landmarks.object_mm if landmarks is not None else np.empty(0)
    latency_ms = scores.latency_s * 1e3
    kerma = scores.air_kerma_gy
    numbers = {
        'tip_error_median_mm': percentile(final_mm, 50),
        'tip_error_p95_mm': percentile(final_mm, 95),
        'targets': len(targets) if goals is not None else None,
        'targets_reached': sum(t.reached for t in targets) if goals is not None else None,
        'path_rms_mm': goals.path_rms_m * 1e3 if goals is not None else None,
        'path_end_error_mm': goals.path_end_m * 1e3 if goals is not None else None,
        'detection_rate': landmarks.detection_rate if landmarks is not None else None,
        'landmark_error_mean_mm': summarize(errors_mm).mean,
        'landmark_error_p95_mm': summarize(errors_mm).p95,
        'landmark_error_gated_mean_mm': summarize(gated_mm).mean,
        'landmark_error_object_mean_mm': summarize(object_mm).mean,
        'dice_mean': summarize(data.dice.values).mean,
        'tracking_error_median_mm': percentile(scores.track_error_m * 1e3, 50),
        'tracking_error_p95_mm': percentile(scores.track_error_m * 1e3, 95),
        'frames': scores.frames,
        'frames_lost': scores.frames_lost,
        'latency_p50_ms': percentile(latency_ms, 50),
        'latency_p99_ms': percentile(latency_ms, 99),
        'air_kerma_mgy': None if kerma is None else kerma * 1e3,
        'seed': _seed(data),
        'duration_s': _duration_s(data),
    }
    return {key: _finite(value) for key, value in numbers.items()}


def _finite(value: float | None) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return int(value) if isinstance(value, (int, np.integer)) else round(float(value), 6)


def _duration_s(data: RunData) -> float:
    """Return the time from the first to the last stamp of frames, truth and commands [s]."""
    tracks = (data.frames, data.truth_tip, data.commands)
    stamps = np.concatenate([track.stamps_ns for track in tracks])
    return float(stamps.max() - stamps.min()) * 1e-9 if len(stamps) else float('nan')


def _seed(data: RunData) -> float | None:
    try:
        return int(data.custom['seed'])
    except (KeyError, ValueError):
        return None


def _given_limits(data: RunData) -> dict[str, float] | None:
    given = _mapping(data.custom.get('limits'))
    return {key: float(value) for key, value in given.items()} or None


def _mapping(text: str | None) -> dict[str, Any]:
    """Return a JSON object that a recorder stored as text; anything else is empty."""
    try:
        value = json.loads(text or '{}')
    except json.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _own_version() -> str:
    try:
        return version('synthex_ros')
    except PackageNotFoundError:
        return 'not installed'


def _repair_notes(bag: BagReader) -> list[str]:
    if bag.repair is None:
        return []
    return [f'the bag was torn and has been repaired: {bag.repair.messages} messages kept']
