"""Bodies on the detector: traced layers, what they change of the signal, and the label image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from synthex_ros.bodies import Body
from synthex_ros.geometry import ProjectionGeometry, View, invert_pose, transform_points
from synthex_ros.xray import device_kernels
from synthex_ros.xray.anatomy_layer import AnatomyLayer, falloff, weakened
from synthex_ros.xray.beam import Beam
from synthex_ros.xray.detector import CoveredPixels
from synthex_ros.xray.focal_spot import FocalSpot
from synthex_ros.xray.mesh_tracer import PathLayer, trace
from synthex_ros.xray.projector import Rays, rays_in_grid
from synthex_ros.xray.scene import Scene

DISPLACED_STEP_M = 1e-3
DISPLACED_MAX_SAMPLES = 64
DISPLACED_GRID_M = 1.2e-3
"""Distance on the detector at which the tissue in a device's place is looked up."""

_ONE_REGION = np.zeros((0, 0, 0), np.uint8)

MASK_PATH_M = 1e-6
"""A pixel belongs to a body when the ray of its centre runs at least this far inside."""


MAX_INSTANCES = 255


@dataclass(frozen=True, eq=False)
class DeviceLayer:
    """Bodies of one material, labelled alike or not at all, traced together.

    Attributes:
        material: name of the material.
        label: class id; 0 is not labelled.
        layer: path length of the pixels' mean ray.
        centre: path length of the pixels' centre ray; the labelled bodies' is marked.
    """

    material: str
    label: int
    layer: PathLayer
    centre: PathLayer


def trace_bodies(bodies: Sequence[Body], view: View, supersampling: int = 1) -> list[DeviceLayer]:
    """Return the layers of bodies that touch the detector, sorted by material and label."""
    source_from_world, layers = invert_pose(view.world_from_source), []
    for label, plain, members in _together(bodies):
        corners, faces = _in_source([*plain, *members], source_from_world)
        marked_from = sum(len(body.mesh.faces) for body in plain)
        layer = trace(corners, faces, view.geometry, supersampling, marked_from)
        if not layer.path_m.size:
            continue
        centre = layer
        if supersampling > 1:
            centre = trace(corners, faces, view.geometry, 1, marked_from)
        layers.append(DeviceLayer(members[0].material, label, layer, centre))
    return layers


def _together(bodies: Sequence[Body]) -> Iterator[tuple[int, list[Body], list[Body]]]:
    """Yield label, unlabelled bodies and labelled bodies of what is traced at once."""
    materials: dict[str, dict[int, list[Body]]] = {}
    for body in bodies:
        if not 0 <= body.label <= 255:
            raise ValueError(f'a label must be 0..255 to fit the mask, got {body.label}')
        materials.setdefault(body.material, {}).setdefault(body.label, []).append(body)
    for _, by_label in sorted(materials.items()):
        plain = by_label.pop(0, [])
        if not by_label:
            yield 0, [], plain
        for label, members in sorted(by_label.items()):
            yield label, plain, members
            plain = []


