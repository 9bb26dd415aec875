"""The geometry of a published image from its CameraInfo, whoever deserialised the message.

`width`, `height` and K describe the full, unbinned detector; binning and collimation stand in
`binning_*` and `roi` (REP 104).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from synthex_ros.geometry import ProjectionGeometry


def geometry_from_camera_info(info: Any, source_to_detector_m: float) -> ProjectionGeometry:
    """Return the geometry of the image that was published with `info`.

    Args:
        info: calibration of the full detector with binning and region of interest: a
            sensor_msgs/CameraInfo of rclpy or of a bag reader.
        source_to_detector_m: focal spot to detector plane [m].

    Raises:
        ValueError: uncalibrated, distorted or skewed camera, a world-to-image matrix in `p`, a
            region of interest outside the detector or not a multiple of the binning.
    """
    _check_pinhole(info)
    bin_u, bin_v = max(1, info.binning_x), max(1, info.binning_y)
    roi = info.roi
    whole = roi.width == 0 and roi.height == 0
    rows, columns = (info.height, info.width) if whole else (roi.height, roi.width)
    top, left = (0, 0) if whole else (roi.y_offset, roi.x_offset)
    check_window((top, left), (rows, columns), (info.height, info.width))
    if rows % bin_v or columns % bin_u:
        raise ValueError(
            f'the window of {rows} x {columns} px must be a multiple of the binning '
            f'{bin_v} x {bin_u}: adjust roi or binning_x, binning_y'
        )
    k = np.array(info.k, float).reshape(3, 3)
    k[0, 2] = (k[0, 2] - left + 0.5) / bin_u - 0.5
    k[1, 2] = (k[1, 2] - top + 0.5) / bin_v - 0.5
    k[0, :2] /= bin_u
    k[1, :2] /= bin_v
    return ProjectionGeometry.from_intrinsics(
        k, source_to_detector_m, (rows // bin_v, columns // bin_u)
    )


def check_window(
    corner: tuple[int, ...], size: tuple[int, ...], detector: tuple[int, ...]
) -> None:
    """Raise ValueError if a window [unbinned px] does not fit on the detector.

    Args:
        corner: upper left corner, (row, column).
        size: rows and columns of the window.
        detector: rows and columns of the detector.
    """
    inside = all(
        low >= 0 and n > 0 and low + n <= limit
        for low, n, limit in zip(corner, size, detector, strict=True)
    )
    if not inside:
        raise ValueError(
            f'a window of {size[0]} x {size[1]} px at row {corner[0]}, column {corner[1]} does '
            f'not fit on a detector of {detector[0]} x {detector[1]} px; '
            'width and height describe the full detector, unbinned'
        )


def _check_pinhole(info: Any) -> None:
    if info.k[0] <= 0.0 or not np.all(np.isfinite(info.k)):
        raise ValueError(f'k[0] must be positive, got {info.k[0]:g}: the camera is uncalibrated')
    if any(info.d):
        raise ValueError(
            f'distortion is not supported (flat panels have none), got d = {list(info.d)}; '
            'rectify the image before publishing'
        )
    if info.p[3] != 0.0 or info.p[7] != 0.0:
        raise ValueError(
            f'p[3] and p[7] must be 0, got {info.p[3]:g}, {info.p[7]:g}: '
            'send the pose on carm/pose, not in the projection matrix'
        )
