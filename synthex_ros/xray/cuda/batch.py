"""Labelled radiographs of many exposures at once, from line integrals to counts on the GPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthex_ros.bodies import Body
from synthex_ros.geometry import View, check_pose
from synthex_ros.xray.anatomy_layer import falloff
from synthex_ros.xray.beam import Beam, Technique
from synthex_ros.xray.cuda import source
from synthex_ros.xray.cuda.detector_pass import expose_frames
from synthex_ros.xray.cuda.device import Array, Device
from synthex_ros.xray.cuda.meshes import PathImages, mask_of, paths_by_solid, trace_frames
from synthex_ros.xray.cuda.projector import GUARD, CudaProjector, image_size
from synthex_ros.xray.detector import Detector, ScatteredSignal
from synthex_ros.xray.device_layer import DISPLACED_MAX_SAMPLES, DISPLACED_STEP_M
from synthex_ros.xray.imaging_chain import ImagingChain
from synthex_ros.xray.lru import LruCache
from synthex_ros.xray.object_span import air_gap_m
from synthex_ros.xray.scene import Scene

NODES = 8
CHUNK_FRAMES = 64


@dataclass(frozen=True, eq=False)
class Exposure:
    """One radiograph to be made.

    Attributes:
        scene: anatomy and its pose.
        view: geometry and pose of the exposure.
        bodies: closed meshes; where two overlap, their paths add up.
        rng: generator of this frame's noise; one number is drawn from it.
        technique: tube settings.
        world_from_patient: pose of the patient [m], shape (4, 4); default the scene's.
    """

    scene: Scene
    view: View
    bodies: Sequence[Body]
    rng: np.random.Generator
    technique: Technique = field(default_factory=Technique)
    world_from_patient: NDArray[np.float64] | None = None

    @property
    def pose(self) -> NDArray[np.float64]:
        """Pose of the patient that holds, shape (4, 4) [m]."""
        if self.world_from_patient is None:
            return self.scene.world_from_patient
        return check_pose(self.world_from_patient, 'world_from_patient')


@dataclass(frozen=True, eq=False)
class LabelledFrames:
    """Radiographs in the order of their exposures.

    Attributes:
        counts: detector signal, shape (N, rows, columns), uint16, larger = more X-rays.
        mask: body label of each pixel, shape (N, rows, columns), uint8; the longer path wins.
    """

    counts: NDArray[np.uint16]
    mask: NDArray[np.uint8]


class BatchRenderer:
    """Makes the frames that `Renderer` makes, a chunk at a time, without leaving the GPU.

    The same exposure and seed give the frame of the CPU up to the difference of their projectors
    (0.5 %). Focal spot, image intensifier and lag are the CPU's.

    Args:
        detector: flat panel; default 600 um CsI.
        chain: effects of tube, collimator, scatter and panel; default none.
        projector: of the line integrals; default `CudaProjector()`.
        energies: nodes that stand for the spectrum.
        supersampling: rays per pixel side through devices.
        chunk_frames: frames that are on the GPU at a time.

    Raises:
        ValueError: the chain has an effect that is left to the CPU.
        GpuMissingError: there is no CuPy, no driver or no GPU.
    """

    def __init__(
        self,
        detector: Detector | None = None,
        chain: ImagingChain | None = None,
        projector: CudaProjector | None = None,
        *,
        energies: int = NODES,
        supersampling: int = 1,
        chunk_frames: int = CHUNK_FRAMES,
    ) -> None:
        self.detector = detector or Detector()
        self.chain = chain or ImagingChain()
        _check_chain(self.chain)
        self.projector = projector or CudaProjector()
        self.device: Device = self.projector.device
        self.energies = energies
        self.supersampling = supersampling
        if chunk_frames < 1:
            raise ValueError(f'chunk_frames must be at least 1, got {chunk_frames}')
        self.chunk_frames = chunk_frames
        self._beams: LruCache[Beam] = LruCache(64)
        self._profiles: LruCache[NDArray[np.float32] | None] = LruCache(16)

    def render(self, exposures: Sequence[Exposure]) -> LabelledFrames:
        """Return radiographs and label images.

        Args:
            exposures: of one image size and pixel pitch; frames that share a scene are quickest
                next to each other.

        Raises:
            ValueError: images differ in size or pitch, scenes in their number of materials, or a
                body reaches behind the focal spot or has an unknown material.
        """
        rows, columns = image_size([item.view for item in exposures])
        pitches = {item.view.geometry.pixel_pitch_m for item in exposures}
        if len(pitches) != 1:
            raise ValueError(f'exposures of a batch must share a pitch, got {sorted(pitches)}')
        counts = np.empty((len(exposures), rows, columns), np.uint16)
        mask = np.empty(counts.shape, np.uint8)
        for part in _chunks(exposures, self.chunk_frames):
            counts[part], mask[part] = self._chunk(exposures[part])
        return LabelledFrames(counts, mask)

    def _chunk(self, exposures: Sequence[Exposure]) -> tuple[NDArray, NDArray]:
        """Return counts and mask of exposures of one scene."""
        device, geometry = self.device, exposures[0].view.geometry
        views, bodies = [e.view for e in exposures], [e.bodies for e in exposures]
        poses = [e.pose for e in exposures]
        scene = exposures[0].scene
        area_of_frame, first = _distinct(views, poses)
        area, coarse = self.projector.areas(
            scene.volume, scene.table, [views[i] for i in first], [poses[i] for i in first]
        )
        images = trace_frames(device, views, bodies, self.supersampling)
        centres = images if self.supersampling == 1 else trace_frames(device, views, bodies)
        beams = [self._beam(e.technique) for e in exposures]
        signal, variance = self._expected(exposures, beams, area, area_of_frame, images, poses)
        keys = [int(e.rng.integers(0, 2**63)) for e in exposures]
        counts = expose_frames(
            device,
            self.detector,
            signal,
            variance,
            [beam.gain_counts_kev(view.geometry) for beam, view in zip(beams, views, strict=True)],
            geometry.pixel_pitch_m,
            keys,
            scatter=self._scatter(exposures, beams, coarse, area_of_frame, area is not coarse),
            maps=self.chain.panel_maps(geometry.shape_px),
        )
        mask = mask_of(device, centres, (len(views), *geometry.shape_px))
        return device.download(counts), device.download(mask)

    def _expected(
        self,
        exposures: Sequence[Exposure],
        beams: Sequence[Beam],
        area: Array,
        area_of_frame: Sequence[int],
        images: PathImages | None,
        poses: Sequence[NDArray[np.float64]],
    ) -> tuple[Array, Array]:
        """Return expected signal and variance, (N, rows, columns) each, on the device."""
        device, scene = self.device, exposures[0].scene
        frames, (_, materials, rows, columns) = len(exposures), area.shape
        views = [e.view for e in exposures]
        mu = np.stack([beam.mass_attenuation_cm2_g(scene.table.names) for beam in beams])
        weights = np.stack(
            [beam.pixel_weights(view.geometry) for beam, view in zip(beams, views, strict=True)]
        )
        lenses = np.array([np.concatenate(falloff(view.geometry)) for view in views])
        profile = self._profile(exposures, beams)
        signal = device.empty((frames, rows, columns), np.float32)
        variance = device.empty(signal.shape, np.float32)
        device.launch(
            source.SIGNAL,
            'expose',
            (columns, rows, frames),
            (
                area,
                device.upload(np.array(area_of_frame, np.int32)),
                device.upload(mu),
                device.upload(weights),
                device.upload(lenses),
                np.int32(profile is not None),
                device.upload(np.zeros(1, np.float32) if profile is None else profile),
                np.int32(materials),
                np.int32(mu.shape[2]),
                *self._device_arguments(scene, views, poses, beams, images, materials),
                np.int32(rows),
                np.int32(columns),
                signal,
                variance,
            ),
        )
        return signal, variance

    def _device_arguments(
        self,
        scene: Scene,
        views: Sequence[View],
        poses: Sequence[NDArray[np.float64]],
        beams: Sequence[Beam],
        images: PathImages | None,
        materials: int,
    ) -> tuple[Any, ...]:
        """Return what the signal behind devices is made from, in the kernel's order."""
        device = self.device
        if images is None:
            nothing = device.upload(np.zeros(1, np.float32))
            return np.int32(0), nothing, nothing, nothing, *(np.int32(0) for _ in range(4))
        solids = sorted({name for names in images.materials for name in names})
        mu = np.stack([[beam.attenuation_m(solid) for solid in solids] for beam in beams])
        top, _, left, _ = images.box
        box = tuple(map(np.int32, (top, left, *images.size)))
        removed = self._removed(scene, views, poses, images, materials)
        paths = paths_by_solid(device, images, solids)
        return np.int32(len(solids)), removed, paths, device.upload(mu), *box

    def _removed(
        self,
        scene: Scene,
        views: Sequence[View],
        poses: Sequence[NDArray[np.float64]],
        images: PathImages,
        materials: int,
    ) -> Array:
        """Return the tissue in the devices' place [g/cm^2], shape (N, M, height, width)."""
        device, volume = self.device, scene.volume
        voxels = self.projector.voxels(volume, scene.table, views[0], poses[0])
        top, _, left, _ = images.box
        height, width = images.size
        removed = device.zeros((len(views), materials, height, width), np.float32)
        device.launch(
            source.projection(voxels.lanes),
            'displace',
            (width, height, len(views)),
            (
                *voxels.arguments,
                self.projector.rays(volume, views, poses),
                voxels.unit_g_cm3,
                *map(np.int32, (materials, images.labels.shape[1], top, left, height, width)),
                images.path_m,
                images.entry_m,
                images.exit_m,
                np.float32(DISPLACED_STEP_M),
                np.int32(DISPLACED_MAX_SAMPLES),
                removed,
            ),
        )
        return removed

    def _scatter(
        self,
        exposures: Sequence[Exposure],
        beams: Sequence[Beam],
        coarse: Array,
        area_of_frame: Sequence[int],
        guarded: bool,
    ) -> list[ScatteredSignal]:
        """Return the scatter of each frame; it is smooth, and computed by the CPU's model."""
        if self.chain.scatter is None:
            return []
        areas = self.device.download(coarse)
        if guarded:
            areas = areas[:, :, GUARD:-GUARD, GUARD:-GUARD]
        found = []
        for exposure, beam, index in zip(exposures, beams, area_of_frame, strict=True):
            geometry = exposure.view.geometry
            signal = self.chain.scattered(
                np.ascontiguousarray(areas[index]),
                exposure.scene.table.names,
                beam,
                geometry,
                air_gap_m(exposure.scene.volume, exposure.view, exposure.pose),
                self._profile_of(beam, exposure),
            )
            if signal is not None:
                found.append(signal)
        return found

    def _profile(
        self, exposures: Sequence[Exposure], beams: Sequence[Beam]
    ) -> NDArray[np.float32] | None:
        """Return the beams' profiles, shape (N, rows, columns), or None if they are even."""
        profiles = [self._profile_of(b, e) for b, e in zip(beams, exposures, strict=True)]
        even = [profile for profile in profiles if profile is not None]
        return np.stack(even) if len(even) == len(profiles) else None

    def _profile_of(self, beam: Beam, exposure: Exposure) -> NDArray[np.float32] | None:
        geometry = exposure.view.geometry
        return self._profiles.get(
            (exposure.technique, geometry), lambda: self.chain.profile(beam, geometry)
        )

    def _beam(self, technique: Technique) -> Beam:
        return self._beams.get(technique, lambda: Beam(technique, self.detector, self.energies))


