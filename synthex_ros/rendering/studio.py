"""Makes the images: one CT, one renderer, as many views and frames of it as wanted."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthex_ros.anatomy import Volume, load_volume, read_volume
from synthex_ros.bodies import Body
from synthex_ros.geometry import (
    CArm,
    View,
    joints_of_clinical,
    make_pose,
)
from synthex_ros.rendering.frame import Instance, Landmark, RenderedFrame, Stages
from synthex_ros.rendering.moving_patient import MovingPatient
from synthex_ros.rendering.open_field import make_collimator, open_field
from synthex_ros.rendering.request import RenderSettings
from synthex_ros.rendering.subject import DeviceShot, check_in_front, make_subject
from synthex_ros.xray.cuda.compute import make_projector
from synthex_ros.xray.detector import Detector
from synthex_ros.xray.device_layer import instance_image, trace_bodies
from synthex_ros.xray.imaging_chain import ImagingChain
from synthex_ros.xray.intensifier import ImageIntensifier
from synthex_ros.xray.label_projection import LabelProjector, StructureImage
from synthex_ros.xray.lag import LagMemory
from synthex_ros.xray.projector import Projector
from synthex_ros.xray.radiograph import Radiograph
from synthex_ros.xray.realism import realism
from synthex_ros.xray.renderer import (
    ENERGIES,
    AnatomyLayer,
    ExposureControl,
    Renderer,
    Technique,
)
from synthex_ros.xray.scatter import AntiScatterGrid, KernelScatter
from synthex_ros.xray.scene import Scene

logger = logging.getLogger(__name__)

_ORIGIN = np.zeros(3)


@dataclass(frozen=True, eq=False)
class _Patient:
    """A CT and what has been packed of it, shared by the studios of one anatomy."""

    volume: Volume
    sha256: str
    scene: Scene
    projector: Projector
    labels: LabelProjector


class Studio:
    """Everything that stands in the beam for some settings.

    Args:
        settings: what is to be rendered.
        like: another studio whose CT and projector are taken over where they are the same.

    Raises:
        ValueError, OSError: the CT or the device cannot be read or does not fit the settings.
    """

    def __init__(self, settings: RenderSettings | None = None, like: Studio | None = None) -> None:
        self.settings = settings = settings or RenderSettings()
        self._subject = make_subject(settings)
        self._technique = _technique(settings)
        self._technique.spectrum()
        same = like is not None and _anatomy_key(like.settings) == _anatomy_key(settings)
        self._patient: _Patient = like._patient if same and like else _read_patient(settings)
        self.volume = self._patient.volume
        for name in settings.labels:
            self._patient.labels.centre_patient_m(name)  # refuse an unknown one now
        rest = make_pose(translation_m=-self._isocenter())
        self.renderer = self._make_renderer(rest)
        self._moving = MovingPatient(
            settings, rest, self.renderer, self._patient.labels, self._patient.projector
        )
        self._regulated: Technique | None = None

    def with_(self, **changes: Any) -> Studio:
        """Return a studio with some settings changed; the CT is read again only if it changed."""
        return Studio(self.settings.with_(**changes), like=self)

    def frames(self) -> Iterator[RenderedFrame]:
        """Yield the frames of the cine; a radiograph is a cine of one. Lag joins the frames."""
        memory = self.renderer.chain.memory(self.view().geometry.shape_px)
        for index in range(self.settings.frames):
            yield self.frame(index, memory)

    def frame(self, index: int = 0, memory: LagMemory | None = None) -> RenderedFrame:
        """Return one frame; made alone, it is that of a detector without lag.

        Args:
            index: number in the cine.
            memory: lag of the detector, brought up to date; default none.
        """
        settings, tube = self.settings, self.renderer.chain.intensifier
        if not 0 <= index < settings.frames:
            raise ValueError(f'frame must be 0..{settings.frames - 1}, got {index}')
        share = index / max(settings.frames - 1, 1)
        view = self.view(share)
        time_s = index / settings.frame_rate_hz
        device = self._subject.at(share)
        bodies = device.bodies if device else []
        check_in_front(bodies, view)
        near_m = np.mean(list(device.landmarks_world_m.values()), axis=0) if device else _ORIGIN
        layer = self._moving.layer(view, self._exposure_technique(), time_s, near_m)
        is_open = open_field(view.geometry, settings.field_px, tube)
        radiograph = self._radiograph(index, view, bodies, layer, memory, is_open)
        inspiration, contraction = self._moving.shares(time_s)
        return RenderedFrame(
            index=index,
            time_s=time_s,
            settings=settings,
            radiograph=radiograph,
            primary_deg=settings.lao_deg + share * settings.sweep_deg,
            secondary_deg=settings.cran_deg,
            landmarks=self._landmarks(view, time_s, device),
            structures={name: self._structure(name, view, time_s) for name in settings.labels},
            depth_m=_entry_distance(bodies, view, radiograph.mask, tube),
            world_from_patient=self._moving.world_from_patient(time_s),
            world_from_device=device.world_from_device if device else None,
            volume_sha256=self._patient.sha256,
            open_field=is_open,
            make_stages=lambda: self._stages(view, layer, bodies),
            inspiration=inspiration,
            contraction=contraction,
            **self._instances(device, view, is_open),
        )

    def _radiograph(
        self,
        index: int,
        view: View,
        bodies: list[Body],
        layer: AnatomyLayer,
        memory: LagMemory | None,
        is_open: NDArray[np.bool_],
    ) -> Radiograph:
        """Return frame `index` of a view; its mask shows devices in the open field alone."""
        radiograph = self.renderer.render(
            view,
            bodies,
            np.random.default_rng([self.settings.seed, index]),
            layer=layer,
            memory=memory,
            interval_s=1 / self.settings.frame_rate_hz,
        )
        radiograph.mask[~is_open] = 0
        if bodies and not radiograph.mask.any():
            logger.warning('frame %d: the device lies outside the beam and is not seen', index)
        return radiograph

    def view(self, share: float = 0.0) -> View:
        """Return geometry and pose of the exposure at `share` = 0..1 of the cine."""
        settings = self.settings
        carm = CArm(
            source_to_detector_m=settings.source_to_detector_m,
            source_to_isocenter_m=settings.source_to_isocenter_m,
            pixel_pitch_m=settings.pixel_pitch_m,
            detector_px=settings.detector_px,
            binning=settings.binning,
        )
        primary = np.radians(settings.lao_deg + share * settings.sweep_deg)
        return carm.view(*joints_of_clinical(primary, np.radians(settings.cran_deg)))

    def _make_renderer(self, world_from_rest: NDArray[np.float64]) -> Renderer:
        settings = self.settings
        level = realism(settings.realism)
        chain = ImagingChain.full() if settings.imaging_chain == 'full' else ImagingChain()
        shape = (settings.size_px, settings.size_px)
        if chain.scatter is not None and settings.grid != 'none':
            chain = replace(chain, scatter=KernelScatter(AntiScatterGrid()))
        chain = replace(
            chain,
            collimator=make_collimator(shape, settings.field_px),
            panel_seed=settings.panel_seed if settings.panel_seed >= 0 else None,
            intensifier=_intensifier(settings),
        )
        detector, chain = level.applied(_detector(settings), chain)
        scene = self._patient.scene
        if settings.breathing_model == 'deformable':
            scene = replace(scene, world_from_patient=world_from_rest)
        return Renderer(
            scene,
            self._technique,
            detector,
            energies=level.energies or ENERGIES,
            projector=self._patient.projector,
            supersampling=settings.supersampling,
            cached_layers=2,
            source_to_isocenter_m=settings.source_to_isocenter_m,
            chain=chain,
        )

    def _isocenter(self) -> NDArray[np.float64]:
        at = self.settings.isocenter_at
        labels = self._patient.labels
        start = labels.centre_patient_m(at) if at else self.volume.centre_patient_m
        return start + np.array(self.settings.isocenter_patient_m)

    def _exposure_technique(self) -> Technique:
        """Return the technique; automatic exposure regulates on the first frame and is locked."""
        if not self.settings.detector_kerma_ngy:
            return self._technique
        if self._regulated is None:
            control = ExposureControl(
                self.settings.detector_kerma_ngy * 1e-9,
                collimator=self.renderer.chain.collimator,
            )
            self._regulated = self.renderer.regulated(
                control, self.view(), self._moving.world_from_patient(0.0), self._technique
            )
        return self._regulated

    def _landmarks(
        self, view: View, time_s: float, device: DeviceShot | None
    ) -> tuple[Landmark, ...]:
        points = dict(device.landmarks_world_m) if device else {}
        for name in self.settings.labels:
            points[name] = self._moving.centre_world_m(name, time_s)
        return tuple(self._landmark(name, point, view) for name, point in points.items())

    def _landmark(self, name: str, point: NDArray[np.float64], view: View) -> Landmark:
        u, v = view.project(point)
        chain = self.renderer.chain
        if chain.intensifier is not None:
            u, v = chain.intensifier.distort_points([u, v], view.geometry)
        visible = bool(chain.shows([u, v], view.geometry))
        x, y, z = (float(value) for value in point)
        depth = float(view.to_source(point)[2])
        return Landmark(name, (x, y, z), (float(u), float(v)), depth, visible)

    def _structure(self, name: str, view: View, time_s: float) -> StructureImage:
        """Return a structure where the image shows it."""
        image, tube = self._moving.structure(name, view, time_s), self.renderer.chain.intensifier
        if tube is None:
            return image
        return replace(image, path_m=tube.moved(image.path_m, view.geometry))

    def _instances(
        self, device: DeviceShot | None, view: View, is_open: NDArray[np.bool_]
    ) -> dict[str, Any]:
        """Return what a frame knows about whole devices, if that is wanted."""
        if not self.settings.instance_mask:
            return {}
        devices = [device] if device else []
        numbers = [n for n, shot in enumerate(devices, start=1) for _ in shot.bodies]
        of_body = np.array([0, *numbers], np.uint8)
        mask = of_body[instance_image([body for shot in devices for body in shot.bodies], view)]
        tube = self.renderer.chain.intensifier
        if tube is not None:
            mask = tube.moved_labels(mask, view.geometry)
        mask[~is_open] = 0
        instances = tuple(
            Instance(
                number,
                shot.name,
                tuple(body.label for body in shot.bodies),
                tuple(body.material for body in shot.bodies),
            )
            for number, shot in enumerate(devices, start=1)
        )
        return {'instances': instances, 'instance_mask': mask}

    def _stages(self, view: View, layer: AnatomyLayer, bodies: list[Body]) -> Stages:
        """Return primary and scattered signal as the renderer hands them to the detector."""
        image = self.renderer.expected_kev(view, bodies, layer=layer)
        gain = np.float32(self.renderer.beam(layer.technique).gain_counts_kev(view.geometry))
        names = self.renderer.scene.table.names
        return Stages(layer, names, gain * image.primary_kev, gain * image.scatter_kev)


def _anatomy_key(settings: RenderSettings) -> tuple:
    projection = settings.anatomy_px, settings.compute
    return settings.anatomy, settings.segmentation, *projection, _materials(settings)


def _materials(settings: RenderSettings) -> str:
    """Return the tissue model; simpler levels of realism bring their own."""
    return realism(settings.realism).materials or settings.materials


def _read_patient(settings: RenderSettings) -> _Patient:
    if settings.segmentation:
        volume = read_volume(settings.anatomy, settings.segmentation)
    else:
        volume = load_volume(settings.anatomy)
    projector = make_projector(settings.compute, settings.anatomy_px)
    labels, scene = LabelProjector(volume, projector), Scene(volume, _materials(settings))
    return _Patient(volume, volume.sha256(), scene, projector, labels)


def _technique(settings: RenderSettings) -> Technique:
    return Technique(
        settings.tube_voltage_kv,
        settings.charge_mas,
        settings.pulse_length_s,
        (('Al', settings.filtration_al_mm), ('Cu', settings.filtration_cu_mm)),
    )


def _detector(settings: RenderSettings) -> Detector:
    """Return the panel; electronic noise is the same part of full scale with any bits."""
    panel = Detector(bits=settings.detector_bits)
    share = panel.full_scale / Detector().full_scale
    return replace(panel, electronic_noise_counts=share * panel.electronic_noise_counts)


def _intensifier(settings: RenderSettings) -> ImageIntensifier | None:
    if not settings.image_intensifier:
        return None
    return ImageIntensifier(
        settings.intensifier_pincushion_percent,
        settings.intensifier_s_distortion_deg,
        settings.intensifier_vignetting_percent,
        settings.intensifier_glare_percent / 100,
        settings.intensifier_glare_reach_m,
    )


def _entry_distance(
    bodies: list[Body], view: View, mask: NDArray[np.uint8], tube: ImageIntensifier | None
) -> NDArray[np.float32]:
    """Return the distance to the near surface of labelled bodies where the mask shows them [m]."""
    depth = np.full(mask.shape, np.inf, np.float32)
    for item in trace_bodies([body for body in bodies if body.label], view):
        part = depth[item.layer.slices]
        np.minimum(part, item.layer.entry_m, out=part, casting='same_kind')
    if tube is not None:
        depth = tube.moved_nearest(depth, view.geometry, np.inf)
    return np.where((mask > 0) & np.isfinite(depth), depth, np.nan).astype(np.float32)
