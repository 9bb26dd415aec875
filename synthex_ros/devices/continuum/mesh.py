"""Closed triangle meshes of the notched tube, for any bend, and of the shaft behind it.

The topology is built once: a grid of stations along the tube and sectors round it, of which the
sectors cut away at a notch are empty. Every corner belongs to a rigid piece, so a bend moves
corners only; the wall bridges beside the notches stretch between two pieces. The result stays one
closed surface, without gaps or double walls where pieces meet.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.bodies import Body, TriangleMesh
from synthex_ros.devices.continuum.kinematics import ContinuumKinematics
from synthex_ros.devices.continuum.parameters import ContinuumParameters

Array = NDArray[np.float64]

SECTORS = 36


@dataclass(frozen=True)
class TubeTemplate:
    """The straight notched tube: corners in the frames of their pieces, and faces.

    Attributes:
        local_m: corners in the frame of the piece they belong to [m], shape (V, 3).
        piece: index of that piece, shape (V,), int64.
        faces: corner indices, outward, shape (F, 3), int32.
    """

    local_m: Array
    piece: NDArray[np.int64]
    faces: NDArray[np.int32]


def ring_radii(parameters: ContinuumParameters) -> tuple[float, float]:
    """Return inner and outer corner radius [m] of polygons with the areas of the true circles."""
    angle = 2 * np.pi / SECTORS
    scale = float(np.sqrt(angle / np.sin(angle)))
    return scale * parameters.inner_diameter_m / 2, scale * parameters.outer_diameter_m / 2


def bridge_sectors(parameters: ContinuumParameters) -> int:
    """Return how many of the sectors stand beside a notch: an even number, as near as can be."""
    half = round(parameters.bridge_angle_rad / (2 * np.pi) * SECTORS / 2)
    return 2 * min(max(half, 1), SECTORS // 2 - 1)


def _notched(parameters: ContinuumParameters, uncut: int, missing: int) -> NDArray[np.bool_]:
    """Return where there is wall, [interval along the tube, sector]; odd intervals are notches.

    The first notch is cut from +x, the next from -x, and so on.
    """
    intervals = 2 * parameters.notch_count + 1
    solid = np.ones((intervals, SECTORS), bool)
    bridge = bridge_sectors(parameters)
    centres = (np.arange(SECTORS) + 0.5) * 2 * np.pi / SECTORS
    from_minus_x = np.abs(np.pi - centres) / (2 * np.pi / SECTORS)
    from_plus_x = np.minimum(centres, 2 * np.pi - centres) / (2 * np.pi / SECTORS)
    solid[1::4] = from_minus_x < bridge / 2
    solid[3::4] = from_plus_x < bridge / 2
    solid[: 2 * uncut] = True
    solid[intervals - 2 * missing :] = False
    return solid


def _wall_faces(solid: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the quads, outward, between wall and empty cells, shape (Q, 4).

    Corner index = (station * sectors + sector) * 2 + surface, surface 0 inner and 1 outer.
    """
    intervals, sectors = solid.shape
    station, sector = np.meshgrid(np.arange(intervals), np.arange(sectors), indexing='ij')

    def corner(step: int, turn: int, surface: int) -> NDArray[np.int64]:
        return ((station + step) * sectors + (sector + turn) % sectors) * 2 + surface

    padded = np.vstack([np.zeros((1, sectors), bool), solid, np.zeros((1, sectors), bool)])
    before, after = padded[:-2], padded[2:]
    left, right = np.roll(solid, 1, axis=1), np.roll(solid, -1, axis=1)
    sides = [
        (solid, ((0, 0, 1), (0, 1, 1), (1, 1, 1), (1, 0, 1))),
        (solid, ((0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0))),
        (solid & ~before, ((0, 0, 0), (0, 1, 0), (0, 1, 1), (0, 0, 1))),
        (solid & ~after, ((1, 0, 0), (1, 0, 1), (1, 1, 1), (1, 1, 0))),
        (solid & ~left, ((0, 0, 0), (0, 0, 1), (1, 0, 1), (1, 0, 0))),
        (solid & ~right, ((0, 1, 0), (1, 1, 0), (1, 1, 1), (0, 1, 1))),
    ]
    quads = [np.stack([corner(*c)[where] for c in corners], axis=1) for where, corners in sides]
    return np.concatenate(quads)


def _triangles(quads: NDArray[np.int64]) -> NDArray[np.int32]:
    return np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]).astype(np.int32)


def _rings(stations_m: Array, parameters: ContinuumParameters) -> Array:
    """Return the corners of inner and outer rings at each station z [m], shape (V, 3)."""
    angles = np.arange(SECTORS) * 2 * np.pi / SECTORS
    corners = np.empty((len(stations_m), SECTORS, 2, 3))
    for surface, radius in enumerate(ring_radii(parameters)):
        corners[:, :, surface, 0] = radius * np.cos(angles)
        corners[:, :, surface, 1] = radius * np.sin(angles)
    corners[..., 2] = stations_m[:, None, None]
    return corners.reshape(-1, 3)


