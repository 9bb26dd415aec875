"""The evaluation protocol of a tracker model: every number of its report, from frame results.

Landmark errors are given in pixels, on the detector and at the device, over all visible landmarks
and over those that pass the gate of SyntheX (template NCC above 0.9), so that neither hides the
other. Intervals are of 95 %: 1.96 standard errors of a mean, and Wilson's for a share.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from synthex_ros.evaluation.metrics import NCC_GATE, Summary, summarize
from synthex_ros.evaluation.model_evaluation import FrameResult, errors_of

Values = dict[str, Any]

THRESHOLDS = (*np.round(np.linspace(0.01, 0.95, 17), 4).tolist(), 0.97, 0.99, 0.9995)
"""Where the gate is swept, as in SyntheX from 0.01 to 0.9995."""

CONTRASTS = (0.0, 0.05, 0.1, 0.2, 0.4, 0.6, 1.0)
SHOWN_MM2 = (0, 70, 200)
"""Areas of a mask on the detector by which frames are told apart [mm^2]."""

FALSE_ALARM_PX = 50
"""A frame without a device is a false alarm from this many pixels of mask on."""


def score_values(results: Sequence[FrameResult], names: Sequence[str]) -> Values:
    """Return the numbers of the report by name, without average precision, in JSON types.

    Args:
        results: of every frame.
        names: of the landmarks.
    """
    errors = errors_of(results)
    overlap = [r.dice for r in results]
    device = [r for r in results if r.has_device]
    return {
        'frames': len(results),
        'frames_with_device': len(device),
        'landmark_error_mean_mm': finite(summarize(errors.detector_mm).mean),
        'detection_rate': finite(errors.detection_rate),
        'dice_mean': finite(summarize(overlap).mean),
        'gate_ncc': NCC_GATE,
        'detection': share(int(errors.detected.sum()), int(errors.visible.sum())),
        'errors': {
            name: {'all': plain(summarize(every)), 'gated': plain(summarize(gated))}
            for name, every, gated in error_rows(results, names)
        },
        'activation_curve': activation_curve(results),
        'dice': plain(summarize(overlap)),
        'dice_with_device': plain(summarize([r.dice for r in device])),
        'dice_by_class': class_dice(results),
        'pixels': pixel_scores(device),
        'landmarks': {name: landmark_counts(results, i) for i, name in enumerate(names)},
        'false_alarms': false_alarms(results),
        'groups': {title: groups(results, key) for title, key in GROUPS.items()},
    }


def error_rows(results: Sequence[FrameResult], names: Sequence[str]) -> list[tuple[str, Any, Any]]:
    """Return (name, errors of all visible landmarks, errors of those that pass the gate)."""
    errors = errors_of(results)
    gated = errors.gated(errors.detector_mm)
    rows = [('all landmarks [mm]', errors.detector_mm, gated)]
    for index, name in enumerate(names):
        rows.append((f'{name} [mm]', errors.detector_mm[:, index], gated[:, index]))
    rows.append(('at the device [mm]', errors.object_mm, errors.gated(errors.object_mm)))
    rows.append(('in the image [px]', errors.pixels, errors.gated(errors.pixels)))
    return rows


def activation_curve(results: Sequence[FrameResult]) -> list[Values]:
    """Return share and mean error of the visible landmarks that pass each threshold."""
    errors = errors_of(results)
    scores = np.stack([r.found[:, 2] for r in results])
    curve = []
    for threshold in THRESHOLDS:
        active = errors.visible & (scores > threshold)
        values = np.where(active, errors.detector_mm, np.nan)
        total = int(errors.visible.sum())
        curve.append(
            {
                'threshold': threshold,
                'activated': finite(active.sum() / total) if total else None,
                'mean_mm': finite(summarize(values).mean),
            }
        )
    return curve


def class_dice(results: Sequence[FrameResult]) -> Values:
    """Return the Dice of each class: of all frames, and of those that show it."""
    return {
        name: {
            'all': plain(summarize([r.class_dice[name] for r in results])),
            'there': plain(
                summarize([r.class_dice[name] for r in results if name in r.classes_there])
            ),
        }
        for name in results[0].class_dice
    }


def pixel_scores(results: Sequence[FrameResult]) -> Values:
    """Return sensitivity, specificity, precision, F1 and accuracy of pixels, means over frames."""
    rows = []
    for hit, false, missed, quiet in (r.pixels for r in results):
        rows.append(
            (
                _ratio(hit, hit + missed),
                _ratio(quiet, quiet + false),
                _ratio(hit, hit + false),
                _ratio(2 * hit, 2 * hit + false + missed),
                _ratio(hit + quiet, hit + false + missed + quiet),
            )
        )
    table = np.array(rows, float).reshape(-1, 5)
    kinds = ('sensitivity', 'specificity', 'precision', 'f1', 'accuracy')
    return {kind: plain(summarize(table[:, i])) for i, kind in enumerate(kinds)}


def landmark_counts(results: Sequence[FrameResult], index: int) -> Values:
    """Return how often a landmark that is there, hidden or absent was claimed above the gate.

    A hidden one is labelled but not visible: cut by a blade, at the border, behind metal or in
    noise.
    """
    level = np.array([r.truth[index, 2] for r in results])
    claimed = np.array([r.found[index, 2] > NCC_GATE for r in results])
    seen, hidden, absent = level >= 2, level == 1, level == 0
    return {
        'found': int((seen & claimed).sum()),
        'missed': int((seen & ~claimed).sum()),
        'recall': share(int((seen & claimed).sum()), int(seen.sum())),
        'claimed_hidden': share(int((hidden & claimed).sum()), int(hidden.sum())),
        'claimed_absent': share(int((absent & claimed).sum()), int(absent.sum())),
    }


def false_alarms(results: Sequence[FrameResult]) -> Values:
    """Return how many frames without a device show a landmark, or a mask, to the model."""
    empty = [r for r in results if not r.has_device]
    claims = sum(bool((r.found[:, 2] > NCC_GATE).any()) for r in empty)
    masks = sum(r.pixels[1] >= FALSE_ALARM_PX for r in empty)
    return {'landmark': share(claims, len(empty)), 'mask': share(masks, len(empty))}


def _anatomy(result: FrameResult) -> str:
    name = str(result.image.get('anatomy') or 'not said')
    return name.split(':')[0]


def _contrast(result: FrameResult) -> str:
    if not result.has_device:
        return 'no device'
    if not math.isfinite(result.contrast):
        return 'not said'
    for low, high in zip(CONTRASTS, CONTRASTS[1:], strict=False):
        if result.contrast < high:
            return f'{low:g} to {high:g}'
    return f'{CONTRASTS[-1]:g}'


def _objects(result: FrameResult) -> str:
    return 'foreign objects' if result.image.get('distractors') else 'none'


def _cut(result: FrameResult) -> str:
    if not result.has_device:
        return 'no device'
    return 'all visible' if (result.truth[:, 2] >= 2).all() else 'cut or hidden'


def shown(result: FrameResult) -> str:
    """Return the range of what is shown of the device, its area on the detector."""
    if not result.has_device:
        return 'no device'
    pixels = result.pixels[0] + result.pixels[2]
    area = pixels * result.pixel_pitch_mm**2
    for low, high in zip(SHOWN_MM2, SHOWN_MM2[1:], strict=False):
        if area < high:
            return f'{low} to {high} mm²'
    return f'{SHOWN_MM2[-1]} mm² and more'


GROUPS: dict[str, Callable[[FrameResult], str]] = {
    'anatomy': _anatomy,
    'contrast of the device': _contrast,
    'foreign objects': _objects,
    'device': _cut,
    'shown of the device': shown,
}
"""What frames are told apart by."""


def groups(results: Sequence[FrameResult], key: Callable[[FrameResult], str]) -> dict[str, Values]:
    """Return the main numbers of each group of frames."""
    names = sorted({key(r) for r in results})
    return {name: brief([r for r in results if key(r) == name]) for name in names}


def brief(results: Sequence[FrameResult]) -> Values:
    """Return the main numbers of some frames."""
    errors = errors_of(results)
    return {
        'frames': len(results),
        'error_mm': plain(summarize(errors.detector_mm)),
        'detection': share(int(errors.detected.sum()), int(errors.visible.sum())),
        'dice': plain(summarize([r.dice for r in results])),
    }


def badness_mm(result: FrameResult) -> float:
    """Return how bad a frame is: its greatest landmark error, and 100 mm for a false alarm."""
    errors = errors_of([result])
    worst = float(np.nanmax(errors.detector_mm)) if errors.visible.any() else 0.0
    claimed_absent = (result.truth[:, 2] == 0) & (result.found[:, 2] > NCC_GATE)
    return worst + 100.0 * bool(claimed_absent.any()) + 10.0 * (1 - result.dice)


def worst_frames(results: Sequence[FrameResult], count: int = 20) -> list[FrameResult]:
    """Return the frames with the greatest errors, the worst first."""
    return sorted(results, key=badness_mm, reverse=True)[:count]


def share(count: int, total: int) -> Values:
    """Return a share with its 95 % interval by Wilson (J. Am. Stat. Assoc. 22 (1927) 209)."""
    if not total:
        return {'count': 0, 'of': 0, 'share': None, 'low': None, 'high': None}
    z, p = 1.96, count / total
    middle = (p + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z / (1 + z**2 / total) * math.sqrt(p * (1 - p) / total + z**2 / (4 * total**2))
    low, high = max(middle - half, 0.0), min(middle + half, 1.0)
    return {
        'count': count, 'of': total,
        'share': finite(p), 'low': finite(low), 'high': finite(high),
    }  # fmt: skip


def plain(summary: Summary) -> Values:
    """Return a summary in JSON types; what was not measured is None."""
    values = {key: finite(value) for key, value in asdict(summary).items()}
    return {**values, 'count': summary.count}


def finite(value: float) -> float | None:
    """Return a rounded number, or None for what was not measured."""
    return round(float(value), 6) if np.isfinite(value) else None


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float('nan')
