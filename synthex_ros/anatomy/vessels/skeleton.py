"""From the voxels of a lumen to a graph of medial points, and to a tree without spurs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import breadth_first_order, connected_components, minimum_spanning_tree
from scipy.spatial import cKDTree

Array = NDArray[np.float64]

SPUR_RADII = 1.6
"""A twig shorter than this many radii of the vessel that it leaves is no vessel."""

CLEAR_STEPS = 0.75
"""Voxels nearer to the wall do not count, so that thin walls separate them diagonally too."""


@dataclass(frozen=True, eq=False)
class Skeleton:
    """Medial voxels as a tree.

    Attributes:
        index_zyx: voxel indices, shape (N, 3); node 0 is the root.
        parent: node towards the root, smaller than its own, -1 at the root, shape (N,).
    """

    index_zyx: NDArray[np.int64]
    parent: NDArray[np.int64]


def medial_tree(distance_steps: NDArray[np.float32], root_zyx: Array) -> Skeleton:
    """Return the medial voxels of a lumen as a tree without spurs.

    Medial surfaces are thinned as by Lee, Kashyap and Chu, CVGIP 56 (1994) 462 (scikit-image). Of
    a loop, such as two vessels that touch, the narrowest place is cut.

    Args:
        distance_steps: distance to the wall in grid steps, shape (nz, ny, nx).
        root_zyx: the end that is nearest to this index becomes the root.

    Raises:
        ValueError: the lumen is too small to have a centreline.
    """
    from skimage.morphology import skeletonize

    voxels = np.argwhere(skeletonize(distance_steps > CLEAR_STEPS))
    if len(voxels) < 3:
        raise ValueError(
            f'the lumen has {np.count_nonzero(distance_steps > 0)} voxels, too few for a '
            'centreline; use a finer step_m'
        )
    room = np.maximum(distance_steps[tuple(voxels.T)], 0.5).astype(float)
    voxels, room, links = _spanning_tree(voxels, room)
    ends = np.flatnonzero(np.bincount(links.ravel(), minlength=len(voxels)) == 1)
    root = ends[np.argmin(np.linalg.norm(voxels[ends] - root_zyx, axis=1))]
    return _pruned(_rooted(voxels, links, int(root)), distance_steps)


def _spanning_tree(voxels: NDArray, room: Array) -> tuple[NDArray, Array, NDArray[np.int64]]:
    """Return the largest connected part and the links, shape (L, 2), that keep to wide places."""
    pairs = cKDTree(voxels).query_pairs(1.8, output_type='ndarray')
    first, second = pairs.T
    length = np.linalg.norm(voxels[first] - voxels[second], axis=1)
    cost = length / np.minimum(room[first], room[second])
    count = len(voxels)
    graph = minimum_spanning_tree(coo_matrix((cost, (first, second)), (count, count)).tocsr())
    _, part = connected_components(graph, directed=False)
    kept = np.flatnonzero(part == np.bincount(part).argmax())
    number = np.full(count, -1)
    number[kept] = np.arange(len(kept))
    links = np.stack(graph.nonzero(), axis=1)
    links = number[links]
    return voxels[kept], room[kept], links[links.min(axis=1) >= 0]


def _rooted(voxels: NDArray, links: NDArray[np.int64], root: int) -> Skeleton:
    count = len(voxels)
    graph = coo_matrix((np.ones(len(links)), links.T), (count, count)).tocsr()
    order, before = breadth_first_order(graph, root, directed=False)
    number = np.empty(count, int)
    number[order] = np.arange(count)
    parent = np.array([-1, *number[before[order[1:]]]])
    return Skeleton(voxels[order], parent)


def _pruned(tree: Skeleton, distance: NDArray[np.float32]) -> Skeleton:
    """Return the tree without twigs that are shorter than the vessel they leave is wide."""
    while True:
        count = len(tree.parent)
        children = np.bincount(tree.parent[1:], minlength=count)
        room = distance[tuple(tree.index_zyx.T)]
        shortest: tuple[float, list[int]] | None = None
        for tip in np.flatnonzero(children == 0):
            twig = [int(tip)]
            while children[tree.parent[twig[-1]]] == 1 and tree.parent[twig[-1]] > 0:
                twig.append(int(tree.parent[twig[-1]]))
            fork = int(tree.parent[twig[-1]])
            if fork == 0:
                continue
            points = tree.index_zyx[[*twig, fork]]
            length = np.linalg.norm(np.diff(points, axis=0), axis=1).sum()
            excess = length / (SPUR_RADII * max(float(room[fork]), 1.0))
            if excess < 1 and (shortest is None or excess < shortest[0]):
                shortest = excess, twig
        if shortest is None:
            return tree
        tree = _without(tree, shortest[1])


def _without(tree: Skeleton, nodes: list[int]) -> Skeleton:
    kept = np.setdiff1d(np.arange(len(tree.parent)), nodes)
    number = np.full(len(tree.parent), -1)
    number[kept] = np.arange(len(kept))
    parent = np.where(tree.parent[kept] >= 0, number[tree.parent[kept]], -1)
    return Skeleton(tree.index_zyx[kept], parent)
