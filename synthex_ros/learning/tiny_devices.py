"""Meshes of tiny devices: spheres, and soft robots that are bent strips."""

from __future__ import annotations

import numpy as np
import trimesh
from numpy.typing import NDArray

from synthex_ros.bodies import TriangleMesh
from synthex_ros.geometry import rotation

CLASSES = ('sphere', 'soft_robot')

Array = NDArray[np.float64]

_AROUND, _ALONG = 12, 24


def sphere_mesh(diameter_m: float) -> TriangleMesh:
    """Return a sphere about the origin; its volume is within 1.5 % of the ideal one."""
    ball = trimesh.creation.icosphere(subdivisions=3, radius=diameter_m / 2)
    return TriangleMesh(np.asarray(ball.vertices, float), np.asarray(ball.faces, np.int32))


def strip_mesh(
    length_m: float, width_m: float, thickness_m: float, bend_rad: float
) -> TriangleMesh:
    """Return a strip with an elliptic section, bent to an arc, its middle at the origin.

    Args:
        length_m: along the arc [m].
        width_m: across, along the axis of bending [m].
        thickness_m: in the plane of bending [m].
        bend_rad: angle between the two ends [rad].
    """
    share = np.linspace(-0.5, 0.5, _ALONG)
    angle = bend_rad * share
    radius = length_m / bend_rad if abs(bend_rad) > 1e-6 else np.inf
    if np.isinf(radius):
        spine = np.stack([np.zeros(_ALONG), np.zeros(_ALONG), length_m * share], axis=1)
    else:
        spine = np.stack(
            [radius * (np.cos(angle) - 1), np.zeros(_ALONG), radius * np.sin(angle)], axis=1
        )
    outward = np.stack([np.cos(angle), np.zeros(_ALONG), np.sin(angle)], axis=1)
    turn = np.linspace(0, 2 * np.pi, _AROUND, endpoint=False)
    rings = (
        spine[:, None]
        + thickness_m / 2 * np.cos(turn)[None, :, None] * outward[:, None]
        + width_m / 2 * np.sin(turn)[None, :, None] * np.array([0, 1.0, 0])
    )
    vertices = np.concatenate([rings.reshape(-1, 3), spine[[0, -1]]])
    mesh = trimesh.Trimesh(vertices, _strip_faces(), process=False)
    if mesh.volume < 0:
        mesh.invert()
    return TriangleMesh(np.asarray(mesh.vertices, float), np.asarray(mesh.faces, np.int32))


def _strip_faces() -> NDArray[np.int32]:
    faces = []
    first, last = _ALONG * _AROUND, _ALONG * _AROUND + 1
    for k in range(_AROUND):
        after = (k + 1) % _AROUND
        faces += [(first, k, after), (last, first - _AROUND + after, first - _AROUND + k)]
        for ring in range(_ALONG - 1):
            a, b = ring * _AROUND + k, ring * _AROUND + after
            faces += [(a, a + _AROUND, b), (b, a + _AROUND, b + _AROUND)]
    return np.array(faces, np.int32)


def draw_mesh(name: str, size_m: float, rng: np.random.Generator) -> TriangleMesh:
    """Return a device of a class with a given largest extent [m], turned at random.

    Raises:
        ValueError: no such class.
    """
    if name == 'sphere':
        return sphere_mesh(size_m)
    if name != 'soft_robot':
        raise ValueError(f'class must be one of {CLASSES}, got {name!r}')
    width, thickness = size_m * rng.uniform(0.2, 0.5), size_m * rng.uniform(0.08, 0.25)
    flat = strip_mesh(size_m, width, thickness, rng.uniform(0, np.radians(200)))
    angles = rng.uniform(-np.pi, np.pi, 3)
    turn = rotation('z', angles[0]) @ rotation('y', angles[1]) @ rotation('x', angles[2])
    return TriangleMesh(flat.vertices_m @ turn.T, flat.faces)
