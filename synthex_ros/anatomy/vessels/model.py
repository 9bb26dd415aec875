"""Vessels ready for use: tree, lumen and wall of a CT's structures, kept in the user's cache."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.anatomy.cache import cached_arrays
from synthex_ros.anatomy.vessels.centreline import centreline_tree
from synthex_ros.anatomy.vessels.distance import to_distance
from synthex_ros.anatomy.vessels.lumen import SampledLumen
from synthex_ros.anatomy.vessels.structures import tree_field
from synthex_ros.anatomy.vessels.tree import VesselTree
from synthex_ros.anatomy.vessels.wall import wall_mesh
from synthex_ros.anatomy.volume import Volume
from synthex_ros.bodies import TriangleMesh
from synthex_ros.geometry import check_pose, transform_points

STEP_M = 0.8e-3
"""Grid spacing of a lumen [m]; arteries down to 2 mm in radius are seen in the chest CT."""

SMOOTHING_M = 1.2e-3
"""Half a slice of 2.5 mm: takes the steps between slices away."""

_VERSION = 10


@dataclass(frozen=True, eq=False)
class VesselModel:
    """A tree of vessels in one frame, `patient_lps` unless moved.

    Attributes:
        tree: centrelines with radii.
        lumen: signed distance to the wall.
        wall: closed mesh of the lumen's surface.
    """

    tree: VesselTree
    lumen: SampledLumen
    wall: TriangleMesh

    def moved(self, pose: ArrayLike) -> VesselModel:
        """Return the vessels after a rigid transform, such as `world_from_patient` (4x4)."""
        matrix = check_pose(pose)
        wall = replace(self.wall, vertices_m=transform_points(matrix, self.wall.vertices_m))
        return VesselModel(self.tree.moved(matrix), self.lumen.moved(matrix), wall)


def vessel_model(
    volume: Volume,
    tree: str = 'arteries',
    *,
    step_m: float = STEP_M,
    smoothing_m: float = SMOOTHING_M,
) -> VesselModel:
    """Return a tree of vessels of a segmented CT, in `patient_lps`; made once and then cached.

    The root is the lowest end of the tree's first structure: where a device from the groin comes.

    Args:
        volume: CT with segmented vessels.
        tree: 'arteries', 'upper_veins' or 'lower_veins'.
        step_m: grid spacing of the lumen [m].
        smoothing_m: standard deviation of the Gaussian that takes voxel steps away [m].

    Raises:
        ValueError: no such tree, or its root structure is not in the volume.
    """
    if not 2e-4 <= step_m <= 5e-3:
        raise ValueError(f'step_m must be 2e-4..5e-3 m, got {step_m:g}; 0.8 mm is 0.0008')
    key = f'vessels-{_VERSION}-{tree}-{step_m:g}-{smoothing_m:g}-{volume.sha256()[:20]}'
    return _unpacked(cached_arrays(key, lambda: _packed(volume, tree, step_m, smoothing_m)))


def vessel_tree(volume: Volume, tree: str = 'arteries') -> VesselTree:
    """Return the centrelines of a segmented CT's vessels; see `vessel_model`."""
    return vessel_model(volume, tree).tree


def named_places(tree: VesselTree) -> dict[str, int]:
    """Return a tree's ends by the structure they lie in, the widest of several first.

    The two ends of an aorta are called ascending and descending.
    """
    children = np.bincount(tree.parent[1:], minlength=len(tree.parent))
    ends = [0, *np.flatnonzero(children == 0)]
    places: dict[str, int] = {}
    for number, name in enumerate(tree.names):
        own = [int(end) for end in ends if tree.structure[end] == number]
        if name == 'aorta' and len(own) == 2 and own[0] == 0:
            places['descending_aorta'], places['ascending_aorta'] = own
        elif len(own) == 1:
            places[name] = own[0]
        else:
            own.sort(key=lambda end: -tree.radius_m[end])
            places |= {f'{name}_{k}': end for k, end in enumerate(own, start=1)}
    return places


def _packed(
    volume: Volume, tree: str, step_m: float, smoothing_m: float
) -> dict[str, NDArray[Any]]:
    made = tree_field(volume, tree, step_m, smoothing_m)
    pose = volume.patient_from_grid
    lumen = SampledLumen(
        to_distance(made.field, step_m),
        np.array(made.grid.corner_m),
        np.full(3, step_m),
        np.eye(3),
    )
    low = np.argwhere((made.owner == 0) & (lumen.distance_m > 0))
    root_zyx = low[low[:, 0] == low[:, 0].min()].mean(axis=0)
    root_m = lumen.index_to_m(root_zyx[::-1])
    line = centreline_tree(lumen, root_m, made.names, made.owner).moved(pose)
    lumen = lumen.moved(pose)
    wall = wall_mesh(lumen)
    return {
        'distance_m': lumen.distance_m,
        'origin_m': lumen.origin_m,
        'spacing_m': lumen.spacing_m,
        'axes': lumen.axes,
        'points_m': line.points_m,
        'radius_m': line.radius_m,
        'parent': line.parent,
        'structure': line.structure,
        'names': np.array(made.names),
        'vertices_m': wall.vertices_m,
        'faces': wall.faces,
    }


def _unpacked(stored: dict[str, NDArray[Any]]) -> VesselModel:
    lumen = SampledLumen(*(stored[n] for n in ('distance_m', 'origin_m', 'spacing_m', 'axes')))
    names = tuple(str(name) for name in stored['names'])
    points, radius = stored['points_m'], stored['radius_m']
    tree = VesselTree(points, radius, stored['parent'], stored['structure'], names)
    wall = TriangleMesh(stored['vertices_m'], stored['faces'])
    return VesselModel(replace(tree, places=named_places(tree)), lumen, wall)
