"""A tracker's model file in 8 bits, with a manifest that sets it beside the file that it is of."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from synthex_ros.learning.dataset import FrameSet
from synthex_ros.tracking.model import TrackerModel


def export_int8(
    source: Path,
    path: Path,
    data: str | Path,
    frames: int = 64,
    test: str | Path | None = None,
    commands: Sequence[str] = (),
    empty: str | Path | None = None,
    false_alarms: float = 0.01,
) -> dict[str, Any]:
    """Write a tracker in 8 bits and its manifest (same name, .json); return the manifest.

    Args:
        source: the tracker's model file.
        path: where the new one goes.
        data: folder of training frames, from which the ranges of activations are taken.
        frames: how many of them, evenly over the folder.
        test: folder of held-out frames to score both files on.
        commands: command lines that made the model, for the manifest.
        empty: folder whose frames without a device say how sure the new model must be before it
            claims one, as in `export`. Default: as sure as its source.
        false_alarms: greatest share of them in which it does.

    Raises:
        FileNotFoundError: no model or no data.
        ModelMismatch: not a tracker model.
        ValueError: no frames asked for, too few without a device, or the new file would take the
            place of its source.
    """
    from synthex_ros.learning.export import evaluate, inference_ms
    from synthex_ros.learning.manifest import file_entries, write_manifest
    from synthex_ros.learning.quantize import to_int8

    if frames < 1:
        raise ValueError(f'frames must be at least 1, got {frames}')
    if path.resolve() == source.resolve():
        raise ValueError(f'{path} is the file to read; name another one to write')
    typical, before = FrameSet(data), TrackerModel(source, threads=2)
    rows = sorted({k * len(typical) // frames for k in range(frames)})
    to_int8(source, path, (typical.counts(row) for row in rows))
    if empty is not None:
        _draw_lines(path, FrameSet(empty), false_alarms)
    model, beside = TrackerModel(path, threads=2), source.with_suffix('.json')
    known = json.loads(beside.read_text(encoding='utf-8')) if beside.is_file() else {}
    of: dict[str, Any] = {
        'file': source.name,
        'sha256': hashlib.sha256(source.read_bytes()).hexdigest(),
    }
    manifest = {
        **file_entries(path, model.metadata.version, known.get('parameters'), commands),
        'of': of,
        'ranges_from': typical.info | {'frames': len(rows)},
        'least_peak': model.metadata.least_peak,
        'least_mask_px': model.metadata.least_mask_px,
    }
    for entries, file in ((manifest, path), (of, source)):
        entries['inference_ms'] = {
            str(n): inference_ms(file, n, typical.counts(0)) for n in (1, 2)
        }
    if test is not None:
        held_out = FrameSet(test, overlapping=model.metadata.overlapping)
        manifest['test_data'] = held_out.info | {'frames': len(held_out)}
        manifest['test'] = evaluate(model, held_out).plain()
        of['test'] = evaluate(before, held_out).plain()
    write_manifest(manifest, path)
    return manifest


def _draw_lines(path: Path, frames: FrameSet, false_alarms: float) -> None:
    """Write into a model's file how sure it must be before it claims a device."""
    from synthex_ros.learning.operating_point import operating_point
    from synthex_ros.learning.quantize import write_metadata

    # What a line drops now must be seen to draw it anew.
    metadata = dataclasses.replace(TrackerModel(path).metadata, least_mask_px=0.0)
    write_metadata(path, metadata.to_json())
    model = TrackerModel(path, threads=2)
    chosen = operating_point(model.infer, metadata, frames, false_alarms)
    write_metadata(path, chosen.to_json())
