"""The frames of a run with what belongs on them: for sample pictures and for the preview."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthex_ros.evaluation import run_data
from synthex_ros.evaluation.bag_reader import BagReader
from synthex_ros.evaluation.display import Display, Overlay
from synthex_ros.evaluation.goals import PathGoal, goal_spans
from synthex_ros.evaluation.message_arrays import path_array, read_images, stamp_ns
from synthex_ros.evaluation.metrics import Array
from synthex_ros.evaluation.run_report import RunReport
from synthex_ros.geometry import View

TRAIL_FRAMES = 45


@dataclass(frozen=True)
class FrameSet:
    """Some frames of a run.

    Attributes:
        stamps_ns: their stamps [ns], in order, shape (N,).
        images: counts by stamp.
        masks: class ids of the tracker by stamp.
        centerlines: centre line of the tracker in world [m] by stamp.
        display: window over these frames.
    """

    stamps_ns: NDArray[np.int64]
    images: dict[int, NDArray]
    masks: dict[int, NDArray]
    centerlines: dict[int, Array]
    display: Display


def pick_stamps(report: RunReport, count: int) -> NDArray[np.int64]:
    """Return up to `count` stamps spread evenly over the frames of the run [ns]."""
    stamps = report.data.frames.stamps_ns
    if len(stamps) <= count:
        return stamps
    return stamps[np.unique(np.linspace(0, len(stamps) - 1, count).round().astype(int))]


def load_frames(bag: BagReader, report: RunReport, count: int) -> FrameSet | None:
    """Return up to `count` frames of the run, or None when no image was recorded."""
    stamps = pick_stamps(report, count)
    images = read_images(bag, run_data.IMAGE, stamps)
    if not images:
        return None
    centerlines = {}
    wanted = set(images)
    for record in bag.records(run_data.CENTERLINE):
        stamp = stamp_ns(record.message.header)
        if stamp in wanted:
            centerlines[stamp] = path_array(record.message)
    some = [images[int(s)] for s in stamps[:: max(1, len(stamps) // 8)]]
    return FrameSet(
        stamps, images, read_images(bag, run_data.MASK, stamps), centerlines, Display.of_run(some)
    )


def overlay_of(report: RunReport, frames: FrameSet, stamp: int) -> Overlay:
    """Return what is drawn on the frame of a stamp [ns]."""
    data = report.data
    at = np.array([stamp])
    view = data.view(stamp)
    target, path = _goal(report, stamp, view)
    landmarks = data.landmarks.at(at)[0, :, :2]
    return Overlay(
        mask=frames.masks.get(stamp),
        landmarks=landmarks,
        truth=data.truth_landmarks.at(at)[0, :, :2],
        centerline=_projected(view, frames.centerlines.get(stamp)),
        trail=_projected(view, _trail(report, stamp)),
        reference=path,
        target=target,
        lines=_lines(report, stamp),
    )


def _projected(view: View | None, points_m: Array | None) -> Array:
    if view is None or points_m is None or len(points_m) == 0:
        return np.empty((0, 2))
    return view.project(points_m)


def _trail(report: RunReport, stamp: int) -> Array:
    tip = report.data.truth_tip
    last = int(np.searchsorted(tip.stamps_ns, stamp, side='right'))
    return tip.values[max(0, last - TRAIL_FRAMES) : last]


def _goal(report: RunReport, stamp: int, view: View | None) -> tuple[Array | None, Array]:
    """Return the target now and the whole path being followed, in raw pixels."""
    nothing = np.empty((0, 2))
    goals, truth = report.scores.goals, report.data.truth_tip
    if goals is None or view is None or len(truth) == 0:
        return None, nothing
    now = goals.reference_m[np.clip(np.searchsorted(truth.stamps_ns, stamp), 0, len(truth) - 1)]
    target = view.project(now) if np.all(np.isfinite(now)) else None
    path = _path(report, stamp)
    return target, nothing if path is None else view.project(path.points_m)


def _path(report: RunReport, stamp: int) -> PathGoal | None:
    """Return the path that is being followed."""
    for goal, stop_ns in goal_spans(report.data.goals, int(report.data.truth_tip.stamps_ns[-1])):
        if isinstance(goal, PathGoal) and goal.active_ns <= stamp < stop_ns:
            return goal
    return None


def _lines(report: RunReport, stamp: int) -> tuple[str, str, str, str]:
    data = report.data
    index, voltage, charge = (
        data.exposures.at(np.array([stamp]))[0][[run_data.EXPOSURE_KEYS.index(key)]][0]
        for key in ('frame_index', 'tube_voltage_kv', 'charge_mas')
    )
    seconds = (stamp - int(data.frames.stamps_ns[0])) * 1e-9
    technique = f'{voltage:.0f} kV  {charge:.2f} mAs' if np.isfinite(voltage) else ''
    number = f'frame {index:.0f}' if np.isfinite(index) else ''
    return f't = {seconds:.1f} s', number, _error_text(report, stamp), technique


def _error_text(report: RunReport, stamp: int) -> str:
    goals, truth = report.scores.goals, report.data.truth_tip
    if goals is None or len(truth) == 0:
        return ''
    place = int(np.clip(np.searchsorted(truth.stamps_ns, stamp), 0, len(truth) - 1))
    error_mm = goals.error_m[place] * 1e3
    if np.isfinite(error_mm):
        return f'tip to target {error_mm:.1f} mm'
    if (path := _path(report, stamp)) is None:
        return 'no target'
    left_mm = float(np.linalg.norm(truth.values[place] - path.points_m[-1])) * 1e3
    return f'tip to end of path {left_mm:.1f} mm'
