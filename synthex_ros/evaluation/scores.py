"""From the arrays of a run to its scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthex_ros.evaluation.goals import GoalScore, TargetRules, score_goals
from synthex_ros.evaluation.metrics import (
    Array,
    LandmarkErrors,
    count_lost,
    landmark_errors,
)
from synthex_ros.evaluation.run_data import RunData


@dataclass(frozen=True)
class RunScores:
    """Scores of a run; parts that the bag does not allow are None, with the reason in `notes`.

    Attributes:
        goals: targets and path against the true tip.
        landmark_stamps_ns: frames that `landmarks` compares [ns].
        landmarks: found against true landmarks.
        track_error_m: measured against true tip [m] at `track_stamps_ns`.
        track_stamps_ns: stamps of `track_error_m` [ns].
        latency_s: exposure to command [s], one a command.
        frames: exposures whose image was recorded.
        frames_lost: exposures that are missing, by frame index; None without indices.
        air_kerma_gy: sum over the recorded exposures [Gy]; None without values.
        notes: what could not be scored, and why.
    """

    goals: GoalScore | None
    landmark_stamps_ns: NDArray[np.int64]
    landmarks: LandmarkErrors | None
    track_stamps_ns: NDArray[np.int64]
    track_error_m: Array
    latency_s: Array
    frames: int
    frames_lost: int | None
    air_kerma_gy: float | None
    notes: list[str]


def score_run(run: RunData, rules: TargetRules) -> RunScores:
    """Compute every score that the bag allows."""
    notes: list[str] = []
    stamps, landmarks = _landmarks(run, notes)
    tips = run.tip.at(run.truth_tip.stamps_ns)
    error = np.linalg.norm(tips - run.truth_tip.values, axis=1)
    known = np.isfinite(error)
    return RunScores(
        goals=_goals(run, rules, notes),
        landmark_stamps_ns=stamps,
        landmarks=landmarks,
        track_stamps_ns=run.truth_tip.stamps_ns[known],
        track_error_m=error[known],
        latency_s=np.asarray(run.commands.log_ns - run.commands.stamps_ns, float) * 1e-9,
        frames=len(run.frames),
        frames_lost=_lost(run, notes),
        air_kerma_gy=_air_kerma(run, notes),
        notes=notes,
    )


def _goals(run: RunData, rules: TargetRules, notes: list[str]) -> GoalScore | None:
    if not run.goals:
        notes.append('no goals: control/target and control/path are empty or were not recorded')
        return None
    if len(run.truth_tip) == 0:
        notes.append('goals are not scored: sim/ground_truth/tip was not recorded')
        return None
    usable = [goal for goal in run.goals if goal.frame == run.truth_tip.frame]
    if len(usable) < len(run.goals):
        notes.append(
            f'{len(run.goals) - len(usable)} goals are in another frame than the truth '
            f'({run.truth_tip.frame!r}) and are not scored'
        )
    if not usable:
        return None
    return score_goals(usable, run.truth_tip.stamps_ns, run.truth_tip.values, rules)


def _landmarks(run: RunData, notes: list[str]) -> tuple[NDArray[np.int64], LandmarkErrors | None]:
    """Score every delivered frame from the tracker's first answer on, answered or not."""
    truth, geometry = run.truth_landmarks, run.geometry()
    missing = [
        name
        for name, absent in (
            ('tracker/landmarks', len(run.landmarks) == 0),
            ('sim/ground_truth/landmarks', len(truth) == 0),
            ('carm/camera_info or carm/exposure', geometry is None),
        )
        if absent
    ]
    if missing or geometry is None:
        notes.append(f'landmarks are not scored: {", ".join(missing)} not recorded')
        return np.empty(0, np.int64), None
    keep = truth.stamps_ns >= run.landmarks.stamps_ns[0]
    if len(run.frames):
        keep &= np.isin(truth.stamps_ns, run.frames.stamps_ns)
    stamps, expected = truth.stamps_ns[keep], truth.values[keep, :, :2]
    found = np.full((*expected.shape[:2], 3), np.nan)
    count = min(found.shape[1], run.landmarks.values.shape[1])
    found[:, :count] = run.landmarks.at(stamps)[:, :count]
    errors = landmark_errors(
        found,
        expected,
        geometry.pixel_pitch_m[1],
        _magnification(run, stamps),
        geometry.shape_px,
        run.score_gate,
    )
    return stamps, errors


def _magnification(run: RunData, stamps_ns: NDArray[np.int64]) -> Array:
    """Return the magnification at the tip's depth, NaN where the tip is not known."""
    tips = run.truth_tip.at(stamps_ns)
    result = np.full(len(stamps_ns), np.nan)
    for index, (stamp, tip) in enumerate(zip(stamps_ns, tips, strict=True)):
        view = run.view(int(stamp))
        if view is not None and np.all(np.isfinite(tip)):
            result[index] = view.geometry.magnification(float(view.to_source(tip)[2]))
    return result


def _lost(run: RunData, notes: list[str]) -> int | None:
    """Count exposures that are missing in the indices, and those whose image is missing."""
    index = run.exposure('frame_index')
    known = np.isfinite(index)
    if not known.any():
        notes.append('lost frames are not counted: carm/exposure has no frame_index')
        return None
    without_image = 0
    if len(run.frames):
        stamps = run.exposures.stamps_ns
        recorded = (stamps >= run.frames.stamps_ns[0]) & (stamps <= run.frames.stamps_ns[-1])
        without_image = int(np.sum(recorded & ~np.isin(stamps, run.frames.stamps_ns)))
    return count_lost(index[known]) + without_image


def _air_kerma(run: RunData, notes: list[str]) -> float | None:
    kerma = run.exposure('air_kerma_gy')
    if not np.isfinite(kerma).any():
        notes.append('dose is not summed: carm/exposure has no air_kerma_gy')
        return None
    return float(np.nansum(kerma))
