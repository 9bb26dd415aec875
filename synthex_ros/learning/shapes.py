"""Foreign objects as closed meshes: wires, catheters, screws, rings, grids, plates, drills, leads.

The shape families are those of Seibold et al. (arXiv 2501.12022: lines, rings, grids, polygons,
ellipses) and of operating rooms, in three dimensions: the renderer integrates along their
thickness, so that opacity follows from material and beam and multiplies what lies behind.
All lengths are in metres; every shape is centred on the origin with its axis along z.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from synthex_ros.bodies import TriangleMesh

Array = NDArray[np.float64]
Part = tuple[TriangleMesh, str]
"""A mesh and its material."""

METALS = ('stainless_steel', 'titanium_alloy', 'cobalt_chrome', 'nitinol')
PLASTICS = ('silicone', 'pebax', 'Polyvinyl Chloride')


def swept(
    points_m: Array, radius_m: Array, sectors: int = 8, inward: bool = False
) -> TriangleMesh:
    """Return the closed tube round a line.

    Args:
        points_m: the line [m], shape (N, 3).
        radius_m: radius of each ring, shape (N,), or of each corner, shape (N, sectors).
        sectors: corners of a ring.
        inward: turn the surface inside out: inside another tube it cuts a lumen.
    """
    normals, binormals = _frames(points_m)
    angle = np.arange(sectors) * 2 * np.pi / sectors
    ring = np.cos(angle)[:, None] * normals[:, None] + np.sin(angle)[:, None] * binormals[:, None]
    radius = np.broadcast_to(np.reshape(radius_m, (len(points_m), -1)), (len(points_m), sectors))
    corners = points_m[:, None] + radius[..., None] * ring
    vertices = np.concatenate([corners.reshape(-1, 3), points_m[[0, -1]]])
    faces = _tube_faces(len(points_m), sectors)
    return TriangleMesh(vertices, np.ascontiguousarray(faces[:, ::-1] if inward else faces))


def _tube_faces(rings: int, sectors: int) -> NDArray[np.int32]:
    """Return the faces, outward, of rings of corners followed by two end points."""
    ring, sector = np.meshgrid(np.arange(rings - 1), np.arange(sectors), indexing='ij')
    a, b = ring * sectors + sector, ring * sectors + (sector + 1) % sectors
    c, d = a + sectors, b + sectors
    side = np.concatenate([np.stack([a, b, d], -1), np.stack([a, d, c], -1)]).reshape(-1, 3)
    first, last = rings * sectors, rings * sectors + 1
    here = np.arange(sectors)
    there = (here + 1) % sectors
    end = (rings - 1) * sectors
    start_cap = np.stack([there, here, np.full(sectors, first)], -1)
    end_cap = np.stack([end + here, end + there, np.full(sectors, last)], -1)
    return np.concatenate([side, start_cap, end_cap]).astype(np.int32)


def _frames(points_m: Array) -> tuple[Array, Array]:
    """Return normals and binormals of a line that turn as little as they can, each (N, 3)."""
    tangents = np.gradient(points_m, axis=0)
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
    normal = np.eye(3)[np.argmin(np.abs(tangents[0]))]
    normals = np.empty_like(points_m)
    for index, tangent in enumerate(tangents):
        normal = normal - (normal @ tangent) * tangent
        normal = normal / np.linalg.norm(normal)
        normals[index] = normal
    return normals, np.cross(tangents, normals)


def smooth_line(rng: np.random.Generator, length_m: float, bend: float, count: int = 40) -> Array:
    """Return a random smooth line of a length, shape (count, 3); `bend` 0 is straight."""
    along = np.linspace(0, 1, count)
    turns = np.zeros((count, 2))
    for wave in (0.5, 1.0, 2.0):
        phase, size = rng.uniform(0, 2 * np.pi, 2), rng.normal(0, bend / wave, 2)
        turns += size * np.sin(2 * np.pi * wave * along[:, None] + phase)
    steps = np.column_stack([turns, np.ones(count)])
    steps *= length_m / (count - 1) / np.linalg.norm(steps, axis=1, keepdims=True)
    points = np.cumsum(steps, axis=0)
    return points - points.mean(axis=0)


def wire(rng: np.random.Generator) -> list[Part]:
    """Return a guide wire or K-wire."""
    straight = rng.random() < 0.4
    radius = rng.uniform(0.4e-3, 1.2e-3) if straight else rng.uniform(0.15e-3, 0.5e-3)
    bend = 0.0 if straight else rng.uniform(0.1, 1.2)
    line = smooth_line(rng, rng.uniform(0.06, 0.35), bend)
    return [(swept(line, np.full(len(line), radius)), str(rng.choice(METALS)))]


def catheter(rng: np.random.Generator) -> list[Part]:
    """Return a hollow plastic tube, half of them with a metal mark or a wire inside."""
    line = smooth_line(rng, rng.uniform(0.08, 0.35), rng.uniform(0.1, 1.2))
    outer = np.full(len(line), rng.uniform(0.7e-3, 5e-3))
    wall = rng.uniform(0.15, 0.5)
    material = str(rng.choice(PLASTICS))
    parts = [
        (swept(line, outer, 12), material),
        (swept(line, outer * (1 - wall), 12, True), material),
    ]
    if rng.random() < 0.5:
        core = np.full(len(line), min(outer[0] * (1 - wall), rng.uniform(0.15e-3, 0.45e-3)))
        parts.append((swept(line, core), str(rng.choice(METALS))))
    if rng.random() < 0.5:
        at = int(rng.integers(2, len(line) - 4))
        band = line[at : at + 3]
        parts.append((swept(band, np.full(3, outer[0] * 1.02), 12), 'platinum_iridium'))
    return parts


def screw(rng: np.random.Generator) -> list[Part]:
    """Return a threaded shaft with a head."""
    length, radius = rng.uniform(0.015, 0.06), rng.uniform(1e-3, 3.5e-3)
    pitch, count = rng.uniform(0.8e-3, 2.5e-3), 120
    z = np.linspace(-length / 2, length / 2, count)
    sectors = 12
    turn = z[:, None] / pitch * 2 * np.pi + np.arange(sectors) * 2 * np.pi / sectors
    thread = radius * (0.86 + 0.14 * np.sin(turn))
    thread[: count // 12] *= np.linspace(0.15, 1, count // 12)[:, None]
    thread[-count // 12 :] = radius * rng.uniform(1.4, 2.2)
    line = np.column_stack([np.zeros((count, 2)), z])
    return [(swept(line, thread, sectors), str(rng.choice(METALS[:3])))]


def ring(rng: np.random.Generator) -> list[Part]:
    """Return a ring, as of a valve or a sternal wire; some are open."""
    radius, thick = rng.uniform(4e-3, 18e-3), rng.uniform(0.3e-3, 1.6e-3)
    angle = np.linspace(0, 2 * np.pi * (1 if rng.random() < 0.7 else rng.uniform(0.6, 0.95)), 48)
    wave = rng.uniform(0, 3e-3) * np.sin(3 * angle)
    line = np.column_stack([radius * np.cos(angle), radius * np.sin(angle), wave])
    return [(swept(line, np.full(len(line), thick)), str(rng.choice(METALS)))]


def grid(rng: np.random.Generator) -> list[Part]:
    """Return a stent: wires wound to the left and to the right on a cylinder."""
    radius, length = rng.uniform(2e-3, 14e-3), rng.uniform(0.012, 0.09)
    count, thick = int(rng.integers(4, 9)), rng.uniform(0.1e-3, 0.3e-3)
    pitch = rng.uniform(1.5, 5.0) * radius
    along = np.linspace(0, 1, max(16, int(24 * length / pitch)))
    parts: list[TriangleMesh] = []
    for hand in (-1, 1):
        for start in np.arange(count) * 2 * np.pi / count:
            angle = start + hand * 2 * np.pi * along * length / pitch
            line = np.column_stack(
                [radius * np.cos(angle), radius * np.sin(angle), (along - 0.5) * length]
            )
            parts.append(swept(line, np.full(len(line), thick), 5))
    return [(merged(parts), str(rng.choice(METALS)))]


def coil(rng: np.random.Generator) -> list[Part]:
    """Return a close helix, as of a pacing lead or a reinforced tube, along a smooth line."""
    line = smooth_line(rng, rng.uniform(0.02, 0.12), rng.uniform(0, 0.6), 60)
    radius, thick = rng.uniform(0.6e-3, 4e-3), rng.uniform(0.1e-3, 0.35e-3)
    turns = int(rng.uniform(8, 32))
    position = np.linspace(0, len(line) - 1.001, turns * 14)
    low = position.astype(int)
    share = (position - low)[:, None]
    normals, binormals = _frames(line)
    centre = line[low] * (1 - share) + line[low + 1] * share
    angle = (np.linspace(0, turns, len(position)) * 2 * np.pi)[:, None]
    wound = centre + radius * (np.cos(angle) * normals[low] + np.sin(angle) * binormals[low])
    return [(swept(wound, np.full(len(wound), thick), 5), str(rng.choice(METALS)))]


def plate(rng: np.random.Generator) -> list[Part]:
    """Return a flat polygon of 3 to 8 corners, metal or plastic."""
    corners = int(rng.integers(3, 9))
    size = rng.uniform(4e-3, 35e-3)
    radii = size * rng.uniform(0.5, 1.0, corners)
    return _slab(radii, rng, rng.uniform(0.3e-3, 3e-3))


def ellipse(rng: np.random.Generator) -> list[Part]:
    """Return a flat disc or an ellipsoid, such as a coin, a button or a marker ball."""
    if rng.random() < 0.5:
        return _slab(np.full(24, rng.uniform(2e-3, 15e-3)), rng, rng.uniform(0.4e-3, 2.5e-3))
    height = rng.uniform(1e-3, 12e-3)
    z = height * np.cos(np.linspace(np.pi, 0, 14))
    radius = rng.uniform(1e-3, 12e-3) * np.sqrt(np.clip(1 - (z / height) ** 2, 1e-6, 1))
    line = np.column_stack([np.zeros((len(z), 2)), z])
    return [(swept(line, radius, 20), str(rng.choice([*METALS, *PLASTICS])))]


def _slab(radii: Array, rng: np.random.Generator, thick: float) -> list[Part]:
    line = np.array([[0, 0, -thick / 2], [0, 0, thick / 2]])
    body = swept(line, np.tile(radii, (2, 1)), len(radii))
    return [(body, str(rng.choice([*METALS, *PLASTICS])))]


def drill(rng: np.random.Generator) -> list[Part]:
    """Return a drill: a twisted two-flute tip on a thicker shaft."""
    radius, fluted, count, sectors = rng.uniform(1e-3, 4e-3), rng.uniform(0.02, 0.05), 90, 12
    shaft = rng.uniform(0.04, 0.15)
    z = np.concatenate([np.linspace(0, fluted, count), [fluted + 1e-4, fluted + shaft]])
    turn = z[:, None] / rng.uniform(0.008, 0.02) * 2 * np.pi
    profile = radius * (0.8 + 0.2 * np.cos(2 * (np.arange(sectors) * 2 * np.pi / sectors - turn)))
    profile[:8] *= np.linspace(0.1, 1, 8)[:, None]
    profile[count:] = radius * rng.uniform(1.0, 1.8)
    line = np.column_stack([np.zeros((len(z), 2)), z - z.mean()])
    return [(swept(line, profile, sectors), 'stainless_steel')]


def lead(rng: np.random.Generator) -> list[Part]:
    """Return an ECG electrode with its snap and cable."""
    disc = _slab(np.full(20, rng.uniform(5e-3, 14e-3)), rng, rng.uniform(0.2e-3, 0.8e-3))[0][0]
    snap = swept(np.array([[0, 0, 0], [0, 0, 3e-3]]), np.full(2, rng.uniform(1.5e-3, 3e-3)), 12)
    cable = smooth_line(rng, rng.uniform(0.1, 0.3), rng.uniform(0.2, 1.0))
    cable = cable[:, [2, 0, 1]]  # lies flat on the skin
    cable = cable - cable[0]
    return [
        (disc, 'silicone'),
        (snap, 'stainless_steel'),
        (swept(cable, np.full(len(cable), rng.uniform(0.2e-3, 0.6e-3))), 'Cu'),
        (swept(cable, np.full(len(cable), rng.uniform(0.8e-3, 1.6e-3))), 'silicone'),
    ]


def merged(meshes: Sequence[TriangleMesh]) -> TriangleMesh:
    """Return several meshes as one."""
    firsts = np.cumsum([0] + [len(mesh.vertices_m) for mesh in meshes[:-1]])
    faces = [mesh.faces + first for mesh, first in zip(meshes, firsts, strict=True)]
    vertices = np.concatenate([mesh.vertices_m for mesh in meshes])
    return TriangleMesh(vertices, np.concatenate(faces).astype(np.int32))


SHAPES: dict[str, Callable[[np.random.Generator], list[Part]]] = {
    'wire': wire,
    'catheter': catheter,
    'screw': screw,
    'ring': ring,
    'grid': grid,
    'coil': coil,
    'plate': plate,
    'ellipse': ellipse,
    'drill': drill,
    'lead': lead,
}
"""Makers by name."""
