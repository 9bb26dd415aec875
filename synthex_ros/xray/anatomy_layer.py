"""The device-free image of a view, and its blend between two poses of the patient."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from synthex_ros.geometry import ProjectionGeometry, View
from synthex_ros.xray import kernels
from synthex_ros.xray.beam import Beam, Technique
from synthex_ros.xray.detector import ScatteredSignal
from synthex_ros.xray.parallel import parallel
from synthex_ros.xray.projection_grid import ProjectionGrid, to_coefficients

_EVEN = np.zeros((0, 0), np.float32)


@dataclass(frozen=True, eq=False)
class AnatomyLayer:
    """Line integrals of a view and what the detector would absorb without devices.

    Attributes:
        view: geometry and pose of the exposure.
        world_from_patient: pose of the patient, shape (4, 4) [m].
        technique: tube settings of `signal_kev` and `variance_kev2`.
        grid: where the anatomy was projected.
        area_samples_g_cm2: area densities by material at the grid's samples, shape (M, h, w),
            float32.
        signal_kev: expected absorbed energy a pixel [keV], shape (rows, columns), float32.
        variance_kev2: its quantum variance [keV^2], shape (rows, columns), float32.
        profile: what the beam is weakened by before the patient, shape (rows, columns); None is 1.
        scatter: what scattered quanta add to every frame; None leaves them out.
    """

    view: View
    world_from_patient: NDArray[np.float64]
    technique: Technique
    grid: ProjectionGrid
    area_samples_g_cm2: NDArray[np.float32]
    signal_kev: NDArray[np.float32]
    variance_kev2: NDArray[np.float32]
    profile: NDArray[np.float32] | None = None
    scatter: ScatteredSignal | None = None

    @property
    def area_density_g_cm2(self) -> NDArray[np.float32]:
        """Area densities by material at the pixels, shape (M, rows, columns), made anew."""
        return np.maximum(self.grid.pixels(self.area_samples_g_cm2), 0)

    @property
    def nbytes(self) -> int:
        """Memory of the images [bytes]."""
        images = (self.area_samples_g_cm2, self.signal_kev, self.variance_kev2, self.profile)
        return sum(image.nbytes for image in images if image is not None)


def expose_anatomy(
    area_density_g_cm2: NDArray[np.float32],
    materials: tuple[str, ...],
    view: View,
    world_from_patient: NDArray[np.float64],
    beam: Beam,
    profile: NDArray[np.float32] | None = None,
    grid: ProjectionGrid | None = None,
) -> AnatomyLayer:
    """Return the layer of a beam behind area densities of `materials`.

    Args:
        area_density_g_cm2: at the samples of `grid`, shape (M, h, w).
        materials: names of the M materials.
        view: geometry and pose of the exposure.
        world_from_patient: pose of the patient, shape (4, 4) [m].
        beam: technique on its detector.
        profile: factor of the primary, shape (rows, columns); None is 1.
        grid: where the area densities hold; default the pixels.
    """
    grid = grid or ProjectionGrid.by_pixel(view.geometry)
    signal = np.empty(view.geometry.shape_px, np.float32)
    variance = np.empty_like(signal)
    mu, weights = beam.mass_attenuation_cm2_g(materials), beam.pixel_weights(view.geometry)
    seen = np.empty((2, *area_density_g_cm2.shape[1:]), np.float32)
    with parallel():
        kernels.attenuate(area_density_g_cm2, mu, weights, seen)
        kernels.raise_signal(
            seen,
            to_coefficients(seen.copy()),
            (grid.rows.place, grid.rows.spline, grid.rows.linear),
            (grid.columns.place, grid.columns.spline, grid.columns.linear),
            weights[0].sum(),
            *falloff(view.geometry),
            weakened(profile),
            signal,
            variance,
        )
    return AnatomyLayer(
        view,
        world_from_patient,
        beam.technique,
        grid,
        area_density_g_cm2,
        signal,
        variance,
        profile,
    )


def blend(first: AnatomyLayer, second: AnatomyLayer, share: float) -> AnatomyLayer:
    """Return a layer between two of one view, `share` = 0 (first) to 1 (second).

    Line integrals and signals are interpolated linearly: a pixel whose signal differs by a
    fraction d between the layers is off by at most d^2 / 8. The pose, used only for the tissue
    that a device displaces, is the nearer layer's.

    Raises:
        ValueError: the layers differ in geometry or technique, or share is not 0..1.
    """
    if not 0 <= share <= 1:
        raise ValueError(f'share must be 0..1, got {share:g}')
    if first.grid is not second.grid or first.technique != second.technique:
        raise ValueError('layers to blend must have the same geometry, grid and technique')
    if share in (0, 1):
        return second if share else first
    nearer = first if share < 0.5 else second
    scatter = nearer.scatter
    if first.scatter is not None and second.scatter is not None:
        scatter = replace(
            first.scatter,
            signal_kev=_mixed(first.scatter.signal_kev, second.scatter.signal_kev, share),
        )
    return replace(
        nearer,
        area_samples_g_cm2=_mixed(first.area_samples_g_cm2, second.area_samples_g_cm2, share),
        signal_kev=_mixed(first.signal_kev, second.signal_kev, share),
        variance_kev2=_mixed(first.variance_kev2, second.variance_kev2, share),
        scatter=scatter,
    )


def _mixed(
    first: NDArray[np.float32], second: NDArray[np.float32], share: float
) -> NDArray[np.float32]:
    out = np.empty_like(first)
    with parallel():
        kernels.mix(first.ravel(), second.ravel(), np.float32(share), out.ravel())
    return out


def weakened(profile: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """Return a profile as the kernels take it: none is empty."""
    return _EVEN if profile is None else profile


def falloff(geometry: ProjectionGeometry) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return piercing point (u, v) [px] and slope a pixel (row, column) for the cosine law."""
    pitch_v, pitch_u = geometry.pixel_pitch_m
    distance = geometry.source_to_detector_m
    return geometry.piercing_px, (pitch_v / distance, pitch_u / distance)
