"""Frames with tiny devices of known contrast: what is drawn, rendered and true.

A device weakens the expected primary signal by exp(-mu t), t the path inside it and mu such that
the Michelson contrast (I0 - I) / (I0 + I), I0 and I the expected signal without and with it in the
mean over its pixels, scatter included, is the one that was drawn. So mu stands for how much metal
powder a robot holds. Focal spot, noise and light spread come after it.

The exposure of a frame is raised until the faintest of its devices can be seen at all, as an
operator goes from fluoroscopy to cine and single shots; `synthex_ros.learning.visibility`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthex_ros import __version__
from synthex_ros.anatomy.volume import Volume
from synthex_ros.bodies import TriangleMesh
from synthex_ros.geometry import make_pose
from synthex_ros.learning.anatomies import draw_anatomy, load_anatomy, names_of
from synthex_ros.learning.coco import CocoWriter, annotation_of, write_image
from synthex_ros.learning.engines import ENGINES
from synthex_ros.learning.imaging import draw_imaging
from synthex_ros.learning.sampling import (
    SceneSampling,
    draw_view,
    frame_rng,
    view_rng,
)
from synthex_ros.learning.tiny_devices import CLASSES, draw_mesh
from synthex_ros.learning.tiny_insertion import (
    TinyDevice,
    ViewSetup,
    apart,
    box_of,
    placed_device,
)
from synthex_ros.settings import as_plain
from synthex_ros.xray.mesh_tracer import trace
from synthex_ros.xray.renderer import Renderer
from synthex_ros.xray.scene import Scene
from synthex_ros.xray.shear_warp import ShearWarpProjector

Image = NDArray[np.float64]

CATEGORIES: list[dict[str, Any]] = [
    {'id': k + 1, 'name': name, 'supercategory': 'device', 'keypoints': ['centre'], 'skeleton': []}
    for k, name in enumerate(CLASSES)
]

_SUPERSAMPLING = 3
_TRIES = 20


@dataclass(frozen=True)
class TinySampling:
    """Ranges that scenes with tiny devices are drawn from.

    Attributes:
        scene: anatomy, views, imaging chain, share of frames without device.
        size_mm: largest extent of a device, drawn uniformly in its logarithm.
        contrast: Michelson contrast of a device, drawn uniformly in its logarithm.
        most: greatest number of devices in a frame.
        border_px: a device keeps this far inside the open field.
        least_snr: signal-to-noise ratio of the faintest device of a frame, at least. A device
            that does not reach it at the highest exposure is put elsewhere.
        exposure_margin: how much more than that takes, drawn uniformly in its logarithm.
        highest_kerma_ngy: greatest median air kerma a frame behind the patient [nGy]. A frame of
            cine has some 100 nGy, of subtraction angiography some 1000, a radiograph of speed
            class 100 has 10000.
    """

    scene: SceneSampling = field(
        default_factory=lambda: SceneSampling(image_px=1024, frames_per_view=4)
    )
    size_mm: tuple[float, float] = (0.55, 5.0)
    contrast: tuple[float, float] = (0.02, 0.4)
    most: int = 4
    border_px: float = 12.0
    least_snr: float = 6.0
    exposure_margin: tuple[float, float] = (1.0, 4.0)
    highest_kerma_ngy: float = 10000.0

    def __post_init__(self):
        if isinstance(self.scene, Mapping):
            object.__setattr__(self, 'scene', SceneSampling(**self.scene))
        for name, highest in (('size_mm', 50.0), ('contrast', 1.0)):
            low, high = getattr(self, name)
            if not 0 < low <= high <= highest:
                raise ValueError(
                    f'{name} must be (low, high) in 0..{highest:g}, got {low}, {high}'
                )
        if self.most < 1:
            raise ValueError(f'most must be at least 1, got {self.most}')
        low, high = self.exposure_margin
        if not 1 <= low <= high:
            raise ValueError(f'exposure_margin must be (low, high) from 1, got {low:g}, {high:g}')
        if self.least_snr < 0 or not self.highest_kerma_ngy > 0:
            raise ValueError(
                'least_snr must not be negative and highest_kerma_ngy be positive, got '
                f'{self.least_snr:g} and {self.highest_kerma_ngy:g}'
            )


class TinyMaker:
    """Makes frame number `index` of a seed, always the same.

    Args:
        sampling: what is varied.
        seed: seed of the whole set.
    """

    def __init__(self, sampling: TinySampling, seed: int) -> None:
        self.sampling, self.seed = sampling, seed
        self._scenes: dict[str, tuple[Volume, Scene, ShearWarpProjector]] = {}
        self._setup: tuple[int, ViewSetup] | None = None

    def frame(self, index: int) -> tuple[NDArray[np.uint16], dict[str, Any], list[dict[str, Any]]]:
        """Return counts, COCO's entry of the image and its annotations, of frame `index`."""
        setup = self._view(index // self.sampling.scene.frames_per_view)
        rng = frame_rng(self.seed, index)
        empty = rng.random() < self.sampling.scene.negative_share
        devices: list[TinyDevice] = []
        for _ in range(int(rng.integers(1, self.sampling.most + 1))):
            device = self._draw(setup, devices, rng)
            if device is not None:
                devices.append(device)
        # Frames without device are exposed as if they had some: dose does not tell.
        exposure = self._exposure(setup, devices, rng)
        if empty:
            devices = []
        counts = self._expose(setup, devices, exposure, rng)
        annotations = [self._annotation(index, device, exposure) for device in devices]
        return counts, self._image(index, setup, exposure), annotations

    def _exposure(
        self, setup: ViewSetup, devices: list[TinyDevice], rng: np.random.Generator
    ) -> float:
        """Return the multiple of the view's exposure at which the faintest device is seen."""
        margin = float(np.exp(rng.uniform(*np.log(self.sampling.exposure_margin))))
        highest = self._highest(setup)
        needed = [device.shadow.exposure_for(self.sampling.least_snr, highest) or highest
                  for device in devices]  # fmt: skip
        return min(margin * max(needed, default=1.0), highest)

    def _highest(self, setup: ViewSetup) -> float:
        return max(self.sampling.highest_kerma_ngy / setup.kerma_ngy, 1.0)

    def _view(self, number: int) -> ViewSetup:
        if self._setup is None or self._setup[0] != number:
            self._setup = number, self._new_view(number)
        return self._setup[1]

    def _new_view(self, number: int) -> ViewSetup:
        rng, sampling = view_rng(self.seed, number), self.sampling.scene
        anatomy = draw_anatomy(sampling.anatomies, sampling.phantom_count, rng)
        volume, scene, projector = self._scene(anatomy)
        seen = draw_view(sampling, volume.centre_patient_m, rng)
        imaging = draw_imaging(sampling.imaging, rng)
        renderer = Renderer(
            scene,
            detector=imaging.detector,
            projector=projector,
            cached_layers=1,
            source_to_isocenter_m=seen.source_to_isocenter_m,
            chain=imaging.chain,
        )
        pose = seen.world_from_patient
        technique = renderer.regulated(imaging.control, seen.view, pose, imaging.technique)
        expected = renderer.expected_kev(seen.view, [], pose, technique=technique)
        blades, (rows, columns) = imaging.chain.collimator, seen.view.geometry.shape_px
        field_px = blades.box_px(seen.view.geometry) if blades else (0.0, rows, 0.0, columns)
        return ViewSetup(
            anatomy,
            seen,
            renderer,
            technique,
            np.asarray(expected.primary_kev, float),
            np.asarray(expected.scatter_kev, float),
            np.asarray(expected.variance_kev2, float),
            field_px,
            imaging.control.detector_kerma_gy * 1e9,
        )

    def _scene(self, name: str) -> tuple[Volume, Scene, ShearWarpProjector]:
        if name not in self._scenes:
            volume = load_anatomy(name)
            pose = make_pose(None, -volume.centre_patient_m)
            scene = Scene(volume, self.sampling.scene.materials, world_from_patient=pose)
            self._scenes[name] = volume, scene, ShearWarpProjector(256)
        return self._scenes[name]

    def _draw(
        self, setup: ViewSetup, others: list[TinyDevice], rng: np.random.Generator
    ) -> TinyDevice | None:
        """Return a device that can be seen; None where there is no room for it."""
        name = str(rng.choice(CLASSES))
        size_m = float(np.exp(rng.uniform(*np.log(self.sampling.size_mm)))) * 1e-3
        contrast = float(np.exp(rng.uniform(*np.log(self.sampling.contrast))))
        mesh, geometry = draw_mesh(name, size_m, rng), setup.seen.view.geometry
        depth = setup.seen.source_to_isocenter_m + rng.uniform(-1, 1) * self.sampling.scene.depth_m
        for _ in range(_TRIES):
            corners = self._corners(setup, mesh, depth, rng)
            box = box_of(geometry.project(corners))
            if not all(apart(box, other.box_px) for other in others):
                continue
            path = trace(corners, mesh.faces, geometry, _SUPERSAMPLING)
            centre = trace(corners, mesh.faces, geometry)
            device = placed_device(name, size_m, depth, box, path, centre, contrast, setup)
            least, highest = self.sampling.least_snr, self._highest(setup)
            if device.shadow.exposure_for(least, highest) is not None:
                return device
        return None

    def _corners(
        self, setup: ViewSetup, mesh: TriangleMesh, depth: float, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Return the corners of a mesh, put at random in the open field, in the source frame."""
        top, bottom, left, right = setup.field_px
        margin = self.sampling.border_px
        pixel = rng.uniform([left + margin, top + margin], [right - margin, bottom - margin]) - 0.5
        ray = setup.seen.view.geometry.back_project(pixel)
        return np.asarray(mesh.vertices_m + ray * (depth / ray[2]), float)

    def _expose(
        self,
        setup: ViewSetup,
        devices: Sequence[TinyDevice],
        exposure: float,
        rng: np.random.Generator,
    ) -> NDArray[np.uint16]:
        """Return counts at a multiple of the view's exposure; the gain falls as it rises."""
        before = setup.primary + setup.scatter
        signal = before.copy()
        for device in devices:
            signal[device.part] -= device.lost_kev
        before = np.maximum(before, np.finfo(np.float32).tiny)
        variance = setup.variance * (signal / before)
        geometry, renderer = setup.seen.view.geometry, setup.renderer
        return renderer.detector.expose(
            (exposure * signal).astype(np.float32),
            (exposure * variance).astype(np.float32),
            setup.gain_counts_kev / exposure,
            geometry.pixel_pitch_m,
            rng,
            maps=renderer.chain.panel_maps(geometry.shape_px),
        )

    def _image(self, index: int, setup: ViewSetup, exposure: float) -> dict[str, Any]:
        geometry = setup.seen.view.geometry
        rows, columns = geometry.shape_px
        return {
            'id': index,
            'file_name': f'{index:06d}.png',
            'width': columns,
            'height': rows,
            'pixel_pitch_mm': geometry.pixel_pitch_m[0] * 1e3,
            'source_to_detector_mm': geometry.source_to_detector_m * 1e3,
            'source_to_object_mm': setup.seen.source_to_isocenter_m * 1e3,
            'inverted': False,
            'anatomy': setup.anatomy,
            'view': setup.seen.name,
            'field_px': [float(edge) for edge in setup.field_px],
            'tube_voltage_kv': setup.technique.tube_voltage_kv,
            'charge_mas': setup.technique.charge_mas * exposure,
            'detector_kerma_ngy': setup.kerma_ngy * exposure,
            'seed': self.seed,
        }

    @staticmethod
    def _annotation(index: int, device: TinyDevice, exposure: float) -> dict[str, Any]:
        keypoint = np.array([[*device.centre_px, 2]])
        known = annotation_of(
            index,
            device.mask,
            keypoint,
            contrast=round(device.contrast, 6),
            snr=round(device.shadow.snr(exposure), 3),
            size_mm=device.size_m * 1e3,
            source_to_object_mm=device.depth_m * 1e3,
        )
        number = CLASSES.index(device.name) + 1
        return known | {'category_id': number, 'bbox': [float(edge) for edge in device.box_px]}


class TinyWriter:
    """Writes the images of frames and returns their lines of the log; one a worker process."""

    def __init__(self, sampling: TinySampling, seed: int, root: str, threads: int) -> None:
        import numba

        numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]
        self._maker, self._root = TinyMaker(sampling, seed), root

    def __call__(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        """Write some frames of one view."""
        items = []
        for index in indices:
            counts, image, annotations = self._maker.frame(index)
            write_image(self._root, image['file_name'], counts)
            items.append({'image': image, 'annotations': annotations})
        return items


def generate_tiny(
    sampling: TinySampling, frames: int, root: str | Path, seed: int, workers: int = 2
) -> Iterator[int]:
    """Write `frames` frames to folder `root` and yield how many are there, as they come.

    Raises:
        ValueError: the folder holds frames of another seed or other settings.
    """
    if frames < 1 or workers < 1:
        raise ValueError(f'frames and workers must be positive, got {frames} and {workers}')
    writer = CocoWriter(root, _information(sampling, seed), CATEGORIES)
    have, each = writer.known(), sampling.scene.frames_per_view
    done = sum(index < frames for index in have)
    yield done
    views: dict[int, list[int]] = {}
    for index in sorted(set(range(frames)) - have):
        views.setdefault(index // each, []).append(index)
    arguments = (sampling, seed, str(root))
    for items in ENGINES['processes'](TinyWriter, arguments, list(views.values()), workers):
        writer.append(items)
        done += len(items)
        yield done
    writer.finish()


def _information(sampling: TinySampling, seed: int) -> dict[str, Any]:
    names = names_of(sampling.scene.anatomies, sampling.scene.phantom_count)
    return {
        'description': 'synthetic radiographs of tiny devices',
        'version': __version__,
        'seed': seed,
        'sampling': as_plain(sampling),
        'volume_sha256': {name: load_anatomy(name).sha256() for name in names},
    }
