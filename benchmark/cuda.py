"""The X-ray engine on a GPU: frames a second, and agreement with the CPU.

    python -m benchmark.cuda [--frames 10000] [--volumes chest head] [--json FILE]

On a machine with an NVIDIA GPU and CuPy (`pip install "synthex_ros[gpu]"`) it prints

- re-projections a second of a moving anatomy, all four materials, one frame at a time and in
  batches, at `--pixels` square: interpolated from 512 rays a side, and with a ray a pixel;
- how long labelled frames of a moving device take, 360 x 360, from line integrals to counts and
  mask in the memory of the host, a new view every `--frames-per-view` frames;
- DeepDRR's projections a second of the same volume and size, if it is installed;
- the agreement with the CPU: greatest relative RMSE of line integrals (a ray a pixel, and
  interpolated from 280 a side) and of noisy frames.

Without a GPU it says so, measures no rate, and prints the agreement of the same kernels compiled
for the processor (needs a C++ compiler). It returns 0 if the agreement is within 0.5 %, 1 if not.
"""

import argparse
import importlib.util
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmark.frame import moving_device
from synthex_ros.anatomy import Volume, load_sample
from synthex_ros.devices.continuum.kinematics import ContinuumKinematics
from synthex_ros.geometry import CArm, View, make_pose
from synthex_ros.xray.cuda.batch import BatchRenderer, Exposure
from synthex_ros.xray.cuda.device import CupyDevice, Device, GpuMissingError
from synthex_ros.xray.cuda.projector import CudaProjector
from synthex_ros.xray.renderer import Renderer
from synthex_ros.xray.scene import Scene
from synthex_ros.xray.shear_warp import ShearWarpProjector

ROOT = Path(__file__).parents[1]
VIEWS_DEG = ((0, 0), (30, 0), (45, 10), (60, 20), (90, 0), (0, 40))
LABELLED_PX = 360
LIMIT = 0.005


def scene_of(name: str) -> Scene:
    """Return a sample at the isocentre."""
    volume = load_sample(name)
    return Scene(volume, world_from_patient=make_pose(None, -volume.centre_patient_m))


def view_at(angles_deg: tuple[float, float], pixels: int) -> View:
    """Return the view at joints [deg]."""
    return CArm().view(*np.radians(angles_deg)).resized((pixels, pixels))


def seconds(device: Device, call: Callable[[], object], runs: int) -> float:
    """Return the mean wall-clock time of a call [s], the first two left out."""
    for _ in range(2):
        call()
    device.synchronize()
    start = time.perf_counter()
    for _ in range(runs):
        call()
    device.synchronize()
    return (time.perf_counter() - start) / runs


