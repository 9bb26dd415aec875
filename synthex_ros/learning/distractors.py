"""Foreign objects in a scene: which, how many, where and how turned.

Anatomy guides them where structures are known (after Seibold et al., arXiv 2501.12022): a stent
lies along a vessel, a screw in a bone, an electrode on the skin. Others lie anywhere in the field,
and some on the ray of the device, which they then hide.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthex_ros.bodies import Body, TriangleMesh
from synthex_ros.geometry import View, make_pose, rotation, transform_points
from synthex_ros.learning.cutouts import read_cutouts
from synthex_ros.learning.random_turn import random_turn_to
from synthex_ros.learning.shapes import SHAPES
from synthex_ros.learning.sites import Site, sites_for

Array = NDArray[np.float64]

_SHARES = (
    'share',
    'negative_share',
    'guided_share',
    'occluding_share',
    'least_contrast',
    'cutout_share',
)
_CUTOUT = 'cutout'
_LARGEST_TILT_RAD = 0.6

MIN_DEPTH_M = 0.15
"""Nearer to the focal spot than this there is nothing: objects that reach there are left out."""


@dataclass(frozen=True)
class Distractors:
    """How many foreign objects a frame has, and where they are.

    Attributes:
        share: part of the frames with a device that show any.
        negative_share: part of the frames without a device that show any.
        most: greatest number in a frame; each smaller one is as likely.
        guided_share: part that is placed by anatomy, where structures are known.
        occluding_share: part that lies on the ray of a point of the device.
        depth_m: half extent along the beam of free places round the isocentre [m].
        least_contrast: parts of an object that take less than this part of the signal are left
            out of its mask (`object_labels`); only `device: foreign_objects` labels objects.
        least_snr: an object of a smaller signal-to-noise ratio is not labelled.
        least_px: nor is one with fewer pixels in the open field.
        kinds: names in `SHAPES` that are drawn from, each as likely; a name given twice is twice
            as likely; empty for all.
        cutouts: COCO folder of radiographs whose labelled objects are cut out and pasted, as
            sheets of `cutout_material` (`synthex_ros.learning.cutouts`); empty for none.
        cutout_share: part of the objects that are such ones.
        cutout_material: what their sheets are of.
    """

    share: float = 0.5
    negative_share: float = 0.8
    most: int = 4
    guided_share: float = 0.6
    occluding_share: float = 0.2
    depth_m: float = 0.10
    least_contrast: float = 0.03
    least_snr: float = 15.0
    least_px: int = 30
    kinds: tuple[str, ...] = ()
    cutouts: str = ''
    cutout_share: float = 0.5
    cutout_material: str = 'stainless_steel'

    def __post_init__(self):
        for name in _SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f'{name} must be 0..1, got {getattr(self, name):g}')
        unknown = sorted(set(self.kinds) - set(SHAPES))
        if unknown:
            raise ValueError(f'kinds must be of {sorted(SHAPES)}, got {unknown}')
        if self.most < 1:
            raise ValueError(f'most must be at least 1, got {self.most}')
        if self.least_snr < 0 or self.least_px < 1:
            raise ValueError(
                f'least_snr must be at least 0 and least_px 1, got {self.least_snr:g} and '
                f'{self.least_px}'
            )


@dataclass(frozen=True, eq=False)
class ForeignObject:
    """A foreign object in a scene.

    Attributes:
        kind: its name in `SHAPES`, or `cutout`.
        bodies: its parts, posed in `world`, label 0.
    """

    kind: str
    bodies: list[Body]


def draw_distractors(
    settings: Distractors,
    view: View,
    isocenter_depth_m: float,
    sites: dict[str, Site],
    world_from_patient: Array,
    device_m: Array | None,
    rng: np.random.Generator,
) -> tuple[list[Body], list[str]]:
    """Return the bodies (label 0) of a frame's foreign objects, and their kinds.

    Arguments are those of `draw_objects`.
    """
    objects = draw_objects(
        settings, view, isocenter_depth_m, sites, world_from_patient, device_m, rng
    )
    return [body for item in objects for body in item.bodies], [item.kind for item in objects]


def draw_objects(
    settings: Distractors,
    view: View,
    isocenter_depth_m: float,
    sites: dict[str, Site],
    world_from_patient: Array,
    device_m: Array | None,
    rng: np.random.Generator,
) -> list[ForeignObject]:
    """Return the foreign objects of a frame.

    Args:
        settings: how many and where.
        view: geometry and pose of the exposure.
        isocenter_depth_m: focal spot to isocentre [m].
        sites: structures of the patient.
        world_from_patient: pose of the patient [m], shape (4, 4).
        device_m: points along the device in `world` [m], shape (N, 3); None without a device.
        rng: source of this frame's objects.
    """
    share = settings.negative_share if device_m is None else settings.share
    if rng.random() >= share:
        return []
    objects = []
    for _ in range(int(rng.integers(1, settings.most + 1))):
        kind, parts = _draw(settings, rng)
        pose = _place(
            settings, kind, view, isocenter_depth_m, sites, world_from_patient, device_m, rng
        )
        bodies = [Body(mesh, material, pose) for mesh, material in parts]
        if all(view.to_source(b.vertices_world_m())[:, 2].min() > MIN_DEPTH_M for b in bodies):
            objects.append(ForeignObject(kind, bodies))
    return objects


def _draw(
    settings: Distractors, rng: np.random.Generator
) -> tuple[str, list[tuple[TriangleMesh, str]]]:
    """Return kind and parts of an object."""
    if settings.cutouts and rng.random() < settings.cutout_share:
        pool = read_cutouts(settings.cutouts, settings.cutout_material)
        return _CUTOUT, [(pool[int(rng.integers(len(pool)))], settings.cutout_material)]
    kind = str(rng.choice(sorted(settings.kinds or SHAPES)))
    return kind, SHAPES[kind](rng)


def _place(
    settings: Distractors,
    kind: str,
    view: View,
    isocenter_depth_m: float,
    sites: dict[str, Site],
    world_from_patient: Array,
    device_m: Array | None,
    rng: np.random.Generator,
) -> Array:
    """Return the pose of an object in `world`, shape (4, 4) [m]."""
    if device_m is not None and rng.random() < settings.occluding_share:
        at = view.to_source(device_m[int(rng.integers(len(device_m)))][None])[0]
        at = at * (1 + rng.uniform(-1, 1) * settings.depth_m / at[2])
        return _turned(kind, view.world_from_source, at, rng)
    if kind != _CUTOUT and rng.random() < settings.guided_share:
        pose = _guided(sites_for(kind, sites), view, world_from_patient, rng)
        if pose is not None:
            return pose
    rows, columns = view.geometry.shape_px
    ray = view.geometry.back_project(rng.uniform(0, 1, 2) * [columns, rows])
    depth = isocenter_depth_m + rng.uniform(-1, 1) * settings.depth_m
    return _turned(kind, view.world_from_source, ray * (depth / ray[2]), rng)


def _guided(
    candidates: list[Site], view: View, world_from_patient: Array, rng: np.random.Generator
) -> Array | None:
    """Return a pose at a point of a structure that is in the image, along the structure's axis."""
    rows, columns = view.geometry.shape_px
    for index in rng.permutation(len(candidates)):
        site = candidates[index]
        world = transform_points(world_from_patient, site.points_m)
        pixels = view.project(world)
        seen = np.flatnonzero(np.all((pixels >= 0) & (pixels < [columns, rows]), axis=1))
        if len(seen):
            at = world[seen[int(rng.integers(len(seen)))]]
            along = world_from_patient[:3, :3] @ site.axis + rng.normal(0, 0.25, 3)
            return make_pose(random_turn_to(along, rng), at)
    return None


def _turned(
    kind: str, world_from_source: Array, at_source_m: Array, rng: np.random.Generator
) -> Array:
    """Return a pose at a point of the source frame, turned at random.

    A sheet that was cut out of a picture stays nearly across the beam: it has no depth to show.
    """
    if kind == _CUTOUT:
        spin, way, tilt = rng.uniform(-1, 1, 3) * [np.pi, np.pi, _LARGEST_TILT_RAD]
        turn = rotation('z', way) @ rotation('x', tilt) @ rotation('z', spin)
    else:
        turn = random_turn_to(rng.normal(size=3), rng)
    return world_from_source @ make_pose(turn, at_source_m)