def _check_chain(chain: ImagingChain) -> None:
    effects = {
        'focal_spot': chain.focal_spot, 'intensifier': chain.intensifier, 'lag': chain.lag,
    }  # fmt: skip
    found = [name for name, effect in effects.items() if effect is not None]
    if found:
        raise ValueError(
            f'a batch on the GPU renders without {", ".join(effects)}, got {", ".join(found)}; '
            'leave it out of the ImagingChain, or use Renderer with a CudaProjector'
        )


def _distinct(
    views: Sequence[View], poses: Sequence[NDArray[np.float64]]
) -> tuple[list[int], list[int]]:
    """Return which projection each frame has, and the first frame of each projection."""
    known: dict[tuple, int] = {}
    numbers: list[int] = []
    first: list[int] = []
    for index, (view, pose) in enumerate(zip(views, poses, strict=True)):
        place = view.geometry, view.world_from_source.tobytes(), pose.tobytes()
        if place not in known:
            known[place] = len(first)
            first.append(index)
        numbers.append(known[place])
    return numbers, first


def _chunks(exposures: Sequence[Exposure], size: int) -> list[slice]:
    """Return slices of at most `size` exposures in a row that share a scene."""
    parts, first = [], 0
    for index in range(1, len(exposures) + 1):
        ended = index == len(exposures) or exposures[index].scene is not exposures[first].scene
        if ended or index - first == size:
            parts.append(slice(first, index))
            first = index
    return parts
