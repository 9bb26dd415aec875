"""The patients of a data set: CTs by weight, and phantoms of which no two are alike."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from synthex_ros.anatomy import head_phantom, load_volume, read_volume, torso_phantom
from synthex_ros.anatomy.volume import Volume

PHANTOMS, HEADS = 'phantoms', 'head_phantoms'
"""Names that stand for `phantom:1` to `phantom:N`, torsos, and `head_phantom:1` to
`head_phantom:N` in the weights of anatomies."""

_MANY = {PHANTOMS: 'phantom', HEADS: 'head_phantom'}

_WARP_M = {PHANTOMS: 0.006, HEADS: 0.0025}
_VAULT_M = 0.0045, 0.0085
_NOISE_HU = {'lung': 60.0, 'soft': 18.0, 'bone': 110.0}


def check_weights(anatomies: Mapping[str, float]) -> None:
    """Check the weights of anatomies.

    Raises:
        ValueError: none, a weight that is not positive, or an anatomy that is not for training.
    """
    if not anatomies or any(not weight > 0 for weight in anatomies.values()):
        raise ValueError(f'anatomies must map names to positive weights, got {dict(anatomies)}')


def draw_anatomy(anatomies: Mapping[str, float], phantoms: int, rng: np.random.Generator) -> str:
    """Return the name of an anatomy, drawn by weight."""
    names = sorted(anatomies)
    weights = np.array([anatomies[name] for name in names], float)
    name = str(rng.choice(names, p=weights / weights.sum()))
    number = int(rng.integers(1, phantoms + 1))
    return f'{_MANY[name]}:{number}' if name in _MANY else name


def names_of(anatomies: Mapping[str, float], phantoms: int) -> list[str]:
    """Return the names of all anatomies that may be drawn."""
    names = [name for name in sorted(anatomies) if name not in _MANY]
    for many, one in _MANY.items():
        if many in anatomies:
            names += [f'{one}:{number}' for number in range(1, phantoms + 1)]
    return names


@lru_cache(maxsize=2)
def load_anatomy(name: str, segmentation: str | None = None) -> Volume:
    """Return a CT by sample name or path, or a phantom by 'phantom:NUMBER' and the like.

    Args:
        name: of the anatomy.
        segmentation: label image of a CT given by its path, with the ids of TotalSegmentator 2.
    """
    if segmentation is not None:
        return read_volume(name, segmentation)
    kind, _, number = name.partition(':')
    if kind == _MANY[PHANTOMS] and number:
        return varied_phantom(int(number))
    if kind == _MANY[HEADS] and number:
        return varied_head(int(number))
    return load_volume(name)


def varied_phantom(seed: int, shape: tuple[int, int, int] = (176, 124, 156)) -> Volume:
    """Return a torso of another size, posture and texture for every seed.

    The phantom is stretched along its axes, bent by a smooth field of some millimetres, and its
    tissues get noise of several grain sizes, in which lungs have vessels and bones trabeculae.
    """
    rng = np.random.default_rng([seed, 77])
    return _varied(torso_phantom(shape, 2.5e-3), _WARP_M[PHANTOMS], seed, rng)


def varied_head(seed: int) -> Volume:
    """Return a head of another size, thickness of the skull, shape and texture for every seed."""
    rng = np.random.default_rng([seed, 78])
    base = head_phantom(vault_m=float(rng.uniform(*_VAULT_M)))
    return _varied(base, _WARP_M[HEADS], seed, rng)


def _varied(base: Volume, warp_m: float, seed: int, rng: np.random.Generator) -> Volume:
    """Return a phantom with cubic voxels bent, textured and stretched."""
    field = _warp(base.hu.shape, warp_m / base.spacing_m[0], rng)
    hu, labels = (
        map_coordinates(image, field, order=0, mode='nearest') for image in (base.hu, base.labels)
    )
    hu = _textured(hu, rng)
    stretch = rng.uniform(0.85, 1.15, 3)
    x, y, z = (float(v) for v in base.spacing_m[0] * stretch)
    pose = base.patient_from_grid.copy()
    pose[:3, 3] = base.patient_from_grid[:3, 3] * stretch
    return Volume(hu, (x, y, z), pose, labels, base.structures, f'{base.name}:{seed}')


def _warp(
    shape: tuple[int, int, int], voxels: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return the indices (z, y, x) that voxels are taken from, shape (3, *shape)."""
    grid = np.stack(np.meshgrid(*(np.arange(n, dtype=np.float32) for n in shape), indexing='ij'))
    for axis in range(3):
        grid[axis] += _smooth(shape, 5, rng) * np.float32(voxels)
    return grid


def _smooth(shape: tuple[int, int, int], cells: int, rng: np.random.Generator) -> NDArray:
    """Return smooth noise of deviation about 1 with some `cells` grains along each axis."""
    field = rng.standard_normal((cells + 1,) * 3, dtype=np.float32)
    for size in shape:
        place = np.linspace(0, cells, size)[:, None] - np.arange(cells + 1)
        hat = np.clip(1 - np.abs(place), 0, 1).astype(np.float32)
        hat /= np.linalg.norm(hat, axis=1, keepdims=True)
        field = np.moveaxis(np.tensordot(hat, field, axes=(1, 0)), 0, -1)
    return np.ascontiguousarray(field)


def _textured(hu: NDArray[np.int16], rng: np.random.Generator) -> NDArray[np.int16]:
    fine = rng.standard_normal(hu.shape, dtype=np.float32)
    grain = 0.6 * _smooth(hu.shape, 24, rng) + 0.6 * _smooth(hu.shape, 60, rng) + 0.4 * fine
    lung, bone = (hu < -600) & (hu > -950), hu > 150
    soft = (hu >= -600) & ~bone
    result = hu.astype(np.float32)
    for region, name in ((lung, 'lung'), (soft, 'soft'), (bone, 'bone')):
        result[region] += np.float32(_NOISE_HU[name]) * grain[region]
    result[lung] += 500 * (grain[lung] > 1.7)  # vessels
    result[bone] *= np.float32(rng.uniform(0.75, 1.3))
    return np.clip(np.rint(result), -1000, 3000).astype(np.int16)
