"""A model on foreign frames: one row a kind of frame, SyntheX's figures below."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from synthex_ros.evaluation.metrics import summarize
from synthex_ros.evaluation.model_data import open_folder, read_samples
from synthex_ros.evaluation.model_evaluation import (
    Finding,
    FrameResult,
    OnnxPredictor,
    errors_of,
    run_model,
)
from synthex_ros.evaluation.model_scores import false_alarms, shown

HEADINGS = ('of', 'frames', 'mean ± std mm', 'median', 'p95', 'NCC > 0.9 mm', 'detected',
            'Dice', 'false alarms')  # fmt: skip
SYNTHEX = ('SyntheX, real frames', '264', '', '', '', '1.10 ± 0.88', '', '0.92', '')
"""Gao et al., Nature Machine Intelligence 5 (2023): 264 frames of cadavers, gated at 0.9."""


class Flipped:
    """A model that is shown every frame with the wrong polarity.

    Args:
        model: that is shown it.
    """

    def __init__(self, model: OnnxPredictor) -> None:
        self._model, self.landmarks = model, model.landmarks

    def __call__(self, counts: NDArray, pixel_pitch_mm: float) -> Finding:
        """Return what is found in the negative of a radiograph."""
        return self._model(np.uint16(counts.max()) - counts, pixel_pitch_mm)


def results_of(model: Path, folder: Path, flip: bool, threads: int) -> list[FrameResult]:
    """Return what a model finds in every frame of a folder."""
    predictor = OnnxPredictor(model, threads)
    samples = read_samples(open_folder(folder), predictor.landmarks)
    return run_model(Flipped(predictor) if flip else predictor, samples)


def kinds(results: Sequence[FrameResult]) -> dict[str, list[FrameResult]]:
    """Return frames by what they are: all, raw and processed, of each CT, of each export."""

    def chosen(test: Callable[[FrameResult], bool]) -> list[FrameResult]:
        return [result for result in results if test(result)]

    def is_raw(result: FrameResult) -> bool:
        return result.image['processing'] == 'raw'

    found = {
        'all': list(results),
        'raw': chosen(is_raw),
        'processed': chosen(lambda r: not is_raw(r)),
    }
    for anatomy in sorted({r.image['anatomy'] for r in results}):
        own = chosen(lambda r, anatomy=anatomy: r.image['anatomy'] == anatomy)
        found[f'{anatomy}, raw'] = [r for r in own if is_raw(r)]
        found[f'{anatomy}, processed'] = [r for r in own if not is_raw(r)]
    for name in sorted({r.image['processing'] for r in results} - {'raw'}):
        found[name] = chosen(lambda r, name=name: r.image['processing'] == name)
    for name in sorted({shown(r) for r in results if r.has_device}, key=_first_number):
        found[f'{name} shown'] = chosen(lambda r, name=name: shown(r) == name)
    return {name: rows for name, rows in found.items() if rows}


def _first_number(name: str) -> int:
    return int(name.split()[0])


def table(results: Sequence[FrameResult], title: str) -> Table:
    """Return the table of a model's results."""
    rows = Table(title=title)
    for number, heading in enumerate(HEADINGS):
        rows.add_column(heading, justify='right' if number else 'left')
    for name, some in kinds(results).items():
        rows.add_row(name, *cells(some))
    rows.add_row(*SYNTHEX)
    return rows


def cells(results: Sequence[FrameResult]) -> tuple[str, ...]:
    """Return the numbers of some frames as the table prints them."""
    errors = errors_of(results)
    every = summarize(errors.detector_mm)
    gated = summarize(errors.gated(errors.detector_mm))
    overlap = summarize([r.dice for r in results if r.has_device])
    alarms = false_alarms(results)['landmark']
    seen = int(errors.visible.sum())
    return (
        str(len(results)),
        f'{every.mean:.2f} ± {every.std:.2f}' if every.count else '–',
        f'{every.median:.2f}' if every.count else '–',
        f'{every.p95:.2f}' if every.count else '–',
        f'{gated.mean:.2f} ± {gated.std:.2f}' if gated.count else '–',
        f'{100 * errors.detected.sum() / seen:.1f} %' if seen else '–',
        f'{overlap.mean:.3f}' if overlap.count else '–',
        f'{alarms["count"]} of {alarms["of"]}',
    )
