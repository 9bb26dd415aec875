"""The least-squares problem of one radiograph: residuals, Jacobian, descent to an optimum.

Numbers are rows of unknowns (`shape_prior`): five control points, small rotation, translation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.geometry import View
from synthex_ros.tracking.centerline_pixels import lateral_offsets
from synthex_ros.tracking.covariance import project_with_jacobian, symmetric
from synthex_ros.tracking.shape_prior import (
    CONTROLS,
    UNKNOWNS,
    ShapeSettings,
    prior_covariance,
    station_covariance,
    station_fractions,
)

Array = NDArray[np.float64]

_STEP_RAD = 1e-5
_LONGEST_STEP_RAD = 0.03
_SETTLED = 3e-3
_HALVE_AFTER = 5
# The first steps search the mask widely, the others only about the device's own width.
_WIDE_STEPS = 2
_NARROW_FACTOR = 1.9
_DEPTH_SAMPLES = 25


class PlanarShapeModel(Protocol):
    """A device of fixed length that bends in the x-z plane of its base frame."""

    def centerline(self, control_rad: ArrayLike) -> Array:
        """Return the centre line from base to tip [m], shape (N, 3), of control points (5,)."""


class SeenPoint(Protocol):
    """A landmark as a detector reports it."""

    @property
    def name(self) -> str:
        """Name, 'base' or 'tip'."""

    @property
    def u(self) -> float:
        """Column [px]."""

    @property
    def v(self) -> float:
        """Row [px]."""

    @property
    def score(self) -> float:
        """Trust, 0..1; 0 is not seen."""


@dataclass(frozen=True)
class Mode:
    """A local optimum.

    Attributes:
        unknowns: shape (11,).
        cost: squared whitened residuals of image and prior.
        covariance: inverse of image and prior information, shape (11, 11).
        information: J^T W J of the image alone, shape (11, 11).
        tip_world_m: tip in `world` [m], shape (3,).
        tip_slopes: d tip / d unknowns, shape (3, 11).
        data: number of residuals that the image gave.
        stations: number of places where the mask gave a centre.
        converged: whether the steps died out.
    """

    unknowns: Array
    cost: float
    covariance: Array
    information: Array
    tip_world_m: Array
    tip_slopes: Array
    data: int
    stations: int
    converged: bool


@dataclass(frozen=True)
class DepthScan:
    """Places along the direction that the image hardly sees.

    Attributes:
        unknowns: shape (M, 11).
        depth_m: the tip's coordinate along the ray [m], shape (M,).
        probability: of each place, shape (M,).
        ray: unit direction in `world`, shape (3,).
    """

    unknowns: Array
    depth_m: Array
    probability: Array
    ray: Array

    @property
    def likeliest(self) -> Array:
        """The most probable place, shape (11,)."""
        return self.unknowns[int(np.argmax(self.probability))]

    def variance_about(self, tip_world_m: Array) -> float:
        """Return the mean square distance of depth from that of a tip, shape (3,) [m^2]."""
        return float(self.probability @ (self.depth_m - tip_world_m @ self.ray) ** 2)


class ShapeFrame:
    """What stays the same from frame to frame: model, prior, noise, places on the curve."""

    def __init__(self, model: PlanarShapeModel, settings: ShapeSettings) -> None:
        self.model, self.settings = model, settings
        self.prior = prior_covariance(settings)
        self.prior_information = np.linalg.inv(self.prior)
        self.station_covariance = station_covariance(settings)
        straight = np.asarray(model.centerline(np.zeros(CONTROLS)), float)
        arc = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(straight, axis=0), axis=1))])
        places = np.append(station_fractions(settings), 1.0) * arc[-1]
        self._pick = np.stack([np.interp(places, arc, one) for one in np.eye(len(arc))], axis=1)

    def picked(self, control_rad: Array) -> Array:
        """Return stations and tip in the base frame [m], shape (stations + 1, 3)."""
        return self._pick @ self.model.centerline(control_rad)


class ShapeProblem:
    """One radiograph against one prediction.

    Args:
        frame: model and noise.
        view: geometry and pose of the exposure.
        mask: probability of the device, shape (rows, columns), C-contiguous float32.
        tip: the tip landmark, None if not seen.
        world_from_cm_base: the known base, shape (4, 4) [m].
        predicted_control_rad: what the joints predict [rad], shape (5,).
    """

    def __init__(
        self,
        frame: ShapeFrame,
        view: View,
        mask: NDArray[np.float32],
        tip: SeenPoint | None,
        world_from_cm_base: Array,
        predicted_control_rad: Array,
    ) -> None:
        self._frame, self._view, self._mask = frame, view, mask
        self._pose = world_from_cm_base
        self._settings = frame.settings
        self.prediction = np.concatenate([predicted_control_rad, np.zeros(UNKNOWNS - CONTROLS)])
        self._tip_px: Array | None = None
        self._tip_sigma = self._settings.tip_sigma_px
        if tip is not None:
            self._tip_px = np.array([tip.u, tip.v])
            self._tip_sigma /= np.sqrt(tip.score)

    @property
    def normal(self) -> Array:
        """Normal of the bending plane in `world`, shape (3,)."""
        return self._pose[:3, 1]

    def to_world(self, local: Array, unknowns: Array) -> Array:
        """Map points of the base frame [m], shape (N, 3), to `world` under the unknowns."""
        x, y, z = unknowns[CONTROLS : CONTROLS + 3]
        turned = np.array([[1, -z, y], [z, 1, -x], [-y, x, 1]])
        turn = self._pose[:3, :3] @ turned
        return local @ turn.T + self._pose[:3, 3] + unknowns[CONTROLS + 3 :]

    def tip(self, unknowns: Array) -> Array:
        """Return the tip in `world` [m], shape (3,)."""
        return self.to_world(self._frame.picked(unknowns[:CONTROLS])[-1:], unknowns)[0]

    def points_with_jacobian(self, unknowns: Array) -> tuple[Array, Array]:
        """Return stations and tip in `world` [m], (K + 1, 3), and their slopes, (K + 1, 3, 11).

        Control points by forward differences; rotation and translation of the base exactly.
        """
        controls = unknowns[:CONTROLS]
        local = self._frame.picked(controls)
        jacobian = np.zeros((len(local), 3, UNKNOWNS))
        for k, moved in enumerate(controls + _STEP_RAD * np.eye(CONTROLS)):
            jacobian[:, :, k] = (self._frame.picked(moved) - local) / _STEP_RAD
        x, y, z = local.T
        jacobian[:, 1, CONTROLS], jacobian[:, 2, CONTROLS] = -z, y
        jacobian[:, 0, CONTROLS + 1], jacobian[:, 2, CONTROLS + 1] = z, -x
        jacobian[:, 0, CONTROLS + 2], jacobian[:, 1, CONTROLS + 2] = -y, x
        jacobian = self._pose[:3, :3] @ jacobian
        jacobian[:, :, CONTROLS + 3 :] = np.eye(3)
        return self.to_world(local, unknowns), jacobian

    def residuals(self, points: Array, slopes_m: Array, wide: bool) -> tuple[Array, Array, int]:
        """Return whitened residuals (R,), their Jacobian (R, 11) and the stations used.

        Args:
            points: stations and tip in `world` [m], shape (K + 1, 3).
            slopes_m: their Jacobian, shape (K + 1, 3, 11).
            wide: search the mask far from the curve.
        """
        pixels, per_point = project_with_jacobian(self._view, points)
        slopes = per_point @ slopes_m
        lateral, stations = self._lateral(points, pixels[:-1], slopes[:-1], wide)
        blocks = [lateral]
        if self._tip_px is not None:
            error = (pixels[-1] - self._tip_px)[:, None]
            blocks.append(np.hstack([error, slopes[-1]]) / self._tip_sigma)
        stacked = np.concatenate(blocks)
        return stacked[:, 0], stacked[:, 1:], stations

    def _lateral(
        self, points: Array, pixels: Array, slopes: Array, wide: bool
    ) -> tuple[Array, int]:
        """Return whitened [offset, slopes], shape (R, 12), of the mask's centre, and R."""
        half = self._half_width_px(points[0])
        window = self._settings.search_px if wide else _NARROW_FACTOR * half
        offsets, normals, usable = lateral_offsets(self._mask, pixels, half, window)
        if not usable.any():
            return np.zeros((0, UNKNOWNS + 1)), 0
        along = np.einsum('ki,kij->kj', normals[usable], slopes[usable])
        factor = np.linalg.cholesky(self._frame.station_covariance[np.ix_(usable, usable)])
        white = np.linalg.solve(factor, np.column_stack([-offsets[usable], along]))
        return white, int(usable.sum())

    def _half_width_px(self, point: Array) -> float:
        view = self._view
        depth = float((point - view.source_world_m) @ view.world_from_source[:3, 2])
        magnified = self._settings.tube_radius_m * view.geometry.magnification(depth)
        return magnified / float(np.mean(view.geometry.pixel_pitch_m))

    def descend(self, start: Array) -> Mode:
        """Return the optimum that Gauss-Newton reaches from `start`, shape (11,)."""
        prior, unknowns, converged = self._frame.prior_information, start, False
        for step in range(self._settings.iterations):
            linear = self.points_with_jacobian(unknowns)
            residuals, rows, _ = self.residuals(*linear, step < _WIDE_STEPS)
            information = rows.T @ rows + prior
            gradient = rows.T @ residuals + prior @ (unknowns - self.prediction)
            change = -np.linalg.solve(information, gradient)
            longest = float(np.max(np.abs(change[:CONTROLS])))
            change *= min(1.0, _LONGEST_STEP_RAD / max(longest, 1e-12))
            if step >= _HALVE_AFTER:
                # A station at the mask's rim that comes and goes would make the steps alternate.
                change = 0.5 * change
            unknowns = unknowns + change
            # Settled: the step is small against the uncertainty that is left.
            converged = step >= _WIDE_STEPS and float(change @ information @ change) < _SETTLED
            if converged:
                break
        return self._mode(unknowns, converged)

    def _mode(self, unknowns: Array, converged: bool) -> Mode:
        prior = self._frame.prior_information
        points, slopes = self.points_with_jacobian(unknowns)
        residuals, rows, stations = self.residuals(points, slopes, wide=False)
        away = unknowns - self.prediction
        data = rows.T @ rows
        return Mode(
            unknowns=unknowns,
            cost=float(residuals @ residuals + away @ prior @ away),
            covariance=symmetric(np.linalg.inv(data + prior)),
            information=data,
            tip_world_m=points[-1],
            tip_slopes=slopes[-1],
            data=len(residuals),
            stations=stations,
            converged=converged,
        )

    def along_depth(self) -> DepthScan | None:
        """Return how probable depths of the tip are, or None if the tip was not seen.

        Seen edge-on, a bend towards the source and one away from it shorten the image alike, so
        one optimum does not tell the whole story. The line through the prediction along which the
        prior expects depth to vary is sampled over four standard deviations, and the tip's pixel
        judges each place; its noise includes what all other unknowns may do to it.
        """
        if self._tip_px is None:
            return None
        points, slopes = self.points_with_jacobian(self.prediction)
        pixels, per_point = project_with_jacobian(self._view, points[-1:])
        toward = points[-1] - self._view.source_world_m
        ray = toward / np.linalg.norm(toward)
        spread = self._frame.prior @ (ray @ slopes[-1])
        direction = spread / np.sqrt(ray @ slopes[-1] @ spread)
        in_image = per_point[0] @ slopes[-1]
        others = self._frame.prior - np.outer(direction, direction)
        noise = in_image @ others @ in_image.T + self._tip_sigma**2 * np.eye(2)
        steps = np.linspace(-4.0, 4.0, _DEPTH_SAMPLES)
        places = self.prediction + steps[:, None] * direction
        tips = np.array([self.tip(place) for place in places])
        errors = self._view.project(tips) - self._tip_px
        costs = np.einsum('ni,ij,nj->n', errors, np.linalg.inv(noise), errors) + steps**2
        weights = np.exp(-0.5 * (costs - costs.min()))
        return DepthScan(places, tips @ ray, weights / weights.sum(), ray)
