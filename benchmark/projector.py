"""Agreement and speed of the CPU projector beside ITK-RTK, plastimatch and DiffDRR, in one run.

    pip install itk-rtk==2.7.0.post1          # the peer, about 400 MB; not a dependency
    python -m benchmark.projector [--pixels 512] [--runs 5] [--volumes chest head] [--json FILE]

All get the same volume (HU at least -1000, one voxel of air around), the same views of a C-arm
(also on both sides of 45 degrees, where the slices change axis) and compute line integrals of
density 1 + HU/1000. Printed: milliseconds (median of the runs, wall clock and processor time), how
many times faster than RTK's Joseph projector, and relative RMSE (RMS difference over RMS of RTK's)
of a fast mode of 256 samples a side and a reference mode of 1024; last the fast mode with the four
materials of the renderer. A second table has the other peers that `benchmark/projector_peers.py`
finds installed, each run once a view: plastimatch's time is the one it prints, without reading
the volume; DiffDRR runs its trilinear renderer with its 500 samples a ray, on the processor.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmark.projector_peers import DiffDrr, Joseph, Plastimatch, why_not
from synthex_ros.anatomy import (
    MaterialModel,
    MaterialTable,
    SampleMissingError,
    Volume,
    load_sample,
)
from synthex_ros.geometry import CArm, View, make_pose
from synthex_ros.xray.shear_warp import ShearWarpProjector

VIEWS_DEG = {
    'AP': (0, 0),
    'oblique 30': (30, 0),
    'oblique 44.9': (44.9, 0),
    'oblique 45.1': (45.1, 0),
    'compound 60/20': (60, 20),
    'lateral': (90, 0),
    'cranial 40': (0, 40),
}
PLASTIMATCH_MODES = ('exact', 'uniform')


def padded(volume: Volume) -> Volume:
    """Return the volume with HU of at least -1000 and one voxel of air around."""
    hu = np.pad(np.maximum(volume.hu, -1000), 1, constant_values=-1000)
    shift = make_pose(None, -np.array(volume.spacing_m))
    return replace(
        volume,
        hu=hu.astype(np.int16),
        patient_from_grid=volume.patient_from_grid @ shift,
        labels=None,
        structures={},
    )


def linear_table() -> MaterialTable:
    """Return one material of density 1 + HU/1000 g/cm^3."""
    hu = np.arange(-1024, 32768)
    density = np.maximum(1 + hu / 1000, 0).astype(np.float32)
    return MaterialTable(('water',), -1024, density[:, None])


def timed(call: Callable[[], np.ndarray], runs: int) -> tuple[np.ndarray, float, float]:
    """Return the result, and the median wall and processor time [ms] of runs after the first."""
    result = call()
    wall, processor = [], []
    for _ in range(runs):
        start = time.perf_counter(), time.process_time()
        call()
        wall.append(1e3 * (time.perf_counter() - start[0]))
        processor.append(1e3 * (time.process_time() - start[1]))
    return result, statistics.median(wall), statistics.median(processor)


def compare(name: str, pixels: int, runs: int, modes: dict[str, int]) -> list[dict]:
    """Return one row of measurements a view of a sample."""
    volume = padded(load_sample(name))
    world_from_patient = make_pose(None, -volume.centre_patient_m)
    peer, linear, materials = Joseph(volume), linear_table(), MaterialModel().table()
    others = other_peers(volume)
    rows = []
    for label, angles_deg in VIEWS_DEG.items():
        view = CArm().view(*np.radians(angles_deg)).resized((pixels, pixels))
        truth, peer_ms, peer_cpu_ms = timed(
            lambda view=view: peer.area_density_g_cm2(view, world_from_patient), runs
        )
        row = {'volume': name, 'view': label, 'pixels': pixels}
        row |= {'rtk_ms': peer_ms, 'rtk_cpu_ms': peer_cpu_ms}
        for mode, detail_px in modes.items():
            ours = ShearWarpProjector(detail_px, axis_by_ray=mode == 'reference')

            def project(table, ours=ours, view=view):
                return ours.area_density_g_cm2(volume, table, view, world_from_patient)

            image, ms, cpu_ms = timed(lambda project=project: project(linear)[0], runs)
            row |= {f'{mode}_ms': ms, f'{mode}_cpu_ms': cpu_ms}
            row[f'{mode}_rmse'] = relative_rmse(image, truth)
            if mode == 'fast':
                row['four_materials_ms'] = timed(lambda project=project: project(materials), runs)[
                    1
                ]
        row['others'] = [
            {'peer': peer_name, **measured(other, view, world_from_patient, truth)}
            for peer_name, other in others.items()
        ]
        rows.append(row)
    return rows


def other_peers(volume: Volume) -> dict[str, Plastimatch | DiffDrr]:
    """Return the peers beside RTK that are installed, by name."""
    peers: dict[str, Plastimatch | DiffDrr] = {}
    if why_not(Plastimatch) is None:
        peers = {f'plastimatch {mode}': Plastimatch(volume, mode) for mode in PLASTIMATCH_MODES}
    if why_not(DiffDrr) is None:
        peers['DiffDRR trilinear'] = DiffDrr(volume)
    return peers


def measured(peer, view: View, world_from_patient: np.ndarray, truth: np.ndarray) -> dict:
    """Return the time [ms] and the relative RMSE to RTK of one image of a peer."""
    start = time.perf_counter()
    image = peer.area_density_g_cm2(view, world_from_patient)
    ms = 1e3 * (time.perf_counter() - start)
    return {'ms': getattr(peer, 'last_ms', ms), 'rmse': relative_rmse(image, truth)}


def relative_rmse(image: np.ndarray, truth: np.ndarray) -> float:
    """Return the RMS difference over the RMS of the truth."""
    return float(np.sqrt(np.mean((image - truth) ** 2) / np.mean(truth.astype(float) ** 2)))


def report(rows: list[dict], console: Console) -> None:
    """Print the measurements."""
    table = Table(title=f'Projector beside ITK-RTK Joseph, {rows[0]["pixels"]} px square')
    headings = ('volume', 'view', 'RTK ms (cpu)', 'fast ms (cpu)', 'times', 'RMSE')
    for heading in (*headings, 'reference ms (cpu)', 'times', 'RMSE', '4 materials ms'):
        table.add_column(heading, justify='left' if heading in ('volume', 'view') else 'right')
    for row in rows:
        cells = [row['volume'], row['view'], f'{row["rtk_ms"]:.0f} ({row["rtk_cpu_ms"]:.0f})']
        for mode in ('fast', 'reference'):
            cells += [
                f'{row[f"{mode}_ms"]:.1f} ({row[f"{mode}_cpu_ms"]:.0f})',
                f'{row["rtk_ms"] / row[f"{mode}_ms"]:.1f}',
                f'{100 * row[f"{mode}_rmse"]:.3f} %',
            ]
        table.add_row(*cells, f'{row["four_materials_ms"]:.0f}')
    console.print(table)
    report_others(rows, console)


def report_others(rows: list[dict], console: Console) -> None:
    """Print time, times slower than our fast mode and deviation from RTK of the other peers."""
    for peer in (Plastimatch, DiffDrr):
        if reason := why_not(peer):
            console.print(f'left out: {reason}')
    if not (names := [item['peer'] for item in rows[0]['others']]):
        return
    table = Table(title=f'Other projectors, {rows[0]["pixels"]} px square')
    for heading in ('volume', 'view', *names):
        table.add_column(heading, justify='left' if heading in ('volume', 'view') else 'right')
    for row in rows:
        cells = [
            f'{item["ms"]:.0f} ms ({item["ms"] / row["fast_ms"]:.0f} x fast), '
            f'{100 * item["rmse"]:.3f} %'
            for item in row['others']
        ]
        table.add_row(row['volume'], row['view'], *cells)
    console.print(table)


def main() -> int:
    """Run the comparison; return 0 if all views agree to 0.2 and 0.05 %, 1 if not, 2 without."""
    parser = argparse.ArgumentParser(description='Projector against ITK-RTK and others.')
    parser.add_argument('--pixels', type=int, default=512)
    parser.add_argument('--runs', type=int, default=5)
    parser.add_argument('--fast-px', type=int, default=256, help='samples of the fast mode')
    parser.add_argument('--reference-px', type=int, default=1024, help='of the reference mode')
    parser.add_argument('--volumes', nargs='+', default=['chest', 'head'])
    parser.add_argument('--json', type=Path, help='also write the rows to this file')
    args = parser.parse_args()
    console = Console()
    if reason := why_not(Joseph):
        console.print(reason)
        return 2
    rows, modes = [], {'fast': args.fast_px, 'reference': args.reference_px}
    for name in args.volumes:
        try:
            rows += compare(name, args.pixels, args.runs, modes)
        except SampleMissingError as error:
            console.print(f'{name} left out: {error}')
    if not rows:
        return 2
    report(rows, console)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + '\n')
    fast, reference = (max(row[f'{mode}_rmse'] for row in rows) for mode in modes)
    return int(fast > 0.002 or reference > 0.0005)


if __name__ == '__main__':
    sys.exit(main())
