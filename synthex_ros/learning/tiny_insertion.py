"""A tiny device in a radiograph: attenuation that gives it its contrast, signal that it takes."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from synthex_ros.learning.sampling import Box, ViewSample
from synthex_ros.learning.scene_signal import ReadSignal
from synthex_ros.learning.visibility import Shadow
from synthex_ros.xray.mesh_tracer import PathLayer
from synthex_ros.xray.renderer import Renderer, Technique

Image = NDArray[np.float64]

_INSIDE_M = 1e-6
_MU_RANGE = (1e-2, 1e7)
_REACHABLE = 0.9
_SPREAD_PX = 4


@dataclass(frozen=True, eq=False)
class TinyDevice:
    """A device in an image.

    Attributes:
        name: its class.
        size_m: its largest extent [m].
        depth_m: distance from the source along the central ray [m].
        box_px: left and top edge, width, height [px], sub-pixel; pixel k reaches from k to k + 1.
        mask: its pixels, shape (rows, columns).
        part: rows and columns of the image that it changes.
        lost_kev: signal that it takes there at the exposure of the view [keV].
        shadow: the same with its noise.
        contrast: its Michelson contrast.
    """

    name: str
    size_m: float
    depth_m: float
    box_px: Box
    mask: NDArray[np.bool_]
    part: tuple[slice, slice]
    lost_kev: Image
    shadow: Shadow
    contrast: float

    @property
    def centre_px(self) -> tuple[float, float]:
        """Middle of the box (u, v) [px], pixel centres at integers."""
        left, top, width, height = self.box_px
        return left + width / 2 - 0.5, top + height / 2 - 0.5


@dataclass(frozen=True, eq=False)
class ViewSetup:
    """A C-arm view with its expected image and what makes counts of it."""

    anatomy: str
    seen: ViewSample
    renderer: Renderer
    technique: Technique
    primary: Image
    scatter: Image
    variance: Image
    field_px: Box
    kerma_ngy: float

    @property
    def gain_counts_kev(self) -> float:
        """Counts per absorbed keV at the exposure of the view."""
        return self.renderer.beam(self.technique).gain_counts_kev(self.seen.view.geometry)


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


def placed_device(
    name: str,
    size_m: float,
    depth_m: float,
    box: Box,
    path: PathLayer,
    centre: PathLayer,
    contrast: float,
    setup: ViewSetup,
) -> TinyDevice:
    """Return a device of known contrast, with what it takes from the signal of a view."""
    shape = setup.seen.view.geometry.shape_px
    mask = centre.full(shape) > _INSIDE_M
    if not mask.any():
        # Between pixel centres: the pixel that it covers most stands for it.
        mask = path.full(shape) >= path.path_m.max()
    inside = path.full(shape)[mask]
    mu, given = attenuation_of(contrast, inside, setup.primary[mask], setup.scatter[mask])
    part, paths = _widened(path, shape)
    lost = _behind_spot(setup.primary[part] * (1 - np.exp(-mu * paths)), setup, depth_m)
    signal = ReadSignal(setup.renderer.detector, setup.gain_counts_kev)
    before = setup.primary[part] + setup.scatter[part]
    seen = signal.readable(before) - signal.readable(before - lost)
    quantum = signal.quantum_kev2(setup.variance[part])
    shadow = signal.shadow(seen.ravel(), quantum.ravel())
    return TinyDevice(name, size_m, float(depth_m), box, mask, part, lost, shadow, given)


def _widened(path: PathLayer, shape: tuple[int, int]) -> tuple[tuple[slice, slice], Image]:
    """Return the part of an image around a device, and the paths there [m]."""
    top, bottom, left, right = path.box
    part = (
        slice(max(top - _SPREAD_PX, 0), min(bottom + _SPREAD_PX, shape[0])),
        slice(max(left - _SPREAD_PX, 0), min(right + _SPREAD_PX, shape[1])),
    )
    return part, path.full(shape)[part]


def _behind_spot(lost: Image, setup: ViewSetup, depth_m: float) -> Image:
    """Return what a device takes from the signal, spread by the focal spot."""
    spot = setup.renderer.chain.focal_spot
    taps = None if spot is None else spot.taps(setup.seen.view.geometry, depth_m)
    if taps is None:
        return lost
    down, across = taps
    spread = cv2.sepFilter2D(lost, cv2.CV_64F, across, down, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(spread, float)


def box_of(points_px: NDArray[np.float64]) -> Box:
    """Return the box (left, top, width, height) [px] of projected corners, shape (N, 2)."""
    (left, top), (right, bottom) = points_px.min(axis=0), points_px.max(axis=0)
    return float(left + 0.5), float(top + 0.5), float(right - left), float(bottom - top)


def apart(a: Box, b: Box) -> bool:
    """Tell whether two boxes keep a pixel between them."""
    return any(a[k] + a[k + 2] + 1 < b[k] or b[k] + b[k + 2] + 1 < a[k] for k in (0, 1))
