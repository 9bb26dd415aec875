"""An X-ray image intensifier with a camera behind it, in place of a flat panel.

It draws the image larger towards its edge (pincushion), turned by the earth's magnetic field
(S-distortion), inside a circle, darker at the edge (vignetting) and under a veil of light that
was scattered in its windows (veiling glare). Measured distortions: Rudin, Bednarek and Wong, Med.
Phys. 18 (1991) 1145; glare: Seibert, Nalcioglu and Roeck, Med. Phys. 11 (1984) 172.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft

from synthex_ros.geometry import ProjectionGeometry

Image = NDArray[np.float32]
Points = NDArray[np.float64]

GLARE_CELLS = 128
"""Glare is smooth: cells of a side on which it is computed."""


@dataclass(frozen=True)
class ImageIntensifier:
    """Settings of an image intensifier; the centre of the image keeps place and scale.

    Defaults are plausible values for a tube of 23 to 30 cm, not those of one that was measured.

    Attributes:
        pincushion_percent: by how much the edge of the field lies too far out, in per cent of its
            radius in an undistorted image; grows with the cube of the radius.
        s_distortion_deg: angle by which the edge is turned, from +u to +v; grows with the square
            of the radius [deg].
        vignetting_percent: light that is lost at the edge in lenses and camera; grows with the
            square of the radius. What magnification alone takes comes on top.
        glare_fraction: part of the light that is scattered.
        glare_reach_m: mean distance that scattered light goes, on the detector [m].
        field_share: diameter of the circular field, as a part of the image's shorter side.
    """

    pincushion_percent: float = 5.0
    s_distortion_deg: float = 0.0
    vignetting_percent: float = 15.0
    glare_fraction: float = 0.1
    glare_reach_m: float = 0.025
    field_share: float = 1.0

    def __post_init__(self):
        ranges = {
            'pincushion_percent': (0.0, 30.0),
            's_distortion_deg': (-20.0, 20.0),
            'vignetting_percent': (0.0, 90.0),
            'glare_fraction': (0.0, 0.5),
            'glare_reach_m': (1e-3, 0.1),
            'field_share': (0.1, 1.0),
        }
        for name, (low, high) in ranges.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f'{name} must be {low:g}..{high:g}, got {getattr(self, name):g}')

    def field_diameter_m(self, geometry: ProjectionGeometry) -> float:
        """Return the diameter of the circular image on the detector [m]."""
        sides = np.multiply(geometry.shape_px, geometry.pixel_pitch_m)
        return float(self.field_share * sides.min())

    def distort_points(self, pixels_px: ArrayLike, geometry: ProjectionGeometry) -> Points:
        """Return where the intensifier shows points of the undistorted image.

        Args:
            pixels_px: (u, v) of a pinhole projection [px], shape (..., 2).
            geometry: of the image.
        """
        x, y = self._centred(pixels_px, geometry)
        edge = self.pincushion_percent / 100
        t = np.hypot(x, y) * (1 + edge)
        larger = 1 + edge * t**2
        turn = np.radians(self.s_distortion_deg) * (t * larger / (1 + edge)) ** 2
        return self._pixels(larger * x, larger * y, turn, geometry)

    def undistort_points(self, pixels_px: ArrayLike, geometry: ProjectionGeometry) -> Points:
        """Return the points of the undistorted image that are shown at `pixels_px`, (..., 2)."""
        x, y = self._centred(pixels_px, geometry)
        radius = np.hypot(x, y)
        smaller = 1 / self._magnified(self._input_radius(radius))
        turn = -np.radians(self.s_distortion_deg) * radius**2
        return self._pixels(smaller * x, smaller * y, turn, geometry)

    def field(self, geometry: ProjectionGeometry) -> NDArray[np.bool_]:
        """Return the pixels inside the circular field, shape (rows, columns)."""
        return _maps(self, geometry).light > 0

    def moved(self, image: Image, geometry: ProjectionGeometry, outside: float = 0.0) -> Image:
        """Return an image as it is drawn, linear between pixels, shape (rows, columns), float32.

        Values are moved and nothing else: use it for depths and lengths, not for signals.

        Args:
            image: undistorted, shape (rows, columns).
            geometry: of the image.
            outside: value outside the circular field.
        """
        return np.where(self.field(geometry), _remap(image, self, geometry), np.float32(outside))

    def moved_labels(self, labels: NDArray, geometry: ProjectionGeometry) -> NDArray:
        """Return a label image (uint8) or mask (bool) as it is drawn; nearest pixel, 0 outside."""
        return self.moved_nearest(labels.astype(np.uint8), geometry, 0).astype(labels.dtype)

    def moved_nearest(
        self, image: NDArray, geometry: ProjectionGeometry, outside: float
    ) -> NDArray:
        """Return an image (uint8 or float32) as it is drawn, without interpolation."""
        moved = _remap(image, self, geometry, cv2.INTER_NEAREST)
        moved[~self.field(geometry)] = outside
        return moved

    def contains(self, pixels_px: ArrayLike, geometry: ProjectionGeometry) -> NDArray[np.bool_]:
        """Tell which points (u, v) [px], (..., 2), of the distorted image lie in the field."""
        return np.hypot(*self._centred(pixels_px, geometry)) <= 1

    def signal(self, signal_kev: Image, geometry: ProjectionGeometry) -> Image:
        """Return the expected signal at the output [keV a pixel], shape (rows, columns).

        An area that is drawn larger gives each of its pixels fewer quanta.
        """
        maps = _maps(self, geometry)
        image = _remap(signal_kev, self, geometry) * maps.area
        if self.glare_fraction:
            veil = scattered_light(image, geometry.pixel_pitch_m, self.glare_reach_m)
            image += np.float32(self.glare_fraction) * (veil - image)
        return image * maps.light

    def variance(self, variance_kev2: Image, geometry: ProjectionGeometry) -> Image:
        """Return the quantum variance at the output [keV^2], shape (rows, columns).

        Quanta are counted before the light spreads: light that goes straight keeps their noise,
        scattered light is a mean over thousands of pixels and adds none.
        """
        maps = _maps(self, geometry)
        straight = np.float32(1 - self.glare_fraction) * maps.light
        return _remap(variance_kev2, self, geometry) * maps.area * straight**2

    def _centred(
        self, pixels_px: ArrayLike, geometry: ProjectionGeometry
    ) -> tuple[Points, Points]:
        """Return points in units of the field's radius, from the middle of the image."""
        pixels = np.asarray(pixels_px, float)
        (rows, columns), (pitch_v, pitch_u) = geometry.shape_px, geometry.pixel_pitch_m
        radius_m = self.field_diameter_m(geometry) / 2
        x = (pixels[..., 0] - (columns - 1) / 2) * pitch_u / radius_m
        return x, (pixels[..., 1] - (rows - 1) / 2) * pitch_v / radius_m

    def _pixels(self, x: Points, y: Points, turn: Points, geometry: ProjectionGeometry) -> Points:
        """Return pixels of points in units of the field's radius, turned by an angle [rad]."""
        (rows, columns), (pitch_v, pitch_u) = geometry.shape_px, geometry.pixel_pitch_m
        radius_m = self.field_diameter_m(geometry) / 2
        cos, sin = np.cos(turn), np.sin(turn)
        u = (cos * x - sin * y) * radius_m / pitch_u + (columns - 1) / 2
        return np.stack([u, (sin * x + cos * y) * radius_m / pitch_v + (rows - 1) / 2], axis=-1)

    def _input_radius(self, radius: Points) -> Points:
        """Return t, undistorted radius over that of the field's edge, where t + D t^3 is drawn.

        The one real root of the cubic equation, by hyperbolic functions.
        """
        edge = self.pincushion_percent / 100
        if edge == 0:
            return radius
        root = np.sqrt(3 * edge)
        return 2 / root * np.sinh(np.arcsinh(1.5 * (1 + edge) * radius * root) / 3)

    def _magnified(self, t: Points) -> Points:
        return 1 + self.pincushion_percent / 100 * t**2