def projections(device: Device, scene: Scene, pixels: int, batch: int) -> list[dict]:
    """Return re-projections a second of an anatomy on an orbit."""
    rows = []
    for detail_px in (512, None):
        projector = CudaProjector(detail_px, device)
        for count in (1, batch):
            turn = iter(range(10**9))

            def project(projector=projector, count=count, turn=turn) -> None:
                views = [view_at(((3 * next(turn)) % 90, 5), pixels) for _ in range(count)]
                poses = [scene.world_from_patient] * count
                projector.areas(scene.volume, scene.table, views, poses)

            rate = count / seconds(device, project, max(8, 64 // count))
            rays = f'{detail_px or pixels} rays a side, {count} at a time'
            rows.append({'what': f'projections of {pixels} px, {rays}', 'per_s': rate})
    return rows


def exposures(scene: Scene, first: int, count: int, pixels: int, each: int) -> list[Exposure]:
    """Return labelled frames of a moving device, a new view every `each` frames."""
    kinematics = ContinuumKinematics()
    return [
        Exposure(
            scene,
            view_at((float(index // each * 7 % 90), 5.0), pixels),
            moving_device(kinematics, index),
            np.random.default_rng([1, index]),
        )
        for index in range(first, first + count)
    ]


def labelled(device: Device, scene: Scene, frames: int, each: int) -> dict:
    """Return how long labelled frames take, bodies made by the way."""
    renderer = BatchRenderer(projector=CudaProjector(512, device))
    chunk = renderer.chunk_frames
    renderer.render(exposures(scene, 0, chunk, LABELLED_PX, each))
    start = time.perf_counter()
    for first in range(0, frames, chunk):
        count = min(chunk, frames - first)
        renderer.render(exposures(scene, first, count, LABELLED_PX, each))
    elapsed = time.perf_counter() - start
    what = f'{frames} labelled frames of {LABELLED_PX} px in {elapsed:.1f} s'
    return {'what': what, 'per_s': frames / elapsed, 'elapsed_s': elapsed}


def deepdrr(volume: Volume, pixels: int, runs: int = 20) -> dict:
    """Return DeepDRR's projections a second, or why there are none."""
    try:
        from deepdrr import MobileCArm
        from deepdrr import Volume as TheirVolume
        from deepdrr.projector import Projector
    except ImportError as error:
        return {'what': f'DeepDRR left out: {error}', 'per_s': None}
    hu = np.ascontiguousarray(volume.hu.transpose(2, 1, 0)).astype(np.float32)
    theirs = TheirVolume.from_hu(hu, spacing=tuple(1e3 * s for s in volume.spacing_m))
    carm = MobileCArm(sensor_height=pixels, sensor_width=pixels, pixel_size=0.194 * 1536 / pixels)
    with Projector(theirs, carm=carm, step=1.0) as projector:
        projector()
        start = time.perf_counter()
        for _ in range(runs):
            projector()
        elapsed = (time.perf_counter() - start) / runs
    return {'what': f'DeepDRR, {pixels} px, step 1', 'per_s': 1 / elapsed}


def relative_rmse(image: np.ndarray, truth: np.ndarray) -> float:
    """Return RMS difference over RMS of the truth."""
    image, truth = image.astype(float), truth.astype(float)
    return float(np.sqrt(np.mean((image - truth) ** 2) / np.mean(truth**2)))


def agreement(device: Device, name: str, scene: Scene, pixels: int) -> dict:
    """Return the greatest deviation from the CPU over views of line integrals and frames."""
    reference = ShearWarpProjector(1024, axis_by_ray=True)
    every, few = CudaProjector(None, device), CudaProjector(280, device)
    on_gpu = BatchRenderer(projector=every)
    on_cpu = Renderer(scene, anatomy_px=1024, projector=reference)
    lines, interpolated, frames, masks = [], [], [], []
    for index, angles in enumerate(VIEWS_DEG):
        view, pose = view_at(angles, pixels), scene.world_from_patient
        where = scene.volume, scene.table, view, pose
        truth = reference.area_density_g_cm2(*where)
        lines.append(relative_rmse(every.area_density_g_cm2(*where), truth))
        interpolated.append(relative_rmse(few.area_density_g_cm2(*where), truth))
        bodies = moving_device(ContinuumKinematics(), 10 * index)
        made = on_gpu.render([Exposure(scene, view, bodies, np.random.default_rng(index))])
        frame = on_cpu.render(view, bodies, np.random.default_rng(index))
        frames.append(relative_rmse(made.counts[0], frame.counts))
        masks.append(int(np.count_nonzero(made.mask[0] != frame.mask)))
    return {
        'volume': name,
        'pixels': pixels,
        'lines_rmse': max(lines),
        'interpolated_rmse': max(interpolated),
        'frame_rmse': max(frames),
        'mask_pixels_differ': max(masks),
    }


def processor_device(folder: Path) -> Device | None:
    """Return the kernels compiled for the processor, or None without a C++ compiler."""
    path = ROOT / 'test' / 'xray' / 'cuda_twin.py'
    spec = importlib.util.spec_from_file_location('cuda_twin', path)
    twin = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(twin)
    return twin.TwinDevice(folder) if twin.COMPILER else None


def print_agreement(rows: list[dict], where: str, console: Console) -> None:
    """Print how far kernels and CPU are apart."""
    table = Table(title=f'Greatest deviation from the CPU over {len(VIEWS_DEG)} views, {where}')
    headings = (
        'volume',
        'pixels',
        'line integrals',
        'interpolated',
        'noisy frames',
        'mask pixels',
    )
    for heading in headings:
        table.add_column(heading, justify='right')
    for row in rows:
        shares = (row['lines_rmse'], row['interpolated_rmse'], row['frame_rmse'])
        table.add_row(
            row['volume'],
            str(row['pixels']),
            *(f'{100 * share:.3f} %' for share in shares),
            str(row['mask_pixels_differ']),
        )
    console.print(table)


def print_rates(rows: list[dict], name: str, console: Console) -> None:
    """Print frames a second."""
    table = Table(title=f'Frames a second on {name}')
    for heading in ('volume', 'what', 'per second'):
        table.add_column(heading, justify='right' if heading == 'per second' else 'left')
    for row in rows:
        rate = row['per_s']
        table.add_row(row['volume'], row['what'], '-' if rate is None else f'{rate:.0f}')
    console.print(table)


def main() -> int:
    """Measure and print; return 0 if GPU and CPU agree, 1 if not, 2 if nothing could be run."""
    parser = argparse.ArgumentParser(description='The X-ray engine on a GPU beside the CPU.')
    parser.add_argument('--pixels', type=int, default=1536)
    parser.add_argument('--batch', type=int, default=16)
    parser.add_argument('--frames', type=int, default=10000)
    parser.add_argument('--frames-per-view', type=int, default=10)
    parser.add_argument('--agreement-px', type=int, default=360)
    parser.add_argument('--volumes', nargs='+', default=['chest', 'head'])
    parser.add_argument('--json', type=Path, help='also write the numbers to this file')
    args = parser.parse_args()
    console, rates, close = Console(), [], []
    with tempfile.TemporaryDirectory() as folder:
        try:
            device: Device | None = CupyDevice()
            where = f'on {device.name}'
        except GpuMissingError as error:
            console.print(f'No rate is measured: {error}', markup=False, soft_wrap=True)
            device, where = processor_device(Path(folder)), 'kernels compiled for the processor'
        if device is None:
            console.print('Agreement needs a GPU or a C++ compiler (g++ or clang++).')
            return 2
        for name in args.volumes:
            scene = scene_of(name)
            close.append(agreement(device, name, scene, args.agreement_px))
            if isinstance(device, CupyDevice):
                found = projections(device, scene, args.pixels, args.batch)
                found.append(labelled(device, scene, args.frames, args.frames_per_view))
                found.append(deepdrr(scene.volume, args.pixels))
                rates += [{'volume': name, **row} for row in found]
    print_agreement(close, where, console)
    if rates:
        print_rates(rates, device.name, console)
    if args.json:
        content = {'agreement': close, 'rates': rates}
        args.json.write_text(json.dumps(content, indent=1) + '\n', encoding='utf-8')
    kinds = ('lines_rmse', 'interpolated_rmse', 'frame_rmse')
    return int(max(row[kind] for row in close for kind in kinds) > LIMIT)


if __name__ == '__main__':
    sys.exit(main())
