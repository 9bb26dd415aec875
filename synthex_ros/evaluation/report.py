"""`report.html`: one self-contained page that says how well a run went."""

from __future__ import annotations

import base64
import html
import io
from importlib import resources
from pathlib import Path
from string import Template

import numpy as np

from synthex_ros.evaluation import charts
from synthex_ros.evaluation.bag_reader import BagReader
from synthex_ros.evaluation.display import (
    CENTERLINE,
    LANDMARKS,
    MASK,
    TARGET,
    TRUTH,
    Overlay,
    draw,
)
from synthex_ros.evaluation.frames import FrameSet, load_frames, overlay_of
from synthex_ros.evaluation.goals import TargetRules
from synthex_ros.evaluation.limits import Check
from synthex_ros.evaluation.metrics import Array, summarize
from synthex_ros.evaluation.preview import write_previews
from synthex_ros.evaluation.run_report import HASH_KEYS, RunReport, report_run, write_json

PREVIEW_FRAMES = 160
SAMPLE_FRAMES = 6
SAMPLE_WIDTH_PX = 560
SAMPLE_ZOOM = 2.0

NAMES = {
    'tip_error_median_mm': ('Tip error, median', 'mm', 2),
    'tip_error_p95_mm': ('Tip error, p95', 'mm', 2),
    'targets_reached': ('Targets reached', '', 0),
    'path_rms_mm': ('Path error, RMS', 'mm', 2),
    'path_end_error_mm': ('Tip from the end of the path', 'mm', 2),
    'landmark_error_mean_mm': ('Landmark error, mean', 'mm', 2),
    'detection_rate': ('Detection rate', '%', 1),
    'dice_mean': ('Dice, mean', '', 3),
    'latency_p50_ms': ('Latency, median', 'ms', 0),
    'latency_p99_ms': ('Latency, p99', 'ms', 0),
    'frames_lost': ('Frames lost', '', 0),
    'air_kerma_mgy': ('Air kerma', 'mGy', 2),
}
"""Readable name, unit and decimals of the numbers of report.json."""

STRIP = (
    'tip_error_median_mm',
    'targets_reached',
    'path_rms_mm',
    'landmark_error_mean_mm',
    'detection_rate',
    'dice_mean',
    'latency_p50_ms',
    'air_kerma_mgy',
)


def write_report(
    bag_path: str | Path, out: str | Path, rules: TargetRules | None = None
) -> RunReport:
    """Evaluate a bag and write report.json, report.html and, with images, the previews.

    Args:
        bag_path: bag folder or MCAP file.
        out: folder for the results; made if absent.
        rules: when a target counts as reached.

    Raises:
        BagError: the bag cannot be read or holds nothing to evaluate.
    """
    out = Path(out)
    with BagReader(bag_path) as bag:
        report = report_run(bag, rules)
        frames = load_frames(bag, report, PREVIEW_FRAMES)
    out.mkdir(parents=True, exist_ok=True)
    write_json(report.values, out / 'report.json')
    (out / 'report.html').write_text(
        html_page(report, frames, Path(bag_path).absolute().name), encoding='utf-8'
    )
    if frames is not None:
        write_previews(report, frames, out)
    return report


def html_page(report: RunReport, frames: FrameSet | None, bag_name: str) -> str:
    """Return the page; it refers to no other file."""
    data = resources.files('synthex_ros.evaluation') / 'data'
    values = report.values
    task = values['task'] or 'Run'
    return Template((data / 'report.html').read_text(encoding='utf-8')).substitute(
        css=(data / 'report.css').read_text(encoding='utf-8'),
        title=html.escape(f'Closed-loop report: {task}'),
        subtitle=html.escape(_subtitle(values, bag_name)),
        verdict=_verdict(report),
        strip=''.join(_number(key, values) for key in STRIP if values.get(key) is not None),
        chips=''.join(_chip(check) for check in report.checks),
        cards='\n'.join(_cards(report, frames)),
        version=html.escape(values['versions']['evaluated_with']),
    )


def _subtitle(values: dict, bag_name: str) -> str:
    parts = [bag_name, (values['time_mode'] or 'time mode unknown').replace('_', ' ')]
    if values['seed'] is not None:
        parts.append(f'seed {values["seed"]}')
    parts.append(f'{values["frames"]} frames in {values["duration_s"] or 0:.1f} s')
    return '  ·  '.join(parts)


