"""What a projector is, and where rays run in a volume's grid."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from synthex_ros.anatomy.materials import MaterialTable
from synthex_ros.anatomy.volume import Volume
from synthex_ros.geometry import View, check_pose, invert_pose

Rays = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


class Projector(Protocol):
    """What computes line integrals; implementations differ in speed, not in result."""

    def area_density_g_cm2(
        self,
        volume: Volume,
        table: MaterialTable,
        view: View,
        world_from_patient: NDArray[np.float64],
    ) -> NDArray[np.float32]:
        """Return the area density of each material along the ray of every pixel.

        Args:
            volume: CT, HU as int16 [z, y, x].
            table: partial density of M materials by HU; HU outside it take its first or last row.
            view: geometry and pose of the exposure.
            world_from_patient: rigid pose of `patient_lps` in `world`, shape (4, 4) [m].

        Returns:
            Area densities [g/cm^2], shape (M, rows, columns), float32, C order.
        """
        ...

    def at_detail(self, detail_px: int) -> Projector:
        """Return a projector of the same kind with so many samples along the longer image side.

        It shares what is kept of volumes. One without such a setting returns itself.
        """
        ...


def rays_in_grid(volume: Volume, view: View, world_from_patient: NDArray[np.float64]) -> Rays:
    """Return source, first pixel centre, and column and row pitch vectors in voxel indices.

    Each has shape (3,), order (x, y, z): pixel (row, column) stands at
    corner + column * along_u + row * along_v.
    """
    geometry = view.geometry
    patient_from_world = invert_pose(check_pose(world_from_patient, 'world_from_patient'))
    grid_from_source = (
        invert_pose(volume.patient_from_grid) @ patient_from_world @ view.world_from_source
    )
    spacing = np.asarray(volume.spacing_m)
    turn = grid_from_source[:3, :3] / spacing[:, None]
    pitch_v, pitch_u = geometry.pixel_pitch_m
    u0, v0 = geometry.piercing_px
    source = grid_from_source[:3, 3] / spacing
    first = np.array([-u0 * pitch_u, -v0 * pitch_v, geometry.source_to_detector_m])
    return source, source + turn @ first, turn[:, 0] * pitch_u, turn[:, 1] * pitch_v
