"""Radiographs of a scene with devices: what changes slowly is computed once and kept.

The anatomy (line integrals and the device-free primary signal) is computed once per C-arm and
patient pose. A frame recomputes the pixels that a device covers and passes through the detector.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.bodies import Body
from synthex_ros.geometry import View, check_pose
from synthex_ros.xray.anatomy_layer import AnatomyLayer, blend, expose_anatomy
from synthex_ros.xray.beam import Beam, Technique
from synthex_ros.xray.detector import CoveredPixels, Detector
from synthex_ros.xray.device_layer import behind_devices, label_image, trace_bodies
from synthex_ros.xray.dose import kerma_area_product_gy_m2, reference_kerma_gy
from synthex_ros.xray.expected import ExpectedImage, compose
from synthex_ros.xray.exposure_control import ExposureControl
from synthex_ros.xray.imaging_chain import ImagingChain
from synthex_ros.xray.lag import LagMemory
from synthex_ros.xray.lru import LruCache
from synthex_ros.xray.object_span import air_gap_m
from synthex_ros.xray.panel import PanelMaps
from synthex_ros.xray.parallel import parallel
from synthex_ros.xray.projection_grid import ProjectionGrid
from synthex_ros.xray.projector import Projector, Rays, rays_in_grid
from synthex_ros.xray.radiograph import Radiograph
from synthex_ros.xray.scene import Scene
from synthex_ros.xray.shear_warp import ShearWarpProjector

__all__ = ['AnatomyLayer', 'ExposureControl', 'Renderer', 'Technique']

ENERGIES = 8
ANATOMY_PX = 280
LEAST_PX = 32

LAYER_BYTES = 320 * 2**20
"""Memory for the anatomy of views that were seen before."""
AREA_SHARE = 0.6
"""Part of it that is the area densities, which layers share with their own cache."""

# Where the isocentre of a C-arm lies between focal spot and detector, when nobody says.
ISOCENTER_SHARE = 0.700 / 1.020


class Renderer:
    """Renders devices inside a scene, the same way for the same seed."""

    def __init__(
        self,
        scene: Scene,
        technique: Technique | None = None,
        detector: Detector | None = None,
        anatomy_px: int = ANATOMY_PX,
        energies: int = ENERGIES,
        projector: Projector | None = None,
        *,
        supersampling: int = 1,
        threads: int | None = None,
        cached_layers: int = 20,
        source_to_isocenter_m: float | None = None,
        chain: ImagingChain | None = None,
    ) -> None:
        """Make a renderer.

        Args:
            scene: anatomy and its pose.
            technique: default tube settings of frames.
            detector: flat panel; default 600 um CsI.
            anatomy_px: samples of the anatomy along the longer image side; the default costs
                0.1-0.3 % error (RMSE of the signal) against 1024 on clinical CTs.
            energies: nodes that stand for the spectrum.
            projector: computes line integrals; default `ShearWarpProjector(anatomy_px)`.
            supersampling: rays per pixel side through devices; raise it for wires thinner than a
                pixel.
            threads: of the work of every frame; default all of numba's. New views take all.
            cached_layers: how many views (and breathing phases) are kept, as far as they take no
                more than `LAYER_BYTES`; about 6 MB each at 512 x 512.
            source_to_isocenter_m: focal spot to isocentre [m], 0.15 m before which air kerma is
                reported; default 0.686 of the source-to-detector distance.
            chain: effects of tube, collimator and panel; default none.
        """
        self.scene = scene
        self.technique = technique or Technique()
        self.detector = detector or Detector()
        self.energies = energies
        self.anatomy_px = anatomy_px
        self.projector = projector or ShearWarpProjector(anatomy_px)
        self.supersampling = supersampling
        self.threads = threads
        self.source_to_isocenter_m = source_to_isocenter_m
        self.chain = chain or ImagingChain()
        self._areas: LruCache[NDArray[np.float32]] = LruCache(
            cached_layers, AREA_SHARE * LAYER_BYTES, lambda area: area.nbytes
        )
        self._layers: LruCache[AnatomyLayer] = LruCache(
            cached_layers, LAYER_BYTES, lambda layer: layer.nbytes
        )
        self._maps: LruCache[PanelMaps | None] = LruCache(2)
        self._beams: LruCache[Beam] = LruCache(cached_layers)
        self._rays: LruCache[Rays] = LruCache(4)
        self._techniques: LruCache[Technique] = LruCache(cached_layers)

    def anatomy(
        self,
        view: View,
        world_from_patient: NDArray[np.float64] | None = None,
        technique: Technique | None = None,
        *,
        draft: bool = False,
    ) -> AnatomyLayer:
        """Return the device-free layer of a view, from the cache where it has been seen before.

        Args:
            view: geometry and pose of the exposure.
            world_from_patient: pose of the patient [m], shape (4, 4); default the scene's.
            technique: tube settings; default the renderer's.
            draft: half as many samples a side, three times as fast, for a moving C-arm.
        """
        technique = technique or self.technique
        pose = self._patient_pose(world_from_patient)

        def expose() -> AnatomyLayer:
            area = self._area_density(view, pose, draft)
            return self.expose(area, view, pose, technique, draft=draft)

        if draft:
            return expose()  # of a place that is seen once
        return self._layers.get((*_place(view, pose), technique), expose)

    def expose(
        self,
        area: NDArray[np.float32],
        view: View,
        world_from_patient: NDArray[np.float64] | None = None,
        technique: Technique | None = None,
        *,
        draft: bool = False,
    ) -> AnatomyLayer:
        """Return the device-free layer of area densities that were computed elsewhere.

        Args:
            area: of the scene's materials [g/cm^2] at the samples of `grid(view)`, shape
                (M, h, w), float32.
            view: geometry and pose of the exposure.
            world_from_patient: pose of the patient [m], shape (4, 4); default the scene's.
            technique: tube settings; default the renderer's.
            draft: the samples are those of `grid(view, draft=True)`.
        """
        technique = technique or self.technique
        pose, names = self._patient_pose(world_from_patient), self.scene.table.names
        chain, beam, geometry = self.chain, self.beam(technique), view.geometry
        profile, grid = chain.profile(beam, geometry), self.grid(view, draft)
        layer = expose_anatomy(area, names, view, pose, beam, profile, grid)
        if chain.focal_spot is not None:
            layer = chain.focal_spot.blurred_layer(layer, self._isocenter_m(view))
        if chain.scatter is not None:
            gap = air_gap_m(self.scene.volume, view, pose)
            inner = grid.inner(area)
            scatter = chain.scattered(inner, names, beam, geometry, gap, profile)
            layer = replace(layer, scatter=scatter)
        return layer

    def _isocenter_m(self, view: View) -> float:
        """Return the distance from the focal spot to about the middle of the patient [m]."""
        if self.source_to_isocenter_m is not None:
            return self.source_to_isocenter_m
        return ISOCENTER_SHARE * view.geometry.source_to_detector_m

    def _patient_pose(self, world_from_patient: NDArray[np.float64] | None) -> NDArray[np.float64]:
        if world_from_patient is None:
            return self.scene.world_from_patient
        return check_pose(world_from_patient, 'world_from_patient')

    def grid(self, view: View, draft: bool = False) -> ProjectionGrid:
        """Return where the anatomy of a view is projected."""
        return ProjectionGrid.of(view.geometry, self._detail_px(draft))

    def _detail_px(self, draft: bool) -> int:
        return max(self.anatomy_px // 2, LEAST_PX) if draft else self.anatomy_px

    def _area_density(
        self, view: View, pose: NDArray[np.float64], draft: bool = False
    ) -> NDArray[np.float32]:
        """Return the area densities at the samples of a view, (M, h, w), kept if seen before."""
        scene, samples = self.scene, self.grid(view, draft).view(view)
        projector = self.projector.at_detail(self._detail_px(draft)) if draft else self.projector
        return self._areas.get(
            (*_place(view, pose), draft),
            lambda: projector.area_density_g_cm2(scene.volume, scene.table, samples, pose),
        )

    def render(
        self,
        view: View,
        bodies: Sequence[Body],
        rng: np.random.Generator,
        world_from_patient: NDArray[np.float64] | None = None,
        *,
        technique: Technique | None = None,
        layer: AnatomyLayer | None = None,
        memory: LagMemory | None = None,
        interval_s: float = 1 / 15,
    ) -> Radiograph:
        """Return the radiograph of bodies inside the scene.

        Args:
            view: geometry and pose of the exposure.
            bodies: closed meshes; where two overlap, their paths add up.
            rng: generator of this frame's noise; draws one number from it.
            world_from_patient: pose of the patient [m], shape (4, 4); default the scene's.
            technique: tube settings; default the renderer's.
            layer: anatomy to use instead of `anatomy(view, ...)`, such as one from `blend`; its
                pose and technique then hold.
            memory: lag of the detector, brought up to date; default no lag.
            interval_s: time since the frame before [s]; only lag asks.

        Raises:
            ValueError: a body reaches behind the focal spot or has an unknown material, or `layer`
                comes with another view, pose or technique.
        """
        layer = self._layer(view, world_from_patient, technique, layer)
        with parallel(self.threads):
            covered, mask = self._devices(bodies, layer)
            signal, variance, scatter = layer.signal_kev, layer.variance_kev2, layer.scatter
            if self.chain.intensifier is not None:
                image = self._expected(layer, covered, mask)
                signal, variance, mask = image.signal_kev, image.variance_kev2, image.mask
                covered = scatter = None
            counts = self.detector.expose(
                signal,
                variance,
                self.beam(layer.technique).gain_counts_kev(view.geometry),
                view.geometry.pixel_pitch_m,
                rng,
                covered=covered,
                scatter=scatter,
                memory=memory,
                interval_s=interval_s,
                maps=self._maps.get(
                    view.geometry.shape_px, lambda: self.chain.panel_maps(view.geometry.shape_px)
                ),
            )
        kerma = self.air_kerma_gy(view, layer.technique)
        product = self.kerma_area_product_gy_m2(view, layer.technique)
        return Radiograph(counts, mask, view, layer.technique, kerma, product)

    def expected_kev(
        self,
        view: View,
        bodies: Sequence[Body],
        world_from_patient: NDArray[np.float64] | None = None,
        *,
        technique: Technique | None = None,
        layer: AnatomyLayer | None = None,
    ) -> ExpectedImage:
        """Return what `render` exposes the detector to: signal, variance and mask.

        It has all effects of anatomy, devices, tube, collimator, scatter and image intensifier;
        light spread, noise, lag, panel and read-out are the detector's and come after it.

        Args:
            view: geometry and pose of the exposure.
            bodies: closed meshes.
            world_from_patient: pose of the patient [m], shape (4, 4); default the scene's.
            technique: tube settings; default the renderer's.
            layer: anatomy to use instead; see `render`.

        Raises:
            ValueError: as `render`.
        """
        layer = self._layer(view, world_from_patient, technique, layer)
        with parallel(self.threads):
            covered, mask = self._devices(bodies, layer)
            return self._expected(layer, covered, mask)

    def project(self, view: View, points_world_m: ArrayLike) -> NDArray[np.float64]:
        """Return where points in `world` [m], (..., 3), are seen in the image, (u, v) [px].

        `View.project` with the distortion of the image intensifier, where there is one.
        """
        pixels, tube = view.project(points_world_m), self.chain.intensifier
        return pixels if tube is None else tube.distort_points(pixels, view.geometry)

    def _layer(
        self,
        view: View,
        world_from_patient: NDArray[np.float64] | None,
        technique: Technique | None,
        layer: AnatomyLayer | None,
    ) -> AnatomyLayer:
        """Return the anatomy of a frame: the one that was passed, if it is of this view."""
        if layer is None:
            return self.anatomy(view, world_from_patient, technique)
        if world_from_patient is not None or technique is not None:
            raise ValueError('pass either layer, or world_from_patient and technique, not both')
        if layer.view.geometry != view.geometry or not np.array_equal(
            layer.view.world_from_source, view.world_from_source
        ):
            raise ValueError('layer was made for another view; call anatomy(view) for this one')
        return layer

    def _devices(
        self, bodies: Sequence[Body], layer: AnatomyLayer
    ) -> tuple[CoveredPixels | None, NDArray[np.uint8]]:
        """Return the pixels that bodies change, and the label image."""
        devices = trace_bodies(bodies, layer.view, self.supersampling)
        beam, spot = self.beam(layer.technique), self.chain.focal_spot
        volume, pose = self.scene.volume, layer.world_from_patient
        rays = self._rays.get(
            _place(layer.view, pose), lambda: rays_in_grid(volume, layer.view, pose)
        )
        covered = behind_devices(devices, layer, self.scene, beam, spot, rays)
        return covered, label_image(devices, layer.view.geometry.shape_px)

    def _expected(
        self, layer: AnatomyLayer, covered: CoveredPixels | None, mask: NDArray[np.uint8]
    ) -> ExpectedImage:
        image, tube = compose(layer, covered, mask), self.chain.intensifier
        return image if tube is None else image.through(tube, layer.view.geometry)

    def regulated(
        self,
        control: ExposureControl,
        view: View,
        world_from_patient: NDArray[np.float64] | None = None,
        technique: Technique | None = None,
        *,
        draft: bool = False,
    ) -> Technique:
        """Return the technique with the charge that `control` chooses for a view.

        Args:
            control: automatic exposure control.
            view: geometry and pose of the exposure.
            world_from_patient: pose of the patient [m], shape (4, 4); default the scene's.
            technique: voltage, filtration and pulse length; default the renderer's.
            draft: measure in the anatomy of a moving C-arm; see `anatomy`.
        """
        technique, names = technique or self.technique, self.scene.table.names
        pose = self._patient_pose(world_from_patient)

        def regulate() -> Technique:
            area = self.grid(view, draft).inner(self._area_density(view, pose, draft))
            distance = view.geometry.source_to_detector_m
            return control.regulated(technique, area, names, distance)

        return self._techniques.get((control, *_place(view, pose), technique, draft), regulate)

    def blend(self, first: AnatomyLayer, second: AnatomyLayer, share: float) -> AnatomyLayer:
        """Return a layer between two of one view; see `anatomy_layer.blend`."""
        return blend(first, second, share)

    def beam(self, technique: Technique | None = None) -> Beam:
        """Return the beam of a technique on this detector; default the renderer's."""
        technique = technique or self.technique
        return self._beams.get(technique, lambda: Beam(technique, self.detector, self.energies))

    def air_kerma_gy(self, view: View, technique: Technique | None = None) -> float:
        """Return the air kerma of one pulse at the reference point [Gy]."""
        technique = technique or self.technique
        spectrum = self.beam(technique).spectrum
        return reference_kerma_gy(spectrum, technique.charge_mas, self._isocenter_m(view))

    def kerma_area_product_gy_m2(self, view: View, technique: Technique | None = None) -> float:
        """Return the air kerma-area product of one pulse [Gy m^2]."""
        technique, blades = technique or self.technique, self.chain.collimator
        box = blades.box_px(view.geometry) if blades is not None else None
        spectrum = self.beam(technique).spectrum
        return kerma_area_product_gy_m2(spectrum, technique.charge_mas, view.geometry, box)


def _place(view: View, world_from_patient: NDArray[np.float64]) -> tuple[Hashable, ...]:
    """Return what decides the area densities of a scene."""
    return view.geometry, view.world_from_source.tobytes(), world_from_patient.tobytes()
