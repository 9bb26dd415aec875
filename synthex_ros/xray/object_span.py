"""Where the beam enters and leaves an anatomy: entrance distance and air gap of a view."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthex_ros.anatomy.volume import Volume
from synthex_ros.geometry import View, invert_pose, transform_points

BODY_HU = -300
STEP_M = 0.002
RAYS = 5
FIELD_SHARE = 0.5


def object_span_m(
    volume: Volume, view: View, world_from_patient: NDArray[np.float64], least_hu: int = BODY_HU
) -> tuple[float, float] | None:
    """Return how far from the focal spot, along the beam's axis, an object begins and ends [m].

    Medians over 5 x 5 rays through the central half of the field, to about 2 mm.

    Args:
        volume: CT of the object.
        view: geometry and pose of the exposure.
        world_from_patient: pose of the patient [m], shape (4, 4).
        least_hu: voxels below count as air around the object [HU].

    Returns:
        Entrance and exit [m], or None if no ray meets the object.
    """
    geometry = view.geometry
    rows, columns = (
        np.linspace(0.5 - FIELD_SHARE / 2, 0.5 + FIELD_SHARE / 2, RAYS) * size - 0.5
        for size in geometry.shape_px
    )
    pixels = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)
    rays = geometry.back_project(pixels)
    depths = np.arange(STEP_M / 2, geometry.source_to_detector_m, STEP_M)
    points = (rays / rays[:, 2:])[:, None] * depths[:, None]
    grid_from_source = (
        invert_pose(world_from_patient @ volume.patient_from_grid) @ view.world_from_source
    )
    index = np.rint(transform_points(grid_from_source, points) / volume.spacing_m).astype(int)
    size = np.array(volume.hu.shape[::-1])
    inside = np.all((index >= 0) & (index < size), axis=-1)
    x, y, z = np.where(inside[..., None], index, 0).transpose(2, 0, 1)
    body = inside & (volume.hu[z, y, x] >= least_hu)
    met = body.any(axis=1)
    if not met.any():
        return None
    first = body[met].argmax(axis=1)
    last = body.shape[1] - 1 - body[met][:, ::-1].argmax(axis=1)
    entrance, exit_ = depths[first] - STEP_M / 2, depths[last] + STEP_M / 2
    return float(np.median(entrance)), float(np.median(exit_))


def air_gap_m(volume: Volume, view: View, world_from_patient: NDArray[np.float64]) -> float:
    """Return the distance from where the beam leaves an object to the detector [m].

    0 where the object reaches the detector, and where the beam meets none.
    """
    span = object_span_m(volume, view, world_from_patient)
    distance = view.geometry.source_to_detector_m
    return distance - min(span[1], distance) if span else 0.0
