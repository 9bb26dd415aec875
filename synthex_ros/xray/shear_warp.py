"""Line integrals by factorised projection: the volume is read once, slice by slice, in order.

Perspective shear-warp (Lacroute and Levoy, SIGGRAPH 1994) of Joseph's projector (IEEE Trans. Med.
Imaging 1 (1982) 192). The volume's slices across the axis that the beam runs along most are added
up on an intermediate plane parallel to them. Seen from the focal spot, every slice is a scaled and
shifted image on that plane, so it is resampled by lines: first along its rows, then across them,
both with contiguous access and the same weights for all materials. A last interpolation takes the
plane to the detector, where the sum is multiplied by the length of the ray between two slices.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthex_ros.anatomy.materials import MaterialTable
from synthex_ros.anatomy.volume import Volume
from synthex_ros.geometry import View
from synthex_ros.xray.parallel import parallel
from synthex_ros.xray.projector import Rays, rays_in_grid
from synthex_ros.xray.ray_marcher import RayMarcher
from synthex_ros.xray.shear_warp_kernels import accumulate, warp
from synthex_ros.xray.voxel_densities import DensityStore, VoxelDensities, pack

Array = NDArray[np.float64]

MIN_COSINE = 0.3
"""Every ray keeps at least this cosine to the axis across the slices."""
GUARD = 2
"""Rows and columns of the plane beyond the detector's shadow, for the last interpolation."""

# (i, j, k): along rows, across rows, across slices, each one of x, y, z = 0, 1, 2. x and y slices
# share a layout when rows run along x; slices across x need rows along y.
_ORDERS = {0: (1, 2, 0), 1: (0, 2, 1), 2: (0, 1, 2)}
_LAYOUTS = {0: (1, 0, 2), 1: (0, 1, 2), 2: (0, 1, 2)}


@dataclass(frozen=True)
class _Plane:
    """The intermediate plane, in voxel indices of (i, j) at slice `reference` of k."""

    reference: float
    first: tuple[float, float]
    step: tuple[float, float]
    size: tuple[int, int]


class ShearWarpProjector:
    """Multi-threaded factorised projector; the image does not depend on the thread count.

    Partial densities are linear between voxels and fall to zero over one voxel around the grid. A
    cone that opens too wide to be factorised (70 degrees and more) is marched instead.

    Args:
        detail_px: samples along the longer image side on the intermediate plane. 256 are as fine
            as the voxels of clinical CTs.
        axis_by_ray: choose the slices' axis for every ray, as Joseph does, and not for the whole
            image. It matters within some 10 degrees of 45, by less than 0.1 %.
        store: packed volumes to share with another projector.
    """

    def __init__(
        self,
        detail_px: int = 256,
        axis_by_ray: bool = False,
        *,
        store: DensityStore | None = None,
    ) -> None:
        if not 16 <= detail_px <= 4096:
            raise ValueError(f'detail_px must be 16..4096 px, got {detail_px}')
        self.detail_px, self.axis_by_ray = detail_px, axis_by_ray
        self._store = store or DensityStore()
        self._marcher = RayMarcher()

    def at_detail(self, detail_px: int) -> ShearWarpProjector:
        """Return the same projector with other detail; see `Projector`."""
        return ShearWarpProjector(detail_px, self.axis_by_ray, store=self._store)

    def area_density_g_cm2(
        self,
        volume: Volume,
        table: MaterialTable,
        view: View,
        world_from_patient: Array,
    ) -> NDArray[np.float32]:
        """Return area densities [g/cm^2], shape (M, rows, columns), float32; see `Projector`."""
        rays = rays_in_grid(volume, view, world_from_patient)
        spacing, shape_px = np.asarray(volume.spacing_m), view.geometry.shape_px
        axes = _slice_axes(rays, spacing, shape_px)
        if not axes:
            return self._marcher.area_density_g_cm2(volume, table, view, world_from_patient)
        image = self._along(axes[0], volume, table, rays, shape_px)
        if not self.axis_by_ray:
            return image
        density = _slices_by_ray(axes[0], rays, spacing, shape_px)
        for axis in axes[1:]:
            other = _slices_by_ray(axis, rays, spacing, shape_px)
            denser = other > density
            if denser.any():
                np.copyto(image, self._along(axis, volume, table, rays, shape_px), where=denser)
                density = np.maximum(density, other)
        return image

    def adds_up(self, volume: Volume, view: View, world_from_patient: Array) -> bool:
        """Tell whether `of_slabs` can serve a view."""
        rays = rays_in_grid(volume, view, world_from_patient)
        spacing = np.asarray(volume.spacing_m)
        axes = _slice_axes(rays, spacing, view.geometry.shape_px)
        return bool(axes) and not self.axis_by_ray

    def of_slabs(
        self,
        whole: Volume,
        slabs: Iterable[tuple[int, Volume, MaterialTable]],
        view: View,
        world_from_patient: Array,
    ) -> NDArray[np.float32]:
        """Return the area densities of a volume that exists in slabs only, one at a time.

        They are those of the whole but for rounding, and no slab is kept.

        Args:
            whole: a volume on the grid of the whole; its HU are not asked.
            slabs: first slice along z, volume and table of each; together they are the whole.
            view: geometry and pose of the exposure, one that `adds_up`.
            world_from_patient: pose of `patient_lps` in `world`, shape (4, 4) [m].
        """
        rays = rays_in_grid(whole, view, world_from_patient)
        axis = _slice_axes(rays, np.asarray(whole.spacing_m), view.geometry.shape_px)[0]
        shadow = _Shadow.of(axis, whole, rays, view.geometry.shape_px, self.detail_px)
        sums: NDArray[np.float32] | None = None
        for first, slab, table in slabs:
            packed = pack(slab, table, _LAYOUTS[axis])
            part = shadow.sums(packed, first)
            sums = part if sums is None else np.add(sums, part, out=sums)
        if sums is None:
            raise ValueError('slabs are empty; pass those that make up the whole volume')
        return shadow.on_detector(sums, packed)

    def _along(
        self,
        axis: int,
        volume: Volume,
        table: MaterialTable,
        rays: Rays,
        shape_px: tuple[int, int],
    ) -> NDArray[np.float32]:
        """Return area densities with the slices across one axis."""
        shadow = _Shadow.of(axis, volume, rays, shape_px, self.detail_px)
        densities = self._store.get(volume, table, _LAYOUTS[axis])
        return shadow.on_detector(shadow.sums(densities), densities)


