"""`evaluation.html`: how well a model does on a data set, on one self-contained page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from synthex_ros.evaluation.charts import BLUE, PINK, svg_figure
from synthex_ros.evaluation.metrics import NCC_GATE, percentile
from synthex_ros.evaluation.model_evaluation import Finding, FrameResult, errors_of
from synthex_ros.evaluation.page_parts import card, picture, table, whole_page
from synthex_ros.learning.coco import VISIBLE, CocoFolder
from synthex_ros.learning.preview import caption, contact_sheet, draw_outline, labelled_picture
from synthex_ros.learning.visibility import ROSE_SNR

Values = dict[str, Any]

SYNTHEX = {
    'all landmarks [mm]': '1.10 ± 0.88',
    'base [mm]': '1.09 ± 0.69',
    'tip [mm]': '1.12 ± 1.04',
}
"""SyntheX on 264 cadaver images, errors of landmarks above NCC 0.9 on the detector [mm]."""
SYNTHEX_DICE = '0.92 ± 0.07'

GALLERY_COLUMNS = 5

_FOUND, _OUTLINE = (230, 60, 230), (255, 120, 60)


def page(values: Values, results: Sequence[FrameResult], gallery: NDArray[np.uint8]) -> str:
    """Return the page; it refers to no other file.

    Args:
        values: numbers of the report.
        results: of every frame.
        gallery: contact sheet of the worst frames, shape (rows, columns, 3), uint8.
    """
    return whole_page(
        f'Model report: {values["model"]}',
        f'{values["data"]}  ·  {values["frames"]} frames, {values["frames_with_device"]} '
        'with a device',
        _numbers(values),
        _cards(values, results, gallery),
    )


def _numbers(values: Values) -> list[tuple[str, str, str]]:
    errors = values['errors']['all landmarks [mm]']
    alarms = values['false_alarms']['landmark']
    return [
        ('Landmark error, all', _number(errors['all']['mean'], 2), 'mm'),
        ('p95, all', _number(errors['all']['p95'], 2), 'mm'),
        ('Landmark error, gated', _number(errors['gated']['mean'], 2), 'mm'),
        ('Detection', _percent(values['detection_rate']), '%'),
        ('Dice', _number(values['dice_mean'], 3), ''),
        ('AP50', _number(values['instances']['ap50'], 3), ''),
        ('False alarms', _percent(alarms['share']), '%'),
    ]


def _cards(
    values: Values, results: Sequence[FrameResult], gallery: NDArray[np.uint8]
) -> list[str]:
    cards = [
        card(
            'Landmark errors',
            f'On the detector, at the device and in the image; gated: NCC above {NCC_GATE:g}. '
            '95 % intervals of the mean. SyntheX: cadaver images, gated.',
            _error_table(values),
            wide=True,
        ),
        card('Activation', 'Mean error against the share of visible landmarks that pass a '
              'threshold, as it is swept.', activation_chart(values)),
        card('Distribution', 'Share of the visible landmarks up to an error.',
              distribution_chart(results)),
        card('What is claimed', 'Above the gate. Hidden: cut by a blade, at the border, behind '
              'metal or in noise. Intervals by Wilson.', _claim_table(values)),
        card('Masks', f'Dice of SyntheX: {SYNTHEX_DICE}. Instances by pycocotools.',
              _mask_table(values)),
    ]  # fmt: skip
    if values['landmark_snr']:
        cards.append(
            card(
                'By visibility of the landmark',
                'Signal-to-noise ratio at which an ideal observer tells it from one a notch '
                f'further in; below {ROSE_SNR:g} hidden ones count as well. On the detector; '
                'claimed: above the gate.',
                _visibility_table(values['landmark_snr']),
            )
        )
    for title, parts in values['groups'].items():
        cards.append(card(f'By {title}', 'All visible landmarks, on the detector.',
                           _group_table(parts)))  # fmt: skip
    cards.append(
        card(
            'The worst frames',
            'True mask (yellow) and landmarks (green visible, red hidden); found mask (blue) '
            'and landmarks above the gate (magenta circles; thin crosses below it), each with a '
            'line to where it truly is.',
            picture(gallery, 'worst frames'),
            wide=True,
        )
    )
    return cards


def _error_table(values: Values) -> str:
    head = ('error', 'n', 'mean ± std', '95 % CI', 'median', 'p95',
            'gated n', 'gated mean ± std', 'gated p95', 'SyntheX')  # fmt: skip
    rows = []
    for name, both in values['errors'].items():
        every, gated = both['all'], both['gated']
        rows.append(
            (
                name, str(every['count']), _spread(every), f'± {_number(every["ci95"], 2)}',
                _number(every['median'], 2), _number(every['p95'], 2),
                str(gated['count']), _spread(gated), _number(gated['p95'], 2),
                SYNTHEX.get(name, ''),
            )
        )  # fmt: skip
    return table(head, rows)


def _claim_table(values: Values) -> str:
    rows = [
        (f'{name} there', *_share(counts['recall']))
        for name, counts in values['landmarks'].items()
    ]
    rows += [
        (f'{name} {kind}', *_share(counts[f'claimed_{kind}']))
        for name, counts in values['landmarks'].items()
        for kind in ('hidden', 'absent')
    ]
    for kind, part in values['false_alarms'].items():
        rows.append((f'no device: {kind}', *_share(part)))
    return table(('what', 'claimed', 'of', 'share', '95 % CI'), rows)


def _mask_table(values: Values) -> str:
    rows = [
        ('Dice, all frames', _spread(values['dice'], 3)),
        ('Dice, frames with a device', _spread(values['dice_with_device'], 3)),
        *_class_rows(values['dice_by_class']),
        *((f'{name} of pixels', _spread(part, 3)) for name, part in values['pixels'].items()),
        ('AP', _number(values['instances']['ap'], 3)),
        ('AP50', _number(values['instances']['ap50'], 3)),
        ('AP75', _number(values['instances']['ap75'], 3)),
    ]
    return table(('measure', 'mean ± std'), rows)


def _class_rows(parts: dict[str, Values]) -> list[tuple[str, str]]:
    """Return the rows of several classes; a single one is what the rest of the table is of."""
    if len(parts) < 2:
        return []
    return [
        (f'Dice of {name}, {part["there"]["count"]} frames that show it',
         _spread(part['there'], 3))
        for name, part in parts.items()
    ]  # fmt: skip


def _group_table(parts: dict[str, Values]) -> str:
    rows = [
        (name, str(p['frames']), _spread(p['error_mm']), _number(p['error_mm']['p95'], 2),
         _percent(p['detection']['share']), _number(p['dice']['mean'], 3))
        for name, p in parts.items()
    ]  # fmt: skip
    return table(('', 'frames', 'error [mm]', 'p95', 'detected [%]', 'Dice'), rows)


def _visibility_table(parts: dict[str, Values]) -> str:
    rows = [
        (name, str(p['error_mm']['count']), str(p['visible']), _spread(p['error_mm']),
         _number(p['error_mm']['median'], 2), _number(p['error_mm']['p95'], 2),
         _percent(p['claimed']['share']))
        for name, p in parts.items()
    ]  # fmt: skip
    head = ('ratio', 'landmarks', 'visible', 'error [mm]', 'median', 'p95', 'claimed [%]')
    return table(head, rows)


def activation_chart(values: Values) -> str | None:
    """Return mean error against activated share as SVG; None where nothing was found."""
    points = [
        (100 * item['activated'], item['mean_mm'])
        for item in values['activation_curve']
        if item['activated'] and item['mean_mm'] is not None
    ]
    if not points:
        return None
    with svg_figure('activation', 5.0, 2.9) as (_, axes, result):
        share, error = np.array(points).T
        axes.plot(share, error, color=BLUE, marker='o', ms=3, lw=1.3)
        axes.set_ylim(0, None)
        axes.set_xlabel('activated landmarks [%]')
        axes.set_ylabel('mean error on the detector [mm]')
    return result[0]


def distribution_chart(results: Sequence[FrameResult]) -> str | None:
    """Return the cumulative distribution of errors, gated and not, as SVG; None without any."""
    errors = errors_of(results)
    if not np.isfinite(errors.detector_mm).any():
        return None
    with svg_figure('distribution', 5.0, 2.9) as (_, axes, result):
        high = max(percentile(errors.detector_mm, 97) * 1.3, 0.5)
        for label, sample, colour in (
            ('all', errors.detector_mm, BLUE),
            (f'NCC > {NCC_GATE:g}', errors.gated(errors.detector_mm), PINK),
        ):
            kept = np.sort(sample[np.isfinite(sample)])
            part = 100 * np.arange(1, len(kept) + 1) / max(int(errors.visible.sum()), 1)
            axes.step(kept, part, color=colour, lw=1.5, label=label, where='post')
        axes.set_xlim(0, high)
        axes.set_ylim(0, 102)
        axes.set_xlabel('landmark error on the detector [mm]')
        axes.set_ylabel('share of visible [%]')
        axes.legend(loc='lower right', handlelength=1.2)
    return result[0]


def gallery_sheet(
    data: CocoFolder, worst: Sequence[tuple[FrameResult, Finding, float]]
) -> NDArray[np.uint8]:
    """Return a contact sheet of frames with truth and finding.

    Args:
        data: the folder of the frames.
        worst: result, finding and badness [mm] of each frame.
    """
    pictures, captions = [], []
    for result, finding, badness in worst:
        picture = labelled_picture(data, result.row)
        for mask in finding.class_masks.values() or [finding.labels > 0]:
            draw_outline(picture, mask, _OUTLINE)
        for (u, v, score), truth in zip(finding.points, result.truth, strict=True):
            if not np.isfinite([u, v]).all():
                continue
            at = (round(u), round(v))
            if truth[2] >= VISIBLE:
                cv2.line(picture, at, (round(truth[0]), round(truth[1])), _FOUND, 1, cv2.LINE_AA)
            if score > NCC_GATE:
                cv2.circle(picture, at, 9, _FOUND, 1, cv2.LINE_AA)
            else:
                cv2.drawMarker(picture, at, _FOUND, cv2.MARKER_TILTED_CROSS, 8, 1)
        pictures.append(picture)
        captions.append(f'{badness:.1f}: {caption(data, result.row)}')
    return contact_sheet(pictures, captions, GALLERY_COLUMNS)


def _share(part: Values) -> tuple[str, ...]:
    span = '' if part['low'] is None else f'{100 * part["low"]:.1f} to {100 * part["high"]:.1f}'
    return str(part['count']), str(part['of']), f'{_percent(part["share"])} %', span


def _spread(part: Values, decimals: int = 2) -> str:
    return f'{_number(part["mean"], decimals)} ± {_number(part["std"], decimals)}'


def _number(value: float | None, decimals: int) -> str:
    return '–' if value is None else f'{value:.{decimals}f}'


def _percent(value: float | None) -> str:
    return '–' if value is None else f'{100 * value:.1f}'
