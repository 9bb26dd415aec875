"""Put a room together from plain settings."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from synthex_ros.anatomy import Volume, load_volume
from synthex_ros.devices.continuum.parameters import ContinuumParameters
from synthex_ros.devices.continuum.plant import ContinuumPlant
from synthex_ros.geometry import Array, CArm, make_pose
from synthex_ros.navigation.phantom import filled_block
from synthex_ros.simulation.breathing import Breathing
from synthex_ros.simulation.carm_axes import CArmAxes
from synthex_ros.simulation.chest import chest_motion
from synthex_ros.simulation.deforming_anatomy import DeformingAnatomy
from synthex_ros.simulation.driven_device import DrivenDevice
from synthex_ros.simulation.magnetic_room import MagneticSettings, build_magnetic, rehearse
from synthex_ros.simulation.room import Room
from synthex_ros.simulation.vessel_room import RoomVessels, ct_vessels, made_vessels
from synthex_ros.xray.cuda.compute import make_projector
from synthex_ros.xray.detector import Detector
from synthex_ros.xray.exposure_control import ExposureControl
from synthex_ros.xray.imaging_chain import ImagingChain
from synthex_ros.xray.realism import realism
from synthex_ros.xray.renderer import (
    ENERGIES,
    Renderer,
    Technique,
)
from synthex_ros.xray.scene import Scene

logger = logging.getLogger(__name__)

VESSEL_PHANTOM = 'vessel_phantom'
"""Anatomy that is a block of water round procedural vessels."""


@dataclass(frozen=True)
class RoomSettings:
    """What a simulated room is made of.

    Attributes:
        anatomy: 'chest', 'head', 'phantom', 'vessel_phantom' or the path of a CT.
        isocenter_patient_m: point of the patient at the isocentre, from the middle of the CT,
            in left-posterior-superior axes [m].
        device: dimensions and limits of the continuum manipulator.
        device_start: joints at start [m, rad, m, m].
        device_enabled: energised at start.
        command_max_age_s: oldest command that is followed [s].
        world_from_device_base: where its base stands, shape (4, 4) [m].
        carm: geometry of the C-arm at rest.
        carm_start: orbital, angulation [rad], lift, source_to_detector [m].
        technique: tube settings of a pulse.
        breathing: motion of the anatomy; its amplitude is the diaphragm's where it deforms.
        anatomy_px: rows and columns at which the anatomy is projected.
        seed: seed of every noise source of the room.
        frame_rate_hz: pulses a second; only lag asks.
        materials: tissue model of the CT, see `synthex_ros.anatomy.tissue`.
        realism: level of `synthex_ros.xray.realism`.
        chain: effects of tube, collimator and panel.
        detector_kerma_gy: air kerma a pulse that exposure control keeps at the detector [Gy];
            None exposes every view with the technique's charge.
        frame_threads: threads of the work of every frame; None is all.
        breathing_model: 'rigid' moves the whole anatomy, 'deformable' the chest's parts.
        heartbeat_amplitude_m: greatest inward motion of the heart's wall; 0 is off [m].
        heart_rate_hz: heartbeats a second [Hz].
        compute: where the anatomy is projected, 'cpu' or 'cuda'.
        background: deformed anatomies are made while frames go on; else frames wait for them
            and are the same in every run.
        magnetic: a magnetic device with its vessels and field, instead of the manipulator.
        world_frame: frame that fields are commanded in.
        vessel_contrast_hu: CT number of what fills the vessels of a vessel phantom.
    """

    anatomy: str
    isocenter_patient_m: tuple[float, ...]
    device: ContinuumParameters
    device_start: tuple[float, ...]
    device_enabled: bool
    command_max_age_s: float
    world_from_device_base: Array
    carm: CArm
    carm_start: tuple[float, float, float, float]
    technique: Technique
    breathing: Breathing
    anatomy_px: int
    seed: int
    frame_rate_hz: float = 15.0
    materials: str = 'standard'
    realism: str = 'realistic'
    chain: ImagingChain = ImagingChain()
    detector_kerma_gy: float | None = None
    frame_threads: int | None = None
    breathing_model: str = 'rigid'
    heartbeat_amplitude_m: float = 0.0
    heart_rate_hz: float = 1.1
    compute: str = 'cpu'
    background: bool = True
    magnetic: MagneticSettings | None = None
    world_frame: str = 'world'
    vessel_contrast_hu: float = 150.0


@dataclass(frozen=True)
class BuiltRoom:
    """A room and the handles to what is in it."""

    room: Room
    device: DrivenDevice
    volume_sha256: str


def build_room(settings: RoomSettings) -> BuiltRoom:
    """Load the CT, build device and renderer, and render the first view.

    Raises:
        ValueError, OSError: a setting is out of range or the CT cannot be read; the message says
            what to do.
    """
    vessels = None if settings.magnetic is None else made_vessels(settings.magnetic.vessels)
    volume, world_from_patient = _anatomy(settings, vessels)
    logger.info('anatomy %s: %s voxels', settings.anatomy, volume.hu.shape)
    renderer = _build_renderer(settings, volume, world_from_patient)
    control = None
    if settings.detector_kerma_gy is not None:
        control = ExposureControl(settings.detector_kerma_gy, collimator=renderer.chain.collimator)
    device = _device(settings, vessels, volume, world_from_patient)
    axes = CArmAxes(settings.carm, settings.carm_start)
    room = Room(
        renderer,
        axes,
        device,
        settings.world_from_device_base,
        settings.breathing,
        settings.seed,
        control,
        1 / settings.frame_rate_hz,
        _deforming(settings, volume, renderer),
    )
    room.prepare()
    return BuiltRoom(room, device, volume.sha256())


def _anatomy(settings: RoomSettings, vessels: RoomVessels | None) -> tuple[Volume, Array]:
    """Return the CT and where it lies in `world`."""
    if settings.anatomy == VESSEL_PHANTOM:
        if vessels is None:
            raise ValueError('anatomy: vessel_phantom needs vessels: procedural or tube')
        block = filled_block(vessels.points_m, vessels.lumen, settings.vessel_contrast_hu)
        return block, np.eye(4)
    volume = load_volume(settings.anatomy)
    isocenter = volume.centre_patient_m + np.asarray(settings.isocenter_patient_m, float)
    return volume, make_pose(translation_m=-isocenter)


def _device(
    settings: RoomSettings,
    vessels: RoomVessels | None,
    volume: Volume,
    world_from_patient: Array,
) -> DrivenDevice:
    magnetic = settings.magnetic
    if magnetic is None:
        plant = ContinuumPlant(settings.device, seed=settings.seed)
        return DrivenDevice(
            plant, settings.device_start, settings.command_max_age_s, settings.device_enabled
        )
    if vessels is None:
        vessels = ct_vessels(magnetic.vessels, volume, world_from_patient)
    rehearse(magnetic, vessels, settings.world_from_device_base)
    return build_magnetic(
        magnetic,
        vessels,
        settings.world_from_device_base,
        settings.command_max_age_s,
        settings.device_enabled,
        settings.seed,
        settings.world_frame,
    )


def _build_renderer(settings: RoomSettings, volume: Volume, world_from_patient: Array) -> Renderer:
    """Return the renderer of a level of realism."""
    level = realism(settings.realism)
    detector, chain = level.applied(Detector(), settings.chain)
    scene = Scene(volume, level.materials or settings.materials, world_from_patient)
    return Renderer(
        scene,
        settings.technique,
        detector,
        settings.anatomy_px,
        energies=level.energies or ENERGIES,
        projector=make_projector(settings.compute, settings.anatomy_px),
        threads=settings.frame_threads,
        source_to_isocenter_m=settings.carm.source_to_isocenter_m,
        chain=chain,
    )


def _deforming(
    settings: RoomSettings, volume: Volume, renderer: Renderer
) -> DeformingAnatomy | None:
    """Return the deformation of the chest, or None where nothing deforms."""
    motion = chest_motion(
        volume,
        settings.breathing_model,
        settings.breathing.amplitude_m,
        settings.heartbeat_amplitude_m,
    )
    if motion is None:
        return None
    return DeformingAnatomy(
        renderer,
        motion,
        settings.breathing,
        settings.heart_rate_hz,
        background=settings.background,
    )
