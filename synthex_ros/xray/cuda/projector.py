"""Line integrals on a GPU: Joseph's projector, one thread a ray, all materials in one pass."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthex_ros.anatomy.materials import MaterialTable
from synthex_ros.anatomy.volume import Volume
from synthex_ros.geometry import View
from synthex_ros.xray.cuda import source
from synthex_ros.xray.cuda.device import Array, CupyDevice, Device
from synthex_ros.xray.projector import rays_in_grid
from synthex_ros.xray.voxel_densities import VoxelDensities, pack

GUARD = 2
"""Coarse pixels beyond each edge of the detector, for the interpolation to its own pixels."""

_PLAIN, _TURNED = (0, 1, 2), (1, 0, 2)


@dataclass(frozen=True, eq=False)
class DeviceVoxels:
    """A packed volume on a device; see `VoxelDensities`.

    Attributes:
        names: materials.
        levels: uint16, shape of the packed volume.
        unit_g_cm3: density of a level by lane, float32.
        arguments: of the kernels that read voxels: levels, grid, strides and spacing.
    """

    names: tuple[str, ...]
    levels: Array
    unit_g_cm3: Array
    arguments: tuple[Any, ...]

    @property
    def lanes(self) -> int:
        """Materials side by side."""
        return int(self.levels.shape[3])

    @classmethod
    def of(cls, device: Device, packed: VoxelDensities, volume: Volume) -> DeviceVoxels:
        """Upload a packed volume."""
        levels = device.upload(packed.levels)
        item = packed.levels.strides[2]
        strides = [packed.levels.strides[2 - packed.axes.index(a)] // item for a in range(3)]
        grid = (np.int32(count) for count in volume.hu.shape[::-1])
        arguments = (
            levels,
            *grid,
            *(np.int64(stride) for stride in strides),
            *(np.float64(step) for step in volume.spacing_m),
        )
        return cls(packed.names, levels, device.upload(packed.unit_g_cm3), arguments)


class CudaProjector:
    """Projector on a GPU.

    Partial densities are linear between voxels and fall to zero over one voxel around the grid, as
    those of `ShearWarpProjector`. Packed volumes stay on the GPU while they live: 2, 8 or 16 bytes
    a voxel for up to 1, 4 or 8 materials, twice that once views along x have been asked for.

    Args:
        detail_px: rays along the longer image side; the image is interpolated from them
            (Catmull-Rom). None sends a ray to every pixel.
        device: where to run; default the current CUDA GPU.

    Raises:
        GpuMissingError: there is no CuPy, no driver or no GPU.
    """

    def __init__(self, detail_px: int | None = 512, device: Device | None = None) -> None:
        if detail_px is not None and not 16 <= detail_px <= 4096:
            raise ValueError(f'detail_px must be 16..4096 px or None, got {detail_px}')
        self.detail_px = detail_px
        self.device = device or CupyDevice()
        self._kept: weakref.WeakKeyDictionary[Volume, dict] = weakref.WeakKeyDictionary()

    def at_detail(self, detail_px: int) -> CudaProjector:
        """Return itself: it sends a ray to every sample that is asked for."""
        return self

    def area_density_g_cm2(
        self,
        volume: Volume,
        table: MaterialTable,
        view: View,
        world_from_patient: NDArray[np.float64],
    ) -> NDArray[np.float32]:
        """Return area densities [g/cm^2], shape (M, rows, columns), float32; see `Projector`."""
        area, _ = self.areas(volume, table, [view], [world_from_patient])
        return self.device.download(area)[0]

    def areas(
        self,
        volume: Volume,
        table: MaterialTable,
        views: Sequence[View],
        poses: Sequence[NDArray[np.float64]],
    ) -> tuple[Array, Array]:
        """Project one volume for many views; both results stay on the device.

        Args:
            volume: CT.
            table: partial densities by HU and region.
            views: N views with images of one size.
            poses: pose of `patient_lps` in `world` of each, shape (4, 4) [m].

        Returns:
            Area densities [g/cm^2], shape (N, M, rows, columns), float32, and those of the rays
            that were sent, shape (N, M, h, w), on cells of the same detector and, if they are
            fewer than the pixels, `GUARD` cells around it.

        Raises:
            ValueError: images differ in size, or there are more than eight materials.
        """
        rows, columns = image_size(views)
        voxels = self.voxels(volume, table, views[0], poses[0])
        height, width = self._rays_for(rows, columns)
        if (height, width) == (rows, columns):
            area = self._project(voxels, volume, views, poses, (rows, columns), 0)
            return area, area
        coarse = [view.resized((height, width)) for view in views]
        area = self._project(voxels, volume, coarse, poses, (height, width), GUARD)
        materials = len(voxels.names)
        out = self.device.empty((len(views), materials, rows, columns), np.float32)
        self.device.launch(
            source.SIGNAL,
            'magnify',
            (columns, rows, len(views) * materials),
            (area, *map(np.int32, (height, width, rows, columns)), out),
        )
        return out, area

    def voxels(
        self,
        volume: Volume,
        table: MaterialTable,
        view: View,
        world_from_patient: NDArray[np.float64],
    ) -> DeviceVoxels:
        """Return a volume on the device, in the layout in which a view reads neighbours."""
        source_, corner, along_u, along_v = rays_in_grid(volume, view, world_from_patient)
        rows, columns = view.geometry.shape_px
        middle = corner + 0.5 * (columns - 1) * along_u + 0.5 * (rows - 1) * along_v - source_
        axes = _TURNED if np.argmax(np.abs(middle)) == 0 else _PLAIN
        kept = self._kept.setdefault(volume, {})
        for other in [key for key, entry in kept.items() if entry[0] is not table]:
            del kept[other]  # one material model at a time
        if axes not in kept:
            packed = pack(volume, table, axes)
            kept[axes] = table, DeviceVoxels.of(self.device, packed, volume)
        return kept[axes][1]

    def rays(
        self,
        volume: Volume,
        views: Sequence[View],
        poses: Sequence[NDArray[np.float64]],
        guard: int = 0,
    ) -> Array:
        """Return the rays of views, shape (N, 4, 3), float64, from `guard` pixels outside on."""
        rays = np.stack([rays_in_grid(volume, *item) for item in zip(views, poses, strict=True)])
        rays[:, 1] -= guard * (rays[:, 2] + rays[:, 3])
        return self.device.upload(rays)

    def _rays_for(self, rows: int, columns: int) -> tuple[int, int]:
        longest = max(rows, columns)
        if self.detail_px is None or self.detail_px >= longest:
            return rows, columns
        share = self.detail_px / longest
        return max(1, round(rows * share)), max(1, round(columns * share))

    def _project(
        self,
        voxels: DeviceVoxels,
        volume: Volume,
        views: Sequence[View],
        poses: Sequence[NDArray[np.float64]],
        shape_px: tuple[int, int],
        guard: int,
    ) -> Array:
        materials = len(voxels.names)
        rows, columns = (count + 2 * guard for count in shape_px)
        out = self.device.empty((len(views), materials, rows, columns), np.float32)
        self.device.launch(
            source.projection(voxels.lanes),
            'project',
            (columns, rows, len(views)),
            (
                *voxels.arguments,
                self.rays(volume, views, poses, guard),
                voxels.unit_g_cm3,
                *map(np.int32, (materials, rows, columns)),
                out,
            ),
        )
        return out


def image_size(views: Sequence[View]) -> tuple[int, int]:
    """Return the rows and columns that all views have.

    Raises:
        ValueError: there are no views, or they differ.
    """
    sizes = {view.geometry.shape_px for view in views}
    if len(sizes) != 1:
        raise ValueError(f'views of a batch must have one image size, got {sorted(sizes)}')
    return sizes.pop()
