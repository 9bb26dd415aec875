"""Bodies on the detector: one traced layer per material and label, and the label image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthex_ros.bodies import Body, TriangleMesh, merge
from synthex_ros.geometry import View
from synthex_ros.xray.mesh_tracer import PathLayer, trace

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


def union_box(layers: Sequence[DeviceLayer]) -> tuple[int, int, int, int]:
    """Return the smallest box (first row, end row, first column, end column) around layers."""
    boxes = np.array([item.layer.box for item in layers])
    top, left = boxes[:, 0].min(), boxes[:, 2].min()
    return int(top), int(boxes[:, 1].max()), int(left), int(boxes[:, 3].max())


def inner(layer: PathLayer, box: tuple[int, int, int, int]) -> tuple[slice, slice]:
    """Return a layer's place in an array that covers `box`."""
    top, bottom, left, right = layer.box
    return slice(top - box[0], bottom - box[0]), slice(left - box[2], right - box[2])


def label_image(layers: Sequence[DeviceLayer], shape_px: tuple[int, int]) -> NDArray[np.uint8]:
    """Return class ids, shape (rows, columns); where labelled bodies overlap, the longer path wins.

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