def _verdict(report: RunReport) -> str:
    broken = sum(check.passed is False for check in report.checks)
    if report.values['passed']:
        return '<div class="verdict pass">✓ Passed</div>'
    why = f'{broken} limit{"s" if broken != 1 else ""} broken' if broken else 'nothing to judge'
    return f'<div class="verdict fail">✗ Failed · {why}</div>'


def _shown(key: str, value: float) -> tuple[str, str]:
    """Return value and unit as people read them."""
    _, unit, decimals = NAMES.get(key, (key, '', 3))
    return f'{value * 100 if unit == "%" else value:.{decimals}f}', unit


def _number(key: str, values: dict) -> str:
    text, unit = _shown(key, values[key])
    if key == 'targets_reached':
        unit = f'of {values["targets"]}'
        if not values['targets']:
            return ''
    return (
        f'<div class="card"><div class="big">{text}<small>{unit}</small></div>'
        f'<div class="label">{NAMES[key][0]}</div></div>'
    )


def _chip(check: Check) -> str:
    kind = {True: 'pass', False: 'fail', None: 'none'}[check.passed]
    mark = {True: '✓', False: '✗', None: '–'}[check.passed]
    name = NAMES.get(check.key, (check.key, '', 3))[0]
    value = 'not measured' if check.value is None else ' '.join(_shown(check.key, check.value))
    limit = ' '.join(_shown(check.key, check.limit))
    sign = check.rule[0]
    return (
        f'<div class="chip {kind}">{mark} {name} {value.strip()} <span>{sign} {limit}</span></div>'
    )


