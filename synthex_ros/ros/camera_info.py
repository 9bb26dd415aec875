"""CameraInfo of a C-arm and back.

`width`, `height` and K describe the full, unbinned detector; binning and collimation stand in
`binning_*` and `roi` (REP 104). K alone gives only the ratio distance : pitch; the metric
source-to-detector distance travels with the exposure and, as a transform, from source to detector.
"""

from __future__ import annotations

import numpy as np
from sensor_msgs.msg import CameraInfo, RegionOfInterest
from std_msgs.msg import Header

from synthex_ros.geometry import ProjectionGeometry


def to_camera_info(
    geometry: ProjectionGeometry,
    header: Header,
    binning: int = 1,
    window_px: tuple[int, int] = (0, 0),
    detector_px: tuple[int, int] | None = None,
) -> CameraInfo:
    """Describe the published image on the detector it was read from.

    Args:
        geometry: pinhole geometry of the published (collimated, then binned) image.
        header: stamp and optical frame of the exposure.
        binning: detector pixels joined per side.
        window_px: upper left corner (row, column) of the collimated window [unbinned px].
        detector_px: full detector (rows, columns) [unbinned px]; default: the window is all of it.

    Raises:
        ValueError: binning below 1, or a window that does not fit on the detector.
    """
    if binning < 1:
        raise ValueError(f'binning must be 1 or more, got {binning}')
    read = tuple(n * binning for n in geometry.shape_px)
    detector = read if detector_px is None else detector_px
    _check_window(window_px, read, detector)
    k = geometry.intrinsics()
    k[:2, :2] *= binning
    k[0, 2] = (k[0, 2] + 0.5) * binning - 0.5 + window_px[1]
    k[1, 2] = (k[1, 2] + 0.5) * binning - 0.5 + window_px[0]
    info = CameraInfo(header=header, height=detector[0], width=detector[1])
    info.distortion_model, info.d = 'plumb_bob', [0.0] * 5
    info.k, info.r = k.ravel(), np.eye(3).ravel()
    info.p = np.hstack([k, np.zeros((3, 1))]).ravel()
    info.binning_x = info.binning_y = binning
    if read != tuple(detector):
        row, column = window_px
        info.roi = RegionOfInterest(
            y_offset=row, x_offset=column, height=read[0], width=read[1], do_rectify=False
        )
    return info


def geometry_from_camera_info(info: CameraInfo, source_to_detector_m: float) -> ProjectionGeometry:
    """Return the geometry of the image that was published with `info`.

    Args:
        info: calibration of the full detector with binning and region of interest.
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
    _check_window((top, left), (rows, columns), (info.height, info.width))
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


def _check_window(corner: tuple[int, ...], size: tuple[int, ...], detector: tuple[int, ...]):
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


def _check_pinhole(info: CameraInfo) -> None:
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
