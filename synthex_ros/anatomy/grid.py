"""Turning an image of any orientation into the array and pose of a volume."""

from __future__ import annotations

from itertools import permutations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.geometry import make_pose

MM = 1e-3
_SPACING_MM = (0.05, 20.0)
_LARGEST_SIDE_MM = (20.0, 3000.0)
_SPACING_RATIO = 50.0


def nearest_axes(direction: ArrayLike) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """Return which image axis is nearest to left, posterior, superior, and whether it is flipped.

    The order with the largest sum of absolute cosines is taken. For an orthonormal matrix that
    sum exceeds 1 (or the matrix only permutes), while no improper rotation has a trace above 1,
    so the reordered axes are always right-handed, also when the image's own are not.

    Args:
        direction: columns are the image axes in patient_lps, shape (3, 3), orthonormal.
    """
    cosines = np.asarray(direction, float)
    order = max(
        permutations(range(3)),
        key=lambda axes: sum(abs(cosines[row, axis]) for row, axis in enumerate(axes)),
    )
    return order, tuple(bool(cosines[row, axis] < 0) for row, axis in enumerate(order))


def reorient(
    array_zyx: NDArray, spacing: ArrayLike, origin: ArrayLike, direction: ArrayLike
) -> tuple[NDArray, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Permute and flip an image's axes to those nearest to left, posterior, superior.

    Args:
        array_zyx: voxels, the first image axis last, shape (n2, n1, n0).
        spacing: spacing of image axes 0, 1, 2, any length unit.
        origin: patient position of voxel (0, 0, 0), the same unit.
        direction: columns are the image axes in patient_lps, shape (3, 3).

    Returns:
        The same four, reordered; the array a C-contiguous copy, the voxels where they were.
    """
    order, flipped = nearest_axes(direction)
    cosines = np.asarray(direction, float)[:, order].copy()
    steps = np.asarray(spacing, float)[list(order)]
    corner = np.asarray(origin, float).copy()
    array = np.transpose(array_zyx.T, order)
    for axis in np.flatnonzero(flipped):
        corner += cosines[:, axis] * steps[axis] * (array.shape[axis] - 1)
        cosines[:, axis] *= -1
        array = np.flip(array, int(axis))
    return np.array(array.T, order='C'), steps, corner, cosines


def patient_pose(origin_mm: ArrayLike, direction: ArrayLike) -> NDArray[np.float64]:
    """Return `patient_from_grid` [m], shape (4, 4), of an origin [mm] and right-handed axes."""
    # Files hold cosines in single precision; the nearest rotation is exact (Kabsch).
    left, _, right = np.linalg.svd(np.asarray(direction, float))
    return make_pose(left @ right, np.asarray(origin_mm, float) * MM)


def check_direction(direction: ArrayLike, name: str) -> None:
    """Raise ValueError unless the image axes, columns of shape (3, 3), are orthonormal."""
    cosines = np.asarray(direction, float).reshape(3, 3)
    error = np.abs(cosines.T @ cosines - np.eye(3)).max() if np.isfinite(cosines).all() else np.inf
    if error > 1e-3:
        raise ValueError(
            f'{name}: image axes must be orthonormal, got direction cosines off by {error:.3g}; '
            'a sheared image (gantry tilt) must be resampled to a rectangular grid first'
        )


def check_spacing(spacing_mm: ArrayLike, size: tuple[int, ...], name: str) -> None:
    """Raise ValueError unless a grid of `size` voxels (x, y, z) is a plausible CT in mm."""
    steps = np.asarray(spacing_mm, float)
    low, high = _SPACING_MM
    if not (np.isfinite(steps).all() and np.all((steps >= low) & (steps <= high))):
        raise ValueError(
            f'{name}: voxel spacing must be {low:g}..{high:g} mm, got {_text(steps)} mm'
            + _unit_slip(steps)
        )
    if steps.max() > _SPACING_RATIO * steps.min():
        raise ValueError(
            f'{name}: voxel spacing must not differ more than {_SPACING_RATIO:g} times between '
            f'axes, got {_text(steps)} mm; check the slice spacing in the header'
        )
    side = float(np.max(steps * np.asarray(size)))
    if not _LARGEST_SIDE_MM[0] <= side <= _LARGEST_SIDE_MM[1]:
        raise ValueError(
            f'{name}: the longest side must be {_LARGEST_SIDE_MM[0]:g}..'
            f'{_LARGEST_SIDE_MM[1]:g} mm, got {side:.4g} mm ({size} voxels of {_text(steps)} mm); '
            'check the spacing unit '
            'in the header'
        )


def _unit_slip(steps: NDArray[np.float64]) -> str:
    low, high = _SPACING_MM
    for factor, unit in ((1e3, 'metres'), (10.0, 'centimetres'), (1e-3, 'micrometres')):
        if np.all((steps * factor >= low) & (steps * factor <= high)):
            return (
                f'; looks like {unit}, write the header in millimetres ({_text(steps * factor)})'
            )
    return '; check the spacing in the header'


def _text(values: NDArray[np.float64]) -> str:
    return ' x '.join(f'{value:.4g}' for value in values)
