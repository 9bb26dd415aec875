"""Which labelled structures form one tree of vessels, and the field of their common lumen."""

from __future__ import annotations

import itertools
import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from synthex_ros.anatomy.vessels.distance import Field, LumenGrid, smooth_field
from synthex_ros.anatomy.volume import Volume

TREES: dict[str, dict[str, str | None]] = {
    'arteries': {
        'aorta': None,
        'brachiocephalic_trunk': 'aorta',
        'subclavian_artery_right': 'brachiocephalic_trunk',
        'common_carotid_artery_right': 'brachiocephalic_trunk',
        'common_carotid_artery_left': 'aorta',
        'subclavian_artery_left': 'aorta',
        'iliac_artery_left': 'aorta',
        'iliac_artery_right': 'aorta',
    },
    'upper_veins': {
        'superior_vena_cava': None,
        'brachiocephalic_vein_left': 'superior_vena_cava',
        'brachiocephalic_vein_right': 'superior_vena_cava',
    },
    'lower_veins': {
        'inferior_vena_cava': None,
        'iliac_vena_left': 'inferior_vena_cava',
        'iliac_vena_right': 'inferior_vena_cava',
    },
}
"""Trees by name: each structure (TotalSegmentator name) and the one that it springs from."""

OPEN_END_M = 8e-3
"""A vessel that the CT cuts off goes on this far beyond its last slice."""

Box = tuple[slice, slice, slice]

_LOG = logging.getLogger(__name__)

BRIDGE_M = 4e-3
"""Pieces of a structure up to this far apart belong together."""

_BRIDGE_WIDTH_M = 2.5e-3
_MARGIN_M = 8e-3
_JOINT_M = 15e-3
_CARINA_M = 4e-3
_HALF_WALL_M = 0.6e-3
_NOWHERE = -1.0


@dataclass(frozen=True, eq=False)
class TreeField:
    """The common lumen of a tree's structures before distances are made of it.

    Attributes:
        grid: the isotropic grid, in the frame of the CT's grid.
        field: positive inside, shape `grid.shape`.
        names: the structures, root first.
        owner: index into `names` of the nearest structure, shape `grid.shape`, uint8.
    """

    grid: LumenGrid
    field: Field
    names: tuple[str, ...]
    owner: NDArray[np.uint8]


def tree_structures(volume: Volume, tree: str) -> dict[str, str | None]:
    """Return the structures of a tree that a volume has, each with the one it springs from.

    Raises:
        ValueError: no such tree, or the volume has none of its structures that is its root.
    """
    if tree not in TREES:
        raise ValueError(f'tree must be one of {", ".join(TREES)}, got {tree!r}')
    present = {n: p for n, p in TREES[tree].items() if n in volume.structures}
    root = next(iter(TREES[tree]))
    if root not in present:
        raise ValueError(
            f'volume {volume.name!r} has no {root}, the root of the tree {tree!r}; '
            f'it has {", ".join(list(volume.structures)[:12]) or "no segmented structure"}; '
            "use the sample 'chest' or a segmentation with vessels"
        )
    return {n: p for n, p in present.items() if p is None or p in present}


def tree_field(volume: Volume, tree: str, step_m: float, smoothing_m: float) -> TreeField:
    """Return the common lumen of a tree.

    A structure and the one that it springs from are joined where they touch; between others that
    touch, such as two arteries side by side, a wall of 1.2 mm is kept; it begins 4 mm from the
    structure that both spring from.
    """
    parents = tree_structures(volume, tree)
    names = tuple(parents)
    masks = {name: main_piece(volume, name) for name in names}
    maker = _FieldMaker(volume, _grid_around(list(masks.values()), volume, step_m), smoothing_m)
    field = np.full(maker.grid.shape, _NOWHERE, np.float32)
    best, owner = field.copy(), np.zeros(field.shape, np.uint8)
    parts: dict[str, _Part] = {}
    for number, (name, parent) in enumerate(parents.items()):
        part = parts[name] = maker.part(masks[name])
        owner[part.box][part.field > best[part.box]] = number
        part.raise_(best)
        part.raise_(field)
        if parent is not None:
            maker.part(_joint(masks[name], masks[parent], volume)).raise_(field)
    for first, second in itertools.combinations(names, 2):
        if parents[first] != second and parents[second] != first:
            shared = parents[first] if parents[first] == parents[second] else None
            fork = None if shared is None else parts[shared]
            _keep_wall(field, best, parts[first], parts[second], fork)
    return TreeField(maker.grid, field, names, owner)