def _in_source(
    bodies: Sequence[Body], source_from_world: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Return corners in the source frame [m], (V, 3), and faces, (F, 3), of bodies as one mesh."""
    corners = [
        transform_points(source_from_world @ body.world_from_mesh, body.mesh.vertices_m)
        for body in bodies
    ]
    if len(bodies) == 1:
        return corners[0], bodies[0].mesh.faces
    faces = np.empty((sum(len(body.mesh.faces) for body in bodies), 3), np.int32)
    row = shift = 0
    for body, part in zip(bodies, corners, strict=True):
        count = len(body.mesh.faces)
        np.add(body.mesh.faces, shift, out=faces[row : row + count], casting='unsafe')
        row, shift = row + count, shift + len(part)
    return np.concatenate(corners), faces


def behind_devices(
    devices: Sequence[DeviceLayer],
    anatomy: AnatomyLayer,
    scene: Scene,
    beam: Beam,
    focal_spot: FocalSpot | None = None,
    rays: Rays | None = None,
) -> CoveredPixels | None:
    """Return the signal of the pixels that devices change, or None without devices.

    With a focal spot the change is blurred by it, at the devices' mean distance. Rays are those of
    the anatomy's view and pose, from `rays_in_grid`; default they are computed.
    """
    if not devices:
        return None
    geometry = anatomy.view.geometry
    taps = None if focal_spot is None else focal_spot.taps(geometry, _distance_m(devices))
    starts, first = _spans(devices, geometry.shape_px, taps)
    solids = sorted({item.material for item in devices})
    if rays is None:
        rays = rays_in_grid(scene.volume, anatomy.view, anatomy.world_from_patient)
    paths, removed = _displaced(devices, solids, geometry, rays, scene, starts, first)
    values = _signal_behind(anatomy, scene, beam, solids, starts, first, paths, removed)
    if taps is not None:
        sharp, values = values, np.empty_like(values)
        images = anatomy.signal_kev, anatomy.variance_kev2
        device_kernels.blur_spans(starts, first, sharp, *images, *taps, values)
    return CoveredPixels(starts, first, values)


def _signal_behind(
    anatomy: AnatomyLayer,
    scene: Scene,
    beam: Beam,
    solids: Sequence[str],
    starts: NDArray[np.int64],
    first: NDArray[np.int32],
    paths: NDArray[np.float32],
    removed: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Return signal [keV] and variance [keV^2] behind `paths` in `solids`, shape (2, n)."""
    geometry, grid = anatomy.view.geometry, anatomy.grid
    values = np.empty((2, int(starts[-1])), np.float32)
    device_kernels.behind_devices(
        anatomy.area_samples_g_cm2,
        (grid.rows.place, grid.rows.catmull_rom),
        (grid.columns.place, grid.columns.catmull_rom),
        removed,
        paths,
        beam.mass_attenuation_cm2_g(scene.table.names),
        np.stack([beam.attenuation_m(solid) for solid in solids]),
        beam.pixel_weights(geometry),
        *falloff(geometry),
        weakened(anatomy.profile),
        anatomy.signal_kev,
        anatomy.variance_kev2,
        starts,
        first,
        values,
    )
    return values


def _displaced(
    devices: Sequence[DeviceLayer],
    solids: Sequence[str],
    geometry: ProjectionGeometry,
    rays: Rays,
    scene: Scene,
    starts: NDArray[np.int64],
    first: NDArray[np.int32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return paths in `solids`, (S, n) [m], and the tissue in their place, (M, n) [g/cm^2]."""
    count = int(starts[-1])
    paths = np.zeros((len(solids), count), np.float32)
    removed = np.zeros((len(scene.table.names), count), np.float32)
    for item in devices:
        path = paths[solids.index(item.material)]
        _place(item, geometry, rays, scene, starts, first, path, removed)
    return paths, removed


def _distance_m(devices: Sequence[DeviceLayer]) -> float:
    return float(np.mean([item.layer.depth_m for item in devices]))


def _spans(
    devices: Sequence[DeviceLayer], shape_px: tuple[int, int], taps: tuple[NDArray, NDArray] | None
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return the spans of rows with a path in any device, and what they are blurred into."""
    rows, columns = shape_px
    low, high = np.full(rows, columns, np.int32), np.zeros(rows, np.int32)
    for item in devices:
        device_kernels.widen_spans(item.layer.path_m, item.layer.box[::2], low, high)
    starts, first = np.empty(rows + 1, np.int64), np.empty(rows, np.int32)
    reach = (0, 0) if taps is None else (len(taps[0]) // 2, len(taps[1]) // 2)
    device_kernels.list_spans(low, high, reach, columns, starts, first)
    return starts, first


def _place(
    item: DeviceLayer,
    geometry: ProjectionGeometry,
    rays: Rays,
    scene: Scene,
    starts: NDArray[np.int64],
    first: NDArray[np.int32],
    path: NDArray[np.float32],
    removed: NDArray[np.float32],
) -> None:
    """Add a device's path to `path` (n) [m] and the tissue in its place to `removed` (M, n).

    The partial densities are means between first entry and last exit, sampled every millimetre.
    They are exact in tissue of one density; for a tube they count its lumen as wall. 1 mm of wall
    in soft tissue displaces 0.1 g/cm^2 (2 % of the signal), so a mean that is off by a tenth
    moves the signal behind the device by 0.2 %.
    """
    volume, table = scene.volume, scene.table
    regions = table.regions
    device_kernels.place_device(
        volume.hu,
        _ONE_REGION if regions is None else regions.of_voxel,
        table.density_g_cm3[None] if regions is None else regions.density_g_cm3,
        float(table.hu_min),
        rays,
        (geometry.source_to_detector_m, *geometry.pixel_pitch_m, *geometry.piercing_px),
        starts,
        first,
        item.layer.box[::2],
        (item.layer.path_m, item.layer.entry_m, item.layer.exit_m),
        DISPLACED_STEP_M,
        DISPLACED_MAX_SAMPLES,
        max(1, int(DISPLACED_GRID_M / geometry.pixel_pitch_m[1])),
        path,
        removed,
    )


def instance_image(bodies: Sequence[Body], view: View) -> NDArray[np.uint8]:
    """Return which body each pixel shows, shape (rows, columns): 1 is the first, 0 none of them.

    Bodies of label 0 are numbered as well. Where two overlap, the longer path wins.

    Raises:
        ValueError: there are more than 255 bodies.
    """
    if len(bodies) > MAX_INSTANCES:
        raise ValueError(f'an instance mask holds up to {MAX_INSTANCES} bodies, got {len(bodies)}')
    numbered = [replace(body, label=index) for index, body in enumerate(bodies, start=1)]
    return label_image(trace_bodies(numbered, view), view.geometry.shape_px)


def label_image(layers: Sequence[DeviceLayer], shape_px: tuple[int, int]) -> NDArray[np.uint8]:
    """Return class ids, shape (rows, columns); where labels overlap, the longer path wins.

    Bodies of label 0 hide nothing: an X-ray shows what lies behind them.
    """
    mask = np.zeros(shape_px, np.uint8)
    labelled = [item for item in layers if item.label]
    if len(labelled) == 1:
        item = labelled[0]
        mask[item.centre.slices] = (item.centre.marked_m > MASK_PATH_M) * np.uint8(item.label)
        return mask
    best = np.full(shape_px, MASK_PATH_M)
    for item in labelled:
        place = item.centre.slices
        wins = item.centre.marked_m > best[place]
        mask[place][wins] = item.label
        best[place][wins] = item.centre.marked_m[wins]
    return mask