@dataclass(frozen=True, eq=False)
class _Maps:
    """Where each pixel's light comes from; all of shape (rows, columns), float32.

    Attributes:
        u, v: undistorted pixel.
        area: of the undistorted image that a pixel shows [px], 0 outside the field.
        light: part that lenses and camera pass, 0 outside the field.
    """

    u: Image
    v: Image
    area: Image
    light: Image


@lru_cache(maxsize=4)
def _maps(tube: ImageIntensifier, geometry: ProjectionGeometry) -> _Maps:
    rows, columns = geometry.shape_px
    v, u = np.mgrid[:rows, :columns].astype(float)
    pixels = np.stack([u, v], axis=-1)
    source = tube.undistort_points(pixels, geometry)
    radius = np.hypot(*tube._centred(pixels, geometry))
    t = tube._input_radius(radius)
    edge = tube.pincushion_percent / 100
    area = 1 / ((1 + edge * t**2) * (1 + 3 * edge * t**2))
    inside = radius <= 1
    light = inside * (1 - tube.vignetting_percent / 100 * np.minimum(radius, 1) ** 2)
    images = (source[..., 0], source[..., 1], inside * area, light)
    return _Maps(*(np.ascontiguousarray(image, np.float32) for image in images))


def _remap(
    image: NDArray,
    tube: ImageIntensifier,
    geometry: ProjectionGeometry,
    how: int = cv2.INTER_LINEAR,
) -> NDArray:
    if image.shape != geometry.shape_px:
        raise ValueError(f'the image has shape {image.shape}, the geometry {geometry.shape_px}')
    maps = _maps(tube, geometry)
    moved = cv2.remap(image, maps.u, maps.v, how, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, image.dtype).reshape(image.shape)


def scattered_light(image: Image, pixel_pitch_m: tuple[float, float], reach_m: float) -> Image:
    """Return an image convolved with exp(-r / k) / (2 pi k r), k = `reach_m`.

    This is the scattered part of the spread that Seibert et al. found; its transfer function is
    1 / sqrt(1 + (2 pi k f)^2). Computed on at most 128 x 128 cells; beyond the image it is dark.

    Args:
        image: shape (rows, columns), float32.
        pixel_pitch_m: pitch as (row, column) [m].
        reach_m: mean distance that the light goes [m].
    """
    cells = tuple(min(GLARE_CELLS, side) for side in image.shape)
    coarse = cv2.resize(image, cells[::-1], interpolation=cv2.INTER_AREA).reshape(cells)
    padded = tuple(2 * side for side in cells)
    cell_m = [
        pitch * side / count
        for pitch, side, count in zip(pixel_pitch_m, image.shape, cells, strict=True)
    ]
    down, across = fft.fftfreq(padded[0], cell_m[0]), fft.rfftfreq(padded[1], cell_m[1])
    square = down[:, None] ** 2 + across**2
    transfer = (1 / np.sqrt(1 + (2 * np.pi * reach_m) ** 2 * square)).astype(np.float32)
    spread = fft.irfft2(fft.rfft2(coarse, s=padded) * transfer, s=padded)[: cells[0], : cells[1]]
    size = image.shape[::-1]
    veil = cv2.resize(spread.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    return np.maximum(np.asarray(veil, np.float32).reshape(image.shape), np.float32(0))
