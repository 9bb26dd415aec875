"""Vessels as a tree of centreline points with radii."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from synthex_ros.geometry import check_pose, transform_points

Array = NDArray[np.float64]

_FILLERS = frozenset({'artery', 'arteria', 'the', 'of'})


@dataclass(frozen=True, eq=False)
class VesselPath:
    """A way along centrelines.

    Attributes:
        points_m: from entry to target, shape (N, 3) [m].
        radius_m: largest sphere around each point that fits the lumen, shape (N,) [m].
        arc_m: distance from the entry along the path, shape (N,) [m].
        nodes: indices of the tree's nodes, shape (N,).
    """

    points_m: Array
    radius_m: Array
    arc_m: Array
    nodes: NDArray[np.int64]

    @property
    def length_m(self) -> float:
        """Length of the path [m]."""
        return float(self.arc_m[-1])


@dataclass(frozen=True)
class Branch:
    """A part of a tree between two of its forks and ends.

    Attributes:
        name: structure that it ends in, numbered where that has several branches.
        nodes: indices from the end nearer to the root, shape (N,).
        length_m: along the centreline [m].
        radius_m: mean radius [m].
        is_tip: whether it ends there.
    """

    name: str
    nodes: NDArray[np.int64]
    length_m: float
    radius_m: float
    is_tip: bool


@dataclass(frozen=True, eq=False)
class VesselTree:
    """Centreline points that hang together as a tree; the root is where devices enter.

    Attributes:
        points_m: positions, shape (N, 3) [m].
        radius_m: radius of the largest sphere around each that fits the lumen, shape (N,) [m].
        parent: index of the node towards the root, smaller than its own; -1 at the root, (N,).
        structure: index into `names` of what each node lies in, shape (N,).
        names: structures.
        places: ends by name, such as 'common_carotid_artery_left': index of the node.
    """

    points_m: Array
    radius_m: Array
    parent: NDArray[np.int64]
    structure: NDArray[np.int64]
    names: tuple[str, ...]
    places: dict[str, int] = field(default_factory=dict)

    def __post_init__(self):
        count = len(self.points_m)
        if self.points_m.shape != (count, 3) or count < 2:
            raise ValueError(f'points_m must have shape (N, 3), N >= 2, got {self.points_m.shape}')
        for name in ('radius_m', 'parent', 'structure'):
            if np.shape(getattr(self, name)) != (count,):
                raise ValueError(
                    f'{name} must have shape ({count},), got {np.shape(getattr(self, name))}'
                )
        if self.parent[0] != -1 or np.any(self.parent[1:] >= np.arange(1, count)):
            raise ValueError('parent must be -1 at node 0 and smaller than the node elsewhere')
        if np.any(self.parent[1:] < 0):
            raise ValueError('a tree has one root; connect its parts or make one tree of each')
        if not np.all(self.radius_m > 0):
            raise ValueError('radius_m must be positive everywhere')

    @property
    def branches(self) -> tuple[Branch, ...]:
        """Parts between forks and ends, nearest to the root first."""
        children = np.bincount(self.parent[1:], minlength=len(self.parent))
        chains = []
        for last in np.flatnonzero(children != 1):
            if last == 0:
                continue
            upward = [int(last)]
            while True:
                upward.append(int(self.parent[upward[-1]]))
                if upward[-1] == 0 or children[upward[-1]] != 1:
                    break
            chains.append(np.array(upward[::-1]))
        chains.sort(key=lambda chain: (int(chain[1]), int(chain[-1])))
        kinds = [int(self.structure[chain[-1]]) for chain in chains]
        result, seen = [], [0] * len(self.names)
        for chain, kind in zip(chains, kinds, strict=True):
            seen[kind] += 1
            name = self.names[kind]
            name = f'{name}_{seen[kind]}' if kinds.count(kind) > 1 else name
            length = float(_steps(self.points_m[chain]).sum())
            radius = float(self.radius_m[chain[1:]].mean())
            result.append(Branch(name, chain, length, radius, not children[chain[-1]]))
        return tuple(result)

    @property
    def length_m(self) -> float:
        """Length of all centrelines [m]."""
        steps = self.points_m[1:] - self.points_m[self.parent[1:]]
        return float(np.linalg.norm(steps, axis=1).sum())

    def node(self, place: str | ArrayLike) -> int:
        """Return the node of a place by name, or the nearest one to a point [m], shape (3,).

        Word order and 'artery' do not matter: 'left_common_carotid' is understood.

        Raises:
            ValueError: there is no such place, or the point lies outside all vessels.
        """
        if isinstance(place, str):
            return self._named(place)
        point = np.asarray(place, float)
        if point.shape != (3,) or not np.all(np.isfinite(point)):
            raise ValueError(f'a point must be three finite numbers [m], got {place}')
        distance, index = cKDTree(self.points_m).query(point)
        if distance > self.radius_m[index]:
            raise ValueError(
                f'the point {point.round(4).tolist()} m lies {1e3 * distance:.1f} mm from the '
                f'nearest centreline, where {self.names[self.structure[index]]} has a radius '
                f'of {1e3 * self.radius_m[index]:.1f} mm; choose a point inside a vessel, '
                f'near {self.points_m[index].round(4).tolist()} m, in the frame of the tree'
            )
        return int(index)

    def path(self, entry: str | ArrayLike, target: str | ArrayLike) -> VesselPath:
        """Return the way along centrelines between two places (names or points [m])."""
        start, goal = self.node(entry), self.node(target)
        if start == goal:
            raise ValueError(
                f'entry {entry!r} and target {target!r} are the same place (node {goal}); '
                f'choose two of {", ".join(self.places)}'
            )
        up, down = self._to_root(start), self._to_root(goal)
        shared = set(up) & set(down)
        climb = [node for node in up if node not in shared]
        meeting = next(node for node in up if node in shared)
        descent = [node for node in down if node not in shared]
        nodes = np.array([*climb, meeting, *descent[::-1]])
        points = self.points_m[nodes]
        arc = np.concatenate([[0.0], np.cumsum(_steps(points))])
        return VesselPath(points, self.radius_m[nodes], arc, nodes)

    def moved(self, pose: ArrayLike) -> VesselTree:
        """Return the same tree after a rigid transform, such as `world_from_patient` (4x4)."""
        return replace(self, points_m=transform_points(check_pose(pose), self.points_m))

    def structure_of(self, nodes: Sequence[int] | NDArray[np.int64]) -> list[str]:
        """Return the structure that each node lies in."""
        return [self.names[number] for number in self.structure[np.asarray(nodes)]]

    def _to_root(self, node: int) -> list[int]:
        chain = [node]
        while chain[-1] != 0:
            chain.append(int(self.parent[chain[-1]]))
        return chain

    def _named(self, place: str) -> int:
        if place in self.places:
            return self.places[place]
        same = [name for name in self.places if _words(name) == _words(place)]
        if len(same) == 1:
            return self.places[same[0]]
        close = difflib.get_close_matches(place, self.places, n=3, cutoff=0.5)
        hint = f'; did you mean {" or ".join(close)}?' if close else ''
        raise ValueError(
            f'place {place!r} is not known, this tree has {", ".join(self.places)}{hint}'
            ' (or give a point, three numbers in metres)'
        )


def _steps(points: Array) -> Array:
    return np.linalg.norm(np.diff(points, axis=0), axis=1)


def _words(name: str) -> frozenset[str]:
    return frozenset(name.lower().replace('-', '_').replace(' ', '_').split('_')) - _FILLERS
