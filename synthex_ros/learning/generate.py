"""Labelled radiographs for training and testing, by the renderer that the simulator uses."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthex_ros import __version__
from synthex_ros.anatomy import load_volume
from synthex_ros.devices.continuum.kinematics import ContinuumKinematics
from synthex_ros.devices.continuum.mesh import continuum_bodies
from synthex_ros.geometry import make_pose
from synthex_ros.learning.dataset import FrameFolder
from synthex_ros.learning.labelled import inside
from synthex_ros.learning.sampling import (
    FrameSample,
    SceneSampling,
    ViewSample,
    draw_frame,
    draw_view,
    frame_rng,
    view_rng,
)
from synthex_ros.settings import as_plain
from synthex_ros.xray.renderer import Radiograph, Renderer, Technique
from synthex_ros.xray.scene import Scene

LANDMARKS = ('base', 'tip')
_LEAKAGE = (0.004, 0.03)


@dataclass(frozen=True, eq=False)
class Frame:
    """A labelled radiograph.

    Attributes:
        counts: detector counts, shape (rows, columns), uint16.
        mask: class ids, shape (rows, columns), uint8.
        annotation: everything else that is known, in JSON types.
    """

    counts: NDArray[np.uint16]
    mask: NDArray[np.uint8]
    annotation: dict[str, Any]


class FrameMaker:
    """Makes frame number `index` of a seed, always the same.

    Args:
        sampling: what is varied.
        seed: seed of the whole set.
    """

    def __init__(self, sampling: SceneSampling, seed: int) -> None:
        self.sampling, self.seed = sampling, seed
        volume = load_volume(sampling.anatomy)
        self.volume_sha256 = volume.sha256()
        self._centre = volume.centre_patient_m
        pose = make_pose(None, -self._centre)
        scene = Scene(volume, world_from_patient=pose)
        self._renderer = Renderer(scene, cached_layers=2)
        self._kinematics = ContinuumKinematics()

    def frame(self, index: int) -> Frame:
        """Return frame `index`."""
        drawn = view_rng(self.seed, index // self.sampling.frames_per_view)
        seen = draw_view(self.sampling, self._centre, drawn)
        rng = frame_rng(self.seed, index)
        device = draw_frame(self.sampling, self._kinematics, seen, rng)
        technique = self._renderer.regulated(
            seen.control, seen.view, seen.world_from_patient, seen.technique
        )
        radiograph = self._render(seen, technique, device, rng)
        counts, mask = radiograph.counts, radiograph.mask
        if device.field_px is not None:
            counts, mask = collimate(counts, mask, device.field_px, rng)
        return Frame(counts, mask, self._annotate(index, seen, technique, device))

    def _render(
        self,
        seen: ViewSample,
        technique: Technique,
        device: FrameSample,
        rng: np.random.Generator,
    ) -> Radiograph:
        bodies = []
        if device.has_device:
            bodies = continuum_bodies(
                self._kinematics,
                device.notch_angles,
                0.0,
                device.roll,
                device.world_from_device_base,
            )
        return self._renderer.render(
            seen.view, bodies, rng, seen.world_from_patient, technique=technique
        )

    def _annotate(
        self, index: int, seen: ViewSample, technique: Technique, device: FrameSample
    ) -> dict[str, Any]:
        geometry = seen.view.geometry
        points = seen.view.project(device.landmarks_world_m)
        rows, columns = geometry.shape_px
        top, bottom, left, right = device.field_px or (0, rows, 0, columns)
        margin = self.sampling.landmark_margin_px
        shape = (bottom - top - 2 * margin, right - left - 2 * margin)
        visible = inside(points - [left + margin, top + margin], shape) & device.has_device
        depths = seen.view.to_source(device.landmarks_world_m)[:, 2]
        return {
            'id': index,
            'landmarks': {
                name: [float(u), float(v), int(shown)]
                for name, (u, v), shown in zip(LANDMARKS, points, visible, strict=True)
            },
            'pixel_pitch_mm': geometry.pixel_pitch_m[0] * 1e3,
            'source_to_detector_mm': geometry.source_to_detector_m * 1e3,
            'source_to_object_mm': float(depths.mean() * 1e3),
            'source_to_isocenter_mm': seen.source_to_isocenter_m * 1e3,
            'k': geometry.intrinsics().tolist(),
            'world_from_source': seen.view.world_from_source.tolist(),
            'world_from_patient': seen.world_from_patient.tolist(),
            'world_from_device_base': device.world_from_device_base.tolist(),
            'roll_rad': device.roll,
            'control_rad': device.control_rad.tolist(),
            'has_device': device.has_device,
            'field_px': device.field_px,
            'view': seen.name,
            'tube_voltage_kv': technique.tube_voltage_kv,
            'charge_mas': technique.charge_mas,
            'detector_kerma_ngy': seen.control.detector_kerma_gy * 1e9,
            'seed': self.seed,
        }


def collimate(
    counts: NDArray[np.uint16],
    mask: NDArray[np.uint8],
    field_px: tuple[int, int, int, int],
    rng: np.random.Generator,
) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """Return image and mask with all but the field (top, bottom, left, right) shut out.

    Behind the leaves a flat few per cent of the mean signal remain, leakage and scatter, with
    noise.
    """
    top, bottom, left, right = field_px
    level = rng.uniform(*_LEAKAGE) * float(counts.mean())
    dark = np.maximum(level + rng.normal(0, 1 + np.sqrt(level), counts.shape), 0)
    shut, hidden = np.round(dark).astype(np.uint16), np.zeros_like(mask)
    shut[top:bottom, left:right] = counts[top:bottom, left:right]
    hidden[top:bottom, left:right] = mask[top:bottom, left:right]
    return shut, hidden


_maker: FrameMaker | None = None
_folder: FrameFolder | None = None


def _start_worker(sampling: SceneSampling, seed: int, root: str, threads: int) -> None:
    """Load the scene once a process."""
    global _maker, _folder
    import numba

    numba.set_num_threads(threads)
    _maker, _folder = FrameMaker(sampling, seed), FrameFolder(Path(root))


def _make(indices: list[int]) -> list[dict[str, Any]]:
    """Write the frames of one view and return their annotations."""
    if _maker is None or _folder is None:
        raise RuntimeError('worker was not started')
    annotations = []
    for index in indices:
        frame = _maker.frame(index)
        _folder.write_images(index, frame.counts, frame.mask)
        annotations.append(frame.annotation)
    return annotations


def generate(
    sampling: SceneSampling, frames: int, root: Path, seed: int, workers: int = 2
) -> Iterator[int]:
    """Write `frames` frames to folder `root` and yield how many are there, as they come.

    What is there already is kept, so an interrupted run continues with the same result.

    Raises:
        ValueError: the folder holds frames of another seed or other settings.
    """
    if frames < 1 or workers < 1:
        raise ValueError(f'frames and workers must be positive, got {frames} and {workers}')
    folder = FrameFolder(root)
    volume_sha256 = load_volume(sampling.anatomy).sha256()
    folder.begin(
        {
            'version': __version__,
            'seed': seed,
            'sampling': as_plain(sampling),
            'volume_sha256': volume_sha256,
            'device': as_plain(ContinuumKinematics().parameters),
            'landmarks': list(LANDMARKS),
            'classes': ['background', 'continuum_manipulator'],
        }
    )
    have = {annotation['id'] for annotation in folder.annotations()}
    done = len([index for index in have if index < frames])
    yield done
    views: dict[int, list[int]] = {}
    for index in range(frames):
        if index not in have:
            views.setdefault(index // sampling.frames_per_view, []).append(index)
    if not views:
        return
    threads = max(1, (multiprocessing.cpu_count() or 1) // workers)
    # Workers read it when they import numpy: threads of small matrix products only wait there.
    os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')
    context = multiprocessing.get_context('spawn')
    start = (sampling, seed, str(root), threads)
    with context.Pool(workers, _start_worker, start) as pool:
        for annotations in pool.imap(_make, views.values()):
            folder.append(annotations)
            done += len(annotations)
            yield done
