"""From a 512 x 512 frame to landmarks: the shipped network, its variants, TransUNet beside them.

    python benchmark/inference.py [--frames 120] [--threads 2] [--json FILE]

Frames are rendered (chest CT, a manipulator that bends), so that errors can be told beside times.
Printed are median and 95th percentile of wall-clock milliseconds of normalisation, network and
landmarks, and the mean distance of base and tip from the truth. `region` looks only at the part of
the frame around the device where it was in the frame before, as `roi_mode` does once locked. The
TransUNets have random weights: their times are those of trained ones, their errors mean nothing.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from cm_sequence import SequenceFrame, sequence
from rich.console import Console
from rich.table import Table

from synthex_ros import resources
from synthex_ros.learning.export import write_onnx
from synthex_ros.learning.networks.registry import build_network
from synthex_ros.learning.quantize import to_float16, to_int8
from synthex_ros.tracking.landmarks import decode
from synthex_ros.tracking.model import TrackerModel
from synthex_ros.tracking.region import RegionSettings, region_around

WARM_UP = 5
CALIBRATION = 16
SLOW_FRAMES = 12
"""Frames that a network of a second each is timed on."""


def measure(model: TrackerModel, frames: list[SequenceFrame], region: bool) -> dict[str, float]:
    """Return times and errors of a model over frames."""
    times, errors, before = [], [], frames[0].landmarks_px
    for seen in frames:
        part = region_around(before, seen.frame.counts.shape, RegionSettings()) if region else None
        start = time.perf_counter()
        prediction = model.infer(seen.frame.counts, part)
        found = decode(prediction.heatmaps, model.metadata, prediction.mask, prediction.places)
        times.append(1e3 * (time.perf_counter() - start))
        points = np.array([[one.u, one.v] for one in found])
        errors.append(np.linalg.norm(points - seen.landmarks_px, axis=1))
        before = seen.landmarks_px
    return {
        'median_ms': float(np.median(times[WARM_UP:])),
        'p95_ms': float(np.percentile(times[WARM_UP:], 95)),
        'error_px': float(np.mean(errors)),
        'frames': len(frames),
    }


def variants(folder: Path, shipped: Path, frames: list[SequenceFrame]):
    """Yield (name, model file, whether by region, whether slow)."""
    yield 'compact', shipped, False, False
    if TrackerModel(shipped).any_size:
        yield 'compact, region', shipped, True, False
    int8, half = folder / 'int8.onnx', folder / 'half.onnx'
    to_int8(shipped, int8, [seen.frame.counts for seen in frames[:CALIBRATION]])
    yield 'compact int8', int8, False, False
    to_float16(shipped, half)
    yield 'compact fp16', half, False, False
    metadata = replace(TrackerModel(shipped).metadata, places_name='')
    for name in ('instances', 'transunet_small', 'transunet'):
        torch.manual_seed(0)
        several = {'centres_name': 'centres', 'votes_name': 'votes'}
        described = replace(metadata, **several) if name == 'instances' else metadata
        write_onnx(build_network(name, 2, 2).eval(), described, folder / f'{name}.onnx')
        yield f'{name} (untrained)', folder / f'{name}.onnx', False, name == 'transunet'


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description='Milliseconds from a frame to landmarks.')
    parser.add_argument('--frames', type=int, default=120)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--model', type=Path, default=None, help='default models/cm_tracker.onnx')
    parser.add_argument('--json', type=Path, help='also write the numbers to this file')
    args = parser.parse_args()
    shipped = args.model or resources.find('models', 'cm_tracker.onnx')
    frames, rows = list(sequence(args.frames, 0.0, seed=1)), {}
    table = Table(title=f'512 x 512 frame to landmarks, {args.threads} threads')
    for heading in ('network', 'median [ms]', 'p95 [ms]', 'error [px]'):
        table.add_column(heading, justify='left' if heading == 'network' else 'right')
    with tempfile.TemporaryDirectory() as folder:
        for name, path, region, slow in variants(Path(folder), shipped, frames):
            used = frames[: SLOW_FRAMES + WARM_UP] if slow else frames
            row = rows[name] = measure(TrackerModel(path, args.threads), used, region)
            error = '' if 'untrained' in name else f'{row["error_px"]:.2f}'
            table.add_row(name, f'{row["median_ms"]:.1f}', f'{row["p95_ms"]:.1f}', error)
    Console().print(table)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + '\n', encoding='utf-8')


if __name__ == '__main__':
    main()
