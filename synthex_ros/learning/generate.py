"""Labelled radiographs for training and testing, written to a folder by several processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from synthex_ros import __version__
from synthex_ros.learning.anatomies import names_of
from synthex_ros.learning.coco import CocoWriter, write_image
from synthex_ros.learning.cutouts import cutouts_sha256
from synthex_ros.learning.device_sources import device_source
from synthex_ros.learning.engines import ENGINES
from synthex_ros.learning.frame_maker import FrameMaker
from synthex_ros.learning.sampling import SceneSampling
from synthex_ros.settings import as_plain


class FrameWriter:
    """Writes the images of frames and returns their lines of the log; one a worker process.

    Args:
        sampling: what is varied.
        seed: seed of the whole set.
        root: folder of the set.
        threads: of numba in this process.
    """

    def __init__(self, sampling: SceneSampling, seed: int, root: str, threads: int) -> None:
        import numba

        numba.set_num_threads(min(threads, numba.get_num_threads()))
        self._maker, self._root = FrameMaker(sampling, seed), root

    def __call__(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        """Write some frames of one view."""
        items = []
        for index in indices:
            frame = self._maker.frame(index)
            write_image(self._root, frame.image['file_name'], frame.counts)
            items.append({'image': frame.image, 'annotations': frame.annotations})
        return items


def generate(
    sampling: SceneSampling,
    frames: int,
    root: str | Path,
    seed: int,
    workers: int = 2,
    engine: str = 'processes',
) -> Iterator[int]:
    """Write `frames` frames to folder `root` and yield how many are there, as they come.

    What is there already is kept, so an interrupted run continues with the same result. The bytes
    of a finished folder depend on settings, seed and number of frames alone.

    Args:
        sampling: what is varied.
        frames: how many frames the folder is to hold.
        root: the folder.
        seed: seed of the whole set.
        workers: processes.
        engine: 'processes' on this machine, or 'ray' on a Ray cluster.

    Raises:
        ValueError: the folder holds frames of another seed or other settings, or no such engine.
    """
    if frames < 1 or workers < 1:
        raise ValueError(f'frames and workers must be positive, got {frames} and {workers}')
    if engine not in ENGINES:
        raise ValueError(f'engine must be one of {", ".join(ENGINES)}, got {engine!r}')
    writer = CocoWriter(root, information(sampling, seed), device_source(sampling).categories)
    have = writer.known()
    done = sum(index < frames for index in have)
    yield done
    views: dict[int, list[int]] = {}
    for index in range(frames):
        if index not in have:
            views.setdefault(index // sampling.frames_per_view, []).append(index)
    tasks = list(views.values())
    arguments = (sampling, seed, str(root))
    for items in ENGINES[engine](FrameWriter, arguments, tasks, workers):
        writer.append(items)
        done += len(items)
        yield done
    writer.finish()


def information(sampling: SceneSampling, seed: int) -> dict[str, Any]:
    """Return COCO's `info` of a set: everything that its bytes depend on but their number."""
    device = device_source(sampling)
    volumes = {
        name: sampling.volume(name).sha256()
        for name in names_of(sampling.anatomies, sampling.phantom_count)
    }
    cutouts = sampling.distractors.cutouts
    pasted = {'cutouts_sha256': cutouts_sha256(cutouts)} if cutouts else {}
    shown = ', '.join(item['name'].replace('_', ' ') for item in device.categories)
    return {
        'description': f'synthetic radiographs, labelled: {shown}',
        'version': __version__,
        'seed': seed,
        'sampling': as_plain(sampling),
        'volume_sha256': volumes,
        'device': device.about,
        **pasted,
    }
