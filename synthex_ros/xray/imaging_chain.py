"""Which effects stand between an ideal projection and a frame: one switch each."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.geometry import ProjectionGeometry
from synthex_ros.xray.beam import Beam
from synthex_ros.xray.collimator import Collimator
from synthex_ros.xray.detector import ScatteredSignal
from synthex_ros.xray.focal_spot import FocalSpot
from synthex_ros.xray.heel_effect import heel_factor
from synthex_ros.xray.intensifier import ImageIntensifier
from synthex_ros.xray.lag import Lag, LagMemory
from synthex_ros.xray.panel import PanelMaps
from synthex_ros.xray.scatter import COARSE_PX, KernelScatter, decimated

Image = NDArray[np.float32]


@dataclass(frozen=True)
class Heel:
    """Heel effect of the tube; see `heel_effect.heel_factor`.

    Attributes:
        anode_angle_deg: between the target's face and the central ray.
        cathode: image axis that points to the cathode: '+x', '-x', '+y' or '-y'.
    """

    anode_angle_deg: float = 12.0
    cathode: str = '+y'


@dataclass(frozen=True)
class ImagingChain:
    """Effects of tube, collimator and panel; None leaves one out. The default leaves all out.

    Spectrum, scintillator, light spread, quantum and electronic noise are not here: they belong to
    `Technique` and `Detector` and always act.

    Attributes:
        collimator: blades that limit the field.
        heel: weaker beam on the anode's side.
        scatter: scattered quanta, with or without an anti-scatter grid.
        focal_spot: blur by the size of the spot.
        lag: afterglow of earlier frames.
        panel_seed: number of a panel with pixels of uneven gain and offset.
        intensifier: an image intensifier with a camera instead of a flat panel.
    """

    collimator: Collimator | None = None
    heel: Heel | None = None
    scatter: KernelScatter | None = None
    focal_spot: FocalSpot | None = None
    lag: Lag | None = None
    panel_seed: int | None = None
    intensifier: ImageIntensifier | None = None

    @classmethod
    def full(cls) -> ImagingChain:
        """Return a chain with every effect of a panel that has been flat-fielded."""
        return cls(Collimator(), Heel(), KernelScatter(), FocalSpot(), Lag())

    def profile(self, beam: Beam, geometry: ProjectionGeometry) -> Image | None:
        """Return the primary relative to an ideal beam, shape (rows, columns); None is 1."""
        factors = []
        if self.collimator is not None and self.collimator.limits:
            factors.append(self.collimator.transmission(geometry))
        if self.heel is not None:
            heel = self.heel
            factors.append(heel_factor(geometry, beam, heel.anode_angle_deg, heel.cathode))
        if self.scatter is not None and self.scatter.grid is not None:
            shape = geometry.shape_px
            factors.append(np.full(shape, self.scatter.primary_transmission, np.float32))
        return np.prod(factors, axis=0, dtype=np.float32) if factors else None

    def scattered(
        self,
        area_density_g_cm2: Image,
        materials: tuple[str, ...],
        beam: Beam,
        geometry: ProjectionGeometry,
        air_gap_m: float,
        profile: Image | None,
    ) -> ScatteredSignal | None:
        """Return what scatter adds to every frame of a view, or None."""
        if self.scatter is None:
            return None
        share = None
        if profile is not None:
            size = (COARSE_PX, COARSE_PX)
            share = np.asarray(cv2.resize(profile, size, interpolation=cv2.INTER_AREA), np.float32)
            share /= np.float32(self.scatter.primary_transmission)
        result = self.scatter.on_detector(
            decimated(area_density_g_cm2), materials, beam, geometry, air_gap_m, share
        )
        return ScatteredSignal(result.signal_kev, result.quantum_kev)

    def shows(self, pixels_px: ArrayLike, geometry: ProjectionGeometry) -> NDArray[np.bool_]:
        """Tell which points of the image, (u, v) [px], (..., 2), the beam reaches.

        They lie on the detector, between the blades and in the field of the image intensifier.
        """
        pixels, tube = np.asarray(pixels_px, float), self.intensifier
        seen = geometry.contains(pixels)
        if tube is not None:
            seen &= tube.contains(pixels, geometry)
            pixels = tube.undistort_points(pixels, geometry)
        if self.collimator is not None:
            seen &= self.collimator.contains(pixels, geometry)
        return seen

    def memory(self, shape_px: tuple[int, int]) -> LagMemory | None:
        """Return the memory of a detector that has rested, or None without lag."""
        return LagMemory(self.lag, shape_px) if self.lag is not None else None

    def panel_maps(self, shape_px: tuple[int, int]) -> PanelMaps | None:
        """Return gain and offset of the pixels, or None for an even panel."""
        return PanelMaps.random(shape_px, self.panel_seed) if self.panel_seed is not None else None
