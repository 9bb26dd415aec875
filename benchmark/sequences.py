"""Tracking through time: sequences with 30 % hidden frames, lost tracks and recovery.

    python benchmark/sequences.py [--frames 360] [--points 40] [--hidden 0.3] [--model FILE]
                                   [--json FILE]

First points in the image: rest, steady motion, swings and stop-and-go at 15 frames/s, noise of
1 px, 2 % outliers of 50 px, frames hidden in spells of 3 to 12. Each motion model filters all of
them. Then rendered frames: a manipulator in the chest CT that a steel plate hides now and then,
tracked by the shipped network as in tracker_node, by whole frames and by regions.

Printed: root mean square errors of the filtered point and of one predicted 100 ms ahead (a
loop's latency), mean normalised squared error (2 for honest covariances in 2 dimensions), how many
re-appearances found the track again, and after how many frames. A lost track is found by two
measurements that agree: where two of the first three are outliers it is misled, and takes more.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from cm_sequence import RATE_HZ, SequenceFrame, hidden_frames, sequence
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from synthex_ros import resources
from synthex_ros.devices.continuum.kinematics import ContinuumKinematics
from synthex_ros.tracking.covariance import mahalanobis_squared
from synthex_ros.tracking.filter import (
    CHI2_2_DOF_999,
    FilterSettings,
    Measurement,
    PointFilter,
)
from synthex_ros.tracking.mixed_motion import MixedMotion
from synthex_ros.tracking.model import TrackerModel
from synthex_ros.tracking.motion import Motion, WhiteAcceleration
from synthex_ros.tracking.pipeline import TipTracker
from synthex_ros.tracking.region import RegionChooser
from synthex_ros.tracking.shape import ShapeFitter

SIGMA_PX = 1.0
OUTLIERS, OUTLIER_PX = 0.02, 50.0
LATENCY_S = 0.1
SLOW_FRAMES = 3
LEAST_COLUMNS = 130
"""Characters a line that the tables need."""
PX_PER_M = 2500.0
"""Pixels of 0.582 mm at a magnification of 1.46."""

MOTIONS: dict[str, Motion] = {
    'velocity': WhiteAcceleration(0.1 * PX_PER_M, 0.03 * PX_PER_M),
    'mixed': MixedMotion().scaled(PX_PER_M),
}
PATHS: dict[str, Callable[[float], tuple[float, float]]] = {
    'rest': lambda t: (200.0, 200.0),
    'steady': lambda t: (100.0 + 12.0 * t, 150.0 + 5.0 * t),
    'swing': lambda t: (250.0 + 40.0 * np.cos(2.5 * t), 250.0 + 40.0 * np.sin(2.5 * t)),
    'stop and go': lambda t: (200.0 + 30.0 * (np.floor(t / 2) + min(t % 2, 1.0)), 200.0),
}


@dataclass
class Score:
    """What is counted over sequences; errors in pixels."""

    errors: list[float] = field(default_factory=list)
    ahead: list[float] = field(default_factory=list)
    normalised: list[float] = field(default_factory=list)
    recovery: list[int] = field(default_factory=list)
    misled: int = 0
    not_recovered: int = 0
    lost_visible: int = 0
    regions: int = 0

    def appeared(
        self, lost: NDArray[np.bool_], hidden: NDArray[np.bool_], outlier: NDArray[np.bool_]
    ) -> None:
        """Count how many frames each re-appearance takes until the track is not lost."""
        starts = np.flatnonzero(hidden[:-1] & ~hidden[1:]) + 1
        for start in starts:
            spell = hidden[start:]
            length = int(np.argmax(spell)) if spell.any() else len(spell)
            found = np.flatnonzero(~lost[start : start + length])
            if len(found):
                self.recovery.append(int(found[0]) + 1)
                first = outlier[start : start + SLOW_FRAMES]
                self.misled += bool(found[0] >= SLOW_FRAMES and (~first).sum() < 2)
            elif length >= 3:
                self.not_recovered += 1

    def plain(self) -> dict[str, float]:
        """Return the numbers."""
        return {
            'rmse_px': float(np.sqrt(np.mean(np.square(self.errors)))),
            'p95_px': float(np.percentile(self.errors, 95)),
            'ahead_rmse_px': float(np.sqrt(np.mean(np.square(self.ahead)))),
            'mean_normalised_squared': float(np.mean(self.normalised)),
            'reappearances': len(self.recovery) + self.not_recovered,
            'not_recovered': self.not_recovered,
            'slow': sum(frames > SLOW_FRAMES for frames in self.recovery),
            'misled': self.misled,
            'recovery_frames_max': max(self.recovery, default=0),
            'recovery_frames_mean': float(np.mean(self.recovery)) if self.recovery else 0.0,
            'frames_in_regions': self.regions,
        }


def score_points(motion: Motion, path, sequences: int, frames: int, hidden_share: float) -> Score:
    """Return the score of a motion model on sequences of one path."""
    score, noise = Score(), SIGMA_PX**2 * np.eye(2)
    for number in range(sequences):
        rng, hidden = np.random.default_rng(number), hidden_frames(frames, hidden_share, number)
        settings = FilterSettings(gate_chi2=CHI2_2_DOF_999, lost_timeout_s=1.0)
        point_filter, lost = PointFilter(settings, motion), np.ones(frames, bool)
        outlier = np.zeros(frames, bool)
        for k in range(frames):
            truth = np.array(path(k / RATE_HZ))
            shift = SIGMA_PX * rng.standard_normal(2)
            outlier[k] = rng.random() < OUTLIERS
            if outlier[k]:
                shift += OUTLIER_PX * np.array([np.cos(k), np.sin(k)])
            seen = None if hidden[k] else truth + shift
            state = point_filter.add(Measurement(k / RATE_HZ, seen, noise, np.zeros((2, 2))))
            if state is None:
                raise RuntimeError('a frame in time was refused')
            lost[k] = state.lost
            if state.lost or hidden[k] or k < 10:
                continue
            error = state.position - truth
            score.errors.append(float(np.linalg.norm(error)))
            score.normalised.append(mahalanobis_squared(error, state.covariance))
            now = k / RATE_HZ + LATENCY_S
            future = point_filter.predict(now).position - np.array(path(now))
            score.ahead.append(float(np.linalg.norm(future)))
        score.appeared(lost, hidden, outlier)
    return score


def score_rendered(
    model: TrackerModel, frames: list[SequenceFrame], motion: Motion, regions: bool
) -> Score:
    """Return the score of the tracker on rendered frames; errors are of the projected tip."""
    chooser = RegionChooser() if regions else None
    fitter, point_filter = ShapeFitter(ContinuumKinematics()), PointFilter(motion=motion)
    tracker = TipTracker(model, fitter, point_filter, regions=chooser)
    score, lost = Score(), np.ones(len(frames), bool)
    for k, seen in enumerate(frames):
        result = tracker.track(seen.frame)
        lost[k] = result.lost
        score.regions += result.region is not None
        if result.world_from_tip is None or seen.hidden:
            continue
        tip = result.world_from_tip[:3, 3]
        error = seen.frame.view.project(tip) - seen.landmarks_px[1]
        score.errors.append(float(np.linalg.norm(error)))
        score.ahead.append(float(np.linalg.norm(error)))
        away = tip - seen.tip_world_m
        score.normalised.append(mahalanobis_squared(away, result.covariance_m2))
    hidden = np.array([seen.hidden for seen in frames])
    score.appeared(lost, hidden, np.zeros(len(frames), bool))
    return score


def table_of(title: str, rows: dict[str, dict[str, float]], columns: dict[str, str]) -> Table:
    """Return a table of some numbers of each row."""
    table = Table(title=title)
    table.add_column('sequence', no_wrap=True)
    for heading in columns.values():
        table.add_column(heading, justify='right')
    for name, row in rows.items():
        table.add_row(name, *(f'{row[key]:.3g}' for key in columns))
    return table


RECOVERED = {
    'reappearances': 're-appeared',
    'not_recovered': 'not found',
    'slow': '> 3 frames',
    'misled': 'misled',
    'recovery_frames_max': 'max',
    'recovery_frames_mean': 'mean',
}


def _file(name: str) -> Path:
    return Path(name) if Path(name).is_file() else resources.find('models', name)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description='Tracks through hidden frames.')
    parser.add_argument('--frames', type=int, default=360, help='rendered; 0 for points alone')
    parser.add_argument('--points', type=int, default=40, help='sequences of each path')
    parser.add_argument('--hidden', type=float, default=0.3, help='part of the frames')
    parser.add_argument('--model', default='cm_tracker_quarter.onnx', help='shipped file or path')
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--json', type=Path, help='also write the numbers to this file')
    args = parser.parse_args()
    console = Console(width=max(LEAST_COLUMNS, Console().width))
    points: dict[str, dict[str, float]] = {}
    rendered: dict[str, dict[str, float]] = {}
    for path in PATHS:
        for name, motion in MOTIONS.items():
            score = score_points(motion, PATHS[path], args.points, 150, args.hidden)
            points[f'{path}, {name}'] = score.plain()
    shown = {'rmse_px': 'RMSE [px]', 'ahead_rmse_px': '100 ms ahead [px]'}
    shown |= {'mean_normalised_squared': 'normalised'} | RECOVERED
    console.print(table_of('points, motion model', points, shown))
    if args.frames:
        model = TrackerModel(_file(args.model), args.threads)
        frames = list(sequence(args.frames, args.hidden, seed=1))
        for name, motion in (('velocity', WhiteAcceleration()), ('mixed', MixedMotion())):
            for regions in (False, True) if model.any_size else (False,):
                title = f'{name}, {"regions" if regions else "whole frames"}'
                rendered[title] = score_rendered(model, frames, motion, regions).plain()
        shown = {'rmse_px': 'tip RMSE [px]', 'p95_px': 'p95 [px]'}
        shown |= {'mean_normalised_squared': 'normalised (3)'} | RECOVERED
        shown |= {'frames_in_regions': 'frames in regions'}
        console.print(table_of(f'{args.frames} rendered frames, tracker', rendered, shown))
    if args.json:
        content = json.dumps({'points': points, 'rendered': rendered}, indent=1)
        args.json.write_text(content + '\n', encoding='utf-8')


if __name__ == '__main__':
    main()
