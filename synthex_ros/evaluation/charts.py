"""Charts of the report as SVG text that stands inside an HTML page."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from synthex_ros.evaluation.display import Display
from synthex_ros.evaluation.goals import PathGoal, TargetGoal, goal_spans
from synthex_ros.evaluation.metrics import Array, percentile
from synthex_ros.evaluation.run_report import RunReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, GRID = '#0f172a', '#64748b', '#e2e8f0'
BLUE, GREEN, AMBER, PINK, CYAN = '#2563eb', '#16a34a', '#d97706', '#db2777', '#0891b2'
_STYLE: dict[Any, Any] = {
    'axes.axisbelow': True,
    'axes.edgecolor': GRID,
    'axes.grid': True,
    'axes.labelcolor': MUTED,
    'axes.labelsize': 9,
    'axes.spines.right': False,
    'axes.spines.top': False,
    'figure.facecolor': 'none',
    'axes.facecolor': 'none',
    'font.size': 9,
    'grid.color': GRID,
    'grid.linewidth': 0.7,
    'legend.fontsize': 8,
    'legend.frameon': False,
    'svg.fonttype': 'none',
    'text.color': INK,
    'xtick.color': MUTED,
    'ytick.color': MUTED,
    'xtick.labelsize': 8.5,
    'ytick.labelsize': 8.5,
}


@contextmanager
def svg_figure(name: str, width: float, height: float) -> Iterator[tuple[Figure, Axes, list[str]]]:
    """Yield figure, axes and a list that receives the SVG text on leaving.

    No global state of pyplot is used; `name` makes the ids of this chart its own.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context({**_STYLE, 'svg.hashsalt': name, 'svg.id': name}):
        figure = Figure(figsize=(width, height), layout='constrained')
        FigureCanvasSVG(figure)
        result: list[str] = []
        yield figure, figure.add_subplot(), result
        stream = io.StringIO()
        figure.savefig(stream, format='svg', metadata={'Date': None, 'Creator': None})
        result.append(_inline(stream.getvalue(), name))


def _inline(svg: str, name: str) -> str:
    """Return the <svg> element alone, fluid in width, in the font of the page."""
    body = svg[svg.index('<svg') :]
    body = re.sub(r"'?DejaVu Sans'?(, sans-serif)?", 'var(--font)', body)
    body = re.sub(r'(<svg[^>]*?) width="[^"]*"', r'\1', body, count=1)
    body = re.sub(r'(<svg[^>]*?) height="[^"]*"', r'\1', body, count=1)
    body = re.sub(
        r'id="(?!' + name + r')(figure|axes|patch|line2d|text|matplotlib)[^"]*"', '', body
    )
    return re.sub(r'^<svg', f'<svg role="img" aria-label="{name.replace("-", " ")}"', body)


def _origin_ns(report: RunReport) -> int:
    """Return the stamp that is time zero of the charts [ns]."""
    tracks = (report.data.frames, report.data.truth_tip, report.data.commands)
    return min((int(track.stamps_ns[0]) for track in tracks if len(track)), default=0)


def _seconds(report: RunReport, stamps_ns: NDArray[np.int64]) -> Array:
    return np.asarray(stamps_ns - _origin_ns(report), float) * 1e-9


def error_chart(report: RunReport) -> str | None:
    """Return the tip's distance to what was asked over time, goals marked; None without goals."""
    goals, truth = report.scores.goals, report.data.truth_tip
    if goals is None or not np.isfinite(goals.error_m).any():
        return None
    times, error_mm = _seconds(report, truth.stamps_ns), goals.error_m * 1e3
    with svg_figure('error-over-time', 10.4, 3.1) as (_, axes, result):
        _mark_goals(axes, report, int(truth.stamps_ns[-1]))
        tolerance = report.rules.tolerance_m * 1e3
        axes.axhline(tolerance, color=GREEN, lw=1, ls=(0, (4, 3)))
        axes.text(
            1.0, tolerance, f' {tolerance:g} mm', color=GREEN, va='center', fontsize=8,
            transform=axes.get_yaxis_transform(),
        )  # fmt: skip
        axes.plot(times, error_mm, color=BLUE, lw=1.5)
        axes.set_yscale('log')
        axes.yaxis.set_major_formatter(lambda value, _: f'{value:g}')
        low = max(float(np.nanpercentile(error_mm, 1)) * 0.6, 0.01)
        axes.set_ylim(low, float(np.nanmax(error_mm)) * 1.9)
        axes.set_xlim(times[0], times[-1])
        axes.grid(axis='x', visible=False)
        axes.set_xlabel('time [s]')
        axes.set_ylabel('tip to target [mm]')
    return result[0]