@dataclass(frozen=True, eq=False)
class _Shadow:
    """A view of a volume whose slices lie across one axis; vectors in the order (i, j, k).

    Attributes:
        order: axis of the grid along rows, across rows and across slices.
        rays: source, first pixel and pitch vectors [voxels].
        spacing_m: distance of voxels [m], shape (3,).
        shape_px: rows and columns of the detector.
        plane: intermediate plane, or None where nothing lies ahead of the focal spot.
    """

    order: list[int]
    rays: Rays
    spacing_m: Array
    shape_px: tuple[int, int]
    plane: _Plane | None

    @classmethod
    def of(
        cls,
        axis: int,
        volume: Volume,
        rays: Rays,
        shape_px: tuple[int, int],
        detail_px: int,
    ) -> _Shadow:
        """Return the shadow of a volume, which is asked for its grid only."""
        order = list(_ORDERS[axis])
        source, corner, along_u, along_v = (ray[order] for ray in rays)
        turned = (source, corner, along_u, along_v)
        sizes = [n + 2 for n in volume.hu.shape[::-1]]
        plane = _plane(turned, tuple(sizes[a] for a in reversed(order)), shape_px, detail_px)
        return cls(order, turned, np.asarray(volume.spacing_m)[order], shape_px, plane)

    def sums(self, densities: VoxelDensities, first_z: int = 0) -> NDArray[np.float32]:
        """Return what the slices add up to on the plane, shape (rows, columns, lanes).

        Args:
            densities: the packed volume, or a slab of it.
            first_z: the slab's first slice along z.
        """
        lanes, plane = densities.levels.shape[3], self.plane
        if plane is None:
            return np.zeros((0, 0, lanes), np.float32)
        shift = np.array([0.0, 0.0, float(first_z)])[self.order]
        source, corner, along_u, along_v = self.rays
        source = source - shift
        shape, strides = _as_kji(densities, self.order)
        normal, cut = _detector_plane((source, corner - shift, along_u, along_v), shape)
        first = (plane.first[0] - shift[0], plane.first[1] - shift[1])
        where = (plane.reference - shift[2], first, plane.step)
        sums = np.zeros((plane.size[1], plane.size[0], lanes), np.float32)
        flat, tag = densities.levels.reshape(-1), (0,) * lanes
        with parallel():
            accumulate(tag, flat, shape, strides, source, normal, cut, *where, sums)
        return sums

    def on_detector(
        self, sums: NDArray[np.float32], densities: VoxelDensities
    ) -> NDArray[np.float32]:
        """Return the area densities [g/cm^2] that sums stand for, shape (M, rows, columns)."""
        out = np.zeros((len(densities.names), *self.shape_px), np.float32)
        plane = self.plane
        if plane is None:
            return out
        scale = (100 * densities.unit_g_cm3).astype(np.float32)
        where = (plane.reference, plane.first, plane.step)
        with parallel():
            warp((0,) * sums.shape[2], sums, self.rays, self.spacing_m, *where, scale, out)
        return out


