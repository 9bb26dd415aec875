"""What procedural patients are made with: regions with a CT number and a label on a grid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from synthex_ros.anatomy.structures import TOTALSEGMENTATOR_IDS
from synthex_ros.anatomy.volume import Volume
from synthex_ros.geometry import make_pose

Grid = NDArray[np.float64]

AIR_HU = -1000


class Painter:
    """An air-filled grid that takes regions; later regions cover earlier ones.

    Coordinates are patient_lps with the origin at the centre of the grid.

    Args:
        shape: voxels as (z, y, x).
        spacing_m: voxel spacing on all axes [m].
    """

    def __init__(self, shape: tuple[int, int, int], spacing_m: float) -> None:
        axes = [(np.arange(count) - (count - 1) / 2) * spacing_m for count in shape]
        self.z, self.y, self.x = np.meshgrid(*axes, indexing='ij', sparse=True)
        self._corner_m = [axis[0] for axis in axes[::-1]]
        self._spacing_m = spacing_m
        self._hu = np.full(shape, AIR_HU, np.int16)
        self._labels = np.zeros(shape, np.uint8)
        self._structures: dict[str, int] = {}

    def paint(self, region: NDArray[np.bool_], hu: int, structure: str | None = None) -> None:
        """Fill `region`, shape (z, y, x), with a CT number and the label of a structure."""
        self._hu[region] = hu
        self._labels[region] = 0
        if structure is not None and region.any():
            self._structures[structure] = TOTALSEGMENTATOR_IDS[structure]
            self._labels[region] = TOTALSEGMENTATOR_IDS[structure]

    def ellipsoid(self, centre_m, radii_m) -> Grid:
        """Return the squared distance from the centre in radii, 1 on the surface, (z, y, x)."""
        (cx, cy, cz), (rx, ry, rz) = centre_m, radii_m
        return ((self.x - cx) / rx) ** 2 + ((self.y - cy) / ry) ** 2 + ((self.z - cz) / rz) ** 2

    def cylinder(self, centre_m, radii_m) -> Grid:
        """Return the same for an elliptic cylinder along z."""
        (cx, cy), (rx, ry) = centre_m, radii_m
        return ((self.x - cx) / rx) ** 2 + ((self.y - cy) / ry) ** 2 + 0 * self.z

    def vertebrae(
        self, top_m: float, pitch_m: float, bone_share: float, names: Sequence[str]
    ) -> Iterator[tuple[str, NDArray[np.bool_]]]:
        """Yield each vertebra's structure with the slab that it lies in, shape (z, y, x).

        Args:
            top_m: height of the middle of the first one [m].
            pitch_m: distance of one to the next below [m].
            bone_share: what is bone of it; discs lie between.
            names: from the top downwards, such as 'T1'.
        """
        level = (top_m - self.z) / pitch_m
        number = np.rint(level).astype(int) + 0 * np.rint(self.x + self.y).astype(int)
        bone = np.abs(level - np.rint(level)) < bone_share / 2
        for index, name in enumerate(names):
            yield f'vertebrae_{name}', bone & (number == index)

    def volume(self, name: str) -> Volume:
        """Return what has been painted under a name."""
        present = set(np.unique(self._labels).tolist())
        structures = {n: i for n, i in self._structures.items() if i in present}
        pose = make_pose(translation_m=self._corner_m)
        return Volume(self._hu, (self._spacing_m,) * 3, pose, self._labels, structures, name)
