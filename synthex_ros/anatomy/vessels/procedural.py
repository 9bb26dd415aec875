"""Trees of vessels from a seed: phantoms for tests, training and benchmarks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from synthex_ros.anatomy.vessels.distance import to_distance
from synthex_ros.anatomy.vessels.lumen import SampledLumen
from synthex_ros.anatomy.vessels.lumen_kernels import paint_capsules
from synthex_ros.anatomy.vessels.model import VesselModel
from synthex_ros.anatomy.vessels.tree import VesselTree
from synthex_ros.anatomy.vessels.wall import wall_mesh

Array = NDArray[np.float64]

POINT_STEP_M = 1e-3
_GAP_M = 2.5e-3
_TRIES = 400
_OPEN_M = 6e-3


@dataclass(frozen=True)
class TreeShape:
    """What procedural trees look like.

    Attributes:
        root_radius_m: radius of the first vessel [m].
        smallest_radius_m: thinner vessels do not fork [m].
        length_radii: length of a vessel in its radii, lowest and highest.
        bend_rad: greatest angle that a vessel turns by along its length [rad].
        share: smaller child's part of the parent's radius cubed, lowest and highest.
        taper: radius at a vessel's end over that at its start.
    """

    root_radius_m: float = 5e-3
    smallest_radius_m: float = 1.6e-3
    length_radii: tuple[float, float] = (7.0, 12.0)
    bend_rad: float = 0.9
    share: tuple[float, float] = (0.25, 0.5)
    taper: float = 0.94

    def __post_init__(self):
        if not 5e-4 <= self.smallest_radius_m < self.root_radius_m <= 0.03:
            raise ValueError(
                'radii must be 5e-4 <= smallest_radius_m < root_radius_m <= 0.03 m, got '
                f'{self.smallest_radius_m:g} and {self.root_radius_m:g}; 5 mm is 0.005'
            )


def procedural_tree(
    seed: int, forks: int = 4, shape: TreeShape | None = None, step_m: float = 0.5e-3
) -> VesselModel:
    """Return a tree of vessels that is the same for the same seed, in the frame of its entry.

    The entry is at the origin, the first vessel runs along +z. At a fork the radii follow
    Murray's law r0^3 = r1^3 + r2^3 (Murray, PNAS 12 (1926) 207) and the angles are those of least
    work, cos a1 = (r0^4 + r1^4 - r2^4) / (2 r0^2 r1^2) (Murray, J. Gen. Physiol. 9 (1926) 835).

    Args:
        seed: 0 or more.
        forks: number of bifurcations, 1..8.
        shape: sizes; default a first vessel of 5 mm radius.
        step_m: grid spacing of the lumen [m].

    Raises:
        ValueError: an argument is out of range, or vessels of these sizes do not fit.
    """
    if seed < 0 or not 1 <= forks <= 8:
        raise ValueError(f'seed must be >= 0 and forks 1..8, got {seed} and {forks}')
    shape = shape or TreeShape()
    for attempt in range(30):
        rng = np.random.default_rng([seed, forks, attempt])
        tree = _Grower(shape, rng).grown(forks)
        if tree is not None:
            lumen = _lumen_of(tree, step_m)
            return VesselModel(tree, lumen, wall_mesh(lumen))
    raise ValueError(
        f'no room for {forks} forks without crossings (seed {seed}); use fewer forks, a larger '
        'root_radius_m, or a smaller smallest_radius_m or bend_rad'
    )


@dataclass
class _Tip:
    node: int
    direction: Array
    radius_m: float
    name: str


class _Grower:
    """Adds one vessel after the other where it keeps clear of the others."""

    def __init__(self, shape: TreeShape, rng: np.random.Generator) -> None:
        self._shape, self._rng = shape, rng
        self._points, self._radius = [np.zeros(3)], [shape.root_radius_m]
        self._parent, self._kind = [-1], [0]
        self._names: list[str] = []

    def grown(self, forks: int) -> VesselTree | None:
        """Return a tree, or None where vessels would cross."""
        tips: list[_Tip] = []
        trunk = self._vessel(_Tip(0, np.array([0.0, 0, 1]), self._shape.root_radius_m, 'trunk'))
        if trunk is None:
            return None
        tips.append(trunk)
        for _ in range(forks):
            wide = [t for t in tips if t.radius_m * 0.63 >= self._shape.smallest_radius_m]
            if not wide:
                return None
            tip = wide[int(self._rng.integers(len(wide)))]
            tips.remove(tip)
            for child in self._fork(tip):
                grown = self._vessel(child)
                if grown is None:
                    return None
                tips.append(grown)
        places = {'entry': 0, **{tip.name: tip.node for tip in tips}}
        return VesselTree(
            np.array(self._points), np.array(self._radius), np.array(self._parent),
            np.array(self._kind), tuple(self._names), places,
        )  # fmt: skip

    def _fork(self, tip: _Tip) -> list[_Tip]:
        share = self._rng.uniform(*self._shape.share)
        r0 = tip.radius_m
        r1, r2 = r0 * (1 - share) ** (1 / 3), r0 * share ** (1 / 3)
        turn = self._across(tip.direction)
        first, second = murray_angles_rad(r0, r1, r2)
        stem = 'vessel' if tip.name == 'trunk' else tip.name
        left = np.cos(first) * tip.direction + np.sin(first) * turn
        right = np.cos(second) * tip.direction - np.sin(second) * turn
        return [
            _Tip(tip.node, left, r1, f'{stem}_a'),
            _Tip(tip.node, right, r2, f'{stem}_b'),
        ]

    def _across(self, direction: Array) -> Array:
        vector = self._rng.standard_normal(3)
        vector -= (vector @ direction) * direction
        return vector / np.linalg.norm(vector)

    def _vessel(self, start: _Tip) -> _Tip | None:
        """Add a vessel and return its end, or None if every try comes too close to another."""
        kind = len(self._names)
        for _ in range(_TRIES // 20):
            length = start.radius_m * self._rng.uniform(*self._shape.length_radii)
            points, direction = self._arc(start, length)
            end = start.radius_m * self._shape.taper
            radius = np.linspace(start.radius_m, end, len(points))
            if not self._is_free(points, radius, start):
                continue
            self._names.append(start.name)
            before = start.node
            for point, width in zip(points, radius, strict=True):
                self._points.append(point)
                self._radius.append(float(width))
                self._parent.append(before)
                self._kind.append(kind)
                before = len(self._points) - 1
            return _Tip(before, direction, end, start.name)
        return None

    def _arc(self, start: _Tip, length_m: float) -> tuple[Array, Array]:
        """Return points after the start on a circular arc, and the direction at its end."""
        bend = max(self._rng.uniform(0, self._shape.bend_rad), 1e-3)
        side = self._across(start.direction)
        count = max(int(round(length_m / POINT_STEP_M)), 2)
        turn = np.linspace(0, bend, count + 1)[1:, None]
        radius = length_m / bend
        offset = radius * (np.sin(turn) * start.direction + (1 - np.cos(turn)) * side)
        end = np.cos(bend) * start.direction + np.sin(bend) * side
        return self._points[start.node] + offset, end

    def _is_free(self, points: Array, radius: Array, start: _Tip) -> bool:
        """Tell whether a vessel keeps clear of all but the surroundings of its fork."""
        fork = self._points[start.node]
        others, widths = np.array(self._points), np.array(self._radius)
        near = 4.0 * self._radius[start.node]
        far = np.linalg.norm(others - fork, axis=1) > near
        if np.any(points[:, 2] < -1e-3):
            return False
        if not far.any():
            return True
        leaving = np.linalg.norm(points - fork, axis=1) > self._radius[start.node]
        distance, index = cKDTree(others[far]).query(points[leaving])
        return bool(np.all(distance > radius[leaving] + widths[far][index] + _GAP_M))


def murray_angles_rad(parent_m: float, first_m: float, second_m: float) -> tuple[float, float]:
    """Return the angles [rad] by which two children of given radii [m] turn from their parent."""
    r0, r1, r2 = parent_m, first_m, second_m
    one = (r0**4 + r1**4 - r2**4) / (2 * r0**2 * r1**2)
    two = (r0**4 + r2**4 - r1**4) / (2 * r0**2 * r2**2)
    return float(np.arccos(np.clip(one, -1, 1))), float(np.arccos(np.clip(two, -1, 1)))


def _lumen_of(tree: VesselTree, step_m: float) -> SampledLumen:
    """Return the room inside the tapered capsules about a tree's links; the entry is open."""
    rim = tree.radius_m.max() + 5e-3
    low, high = tree.points_m.min(axis=0) - rim, tree.points_m.max(axis=0) + rim
    low[2] = -_OPEN_M
    shape = np.ceil((high - low) / step_m).astype(int)[::-1] + 1
    field = np.full(shape, -1.0, np.float32)
    inlet = np.array([[0, 0, -_OPEN_M - 2 * rim]])
    starts = np.concatenate([inlet, tree.points_m[tree.parent[1:]]])
    ends = np.concatenate([tree.points_m[:1], tree.points_m[1:]])
    wide = np.concatenate([tree.radius_m[:1], _start_radii(tree)])
    narrow = np.concatenate([tree.radius_m[:1], tree.radius_m[1:]])
    paint_capsules(starts, ends, wide, narrow, low, step_m, 4e-3, field)
    return SampledLumen(to_distance(field, step_m), low, np.full(3, step_m), np.eye(3))


def _start_radii(tree: VesselTree) -> Array:
    """Return the radius at the start of each link; a child does not begin as wide as its stem."""
    before = tree.parent[1:]
    same = tree.structure[before] == tree.structure[1:]
    return np.where(same, tree.radius_m[before], tree.radius_m[1:])
