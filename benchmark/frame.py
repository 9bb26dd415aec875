"""Time of a frame: moving device, static anatomy, full physics; and of a new view.

    python benchmark/frame.py [--pixels 512 1024 1536] [--frames 60] [--threads 2] [--json FILE]

The device is a continuum manipulator that bends and turns from frame to frame. Full physics:
eight energies, tissue displaced by the device, heel effect, scatter, focal spot, light spread with
correlated quantum noise (Poisson where quanta are few), electronic noise, lag of two terms, uneven
pixels, 16 bit. Printed are medians and 95th percentiles of wall-clock milliseconds, whole and by
stage. `view` is the anatomy of a C-arm pose that was not seen before, without the effects of the
imaging chain: line integrals of all materials and the primary signal; `error` is the RMSE of its
signal against 1024 samples a side, the greatest of five views.
"""

import argparse
import json
import statistics
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from synthex_ros.anatomy import load_sample
from synthex_ros.devices.continuum.kinematics import ContinuumKinematics
from synthex_ros.devices.continuum.mesh import continuum_bodies
from synthex_ros.geometry import CArm, make_pose, rotation
from synthex_ros.xray.device_layer import behind_devices, label_image, trace_bodies
from synthex_ros.xray.imaging_chain import ImagingChain
from synthex_ros.xray.parallel import parallel
from synthex_ros.xray.renderer import ANATOMY_PX, Renderer
from synthex_ros.xray.scene import Scene

WARM_UP = 5
STAGES = ('mesh', 'trace', 'behind', 'detector', 'label', 'frame')


def moving_device(kinematics: ContinuumKinematics, index: int):
    """Return the bodies of frame `index`: bending by 60 degrees and rolling about the shaft."""
    bend = np.radians(60) * np.sin(2 * np.pi * index / 40)
    control = np.full(5, bend / kinematics.parameters.notch_count)
    base = make_pose(rotation('y', np.pi / 2), [-0.02, 0.0, 0.0])
    return continuum_bodies(kinematics, kinematics.notch_angles(control), 0.0, 0.1 * index, base)


def frame_times(renderer: Renderer, pixels: int, frames: int, threads: int) -> dict[str, list]:
    """Return the milliseconds of each stage of each frame."""
    view = CArm().view(np.radians(20), np.radians(10)).resized((pixels, pixels))
    layer, chain = renderer.anatomy(view), renderer.chain
    memory, maps = chain.memory((pixels, pixels)), chain.panel_maps((pixels, pixels))
    renderer.threads = threads
    kinematics, times = ContinuumKinematics(), {stage: [] for stage in STAGES}
    beam = renderer.beam(layer.technique)
    for index in range(frames + WARM_UP):
        rng = np.random.default_rng([1, index])
        marks = [time.perf_counter()]
        bodies = moving_device(kinematics, index)
        marks.append(time.perf_counter())
        with parallel(threads):
            devices = trace_bodies(bodies, view)
            marks.append(time.perf_counter())
            covered = behind_devices(devices, layer, renderer.scene, beam, chain.focal_spot)
            marks.append(time.perf_counter())
            renderer.detector.expose(
                layer.signal_kev, layer.variance_kev2, beam.gain_counts_kev(view.geometry),
                view.geometry.pixel_pitch_m, rng, covered=covered, scatter=layer.scatter,
                memory=memory, interval_s=1 / 30, maps=maps,
            )  # fmt: skip
            marks.append(time.perf_counter())
            label_image(devices, view.geometry.shape_px)
            marks.append(time.perf_counter())
        renderer.render(view, bodies, rng, layer=layer, memory=memory, interval_s=1 / 30)
        marks.append(time.perf_counter())
        if index >= WARM_UP:
            for stage, before, after in zip(STAGES, marks[:-1], marks[1:], strict=True):
                times[stage].append(1e3 * (after - before))
    return times


def view_times(renderer: Renderer, pixels: int, views: int) -> list[float]:
    """Return the milliseconds of the anatomy of views on an orbit, none seen before."""
    times = []
    for index in range(views + 2):
        angles = np.radians([-40 + 80 * index / (views + 1), 5])
        view = CArm().view(*angles).resized((pixels, pixels))
        start = time.perf_counter()
        renderer.anatomy(view)
        times.append(1e3 * (time.perf_counter() - start))
    return times[2:]


def up_sampling_error(scene: Scene, pixels: int) -> float:
    """Return the greatest relative RMSE of the default's signal over five views."""
    coarse, fine = (Renderer(scene, anatomy_px=n, cached_layers=1) for n in (ANATOMY_PX, 1024))
    errors = []
    for angles_deg in ((0, 0), (30, 5), (60, 20), (90, 0), (0, 40)):
        view = CArm().view(*np.radians(angles_deg)).resized((pixels, pixels))
        truth = fine.anatomy(view).signal_kev.astype(float)
        difference = coarse.anatomy(view).signal_kev - truth
        errors.append(np.sqrt(np.mean(difference**2) / np.mean(truth**2)))
    return float(max(errors))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description='Milliseconds of a frame and of a new view.')
    parser.add_argument('--pixels', type=int, nargs='+', default=[512, 1024, 1536])
    parser.add_argument('--frames', type=int, default=60)
    parser.add_argument('--views', type=int, default=16)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--volumes', nargs='+', default=['chest', 'head'])
    parser.add_argument('--json', type=Path, help='also write the numbers to this file')
    args = parser.parse_args()
    console, rows = Console(), []
    table = Table(title=f'milliseconds, median (95th percentile), {args.threads} threads')
    for heading in ('volume', 'pixels', *STAGES, 'view', 'views/s', 'error'):
        table.add_column(heading, justify='right')
    for name in args.volumes:
        volume = load_sample(name)
        pose = make_pose(None, -volume.centre_patient_m)
        scene = Scene(volume, world_from_patient=pose)
        chain = replace(ImagingChain.full(), panel_seed=1)
        full, plain = (
            Renderer(scene, cached_layers=2, chain=chain),
            Renderer(scene, cached_layers=2),
        )
        for pixels in args.pixels:
            times = frame_times(full, pixels, args.frames, args.threads)
            times['view'] = view_times(plain, pixels, args.views)
            error = up_sampling_error(scene, pixels)
            middle = {stage: statistics.median(values) for stage, values in times.items()}
            late = {stage: float(np.percentile(values, 95)) for stage, values in times.items()}
            row = {'volume': name, 'pixels': pixels, 'median_ms': middle, 'p95_ms': late}
            rows.append(row | {'view_error': error})
            cells = [f'{middle[stage]:.2f} ({late[stage]:.2f})' for stage in times]
            cells += [f'{1e3 / middle["view"]:.0f}', f'{100 * error:.2f} %']
            table.add_row(name, str(pixels), *cells)
    console.print(table)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + '\n', encoding='utf-8')


if __name__ == '__main__':
    main()
