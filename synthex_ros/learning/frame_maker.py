"""Makes labelled radiographs by the renderer that the simulator uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthex_ros.bodies import Body
from synthex_ros.geometry import make_pose
from synthex_ros.learning.anatomies import draw_anatomy
from synthex_ros.learning.anatomy_source import AnatomySource
from synthex_ros.learning.coco import segmentation
from synthex_ros.learning.device_labels import device_annotation
from synthex_ros.learning.device_sources import device_source
from synthex_ros.learning.distractors import ForeignObject, draw_objects
from synthex_ros.learning.image_description import describe_image
from synthex_ros.learning.imaging import draw_imaging
from synthex_ros.learning.object_labels import object_annotations
from synthex_ros.learning.object_source import ObjectSource
from synthex_ros.learning.sampling import SceneSampling, draw_view, frame_rng, view_rng
from synthex_ros.learning.shown_device import NO_DEVICE, ShownDevice
from synthex_ros.learning.sites import find_sites
from synthex_ros.learning.truth import open_mask
from synthex_ros.learning.view_setup import Patient, ViewSetup
from synthex_ros.xray.radiograph import Radiograph
from synthex_ros.xray.realism import realism
from synthex_ros.xray.renderer import ENERGIES, Renderer
from synthex_ros.xray.scene import Scene
from synthex_ros.xray.shear_warp import ShearWarpProjector

ANATOMY_PX = 256
SUPERSAMPLING = 2
_EARLIER_M = 0.008


@dataclass(frozen=True, eq=False)
class Frame:
    """A labelled radiograph.

    Attributes:
        counts: detector counts, shape (rows, columns), uint16.
        mask: class ids, shape (rows, columns), uint8.
        image: COCO's entry of the image.
        annotations: COCO's annotations without ids; none where nothing that is labelled is seen.
    """

    counts: NDArray[np.uint16]
    mask: NDArray[np.uint8]
    image: dict[str, Any]
    annotations: list[dict[str, Any]]


class FrameMaker:
    """Makes frame number `index` of a seed, always the same.

    Args:
        sampling: what is varied.
        seed: seed of the whole set.
    """

    def __init__(self, sampling: SceneSampling, seed: int) -> None:
        self.sampling, self.seed = sampling, seed
        self._devices = device_source(sampling)
        self._patients: dict[str, Patient] = {}
        self._setup: tuple[int, ViewSetup] | None = None

    def frame(self, index: int) -> Frame:
        """Return frame `index`."""
        setup = self._view(index // self.sampling.frames_per_view)
        rng = frame_rng(self.seed, index)
        device = self._devices.draw(setup, rng)
        shown = bool(rng.random() >= self.sampling.negative_share) and device is not NO_DEVICE
        objects = self._objects(setup, device if shown else None, rng)
        bodies = device.bodies if shown else []
        radiograph, lag = self._render(setup, bodies, _bodies(objects), rng)
        image = describe_image(index, self.seed, setup, [item.kind for item in objects], lag)
        if isinstance(self._devices, ObjectSource):
            return self._labelled_objects(image, setup, objects, radiograph)
        if isinstance(self._devices, AnatomySource):
            return _labelled_anatomy(image, setup, self._devices, radiograph)
        return self._labelled(image, setup, device, shown, _bodies(objects), radiograph)

    def _view(self, number: int) -> ViewSetup:
        """Return view `number`, kept for the frames of one view."""
        if self._setup is None or self._setup[0] != number:
            self._setup = number, self._new_view(number)
        return self._setup[1]

    def _new_view(self, number: int) -> ViewSetup:
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
        return ViewSetup(anatomy, patient, seen, imaging, renderer, technique, field)

    def _patient(self, name: str) -> Patient:
        if name not in self._patients:
            volume = self.sampling.volume(name)
            pose = make_pose(None, -volume.centre_patient_m)
            materials = realism(self.sampling.realism).materials or self.sampling.materials
            scene = Scene(volume, materials, world_from_patient=pose)
            self._patients[name] = Patient(
                scene, ShearWarpProjector(ANATOMY_PX), find_sites(volume)
            )
        return self._patients[name]

    def _objects(
        self, setup: ViewSetup, device: ShownDevice | None, rng: np.random.Generator
    ) -> list[ForeignObject]:
        return draw_objects(
            self.sampling.distractors,
            setup.seen.view,
            setup.seen.source_to_isocenter_m,
            setup.patient.sites,
            setup.seen.world_from_patient,
            None if device is None else device.line_world_m,
            rng,
        )

    def _render(
        self, setup: ViewSetup, bodies: list[Body], objects: list[Body], rng: np.random.Generator
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
    def _expose(renderer: Renderer, setup: ViewSetup, bodies, rng, memory) -> Radiograph:
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
        image: dict[str, Any],
        setup: ViewSetup,
        device: ShownDevice,
        shown: bool,
        objects: list[Body],
        radiograph: Radiograph,
    ) -> Frame:
        mask = open_mask(radiograph.mask, setup.field_px)
        if not (shown and mask.any()):
            return Frame(radiograph.counts, mask, image, [])
        depth = setup.seen.view.to_source(device.landmarks_world_m)[:, 2]
        image['source_to_object_mm'] = float(depth.mean() * 1e3)
        annotation = device_annotation(image['id'], setup, device, objects, mask, self.sampling)
        return Frame(radiograph.counts, mask, image, [annotation])

    def _labelled_objects(
        self,
        image: dict[str, Any],
        setup: ViewSetup,
        objects: list[ForeignObject],
        radiograph: Radiograph,
    ) -> Frame:
        """Return a frame whose foreign objects are labelled, each by itself."""
        settings = self.sampling.distractors
        annotations = object_annotations(image['id'], objects, setup, settings)
        return _frame_of(radiograph, image, annotations)


def _labelled_anatomy(
    image: dict[str, Any], setup: ViewSetup, source: AnatomySource, radiograph: Radiograph
) -> Frame:
    """Return a frame in which structures of the patient are labelled."""
    labels = source.labels(setup.anatomy)
    depth_m = labels.depth_m(setup)
    if depth_m is not None:
        image['source_to_object_mm'] = depth_m * 1e3
    return _frame_of(radiograph, image, labels.annotations(image['id'], setup))


def _frame_of(
    radiograph: Radiograph, image: dict[str, Any], annotations: list[dict[str, Any]]
) -> Frame:
    """Return a frame whose mask is that of its annotations; where they overlap, the last."""
    rows, columns = radiograph.counts.shape
    mask = np.zeros((rows, columns), np.uint8)
    for item in annotations:
        mask[segmentation(item['segmentation'], (rows, columns))] = item['category_id']
    return Frame(radiograph.counts, mask, image, annotations)


def _bodies(objects: list[ForeignObject]) -> list[Body]:
    return [body for item in objects for body in item.bodies]
