"""What the controller gets to know of one frame, and whether it can be used."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthex_ros.control.features import TipMeasurement, metres_per_feature
from synthex_ros.geometry import View

Array = NDArray[np.float64]

PROBLEMS = {
    'lost': 'the tracker does not see the device',
    'low_score': 'the tracker is not sure enough of the tip',
    'incomplete': 'parts of the frame did not come',
    'bad_message': 'a part of the frame makes no sense',
}
"""Problems of a frame, in words."""


@dataclass(frozen=True)
class TrackedFrame:
    """The tracker's findings on one frame.

    Attributes:
        stamp_ns: exposure time [ns].
        problem: why there is nothing more, such as 'lost'; '' if there is.
        view: geometry and pose of the exposure, None with a problem.
        tip_px: tip in the image (u, v) [px], shape (2,).
        score: confidence of the tip, 0..1.
        tip_world_m: tip in `world` [m], shape (3,).
        covariance_m2: covariance of `tip_world_m` [m^2], shape (3, 3).
        shape_world_m: landmarks in `world` from the back to the tip, shape (N, 3) [m]; None
            where the tracker gives the tip alone.
        line_world_m: end of the centre line in `world`, from the back to the tip, shape (K, 3)
            [m]; None where the tracker gives none.
    """

    stamp_ns: int
    problem: str = ''
    view: View | None = None
    tip_px: Array | None = None
    score: float = 0.0
    tip_world_m: Array | None = None
    covariance_m2: Array | None = None
    shape_world_m: Array | None = None
    line_world_m: Array | None = None


@dataclass(frozen=True)
class FrameRules:
    """When a frame may move the device.

    Attributes:
        min_score: lowest landmark score.
        max_tip_std_m: largest standard deviation of the tip across the ray [m].
        landmark_std_px: standard deviation of a landmark with score 1 [px].
        min_depth_std_m: smallest standard deviation of the depth to believe [m].
    """

    min_score: float = 0.5
    max_tip_std_m: float = 3e-3
    landmark_std_px: float = 1.0
    min_depth_std_m: float = 1e-3

    def measurement(self, frame: TrackedFrame) -> TipMeasurement | tuple[str, str]:
        """Return the measurement, or (kind, reason) why the frame may not move the device."""
        if frame.problem:
            return frame.problem, PROBLEMS.get(frame.problem, frame.problem)
        view, pixel, tip, cov = frame.view, frame.tip_px, frame.tip_world_m, frame.covariance_m2
        if view is None or pixel is None or tip is None or cov is None:
            return 'incomplete', 'view, landmark, tip or covariance is missing'
        if not all(np.all(np.isfinite(values)) for values in (pixel, tip, cov, [frame.score])):
            return 'not_finite', f'landmark {pixel}, tip {tip} or their covariance is not finite'
        if frame.score < self.min_score:
            return 'low_score', f'score is {frame.score:.2f}, at least {self.min_score:.2f}'
        if not view.geometry.contains(pixel):
            return 'outside_image', f'landmark {np.round(pixel, 1)} px is not on the detector'
        depth_m = float(view.to_source(tip)[2])
        if not 0.05 < depth_m < view.geometry.source_to_detector_m:
            return 'depth', f'tip depth is {depth_m:.3f} m, must be between source and detector'
        axes = view.world_from_source[:3, :3].T @ cov @ view.world_from_source[:3, :3]
        deviation = np.sqrt(np.maximum(np.diag(axes), 0.0))
        across = float(np.max(deviation[:2]))
        if across > self.max_tip_std_m:
            return 'covariance', (
                f'tip is uncertain by {across * 1e3:.1f} mm across the ray, '
                f'limit {self.max_tip_std_m * 1e3:.1f} mm'
            )
        features = np.array([pixel[0], pixel[1], depth_m])
        scale = metres_per_feature(view, features)
        pixel_std = self.landmark_std_px / max(frame.score, 0.1)
        floor = 1e-5 / scale[:2]
        deviations = np.append(
            np.maximum(pixel_std, floor), max(deviation[2], self.min_depth_std_m)
        )
        return TipMeasurement(frame.stamp_ns, view, features, deviations, frame.score)