def _mark_goals(axes: Axes, report: RunReport, end_ns: int) -> None:
    number = 0
    for goal, stop_ns in goal_spans(report.data.goals, end_ns):
        spans = np.array([goal.active_ns, stop_ns])
        start, stop = _seconds(report, spans)
        label = 'path'
        if isinstance(goal, TargetGoal):
            number += 1
            label = f'{number}'
        axes.axvline(start, color=MUTED, lw=0.8, alpha=0.6)
        axes.annotate(
            label, (start, 1), xycoords=('data', 'axes fraction'), xytext=(4, -3),
            textcoords='offset points', fontsize=8, color=MUTED, va='top', clip_on=True,
            annotation_clip=True,
        )  # fmt: skip
        if isinstance(goal, PathGoal):
            axes.axvspan(start, stop, color=AMBER, alpha=0.07, lw=0)


def path_chart(report: RunReport) -> str | None:
    """Return the true tip and what was asked, in the image plane scaled to the device [mm]."""
    projected = _projected_tip(report)
    if projected is None:
        return None
    tip, asked, scale, piercing = projected
    tip_mm = (tip - piercing) * scale * [-1, 1]
    asked_mm = (asked - piercing) * scale * [-1, 1]
    with svg_figure('tip-in-image-plane', 5.0, 4.6) as (figure, axes, result):
        seconds = _seconds(report, report.data.truth_tip.stamps_ns)
        axes.plot(*asked_mm.T, color=GREEN, lw=1.2, ls=(0, (4, 2)), label='asked', zorder=1)
        dots = axes.scatter(
            tip_mm[:, 0], tip_mm[:, 1], c=seconds, cmap='plasma', s=5, lw=0, label='tip', zorder=2
        )
        _target_marks(axes, report, scale, piercing)
        axes.invert_yaxis()
        axes.set_aspect('equal', adjustable='datalim')
        axes.set_xlabel("across [mm], patient's left →")
        axes.set_ylabel('along [mm], to the feet ↓')
        bar = figure.colorbar(dots, ax=axes, shrink=0.75, pad=0.02, aspect=28)
        bar.set_label('time [s]')
        bar.outline.set_visible(False)
    return result[0]


def _target_marks(axes: Axes, report: RunReport, scale: float, piercing: Array) -> None:
    number = 0
    for goal in report.data.goals:
        view = report.data.view(goal.active_ns)
        if not isinstance(goal, TargetGoal) or view is None:
            continue
        number += 1
        x, y = (view.project(goal.point_m) - piercing) * scale * [-1, 1]
        axes.plot(x, y, '+', color=GREEN, ms=11, mew=2, zorder=3)
        axes.annotate(
            str(number), (x, y), xytext=(6, 6), textcoords='offset points', fontsize=9,
            color=GREEN, weight='bold', zorder=4,
        )  # fmt: skip


def _projected_tip(report: RunReport) -> tuple[Array, Array, float, Array] | None:
    """Return tip and path asked for [px], mm per px at the device, and the piercing point [px]."""
    goals, truth, data = report.scores.goals, report.data.truth_tip, report.data
    geometry = data.geometry()
    if goals is None or geometry is None or len(data.poses) == 0:
        return None
    tip, asked = np.full((len(truth), 2), np.nan), np.full((len(truth), 2), np.nan)
    depths = []
    on_path = _on_path(report)
    for index, stamp in enumerate(truth.stamps_ns):
        view = data.view(int(stamp))
        if view is not None:
            tip[index] = view.project(truth.values[index])
            if on_path[index]:
                asked[index] = view.project(goals.reference_m[index])
            depths.append(view.to_source(truth.values[index])[2])
    magnification = geometry.source_to_detector_m / float(np.mean(depths))
    scale = geometry.pixel_pitch_m[1] * 1e3 / magnification
    return tip, asked, scale, np.array(geometry.piercing_px)


def _on_path(report: RunReport) -> NDArray[np.bool_]:
    """Tell at which truth stamps a path was being followed."""
    stamps = report.data.truth_tip.stamps_ns
    result = np.zeros(len(stamps), bool)
    for goal, stop_ns in goal_spans(report.data.goals, int(stamps[-1])):
        if isinstance(goal, PathGoal):
            result |= (stamps >= goal.active_ns) & (stamps < stop_ns)
    return result


