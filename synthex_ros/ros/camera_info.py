"""CameraInfo of a C-arm and back.

`width`, `height` and K describe the full, unbinned detector; binning and collimation stand in
`binning_*` and `roi` (REP 104). K alone gives only the ratio distance : pitch; the metric
source-to-detector distance travels with the exposure and, as a transform, from source to detector.
"""

from __future__ import annotations

import numpy as np
from sensor_msgs.msg import CameraInfo, RegionOfInterest
from std_msgs.msg import Header

from synthex_ros.calibration import check_window, geometry_from_camera_info
from synthex_ros.geometry import ProjectionGeometry

__all__ = ['geometry_from_camera_info', 'to_camera_info']


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
    check_window(window_px, read, detector)
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
