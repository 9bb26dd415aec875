"""Labelled radiographs for training and testing, by the renderer that the simulator uses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthex_ros import __version__
from synthex_ros.bodies import Body
from synthex_ros.devices.continuum.kinematics import ContinuumKinematics
from synthex_ros.devices.continuum.mesh import continuum_bodies
from synthex_ros.geometry import make_pose
from synthex_ros.learning.anatomies import draw_anatomy, load_anatomy, names_of
from synthex_ros.learning.coco import CocoWriter, annotation_of, write_image
from synthex_ros.learning.distractors import draw_distractors
from synthex_ros.learning.engines import ENGINES
from synthex_ros.learning.imaging import ImagingSample, draw_imaging
from synthex_ros.learning.sampling import (
    Box,
    DeviceSample,
    SceneSampling,
    ViewSample,
    draw_device,
    draw_view,
    frame_rng,
    view_rng,
)
from synthex_ros.learning.sites import Site, find_sites
from synthex_ros.learning.truth import keypoints_of, local_contrast, open_mask
from synthex_ros.settings import as_plain
from synthex_ros.xray.projector import Projector
from synthex_ros.xray.radiograph import Radiograph
from synthex_ros.xray.realism import realism
from synthex_ros.xray.renderer import ENERGIES, Renderer, Technique
from synthex_ros.xray.scene import Scene
from synthex_ros.xray.shear_warp import ShearWarpProjector

LANDMARKS = ('base', 'tip')
CATEGORY: dict[str, Any] = {
    'id': 1,
    'name': 'continuum_manipulator',
    'supercategory': 'device',
    'keypoints': list(LANDMARKS),
    'skeleton': [[1, 2]],
}

ANATOMY_PX = 256
SUPERSAMPLING = 2
_CENTERLINE_POINTS = 9
_EARLIER_M = 0.008


@dataclass(frozen=True, eq=False)
class Frame:
    """A labelled radiograph.

    Attributes:
        counts: detector counts, shape (rows, columns), uint16.
        mask: class ids, shape (rows, columns), uint8.
        image: COCO's entry of the image.
        annotations: COCO's annotations without ids; none where no device is seen.
    """

    counts: NDArray[np.uint16]
    mask: NDArray[np.uint8]
    image: dict[str, Any]
    annotations: list[dict[str, Any]]


@dataclass(frozen=True, eq=False)
class _Patient:
    """What is kept of an anatomy."""

    scene: Scene
    projector: Projector
    sites: dict[str, Site]


@dataclass(frozen=True, eq=False)
class _Setup:
    """A C-arm view with its renderer."""

    anatomy: str
    patient: _Patient
    seen: ViewSample
    imaging: ImagingSample
    renderer: Renderer
    technique: Technique
    field_px: Box


class FrameMaker:
    """Makes frame number `index` of a seed, always the same.

    Args:
        sampling: what is varied.
        seed: seed of the whole set.
    """

    def __init__(self, sampling: SceneSampling, seed: int) -> None:
        self.sampling, self.seed = sampling, seed
        self._kinematics = ContinuumKinematics()
        self._patients: dict[str, _Patient] = {}
        self._setup: tuple[int, _Setup] | None = None

    def frame(self, index: int) -> Frame:
        """Return frame `index`."""
        setup = self._view(index // self.sampling.frames_per_view)
        rng = frame_rng(self.seed, index)
        device = draw_device(self.sampling, self._kinematics, setup.seen, setup.field_px, rng)
        shown = bool(rng.random() >= self.sampling.negative_share)
        objects, kinds = self._objects(setup, device if shown else None, rng)
        bodies = self._bodies(device) if shown else []
        radiograph, lag = self._render(setup, bodies, objects, rng)
        return self._labelled(index, setup, device, shown, objects, kinds, radiograph, lag)

    def _view(self, number: int) -> _Setup:
        """Return view `number`, kept for the frames of one view."""
        if self._setup is None or self._setup[0] != number:
            self._setup = number, self._new_view(number)
        return self._setup[1]

    def _new_view(self, number: int) -> _Setup:
        rng, sampling = view_rng(self.seed, number), self.sampling
        anatomy = draw_anatomy(sampling.anatomies, sampling.phantom_count, rng)
        patient = self._patient(anatomy)
        seen = draw_view(sampling, patient.scene.volume.centre_patient_m, rng)
        imaging = draw_imaging(sampling.imaging, rng).simplified(sampling.realism)
        renderer = Renderer(
            patient.scene,
            detector=imaging.detector,
            energies=realism(sampling.realism).energies or ENERGIES,
            projector=patient.projector,
            supersampling=SUPERSAMPLING,
            cached_layers=2,
            source_to_isocenter_m=seen.source_to_isocenter_m,
            chain=imaging.chain,
        )
        technique = renderer.regulated(
            imaging.control, seen.view, seen.world_from_patient, imaging.technique
        )
        blades, geometry = imaging.chain.collimator, seen.view.geometry
        rows, columns = geometry.shape_px
        field = blades.box_px(geometry) if blades is not None else (0.0, rows, 0.0, columns)
        return _Setup(anatomy, patient, seen, imaging, renderer, technique, field)

    def _patient(self, name: str) -> _Patient:
        if name not in self._patients:
            volume = load_anatomy(name)
            pose = make_pose(None, -volume.centre_patient_m)
            materials = realism(self.sampling.realism).materials or self.sampling.materials
            scene = Scene(volume, materials, world_from_patient=pose)
            self._patients[name] = _Patient(
                scene, ShearWarpProjector(ANATOMY_PX), find_sites(volume)
            )
        return self._patients[name]

    def _bodies(self, device: DeviceSample) -> list[Body]:
        return continuum_bodies(
            self._kinematics,
            device.notch_angles,
            0.0,
            device.roll,
            device.world_from_device_base,
        )

    def _objects(
        self, setup: _Setup, device: DeviceSample | None, rng: np.random.Generator
    ) -> tuple[list[Body], list[str]]:
        points = None
        if device is not None:
            share = np.linspace(0, 1, _CENTERLINE_POINTS)[:, None]
            base, tip = device.landmarks_world_m
            points = base + share * (tip - base)
        return draw_distractors(
            self.sampling.distractors,
            setup.seen.view,
            setup.seen.source_to_isocenter_m,
            setup.patient.sites,
            setup.seen.world_from_patient,
            points,
            rng,
        )

    def _render(
        self, setup: _Setup, bodies: list[Body], objects: list[Body], rng: np.random.Generator
    ) -> tuple[Radiograph, bool]:
        """Return the radiograph, and whether a frame before it is seen as well."""
        renderer, seen = setup.renderer, setup.seen
        memory, shift = None, rng.normal(0, _EARLIER_M, 3)
        if rng.random() < self.sampling.imaging.lag_share:
            memory = setup.imaging.chain.memory(seen.view.geometry.shape_px)
            before = make_pose(None, shift)
            earlier = [
                Body(b.mesh, b.material, before @ b.world_from_mesh, b.label) for b in bodies
            ]
            self._expose(renderer, setup, [*earlier, *objects], rng, memory)
        return self._expose(renderer, setup, [*bodies, *objects], rng, memory), memory is not None

    @staticmethod
    def _expose(renderer: Renderer, setup: _Setup, bodies, rng, memory) -> Radiograph:
        return renderer.render(
            setup.seen.view,
            bodies,
            rng,
            setup.seen.world_from_patient,
            technique=setup.technique,
            memory=memory,
        )

    def _labelled(
        self,
        index: int,
        setup: _Setup,
        device: DeviceSample,
        shown: bool,
        objects: list[Body],
        kinds: list[str],
        radiograph: Radiograph,
        lag: bool,
    ) -> Frame:
        image = describe_image(index, self.seed, setup, kinds, lag)
        mask = open_mask(radiograph.mask, setup.field_px)
        if not (shown and mask.any()):
            return Frame(radiograph.counts, mask, image, [])
        seen = setup.seen
        points = seen.view.project(device.landmarks_world_m)
        depth = seen.view.to_source(device.landmarks_world_m)[:, 2]
        image['source_to_object_mm'] = float(depth.mean() * 1e3)
        contrast = self._contrast(setup, self._bodies(device), objects)
        at_landmarks = local_contrast(contrast, mask, points)
        keypoints = keypoints_of(
            points,
            setup.field_px,
            mask.shape,
            self.sampling.landmark_margin_px,
            at_landmarks >= self.sampling.least_contrast,
        )
        annotation = annotation_of(
            index,
            mask > 0,
            keypoints,
            contrast=round(float(np.median(contrast[mask > 0])), 5),
            keypoint_contrast=[round(float(value), 5) for value in at_landmarks],
            keypoints_projected=points.tolist(),
            world_from_device_base=device.world_from_device_base.tolist(),
            roll_rad=device.roll,
            control_rad=device.control_rad.tolist(),
        )
        return Frame(radiograph.counts, mask, image, [annotation])

    def _contrast(self, setup: _Setup, bodies: list[Body], objects: list[Body]) -> NDArray:
        """Return what part of the expected signal the device takes, shape (rows, columns)."""
        pair = [
            setup.renderer.expected_kev(
                setup.seen.view,
                shown,
                setup.seen.world_from_patient,
                technique=setup.technique,
            ).signal_kev
            for shown in (objects, [*bodies, *objects])
        ]
        return 1 - pair[1] / np.maximum(pair[0], 1e-6)


def describe_image(
    index: int, seed: int, setup: _Setup, kinds: list[str], lag: bool
) -> dict[str, Any]:
    """Return COCO's entry of an image: file, camera, patient, technique and imaging chain."""
    seen, technique, chain = setup.seen, setup.technique, setup.imaging.chain
    geometry, scatter = seen.view.geometry, chain.scatter
    rows, columns = geometry.shape_px
    return {
        'id': index,
        'file_name': f'{index:06d}.png',
        'width': columns,
        'height': rows,
        'pixel_pitch_mm': geometry.pixel_pitch_m[0] * 1e3,
        'source_to_detector_mm': geometry.source_to_detector_m * 1e3,
        'source_to_object_mm': seen.source_to_isocenter_m * 1e3,
        'source_to_isocenter_mm': seen.source_to_isocenter_m * 1e3,
        'inverted': False,
        'camera': {
            'k': geometry.intrinsics().tolist(),
            'world_from_source': seen.view.world_from_source.tolist(),
        },
        'anatomy': setup.anatomy,
        'world_from_patient': seen.world_from_patient.tolist(),
        'view': seen.name,
        'field_px': [float(edge) for edge in setup.field_px],
        'distractors': kinds,
        'technique': {
            'tube_voltage_kv': technique.tube_voltage_kv,
            'charge_mas': technique.charge_mas,
            'filtration_mm': dict(technique.filtration_mm),
            'detector_kerma_ngy': setup.imaging.control.detector_kerma_gy * 1e9,
        },
        'chain': {
            'scatter': scatter is not None,
            'grid': scatter is not None and scatter.grid is not None,
            'heel': chain.heel is not None,
            'focal_spot_mm': chain.focal_spot.width_m * 1e3 if chain.focal_spot else 0.0,
            'lag': lag,
            'blur_mm': setup.imaging.detector.blur_m * 1e3,
            'electronic_noise_counts': setup.imaging.detector.electronic_noise_counts,
        },
        'seed': seed,
    }


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
    writer = CocoWriter(root, information(sampling, seed), [CATEGORY])
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
    volumes = {
        name: load_anatomy(name).sha256()
        for name in names_of(sampling.anatomies, sampling.phantom_count)
    }
    return {
        'description': 'synthetic radiographs of a continuum manipulator',
        'version': __version__,
        'seed': seed,
        'sampling': as_plain(sampling),
        'volume_sha256': volumes,
        'device': as_plain(ContinuumKinematics().parameters),
    }
