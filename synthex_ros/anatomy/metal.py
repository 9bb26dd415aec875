"""Finding metal in a CT: connected pieces beyond a threshold."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from synthex_ros.anatomy.volume import Volume


def metal_mask(
    volume: Volume, threshold_hu: float, min_volume_m3: float
) -> NDArray[np.bool_] | None:
    """Return voxels of pieces (26-neighbours) at or above a threshold, shape (z, y, x), or None.

    Args:
        volume: CT.
        threshold_hu: least CT number [HU].
        min_volume_m3: pieces of less volume are left out [m^3].
    """
    pieces = metal_pieces(volume, threshold_hu, min_volume_m3)
    if pieces is None:
        return None
    box, ids = pieces
    mask = np.zeros(volume.hu.shape, bool)
    mask[box] = ids > 0
    return mask


def metal_pieces(
    volume: Volume, threshold_hu: float, min_volume_m3: float
) -> tuple[tuple[slice, ...], NDArray[np.int64]] | None:
    """Return the box round all pieces and their numbers in it (1 is the largest), or None."""
    if volume.hu.max() < threshold_hu:
        return None
    box = _box(volume.hu, threshold_hu)
    dense = sitk.GetImageFromArray((volume.hu[box] >= threshold_hu).astype(np.uint8))
    least = max(1, int(np.ceil(min_volume_m3 / np.prod(volume.spacing_m) - 1e-9)))
    pieces = sitk.RelabelComponent(sitk.ConnectedComponent(dense, True), least)
    ids = sitk.GetArrayFromImage(pieces).astype(np.int64)
    return (box, ids) if ids.any() else None


def _box(hu: NDArray[np.int16], threshold_hu: float) -> tuple[slice, ...]:
    slices = np.flatnonzero(hu.max(axis=(1, 2)) >= threshold_hu)
    dense = hu[slices[0] : slices[-1] + 1] >= threshold_hu
    rows, columns = np.flatnonzero(dense.any(axis=(0, 2))), np.flatnonzero(dense.any(axis=(0, 1)))
    return tuple(slice(int(k[0]), int(k[-1]) + 1) for k in (slices, rows, columns))
