"""Shape of a planar bending device from one radiograph: Gauss-Newton on five control points.

Known: the view, the frame of the manipulator's base in `world` and the control points that the
joints predict. Seen: the tip, the base and the mask. The estimate is the most probable shape under
pixel noise and prior; its covariance is (J^T W J + P^-1)^-1, carried to the tip. What the image
cannot see, above all depth when the bending plane contains the ray, keeps the width of the prior.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.geometry import View, check_pose, make_pose
from synthex_ros.tracking.covariance import symmetric
from synthex_ros.tracking.ray_plane import plane_angle_rad
from synthex_ros.tracking.shape_prior import CONTROLS, ShapeSettings
from synthex_ros.tracking.shape_problem import (
    DepthScan,
    Mode,
    PlanarShapeModel,
    SeenPoint,
    ShapeFrame,
    ShapeProblem,
)

Array = NDArray[np.float64]

# Part of the model's error that changes from frame to frame.
_WHITE_FRACTION = 0.5


@dataclass(frozen=True)
class ShapeEstimate:
    """The device's shape at one exposure.

    Attributes:
        control_rad: control points [rad], shape (5,).
        centerline_world_m: centre line from base to tip in `world` [m], shape (N, 3).
        world_from_tip: tip frame, z leaves the tube, y is the plane's normal, shape (4, 4) [m].
        tip_covariance_m2: covariance of the tip in `world` [m^2], shape (3, 3).
        tip_bias_covariance_m2: its part that comes from the prior, not from this image, and is
            therefore shared by the frames that follow [m^2], shape (3, 3).
        plane_angle_rad: angle between the tip's ray and the bending plane; 0 is edge-on [rad].
        base_error_px: distance of the seen base from the known one [px]; NaN if not seen.
        reduced_chi2: cost per datum; about 1 if image, prior and model agree.
        stations: number of places where the mask gave a centre.
        confidence: 0..1, the tip's score, less if the base is not where it is known to be.
        converged: whether the steps died out.
        ambiguous: whether other bends explain the image so well that depth is much less certain
            than the best one's own surroundings say.
    """

    control_rad: Array
    centerline_world_m: Array
    world_from_tip: Array
    tip_covariance_m2: Array
    tip_bias_covariance_m2: Array
    plane_angle_rad: float
    base_error_px: float
    reduced_chi2: float
    stations: int
    confidence: float
    converged: bool
    ambiguous: bool

    @property
    def tip_world_m(self) -> Array:
        """Tip in `world` [m], shape (3,)."""
        return self.world_from_tip[:3, 3]


class ShapeFitter:
    """Fit control points to a mask and landmarks.

    Args:
        model: the device's kinematics.
        settings: noise, prior and numerics.
    """

    def __init__(self, model: PlanarShapeModel, settings: ShapeSettings | None = None) -> None:
        self.settings = settings or ShapeSettings()
        self._model = model
        self._frame = ShapeFrame(model, self.settings)

    def fit(
        self,
        view: View,
        mask: NDArray,
        landmarks: Sequence[SeenPoint],
        world_from_cm_base: ArrayLike,
        predicted_control_rad: ArrayLike,
    ) -> ShapeEstimate:
        """Return the most probable shape.

        Args:
            view: geometry and pose of the exposure.
            mask: probability of the device, shape (rows, columns), float32 in 0..1.
            landmarks: 'base' and 'tip' with scores; a score of 0 is not seen.
            world_from_cm_base: the manipulator's frame at exposure, shape (4, 4) [m].
            predicted_control_rad: control points that the joints predict [rad], shape (5,).

        Raises:
            ValueError: wrong shapes, a pose that is not rigid, or a device behind the source.
        """
        if mask.shape != view.geometry.shape_px:
            raise ValueError(f'mask must be {view.geometry.shape_px}, got {mask.shape}')
        predicted = np.asarray(predicted_control_rad, float)
        if predicted.shape != (CONTROLS,) or not np.all(np.isfinite(predicted)):
            raise ValueError(f'predicted_control_rad must be 5 finite numbers, got {predicted}')
        pose = check_pose(world_from_cm_base, 'world_from_cm_base')
        seen = {point.name: point for point in landmarks if point.score > 0}
        pixels = np.ascontiguousarray(mask, np.float32)
        problem = ShapeProblem(self._frame, view, pixels, seen.get('tip'), pose, predicted)
        angle = plane_angle_rad(_ray_to(view, problem.tip(problem.prediction)), pose)
        scan = problem.along_depth() if angle < self.settings.edge_on_rad else None
        mode = problem.descend(problem.prediction if scan is None else scan.likeliest)
        base_error_px = self._base_error_px(view, seen, pose)
        confidence = seen['tip'].score if 'tip' in seen else 0.0
        if base_error_px > self.settings.base_gate_px:
            confidence *= self.settings.base_gate_px / base_error_px
        ray = _ray_to(view, mode.tip_world_m)
        return self._estimate(problem, mode, scan, ray, base_error_px, float(confidence))

    @staticmethod
    def _base_error_px(view: View, seen: Mapping[str, SeenPoint], pose: Array) -> float:
        if 'base' not in seen:
            return float('nan')
        base = seen['base']
        return float(np.linalg.norm(view.project(pose[:3, 3]) - (base.u, base.v)))

    def _estimate(
        self,
        problem: ShapeProblem,
        mode: Mode,
        scan: DepthScan | None,
        ray: Array,
        base_error_px: float,
        confidence: float,
    ) -> ShapeEstimate:
        total = _tip_covariance(problem, mode, ray)
        ambiguous = False
        if scan is not None:
            missing = scan.variance_about(mode.tip_world_m) - float(ray @ total @ ray)
            ambiguous = missing > float(ray @ total @ ray)
            total = total + max(missing, 0.0) * np.outer(ray, ray)
        total = symmetric(total + self.settings.model_sigma_m**2 * np.eye(3))
        gain = mode.tip_slopes @ mode.covariance
        white = (_WHITE_FRACTION * self.settings.model_sigma_m) ** 2 * np.eye(3)
        from_image = gain @ mode.information @ gain.T + white
        curve = problem.to_world(self._model.centerline(mode.unknowns[:CONTROLS]), mode.unknowns)
        return ShapeEstimate(
            control_rad=mode.unknowns[:CONTROLS],
            centerline_world_m=curve,
            world_from_tip=_tip_pose(curve, problem.normal),
            tip_covariance_m2=total,
            tip_bias_covariance_m2=symmetric(total - from_image),
            plane_angle_rad=float(np.arcsin(np.clip(abs(ray @ problem.normal), 0, 1))),
            base_error_px=base_error_px,
            reduced_chi2=mode.cost / max(mode.data, 1),
            stations=mode.stations,
            confidence=confidence,
            converged=mode.converged,
            ambiguous=ambiguous,
        )


def _ray_to(view: View, point_m: Array) -> Array:
    toward = point_m - view.source_world_m
    return toward / np.linalg.norm(toward)


def _tip_covariance(problem: ShapeProblem, mode: Mode, ray: Array) -> Array:
    """Return the tip's covariance [m^2], (3, 3), to second order along the weakest direction."""
    slopes = mode.tip_slopes
    along = ray @ slopes
    direction = mode.covariance @ along / np.sqrt(along @ mode.covariance @ along)
    ends = [problem.tip(mode.unknowns + sign * direction) for sign in (-1, 1)]
    bend = 0.5 * (ends[0] + ends[1]) - mode.tip_world_m
    # A unit normal t gives t^2 the mean square 3: E[(bend t^2)(bend t^2)^T] = 3 bend bend^T.
    return slopes @ mode.covariance @ slopes.T + 3.0 * np.outer(bend, bend)


def _tip_pose(curve_m: Array, normal: Array) -> Array:
    """Return the tip frame in `world`, (4, 4) [m]: z along the end of the curve, y the normal."""
    z = curve_m[-1] - curve_m[-2]
    z = z / np.linalg.norm(z)
    y = normal - (normal @ z) * z
    y = y / np.linalg.norm(y)
    return make_pose(np.stack([np.cross(y, z), y, z], axis=1), curve_m[-1])