def _cards(report: RunReport, frames: FrameSet | None) -> list[str]:
    middle = None
    if frames is not None:
        middle = frames.images[int(frames.stamps_ns[len(frames.stamps_ns) // 2])]
    over = None
    if frames is not None and middle is not None:
        over = charts.fluoroscopy_chart(report, frames.display, middle)
    tolerance = report.rules.tolerance_m * 1e3
    cards = [
        _card(
            'Error over time',
            'True tip to what was asked, logarithmic; a line where a target became active. '
            f'Dashed: reached at {tolerance:g} mm.',
            charts.error_chart(report),
            wide=True,
        ),
        _card(
            'Tip over fluoroscopy',
            'True tip (coloured by time), what was asked (green).',
            over,
        ),
        _card(
            'Tip in the image plane',
            'Seen from the front, scaled to the depth of the tip.',
            charts.path_chart(report),
        ),
        _samples(report, frames),
        _targets(report),
        _card(
            'Latency',
            'Exposure to command; simulated time unless the run was in real time.',
            charts.latency_chart(report),
        ),
        _card(
            'Exposure and dose', 'Air kerma of each pulse and its sum.', charts.dose_chart(report)
        ),
        _card(
            'Landmarks',
            'Found landmarks within an error, of all visible ones, gated and ungated.',
            charts.landmark_chart(report),
        ),
        _landmark_table(report),
        _provenance(report),
    ]
    return [card for card in cards if card]


def _card(title: str, note: str, body: str | None, wide: bool = False) -> str:
    if not body:
        return ''
    kind = 'card wide' if wide else 'card'
    return f'<section class="{kind}"><h2>{title}</h2><p class="note">{note}</p>{body}</section>'


def _samples(report: RunReport, frames: FrameSet | None) -> str:
    """Return six frames with mask, landmarks and truth drawn in."""
    if frames is None:
        return ''
    stamps = [int(s) for s in frames.stamps_ns if int(s) in frames.images]
    places = np.linspace(0, len(stamps) - 1, SAMPLE_FRAMES + 2).round().astype(int)[1:-1]
    display = frames.display.resized(SAMPLE_WIDTH_PX)
    pictures = []
    for stamp in dict.fromkeys(stamps[place] for place in places):
        overlay = overlay_of(report, frames, stamp)
        picture = draw(display, frames.images[stamp], overlay, SAMPLE_ZOOM, _middle(overlay))
        stream = io.BytesIO()
        picture.save(stream, 'WEBP', quality=82)
        text = base64.b64encode(stream.getvalue()).decode()
        pictures.append(f'<img alt="frame" src="data:image/webp;base64,{text}">')
    names = (
        ('mask', MASK), ('base', LANDMARKS[0]), ('tip', LANDMARKS[1]),
        ('centre line', CENTERLINE), ('target', TARGET), ('truth', TRUTH),
    )  # fmt: skip
    edge = ';box-shadow:0 0 0 1px #94a3b8'
    legend = ''.join(
        f'<span><i style="background:rgb{colour}{edge * (colour == TRUTH)}"></i>{name}</span>'
        for name, colour in names
    )
    body = f'<div class="legend">{legend}</div><div class="frames">{"".join(pictures)}</div>'
    note = "Seen from the front: the patient's right is on the left. Twofold detail, "
    note += 'one display window for the whole run.'
    return _card('Sample frames', note, body, wide=True)


def _middle(overlay: Overlay) -> Array | None:
    """Return the middle of the device in the picture [px], from the truth where it is known."""
    for points in (overlay.truth, overlay.landmarks):
        points = points[np.all(np.isfinite(points), axis=-1)]
        if len(points):
            return points.mean(axis=0)
    return None


def _targets(report: RunReport) -> str:
    goals = report.scores.goals
    if goals is None or not goals.targets:
        return ''
    origin = int(report.data.truth_tip.stamps_ns[0])
    rows = []
    for number, target in enumerate(goals.targets, 1):
        reach = '–' if target.reach_s is None else f'{target.reach_s:.2f} s'
        chip = (
            '<span class="chip pass">reached</span>'
            if target.reached
            else '<span class="chip fail">not reached</span>'
        )
        start, final = target.start_error_m * 1e3, target.final_error_m * 1e3
        position = ', '.join(f'{value * 1e3:.1f}' for value in target.goal.point_m)
        rows.append(
            f'<tr><td>{number}</td><td>{(target.goal.active_ns - origin) * 1e-9:.1f} s</td>'
            f'<td>{position}</td><td>{start:.2f}</td><td>{final:.2f}</td><td>{reach}</td>'
            f'<td>{chip}</td></tr>'
        )
    head = '<tr><th>#</th><th>from</th><th>position [mm]</th><th>error at start [mm]</th>'
    head += '<th>final error [mm]</th><th>reached after</th><th></th></tr>'
    rules = report.rules
    note = (
        f'Reached: within {rules.tolerance_m * 1e3:g} mm in {rules.dwell_s:g} s. '
        f'Final error: mean of the last {rules.final_s:g} s.'
    )
    return _card('Targets', note, f'<table>{head}{"".join(rows)}</table>', wide=True)


def _landmark_table(report: RunReport) -> str:
    landmarks = report.scores.landmarks
    if landmarks is None:
        return ''
    rows = []
    for name, errors in (
        ('detector plane [mm]', landmarks.detector_mm),
        ('device plane [mm]', landmarks.object_mm),
        ('image [px]', landmarks.pixels),
    ):
        for gate, values in (('all', errors), (landmarks.gate_name, landmarks.gated(errors))):
            s = summarize(values)
            rows.append(
                f'<tr><td>{name}</td><td>{gate}</td><td>{s.count}</td><td>{s.mean:.2f} ± '
                f'{s.std:.2f}</td><td>{s.median:.2f}</td><td>{s.p95:.2f}</td></tr>'
            )
    head = '<tr><th>error in</th><th></th><th>n</th><th>mean ± std</th><th>median</th>'
    head += '<th>p95</th></tr>'
    note = f'Detected: {landmarks.detection_rate * 100:.1f} % of the visible landmarks.'
    return _card('Landmark statistics', note, f'<table>{head}{"".join(rows)}</table>')


def _provenance(report: RunReport) -> str:
    values = report.values
    rows = [
        ('task', values['task']),
        ('time mode', values['time_mode']),
        ('seed', values['seed']),
        ('source revision', values['git_revision']),
        *[(f'{key} SHA-256', values['hashes'][key]) for key in HASH_KEYS],
        ('versions', ', '.join(f'{k} {v}' for k, v in values['versions'].items())),
        *[('note', note) for note in values['notes']],
    ]
    body = ''.join(
        f'<tr><td>{key}</td><td><code>{html.escape(str(value))}</code></td></tr>'
        for key, value in rows
        if value not in (None, '')
    )
    return _card(
        'Provenance',
        'Everything on this page was computed from the bag alone. '
        'Research software, not a medical device.',
        f'<table class="prov">{body}</table>',
        wide=True,
    )
