"""Frames with tiny devices of known contrast: what is drawn, rendered and true.

A device weakens the expected primary signal by exp(-mu t), t the path inside it and mu such that
the Michelson contrast (I0 - I) / (I0 + I), I0 and I the expected signal without and with it in the
mean over its pixels, scatter included, is the one that was drawn. So mu stands for how much metal
powder a robot holds. Noise and light spread come after it.
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
    Box,
    SceneSampling,
    ViewSample,
    draw_view,
    frame_rng,
    view_rng,
)
from synthex_ros.learning.tiny_devices import CLASSES, draw_mesh
from synthex_ros.settings import as_plain
from synthex_ros.xray.mesh_tracer import PathLayer, trace
from synthex_ros.xray.renderer import Renderer, Technique
from synthex_ros.xray.scene import Scene
from synthex_ros.xray.shear_warp import ShearWarpProjector

Image = NDArray[np.float64]

CATEGORIES: list[dict[str, Any]] = [
    {'id': k + 1, 'name': name, 'supercategory': 'device', 'keypoints': ['centre'], 'skeleton': []}
    for k, name in enumerate(CLASSES)
]

_SUPERSAMPLING = 3
_INSIDE_M = 1e-6
_MU_RANGE = (1e-2, 1e7)
_REACHABLE = 0.9
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
    """

    scene: SceneSampling = field(
        default_factory=lambda: SceneSampling(image_px=1024, frames_per_view=4)
    )
    size_mm: tuple[float, float] = (0.55, 5.0)
    contrast: tuple[float, float] = (0.02, 0.4)
    most: int = 4
    border_px: float = 12.0

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


@dataclass(frozen=True, eq=False)
class TinyDevice:
    """A device in an image.

    Attributes:
        name: its class.
        size_m: its largest extent [m].
        depth_m: distance from the source along the central ray [m].
        box_px: left and top edge, width, height [px], sub-pixel; pixel k reaches from k to k + 1.
        mask: its pixels, shape (rows, columns).
        path: length of the rays inside it.
        contrast: its Michelson contrast.
    """

    name: str
    size_m: float
    depth_m: float
    box_px: Box
    mask: NDArray[np.bool_]
    path: PathLayer
    contrast: float

    @property
    def centre_px(self) -> tuple[float, float]:
        """Middle of the box (u, v) [px], pixel centres at integers."""
        left, top, width, height = self.box_px
        return left + width / 2 - 0.5, top + height / 2 - 0.5


@dataclass(frozen=True, eq=False)
class _Setup:
    """A C-arm view with its expected image and what makes counts of it."""

    anatomy: str
    seen: ViewSample
    renderer: Renderer
    technique: Technique
    primary: Image
    scatter: Image
    variance: Image
    field_px: Box


def attenuation_of(
    contrast: float, path_m: Image, primary: Image, scatter: Image
) -> tuple[float, float]:
    """Return mu [1/m] that gives a device its contrast, and the contrast it has.

    What scatter does not let it reach is cut at 0.9 of the greatest contrast.

    Args:
        contrast: wanted Michelson contrast, 0..1.
        path_m: paths inside the device, shape (N,) of its pixels [m].
        primary: expected primary signal there, shape (N,).
        scatter: expected scattered signal there, shape (N,).
    """

    def given(mu: float) -> float:
        before = float(np.mean(primary + scatter))
        after = float(np.mean(primary * np.exp(-mu * path_m) + scatter))
        return (before - after) / (before + after)

    low, high = _MU_RANGE
    wanted = min(contrast, _REACHABLE * given(high))
    for _ in range(60):
        middle = np.sqrt(low * high)
        low, high = (middle, high) if given(middle) < wanted else (low, middle)
    return float(high), given(high)