@lru_cache(maxsize=8)
def tube_template(
    parameters: ContinuumParameters, uncut: int = 0, missing: int = 0
) -> TubeTemplate:
    """Return the notched tube of `parameters`; built once for each.

    Args:
        parameters: dimensions.
        uncut: notches, from the base on, that are left solid.
        missing: pieces, each with the notch before it, that the tube ends early.
    """
    count, pitch, width = (
        parameters.notch_count,
        parameters.notch_pitch_m,
        parameters.notch_width_m,
    )
    piece = np.repeat(np.arange(count + 1), 2)
    stations = np.tile([width / 2, pitch - width / 2], count + 1)
    stations[0], stations[1], stations[-1] = 0.0, (pitch - width) / 2, pitch / 2
    return TubeTemplate(
        _rings(stations, parameters),
        np.repeat(piece, 2 * SECTORS),
        _triangles(_wall_faces(_notched(parameters, uncut, missing))),
    )


@lru_cache(maxsize=8)
def shaft_mesh(parameters: ContinuumParameters) -> TriangleMesh:
    """Return the straight tube behind the base, in the CM frame (z from -length to 0)."""
    stations = np.array([-parameters.shaft_length_m, 0.0])
    faces = _triangles(_wall_faces(np.ones((1, SECTORS), bool)))
    return TriangleMesh(_rings(stations, parameters), faces)


def bent_tube(
    kinematics: ContinuumKinematics, notch_angles: ArrayLike, uncut: int = 0, missing: int = 0
) -> TriangleMesh:
    """Return the notched tube in the CM frame, bent by notch angles [rad], shape (n,).

    Args:
        kinematics: kinematics of the manipulator.
        notch_angles: angle of each notch [rad], shape (n,).
        uncut: notches, from the base on, that are left solid: a tube whose base lies further on.
        missing: pieces that the tube ends early: a tube whose tip lies further back.

    Raises:
        ValueError: an angle is not finite or closes its notch, or less than a notch is left.
    """
    parameters = kinematics.parameters
    if min(uncut, missing) < 0 or uncut + missing >= parameters.notch_count:
        raise ValueError(
            f'uncut and missing must be at least 0 and leave one of {parameters.notch_count} '
            f'notches, got {uncut} and {missing}'
        )
    angles = np.asarray(notch_angles, float)
    closing = 2 * np.arctan(parameters.notch_width_m / parameters.outer_diameter_m)
    if angles.shape != (parameters.notch_count,) or not np.all(np.abs(angles) < closing):
        raise ValueError(
            f'notch_angles must be {parameters.notch_count} angles within +-{closing:.3f} rad '
            f'(where notches close), got shape {angles.shape}, '
            f'largest {np.max(np.abs(angles), initial=0.0):.3f}'
        )
    template = tube_template(parameters, uncut, missing)
    poses = kinematics.segment_poses(angles)
    slope, origin = poses[template.piece, :, 2], poses[template.piece, :, 3]
    local = template.local_m
    vertices = np.empty_like(local)
    vertices[:, 0] = slope[:, 2] * local[:, 0] + slope[:, 0] * local[:, 2] + origin[:, 0]
    vertices[:, 1] = local[:, 1]
    vertices[:, 2] = slope[:, 2] * local[:, 2] - slope[:, 0] * local[:, 0] + origin[:, 2]
    return TriangleMesh(vertices, template.faces)


def shorter_tubes(
    kinematics: ContinuumKinematics, notch_angles: ArrayLike
) -> tuple[TriangleMesh, TriangleMesh]:
    """Return the tube with its base a notch further on, and with its tip a notch further back.

    Who cannot tell these from the tube does not know where its landmarks are.
    """
    return bent_tube(kinematics, notch_angles, uncut=1), bent_tube(
        kinematics, notch_angles, missing=1
    )


def continuum_bodies(
    kinematics: ContinuumKinematics,
    notch_angles: ArrayLike,
    insertion: float,
    roll: float,
    world_from_device_base: ArrayLike,
    label: int = 1,
) -> list[Body]:
    """Return the bodies to draw: the notched tube and the shaft behind it (label 0).

    Args:
        kinematics: kinematics of the manipulator.
        notch_angles: angle of each notch [rad], shape (n,).
        insertion: insertion joint [m].
        roll: roll joint [rad].
        world_from_device_base: pose of `device_base` in `world`, shape (4, 4) [m].
        label: class id of the notched tube.

    Raises:
        ValueError: an angle is not finite or closes its notch.
    """
    parameters = kinematics.parameters
    world_from_cm = np.asarray(world_from_device_base, float) @ kinematics.base_from_cm(
        insertion, roll
    )
    tube = bent_tube(kinematics, notch_angles)
    return [
        Body(tube, parameters.material, world_from_cm, label),
        Body(shaft_mesh(parameters), parameters.material, world_from_cm, 0),
    ]