def main_piece(volume: Volume, name: str) -> NDArray[np.bool_]:
    """Return a structure's largest connected piece, shape (z, y, x), and what is close to it.

    Pieces up to `BRIDGE_M` away, where a segmentation has lost a slice, are joined to it by a
    round bridge; others are left out, and logged.
    """
    whole = volume.structure_mask(name)
    box = ndimage.find_objects(whole.astype(np.uint8))[0]
    spacing_zyx = np.array(volume.spacing_m[::-1])
    pieces, count = ndimage.label(whole[box], np.ones((3, 3, 3)))
    sizes = np.bincount(pieces.ravel())[1:]
    main = pieces == 1 + int(np.argmax(sizes))
    for number in np.argsort(-sizes)[1:] + 1:
        piece = pieces == number
        away = ndimage.distance_transform_edt(~main, spacing_zyx)
        gap_m = float(away[piece].min())
        if gap_m > BRIDGE_M:
            share = 100 * sizes[number - 1] / sizes.sum()
            _LOG.info('%s: a loose piece (%.1f %%) is left out', name, share)
            continue
        _LOG.info('%s: a piece %.1f mm away is joined', name, 1e3 * gap_m)
        back = ndimage.distance_transform_edt(~piece, spacing_zyx)
        main |= piece | (away + back <= gap_m + _BRIDGE_WIDTH_M)
    mask = np.zeros_like(whole)
    mask[box] = main
    return mask


@dataclass(frozen=True, eq=False)
class _Part:
    """A field in a box of the grid."""

    box: Box
    field: Field

    def raise_(self, target: Field) -> None:
        """Make `target` at least this field."""
        np.maximum(target[self.box], self.field, out=target[self.box])


@dataclass(frozen=True, eq=False)
class _FieldMaker:
    """Makes smooth fields of masks on one grid."""

    volume: Volume
    grid: LumenGrid
    smoothing_m: float

    def part(self, mask: NDArray[np.bool_]) -> _Part:
        """Return the field of a mask on the CT's grid; at the CT's faces the vessel goes on."""
        spacing_zyx = np.array(self.volume.spacing_m[::-1])
        box = ndimage.find_objects(mask.astype(np.uint8))[0]
        rim = np.ceil(_MARGIN_M / spacing_zyx).astype(int) + 1
        padded, first = mask[box], []
        for axis, (part, count) in enumerate(zip(box, mask.shape, strict=True)):
            for side, cut in enumerate((part.start == 0, part.stop == count)):
                width = np.zeros((3, 2), int)
                width[axis, side] = (2 if cut else 1) * rim[axis]
                padded = np.pad(padded, width, mode='edge' if cut else 'constant')
                if side == 0:
                    first.append(part.start - width[axis, 0])
        corner_m = (np.array(first) * spacing_zyx)[::-1]
        spacing_m = self.volume.spacing_m
        return _Part(*smooth_field(padded, spacing_m, corner_m, self.grid, self.smoothing_m))


def _joint(
    child: NDArray[np.bool_], parent: NDArray[np.bool_], volume: Volume
) -> NDArray[np.bool_]:
    """Return both structures in the surroundings of where they touch."""
    own = ndimage.find_objects(child.astype(np.uint8))[0]
    about = tuple(slice(max(part.start - 1, 0), part.stop + 1) for part in own)
    touching = np.zeros_like(child)
    touching[about] = child[about] & ndimage.binary_dilation(parent[about], np.ones((3, 3, 3)))
    if not touching.any():
        _LOG.warning('two structures of %s that should be joined do not touch', volume.name)
        return child
    box = ndimage.find_objects(touching.astype(np.uint8))[0]
    rim = np.ceil(_JOINT_M / np.array(volume.spacing_m[::-1])).astype(int)
    around = tuple(slice(max(s.start - r, 0), s.stop + r) for s, r in zip(box, rim, strict=True))
    both = np.zeros_like(child)
    both[around] = child[around] | parent[around]
    return both


def _keep_wall(field: Field, best: Field, first: _Part, second: _Part, fork: _Part | None) -> None:
    """Close the lumen half-way between two structures that must not open into each other."""
    box = tuple(
        slice(max(a.start, b.start), min(a.stop, b.stop))
        for a, b in zip(first.box, second.box, strict=True)
    )
    if any(part.stop <= part.start for part in box):
        return
    one, other = (
        part.field[
            tuple(
                slice(s.start - own.start, s.stop - own.start)
                for s, own in zip(box, part.box, strict=True)
            )
        ]
        for part in (first, second)
    )
    nearest = np.maximum(one, other) >= best[box] - 1e-9
    wall = np.abs(one - other) / 2 - _HALF_WALL_M
    if fork is not None:
        stem = np.full(field.shape, _NOWHERE, np.float32)
        fork.raise_(stem)
        nearest &= stem[box] < -_CARINA_M
    close = nearest & (np.minimum(one, other) > -_MARGIN_M / 2) & (wall < field[box])
    field[box][close] = wall[close]


def _grid_around(masks: list[NDArray[np.bool_]], volume: Volume, step_m: float) -> LumenGrid:
    """Return the grid about masks, with room for the wall and for ends that are cut off."""
    boxes = [ndimage.find_objects(mask.astype(np.uint8))[0] for mask in masks]
    spacing_zyx = np.array(volume.spacing_m[::-1])
    low = np.min([[part.start for part in box] for box in boxes], axis=0) * spacing_zyx
    high = (np.max([[part.stop for part in box] for box in boxes], axis=0) - 1) * spacing_zyx
    return LumenGrid.around((low - OPEN_END_M)[::-1], (high + OPEN_END_M)[::-1], step_m)
