"""Where in a patient foreign objects are found: points of structures and on the skin."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthex_ros.anatomy.volume import Volume
from synthex_ros.xray.object_span import BODY_HU

Array = NDArray[np.float64]

POINTS = 400
_SEED = 20250122

SITES: dict[str, tuple[str, ...]] = {
    'wire': ('aorta', 'superior_vena_cava', 'inferior_vena_cava', 'heart', 'sternum'),
    'catheter': ('superior_vena_cava', 'heart', 'esophagus', 'trachea', 'lung_*', 'stomach'),
    'screw': ('vertebrae_*', 'clavicula_*', 'humerus_*', 'scapula_*', 'rib_*'),
    'ring': ('heart', 'aorta', 'sternum'),
    'grid': ('aorta', 'esophagus', 'trachea', 'subclavian_artery_*', 'pulmonary_vein'),
    'coil': ('heart', 'superior_vena_cava', 'trachea'),
    'plate': ('clavicula_*', 'rib_*', 'sternum', 'vertebrae_*'),
    'ellipse': ('stomach', 'esophagus', 'skin'),
    'drill': ('vertebrae_*', 'humerus_*', 'scapula_*'),
    'lead': ('skin',),
}
"""Structures that a kind of object belongs to, by name or shell pattern; 'skin' is the front."""


@dataclass(frozen=True, eq=False)
class Site:
    """A structure as places for objects.

    Attributes:
        points_m: voxels of it in `patient_lps` [m], shape (n, 3).
        axis: direction of its greatest extent, shape (3,).
    """

    points_m: Array
    axis: Array


def find_sites(volume: Volume) -> dict[str, Site]:
    """Return the sites of a volume by structure; the skin is always there."""
    rng = np.random.default_rng(_SEED)
    sites = {'skin': _skin(volume, rng)}
    if volume.labels is None:
        return sites
    wanted = {pattern for patterns in SITES.values() for pattern in patterns}
    names = [n for n in volume.structures if any(fnmatch.fnmatch(n, p) for p in wanted)]
    flat = volume.labels.reshape(-1)
    drawn_at = rng.integers(0, flat.size, 4_000_000)
    drawn = flat[drawn_at]
    for name in names:
        held = drawn_at[drawn == volume.structures[name]][:POINTS]
        if len(held) >= 20:
            z, y, x = np.unravel_index(held, volume.labels.shape)
            sites[name] = _site(volume.index_to_patient_m(np.column_stack([x, y, z])))
    return sites


def _site(points: Array) -> Site:
    _, _, axes = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    return Site(points, axes[0])


def _skin(volume: Volume, rng: np.random.Generator) -> Site:
    """Return points where rays from the front enter the body; rows of a CT run to the back."""
    columns = np.column_stack(
        [
            rng.integers(0, volume.hu.shape[2], 4 * POINTS),
            rng.integers(0, volume.hu.shape[0], 4 * POINTS),
        ]
    )
    points = []
    for x, z in columns:
        body = volume.hu[z, :, x] >= BODY_HU
        if body.any():
            points.append((x, int(body.argmax()), z))
    return _site(volume.index_to_patient_m(np.array(points[:POINTS], float)))


def sites_for(kind: str, sites: dict[str, Site]) -> list[Site]:
    """Return the sites that a kind of object belongs to, in a fixed order."""
    patterns = SITES[kind]
    return [sites[n] for n in sorted(sites) if any(fnmatch.fnmatch(n, p) for p in patterns)]
