"""Evaluate a model on a COCO folder: evaluation.json, evaluation.html and the failure gallery."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from synthex_ros.evaluation.average_precision import average_precision
from synthex_ros.evaluation.landmark_visibility import errors_by_snr
from synthex_ros.evaluation.model_data import open_folder, read_samples
from synthex_ros.evaluation.model_evaluation import FramePredictor, run_model
from synthex_ros.evaluation.model_page import gallery_sheet, page
from synthex_ros.evaluation.model_scores import badness_mm, score_values, worst_frames
from synthex_ros.evaluation.report_files import write_report_files


def report_model(
    predict: FramePredictor,
    name: str,
    folder: str | Path,
    out: str | Path,
    limit: int | None = None,
    begin: Callable[[int], None] = lambda _: None,
    progress: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Score a model on a folder, write the report and return its numbers.

    Args:
        predict: the model.
        name: of the model, for the title.
        folder: COCO folder.
        out: folder for evaluation.json, evaluation.html and worst.png; made if absent.
        limit: how many frames; default all.
        begin: called with the number of frames.
        progress: called once a frame.

    Raises:
        DatasetError: the folder is not what it should be.
    """
    data, out = open_folder(folder), Path(out)
    begin(min(limit or len(data.images), len(data.images)))
    samples = read_samples(data, predict.landmarks, limit)
    results = run_model(predict, samples, progress)
    values = {
        'model': name,
        'data': Path(folder).name,
        **score_values(results, predict.landmarks),
        'landmark_snr': errors_by_snr(results),
        'instances': average_precision(data, results, getattr(predict, 'classes', None)),
    }
    worst = [
        (item, predict(data.counts(item.row), item.pixel_pitch_mm), badness_mm(item))
        for item in worst_frames(results)
    ]
    values['worst'] = [
        {'id': item.image['id'], 'badness_mm': round(bad, 3)} for item, _, bad in worst
    ]
    sheet = gallery_sheet(data, worst)
    write_report_files(out, values, page(values, results, sheet), sheet)
    return values
