"""Bodies on the detector: traced layers, the signal behind them, and the label image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthex_ros.bodies import Body, TriangleMesh, merge
from synthex_ros.geometry import View
from synthex_ros.xray import kernels
from synthex_ros.xray.anatomy_layer import AnatomyLayer, falloff
from synthex_ros.xray.beam import Beam
from synthex_ros.xray.mesh_tracer import PathLayer, trace
from synthex_ros.xray.projector import rays_in_grid
from synthex_ros.xray.scene import Scene

DISPLACED_STEP_M = 1e-3
DISPLACED_MAX_SAMPLES = 64

MASK_PATH_M = 1e-6
"""A pixel belongs to a body when the ray of its centre runs at least this far inside."""


@dataclass(frozen=True, eq=False)
class DeviceLayer:
    """All bodies of one material and label, traced together.

    Attributes:
        material: name of the material.
        label: class id; 0 is not labelled.
        layer: path length of the pixels' mean ray.
        centre: path length of the pixels' centre ray, for the label image.
    """

    material: str
    label: int
    layer: PathLayer
    centre: PathLayer


def trace_bodies(bodies: Sequence[Body], view: View, supersampling: int = 1) -> list[DeviceLayer]:
    """Return the layers of bodies that touch the detector, sorted by material and label."""
    groups: dict[tuple[str, int], list[Body]] = {}
    for body in bodies:
        groups.setdefault((body.material, body.label), []).append(body)
    layers = []
    for (material, label), members in sorted(groups.items(), key=lambda item: item[0]):
        if not 0 <= label <= 255:
            raise ValueError(f'a label must be 0..255 to fit the mask, got {label}')
        mesh = merge([TriangleMesh(b.vertices_world_m(), b.mesh.faces) for b in members])
        corners = view.to_source(mesh.vertices_m)
        layer = trace(corners, mesh.faces, view.geometry, supersampling)
        if not layer.path_m.size:
            continue
        centre = layer if supersampling == 1 else trace(corners, mesh.faces, view.geometry)
        layers.append(DeviceLayer(material, label, layer, centre))
    return layers


def signal_behind(
    devices: Sequence[DeviceLayer], anatomy: AnatomyLayer, scene: Scene, beam: Beam
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return expected signal [keV] and variance [keV^2] of anatomy and devices together.

    Only pixels that a device covers are computed; the others are the anatomy layer's.
    """
    if not devices:
        return anatomy.signal_kev, anatomy.variance_kev2
    signal, variance = anatomy.signal_kev.copy(), anatomy.variance_kev2.copy()
    box = _union_box(devices)
    size = (box[1] - box[0], box[3] - box[2])
    solids = sorted({item.material for item in devices})
    paths = np.zeros((len(solids), *size))
    removed = np.zeros((len(scene.table.names), *size), np.float32)
    for item in devices:
        place = _place_in(item.layer, box)
        paths[solids.index(item.material)][place] += item.layer.path_m
        _displace(item.layer, anatomy, scene, removed[:, place[0], place[1]])
    kernels.behind_device(
        anatomy.area_density_g_cm2,
        removed,
        paths,
        beam.mass_attenuation_cm2_g(scene.table.names),
        np.stack([beam.attenuation_m(solid) for solid in solids]),
        beam.pixel_weights(anatomy.view.geometry),
        *falloff(anatomy.view.geometry),
        box[0],
        box[2],
        signal,
        variance,
    )
    return signal, variance


def _displace(
    layer: PathLayer, anatomy: AnatomyLayer, scene: Scene, removed: NDArray[np.float32]
) -> None:
    """Add the tissue in a device's place to `removed`, the layer's part of the box.

    The partial densities are means between first entry and last exit, sampled every millimetre.
    They are exact in tissue of one density; for a tube they count its lumen as wall. 1 mm of wall
    in soft tissue displaces 0.1 g/cm^2 (2 % of the signal), so a mean that is off by a tenth
    moves the signal behind the device by 0.2 %.
    """
    geometry, volume = anatomy.view.geometry, scene.volume
    kernels.displaced(
        volume.hu,
        scene.table.density_g_cm3,
        float(scene.table.hu_min),
        rays_in_grid(volume, anatomy.view, anatomy.world_from_patient),
        (geometry.source_to_detector_m, *geometry.pixel_pitch_m, *geometry.piercing_px),
        (layer.path_m, layer.entry_m, layer.exit_m),
        layer.box[0],
        layer.box[2],
        DISPLACED_STEP_M,
        DISPLACED_MAX_SAMPLES,
        removed,
    )


def _union_box(layers: Sequence[DeviceLayer]) -> tuple[int, int, int, int]:
    boxes = np.array([item.layer.box for item in layers])
    top, left = boxes[:, 0].min(), boxes[:, 2].min()
    return int(top), int(boxes[:, 1].max()), int(left), int(boxes[:, 3].max())


def _place_in(layer: PathLayer, box: tuple[int, int, int, int]) -> tuple[slice, slice]:
    top, bottom, left, right = layer.box
    return slice(top - box[0], bottom - box[0]), slice(left - box[2], right - box[2])


def label_image(layers: Sequence[DeviceLayer], shape_px: tuple[int, int]) -> NDArray[np.uint8]:
    """Return class ids, shape (rows, columns); where labels overlap, the longer path wins.

    Bodies of label 0 hide nothing: an X-ray shows what lies behind them.
    """
    mask = np.zeros(shape_px, np.uint8)
    best = np.full(shape_px, MASK_PATH_M)
    for item in layers:
        if item.label:
            place = item.centre.slices
            wins = item.centre.path_m > best[place]
            mask[place][wins] = item.label
            best[place][wins] = item.centre.path_m[wins]
    return mask