def _as_kji(
    densities: VoxelDensities, order: list[int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return number and distance in memory of slices, lines and voxels of a line."""
    levels = densities.levels
    dimensions = [2 - densities.axes.index(axis) for axis in reversed(order)]
    item = levels.itemsize
    return (
        tuple(levels.shape[d] for d in dimensions),
        tuple(levels.strides[d] // item for d in dimensions),
    )


def _detector_plane(rays: Rays, shape_kji: tuple[int, ...]) -> tuple[Array, bool]:
    """Return n with n . (p - source) = 0 at the source and 1 on the detector, and if it cuts."""
    source, corner, along_u, along_v = rays
    normal = np.cross(along_u, along_v)
    normal = normal / np.dot(normal, corner - source)
    ends = [(-1.0, n - 2.0) for n in reversed(shape_kji)]
    depths = [(np.array(p) - source) @ normal for p in itertools.product(*ends)]
    return normal, bool(max(depths) > 1)


def _corners(rays, shape_px: tuple[int, int]) -> Array:
    """Return the vectors from the source to the detector's corners, shape (4, 3) [voxels]."""
    source, corner, along_u, along_v = rays
    rows, columns = shape_px
    ends = [(v, u) for v in (-0.5, rows - 0.5) for u in (-0.5, columns - 0.5)]
    return np.array([corner + v * along_v + u * along_u - source for v, u in ends])


def _slice_axes(rays: Rays, spacing: Array, shape_px: tuple[int, int]) -> list[int]:
    """Return the axes that slices may lie across, the one where they lie densest first."""
    ways = _corners(rays, shape_px) * spacing
    cosine = ways / np.linalg.norm(ways, axis=1, keepdims=True)
    along = cosine * np.sign(cosine.sum(axis=0))
    density = along.mean(axis=0) / spacing
    usable = [axis for axis in range(3) if along[:, axis].min() >= MIN_COSINE]
    return sorted(usable, key=lambda axis: -density[axis])


def _slices_by_ray(
    axis: int, rays: Rays, spacing: Array, shape_px: tuple[int, int]
) -> NDArray[np.float32]:
    """Return how many slices across an axis each ray meets in a metre, shape (rows, columns)."""
    source, corner, along_u, along_v = rays
    u, v = np.arange(shape_px[1])[:, None], np.arange(shape_px[0])[:, None, None]
    ways = (corner - source) + u * along_u + v * along_v
    slices = np.abs(ways[..., axis]) / np.linalg.norm(ways * spacing, axis=-1)
    return slices.astype(np.float32)


def _plane(
    rays: Rays, shape_kji: tuple[int, ...], shape_px: tuple[int, int], detail_px: int
) -> _Plane | None:
    """Return a plane through the middle of the slices ahead, as large as needed and no finer.

    None means that no slice lies ahead of the focal spot.
    """
    source, ways = rays[0], _corners(rays, shape_px)
    ahead = np.arange(-1.0, shape_kji[0] - 1.0)
    ahead = ahead[(ahead - source[2]) * ways[0, 2] > 0]
    if not ahead.size:
        return None
    middle = ahead.mean()
    if abs(middle - source[2]) < 0.5:
        middle = source[2] + 0.5 * np.sign(ways[0, 2])
    reach = (middle - source[2]) / ways[:, 2]
    shadow = source[:2] + reach[:, None] * ways[:, :2]
    # The volume's own shadow: its border at the nearest and farthest slices, seen from the source.
    borders = np.array([[-1.0, -1.0], [shape_kji[2] - 2.0, shape_kji[1] - 2.0]])
    scales = (middle - source[2]) / (ahead[[0, -1]] - source[2])
    shades = np.concatenate([source[:2] + (borders - source[:2]) * scale for scale in scales])
    low = np.maximum(shadow.min(0), shades.min(0))
    high = np.maximum(np.minimum(shadow.max(0), shades.max(0)), low + 1)
    step = _steps(rays, middle, max(shape_px) / detail_px, shape_px)
    size = np.ceil((high - low) / step).astype(int) + 1 + 2 * GUARD
    first = low - GUARD * step
    return _Plane(float(middle), tuple(first), tuple(step), (int(size[0]), int(size[1])))


def _steps(rays, middle: float, pixels: float, shape_px: tuple[int, int]) -> Array:
    """Return the spacing in i and j on the plane that is at most `pixels` wide on the detector."""
    source, corner, along_u, along_v = rays
    rows, columns = shape_px
    v, u = np.meshgrid((0.0, rows / 2, rows - 1.0), (0.0, columns / 2, columns - 1.0))
    ways = corner - source + u.reshape(-1, 1) * along_u + v.reshape(-1, 1) * along_v
    reach, slope = (middle - source[2]) / ways[:, 2], ways[:, :2] / ways[:, 2:]
    # How far (i, j) moves on the plane for one pixel of u, of v: columns of the Jacobian.
    moves = [along[:2] - slope * along[2] for along in (along_u, along_v)]
    jacobian = reach[:, None, None] * np.stack(moves, axis=2)
    # Columns of the inverse: pixels (u, v) for one voxel of i, of j.
    return np.min(pixels / np.linalg.norm(np.linalg.inv(jacobian), axis=1), axis=0)
