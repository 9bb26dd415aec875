"""The body of a vertebra, told from its arch and processes by the spinal cord behind it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthex_ros.anatomy.volume import Volume

CORD = 'spinal_cord'


def vertebral_body_centre_m(volume: Volume, vertebra: str) -> NDArray[np.float64]:
    """Return the centre of a vertebra's body in `patient_lps` [m], shape (3,).

    The body is what of the vertebra lies in front of the spinal cord in the same slice of the
    grid; the front halves of pedicles count with it.

    Args:
        volume: CT with labels of the vertebra and of the spinal cord.
        vertebra: name of the structure.

    Raises:
        ValueError: a structure is missing, or no voxel of the vertebra lies in front of the cord.
    """
    bone, cord = volume.structure_mask(vertebra), volume.structure_mask(CORD)
    rows_with_cord = np.any(cord, axis=2)
    front = np.where(np.any(rows_with_cord, axis=1), np.argmax(rows_with_cord, axis=1), 0)
    body = bone & (np.arange(bone.shape[1])[None, :, None] < front[:, None, None])
    voxels_zyx = np.argwhere(body)
    if not len(voxels_zyx):
        raise ValueError(
            f'no voxel of {vertebra!r} lies in front of {CORD!r} in volume {volume.name!r}; '
            "is it a vertebra? Use the place 'centre' for other structures"
        )
    return volume.index_to_patient_m(voxels_zyx.mean(axis=0)[::-1])