class TinyMaker:
    """Makes frame number `index` of a seed, always the same.

    Args:
        sampling: what is varied.
        seed: seed of the whole set.
    """

    def __init__(self, sampling: TinySampling, seed: int) -> None:
        self.sampling, self.seed = sampling, seed
        self._scenes: dict[str, tuple[Volume, Scene, ShearWarpProjector]] = {}
        self._setup: tuple[int, _Setup] | None = None

    def frame(self, index: int) -> tuple[NDArray[np.uint16], dict[str, Any], list[dict[str, Any]]]:
        """Return counts, COCO's entry of the image and its annotations, of frame `index`."""
        setup = self._view(index // self.sampling.scene.frames_per_view)
        rng = frame_rng(self.seed, index)
        devices: list[TinyDevice] = []
        primary = setup.primary.copy()
        if rng.random() >= self.sampling.scene.negative_share:
            for _ in range(int(rng.integers(1, self.sampling.most + 1))):
                device = self._draw(setup, devices, primary, rng)
                if device is not None:
                    devices.append(device)
        signal = primary + setup.scatter
        before = np.maximum(setup.primary + setup.scatter, np.finfo(np.float32).tiny)
        variance = setup.variance * (signal / before)
        counts = self._expose(setup, signal, variance, rng)
        image = self._image(index, setup)
        return counts, image, [self._annotation(index, device) for device in devices]

    def _view(self, number: int) -> _Setup:
        if self._setup is None or self._setup[0] != number:
            self._setup = number, self._new_view(number)
        return self._setup[1]

    def _new_view(self, number: int) -> _Setup:
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
        return _Setup(
            anatomy,
            seen,
            renderer,
            technique,
            np.asarray(expected.primary_kev, float),
            np.asarray(expected.scatter_kev, float),
            np.asarray(expected.variance_kev2, float),
            field_px,
        )

    def _scene(self, name: str) -> tuple[Volume, Scene, ShearWarpProjector]:
        if name not in self._scenes:
            volume = load_anatomy(name)
            pose = make_pose(None, -volume.centre_patient_m)
            scene = Scene(volume, self.sampling.scene.materials, world_from_patient=pose)
            self._scenes[name] = volume, scene, ShearWarpProjector(256)
        return self._scenes[name]

    def _draw(
        self, setup: _Setup, others: list[TinyDevice], primary: Image, rng: np.random.Generator
    ) -> TinyDevice | None:
        """Put a device into the primary signal and return it; None where there is no room."""
        name = str(rng.choice(CLASSES))
        size_m = float(np.exp(rng.uniform(*np.log(self.sampling.size_mm)))) * 1e-3
        contrast = float(np.exp(rng.uniform(*np.log(self.sampling.contrast))))
        mesh, geometry = draw_mesh(name, size_m, rng), setup.seen.view.geometry
        depth = setup.seen.source_to_isocenter_m + rng.uniform(-1, 1) * self.sampling.scene.depth_m
        for _ in range(_TRIES):
            corners = self._corners(setup, mesh, depth, rng)
            box = _box_of(geometry.project(corners))
            if all(_apart(box, other.box_px) for other in others):
                path = trace(corners, mesh.faces, geometry, _SUPERSAMPLING)
                centre = trace(corners, mesh.faces, geometry)
                return _inserted(name, size_m, depth, box, path, centre, contrast, setup, primary)
        return None

    def _corners(
        self, setup: _Setup, mesh: TriangleMesh, depth: float, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Return the corners of a mesh, put at random in the open field, in the source frame."""
        top, bottom, left, right = setup.field_px
        margin = self.sampling.border_px
        pixel = rng.uniform([left + margin, top + margin], [right - margin, bottom - margin]) - 0.5
        ray = setup.seen.view.geometry.back_project(pixel)
        return np.asarray(mesh.vertices_m + ray * (depth / ray[2]), float)

    def _expose(
        self, setup: _Setup, signal: Image, variance: Image, rng: np.random.Generator
    ) -> NDArray[np.uint16]:
        geometry, renderer = setup.seen.view.geometry, setup.renderer
        return renderer.detector.expose(
            signal.astype(np.float32),
            variance.astype(np.float32),
            renderer.beam(setup.technique).gain_counts_kev(geometry),
            geometry.pixel_pitch_m,
            rng,
            maps=renderer.chain.panel_maps(geometry.shape_px),
        )

    def _image(self, index: int, setup: _Setup) -> dict[str, Any]:
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
            'charge_mas': setup.technique.charge_mas,
            'seed': self.seed,
        }

    @staticmethod
    def _annotation(index: int, device: TinyDevice) -> dict[str, Any]:
        keypoint = np.array([[*device.centre_px, 2]])
        known = annotation_of(
            index,
            device.mask,
            keypoint,
            contrast=round(device.contrast, 6),
            size_mm=device.size_m * 1e3,
            source_to_object_mm=device.depth_m * 1e3,
        )
        number = CLASSES.index(device.name) + 1
        return known | {'category_id': number, 'bbox': [float(edge) for edge in device.box_px]}


def _inserted(
    name: str,
    size_m: float,
    depth_m: float,
    box: Box,
    path: PathLayer,
    centre: PathLayer,
    contrast: float,
    setup: _Setup,
    primary: Image,
) -> TinyDevice:
    """Weaken the primary signal, in place, by a device of known contrast, and return it."""
    shape = setup.seen.view.geometry.shape_px
    mask = centre.full(shape) > _INSIDE_M
    if not mask.any():
        # Between pixel centres: the pixel that it covers most stands for it.
        mask = path.full(shape) >= path.path_m.max()
    inside = path.full(shape)[mask]
    mu, given = attenuation_of(contrast, inside, primary[mask], setup.scatter[mask])
    primary[path.slices] *= np.exp(-mu * path.path_m)
    return TinyDevice(name, size_m, float(depth_m), box, mask, path, given)


def _box_of(points_px: NDArray[np.float64]) -> Box:
    """Return the box (left, top, width, height) [px] of projected corners, shape (N, 2)."""
    (left, top), (right, bottom) = points_px.min(axis=0), points_px.max(axis=0)
    return float(left + 0.5), float(top + 0.5), float(right - left), float(bottom - top)


def _apart(a: Box, b: Box) -> bool:
    """Tell whether two boxes keep a pixel between them."""
    return any(a[k] + a[k + 2] + 1 < b[k] or b[k] + b[k + 2] + 1 < a[k] for k in (0, 1))


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
