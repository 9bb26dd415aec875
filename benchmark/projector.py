"""Agreement and speed of the CPU projector beside ITK-RTK's Joseph projector, in one run.

    pip install itk-rtk==2.7.0.post1          # the peer, about 400 MB; not a dependency
    python benchmark/projector.py [--pixels 512] [--runs 5] [--volumes chest head] [--json FILE]

Both get the same volume (HU at least -1000, one voxel of air around), the same views of a C-arm
(also on both sides of 45 degrees, where the slices change axis) and compute line integrals of
density 1 + HU/1000. Printed: milliseconds (median of the runs, wall clock and processor time), how
many times faster than the peer, and relative RMSE (RMS difference over RMS of the peer) of a fast
mode of 256 samples a side and a reference mode of 1024; last the fast mode with the four
materials of the renderer.
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

from synthex_ros.anatomy import (
    MaterialModel,
    MaterialTable,
    SampleMissingError,
    Volume,
    load_sample,
)
from synthex_ros.geometry import CArm, View, invert_pose, make_pose
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
MM = 1000.0


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


class JosephProjector:
    """ITK-RTK's JosephForwardProjectionImageFilter behind our geometry."""

    def __init__(self, volume: Volume) -> None:
        import itk
        from itk import RTK

        self._itk, self._rtk = itk, RTK
        self._type = itk.Image[itk.F, 3]
        self._grid_from_patient = invert_pose(volume.patient_from_grid)
        # RTK works in the grid's axes, millimetres, origin at the grid's centre.
        spacing = np.array(volume.spacing_m)
        self._centre_m = 0.5 * (np.array(volume.hu.shape[::-1]) - 1) * spacing
        density = np.maximum(1 + volume.hu.astype(np.float32) / 1000, 0)
        self._image = itk.image_from_array(density)
        self._image.SetSpacing([float(s) for s in spacing * MM])
        self._image.SetOrigin([float(o) for o in -self._centre_m * MM])

    def area_density_g_cm2(self, view: View, world_from_patient: np.ndarray) -> np.ndarray:
        """Return line integrals of density [g/cm^2], shape (rows, columns)."""
        grid_from_source = (
            self._grid_from_patient @ invert_pose(world_from_patient) @ view.world_from_source
        )
        turn, geometry = grid_from_source[:3, :3], view.geometry
        source = (grid_from_source[:3, 3] - self._centre_m) * MM
        centre = source + turn[:, 2] * geometry.source_to_detector_m * MM
        rtk_geometry = self._rtk.ThreeDCircularProjectionGeometry.New()
        vectors = ([float(x) for x in v] for v in (source, centre, turn[:, 0], turn[:, 1]))
        if not rtk_geometry.AddProjection(*vectors):
            raise RuntimeError('RTK refused the projection')
        (rows, columns), (pitch_v, pitch_u) = geometry.shape_px, geometry.pixel_pitch_m
        u0, v0 = geometry.piercing_px
        blank = self._rtk.ConstantImageSource[self._type].New(
            Origin=[-u0 * pitch_u * MM, -v0 * pitch_v * MM, 0.0],
            Spacing=[pitch_u * MM, pitch_v * MM, 1.0],
            Size=[columns, rows, 1],
            Constant=0.0,
        )
        joseph = self._rtk.JosephForwardProjectionImageFilter[self._type, self._type].New()
        joseph.SetGeometry(rtk_geometry)
        joseph.SetInput(0, blank.GetOutput())
        joseph.SetInput(1, self._image)
        joseph.Update()
        return self._itk.array_from_image(joseph.GetOutput())[0] / 10


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
    peer, linear, materials = JosephProjector(volume), linear_table(), MaterialModel().table()
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
            error = np.sqrt(np.mean((image - truth) ** 2) / np.mean(truth.astype(float) ** 2))
            row |= {f'{mode}_ms': ms, f'{mode}_cpu_ms': cpu_ms, f'{mode}_rmse': float(error)}
            if mode == 'fast':
                row['four_materials_ms'] = timed(lambda project=project: project(materials), runs)[
                    1
                ]
        rows.append(row)
    return rows


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


def main() -> int:
    """Run the comparison; return 0 if all views agree to 0.2 and 0.05 %, 1 if not, 2 without."""
    parser = argparse.ArgumentParser(description='Projector against ITK-RTK.')
    parser.add_argument('--pixels', type=int, default=512)
    parser.add_argument('--runs', type=int, default=5)
    parser.add_argument('--fast-px', type=int, default=256, help='samples of the fast mode')
    parser.add_argument('--reference-px', type=int, default=1024, help='of the reference mode')
    parser.add_argument('--volumes', nargs='+', default=['chest', 'head'])
    parser.add_argument('--json', type=Path, help='also write the rows to this file')
    args = parser.parse_args()
    console = Console()
    try:
        from itk import RTK  # noqa: F401
    except ImportError:
        console.print('ITK-RTK is not installed. Run: pip install itk-rtk==2.7.0.post1')
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