def fluoroscopy_chart(report: RunReport, display: Display, counts: NDArray) -> str | None:
    """Return the tip's way over a frame of the run; None without pose and truth."""
    projected = _projected_tip(report)
    if projected is None:
        return None
    tip, asked = (display.points(points) for points in projected[:2])
    picture = display.picture(counts)
    with svg_figure('tip-over-fluoroscopy', 4.6, 4.6) as (_, axes, result):
        axes.imshow(picture, interpolation='bicubic')
        axes.plot(*asked.T, color='#4ade80', lw=1.2, ls=(0, (4, 2)))
        axes.scatter(tip[:, 0], tip[:, 1], c=np.arange(len(tip)), cmap='plasma', s=4, lw=0)
        for goal in report.data.goals:
            view = report.data.view(goal.active_ns)
            if isinstance(goal, TargetGoal) and view is not None:
                axes.plot(*display.points(view.project(goal.point_m)), '+', color='#4ade80', ms=10)
        known = np.concatenate([tip, asked])
        known = known[np.all(np.isfinite(known), axis=1)]
        centre, half = (known.max(0) + known.min(0)) / 2, np.ptp(known, axis=0).max() * 0.7 + 90
        axes.set_xlim(centre[0] - half, centre[0] + half)
        axes.set_ylim(centre[1] + half, centre[1] - half)
        axes.set_axis_off()
    return result[0]


def latency_chart(report: RunReport) -> str | None:
    """Return the histogram of exposure-to-command times; None without commands."""
    latency_ms = report.scores.latency_s * 1e3
    if latency_ms.size == 0:
        return None
    with svg_figure('latency', 5.0, 2.9) as (_, axes, result):
        high = max(percentile(latency_ms, 99.5) * 1.15, 1.0)
        axes.hist(np.clip(latency_ms, 0, high), bins=48, range=(0, high), color=BLUE, alpha=0.85)
        for percent, colour in ((50, INK), (99, PINK)):
            value = percentile(latency_ms, percent)
            axes.axvline(value, color=colour, lw=1.3, label=f'p{percent}  {value:.1f} ms')
        axes.grid(axis='x', visible=False)
        axes.set_xlim(0, high)
        axes.set_ylim(0, axes.get_ylim()[1] * 1.12)
        axes.set_xlabel('exposure to command [ms]')
        axes.set_ylabel('commands')
        axes.legend(loc='best', handlelength=1.2)
    return result[0]


def dose_chart(report: RunReport) -> str | None:
    """Return air kerma per pulse and accumulated; None where it was not recorded."""
    kerma_gy = report.data.exposure('air_kerma_gy')
    if not np.isfinite(kerma_gy).any():
        return None
    times = _seconds(report, report.data.exposures.stamps_ns)
    with svg_figure('dose', 5.0, 2.9) as (_, axes, result):
        total = np.nancumsum(kerma_gy) * 1e3
        axes.fill_between(times, total, color=AMBER, alpha=0.14, lw=0)
        axes.plot(times, total, color=AMBER, lw=1.6)
        axes.set_xlim(times[0], max(times[-1], times[0] + 0.1))
        axes.set_ylim(0, total[-1] * 1.15)
        axes.set_xlabel('time [s]')
        axes.set_ylabel('accumulated air kerma [mGy]', color=AMBER)
        pulses = axes.twinx()
        pulses.plot(times, kerma_gy * 1e6, color=CYAN, lw=0.9)
        pulses.set_ylim(0, float(np.nanmax(kerma_gy)) * 1e6 * 1.6)
        pulses.set_ylabel('per pulse [µGy]', color=CYAN)
        pulses.grid(visible=False)
        pulses.spines['right'].set_visible(False)
    return result[0]


def landmark_chart(report: RunReport) -> str | None:
    """Return the cumulative distribution of landmark errors, gated and not; None without."""
    landmarks = report.scores.landmarks
    if landmarks is None or not np.isfinite(landmarks.detector_mm).any():
        return None
    with svg_figure('landmark-errors', 5.0, 2.9) as (_, axes, result):
        samples: tuple[tuple[str, Any, str], ...] = (
            ('all', landmarks.detector_mm, BLUE),
            (landmarks.gate_name, landmarks.gated(landmarks.detector_mm), PINK),
        )
        high = percentile(landmarks.detector_mm, 99) * 1.2
        for label, errors, colour in samples:
            values = np.sort(errors[np.isfinite(errors)])
            share = 100 * np.arange(1, len(values) + 1) / landmarks.visible.sum()
            axes.step(values, share, color=colour, lw=1.5, label=label, where='post')
        axes.set_xlim(0, max(high, 0.1))
        axes.set_ylim(0, 102)
        axes.set_xlabel('landmark error on the detector [mm]')
        axes.set_ylabel('share of visible [%]')
        axes.legend(loc='lower right', handlelength=1.2)
    return result[0]
