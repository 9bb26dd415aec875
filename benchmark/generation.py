"""How many labelled frames a second are made, with DiffDRR's projection alone beside it.

    python -m benchmark.generation [--frames 60] [--workers 2] [--sizes 360 512] [--head-to-head]
    pip install torch && pip install --no-deps diffdrr==0.6.1      # for --head-to-head

A frame here is all that `synthex generate` writes: spectrum, scatter, heel, focal spot, lag,
blades, noise, foreign objects, device, mask, keypoints, contrast, PNG file. Two frames share a
C-arm view. Compilation and the reading of CTs are left out: every worker makes some frames before
the clock starts. DiffDRR's trilinear projector draws the anatomy of one view, without energies,
device and labels.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
from dataclasses import replace

import numpy as np

WARM_UP_VIEWS = 16
SEED = 31


def make_frames(job: tuple) -> tuple[int, float]:
    """Make frames of a size in this process and return how many a time [s] it took."""
    from synthex_ros.learning.generate import FrameWriter
    from synthex_ros.learning.sampling import SceneSampling
    from synthex_ros.settings import load_settings

    settings, size, first, frames, threads, barrier, root = job
    sampling = replace(load_settings(SceneSampling, settings), image_px=size)
    writer = FrameWriter(sampling, SEED, root, threads)
    step = sampling.frames_per_view
    for view in range(WARM_UP_VIEWS):
        writer([(10**6 + view) * step])
    barrier.wait()
    started = time.perf_counter()
    for index in range(first, first + frames, step):
        writer(list(range(index, min(index + step, first + frames))))
    return frames, time.perf_counter() - started


def _run(job: tuple, results) -> None:
    results.put(make_frames(job))


def frames_per_second(settings: str, size: int, frames: int, workers: int) -> float:
    """Return the frames a second of all workers together."""
    context = multiprocessing.get_context('spawn')
    barrier, results = context.Barrier(workers), context.Queue()
    threads = max(1, (os.cpu_count() or 1) // workers)
    os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')  # as `synthex generate` starts its workers
    each = frames // workers
    with tempfile.TemporaryDirectory() as root:
        # A folder each: all warm up on the same frames, which one folder can only take once.
        roots = [f'{root}/{w}' for w in range(workers)]
        for own in roots:
            os.makedirs(f'{own}/images')
        processes = [
            context.Process(
                target=_run,
                args=((settings, size, w * each, each, threads, barrier, own), results),
            )
            for w, own in enumerate(roots)
        ]
        for process in processes:
            process.start()
        rates = [results.get() for _ in processes]
        for process in processes:
            process.join()
    return sum(count for count, _ in rates) / max(seconds for _, seconds in rates)


def diffdrr_ms(size: int, views: int = 4) -> float:
    """Return the median time of DiffDRR's projection of the chest, all rays of a view [ms]."""
    import torch

    from benchmark.projector_peers import DiffDrr
    from synthex_ros.anatomy import load_volume
    from synthex_ros.geometry import CArm, View, joints_of_clinical, make_pose

    volume = load_volume('chest')
    peer, pose = DiffDrr(volume), make_pose(None, -volume.centre_patient_m)
    torch.set_num_threads(os.cpu_count() or 1)
    times = []
    for angle in np.linspace(-0.5, 0.5, views):
        view = CArm().view(*joints_of_clinical(angle, 0.1))
        view = View(view.geometry.resized((size, size)), view.world_from_source)
        started = time.perf_counter()
        peer.area_density_g_cm2(view, pose)
        times.append(time.perf_counter() - started)
    return 1e3 * float(np.median(times[1:]))


def main() -> None:
    """Print the rates."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--settings', default='config/generate_cm.yaml')
    parser.add_argument('--frames', type=int, default=60)
    parser.add_argument('--workers', type=int, default=2)
    parser.add_argument('--sizes', type=int, nargs='+', default=[360, 512])
    parser.add_argument(
        '--head-to-head', action='store_true', help="time DiffDRR's projection too"
    )
    args = parser.parse_args()
    print(
        f'{args.workers} workers on {os.cpu_count()} cores, {args.frames} frames, {args.settings}'
    )
    for size in args.sizes:
        rate = frames_per_second(args.settings, size, args.frames, args.workers)
        print(f'{size} x {size}: {rate:.1f} labelled frames/s')
        if args.head_to_head:
            ms = diffdrr_ms(size)
            print(f'    DiffDRR, projection alone: {1e3 / ms:.2f} views/s ({ms:.0f} ms)')


if __name__ == '__main__':
    main()
