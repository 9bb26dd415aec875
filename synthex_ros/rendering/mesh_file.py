"""A device from an STL or OBJ file, after checking that its path length has a meaning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from synthex_ros.bodies import TriangleMesh
from synthex_ros.rendering.self_intersection import crossing_triangles

SUFFIXES = ('.stl', '.obj', '.ply')
METRES = {'mm': 1e-3, 'm': 1.0}
FLAT_SHARE = 1e-12
"""A volume below this share of the cube round the mesh is none."""
_SIZE_M = (1e-4, 2.0)


def read_mesh(path: str | Path, unit: str = 'mm') -> TriangleMesh:
    """Read a closed surface.

    Checked are: every edge belongs to two triangles that run along it in opposite directions
    (watertight, one orientation), the enclosed volume is not zero, no triangle pierces another
    (`crossing_triangles`), and the size is that of a device. A surface that is inside out is
    turned.

    Args:
        path: STL, OBJ or PLY file.
        unit: length unit of the file, 'mm' or 'm'.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a mesh, or one of the checks fails; the message says how to mend it.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"no device {str(path)!r}: give 'none', 'continuum', or the path of a closed mesh "
            f'({", ".join(SUFFIXES)})'
        )
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f'{path}: a device mesh must be one of {", ".join(SUFFIXES)}')
    mesh = _load(path)
    _check_closed(mesh, path)
    vertices = np.asarray(mesh.vertices, float) * METRES[unit]
    faces = np.asarray(mesh.faces, np.int32)
    _check_size(vertices, path, unit)
    crossing = crossing_triangles(vertices, faces)
    if crossing is not None:
        where = vertices[faces[crossing[0]]].mean(axis=0) / METRES[unit]
        raise ValueError(
            f'{path} intersects itself: triangles {crossing[0]} and {crossing[1]} cross near '
            f'{np.round(where, 3).tolist()} {unit}; unite its parts (boolean union) and export it '
            'again'
        )
    result = TriangleMesh(vertices, faces)
    volume = result.volume_m3()
    if not abs(volume) > FLAT_SHARE * float(np.max(np.ptp(vertices, axis=0))) ** 3:
        raise ValueError(f'{path} encloses no volume; a surface needs a thickness to absorb')
    return result if volume > 0 else TriangleMesh(vertices, faces[:, ::-1].copy())


def _load(path: Path) -> Any:
    import trimesh

    try:
        mesh: Any = trimesh.load(path, force='mesh', process=True)
    except Exception as error:  # trimesh's readers raise whatever the file makes them stumble on
        raise ValueError(
            f'{path} cannot be read as a mesh: {type(error).__name__} {error}'
        ) from error
    if not len(getattr(mesh, 'faces', ())):
        raise ValueError(f'{path} holds no triangles; export it as a triangle mesh')
    if not np.isfinite(mesh.vertices).all():
        raise ValueError(f'{path}: corners must be finite, got NaN or infinity')
    mesh.merge_vertices(merge_tex=True, merge_norm=True)
    mesh.update_faces(mesh.nondegenerate_faces())
    return mesh


def _check_closed(mesh, path: Path) -> None:
    if not mesh.is_watertight:
        edges, counts = np.unique(mesh.edges_sorted, axis=0, return_counts=True)
        raise ValueError(
            f'{path} is not watertight: {np.count_nonzero(counts != 2)} of {len(edges)} edges do '
            'not belong to exactly two triangles, so its path length has no meaning; close its '
            'holes and export it again'
        )
    if not mesh.is_winding_consistent:
        raise ValueError(
            f'{path}: neighbouring triangles run in opposite senses; recalculate the normals '
            'outward and export it again'
        )


def _check_size(vertices, path: Path, unit: str) -> None:
    size = float(np.max(np.ptp(vertices, axis=0)))
    low, high = _SIZE_M
    if not low <= size <= high:
        other = 'm' if unit == 'mm' else 'mm'
        fits = low <= size / METRES[unit] * METRES[other] <= high
        hint = f'; is its unit {other}? (device_unit)' if fits else ''
        raise ValueError(
            f'{path}: the longest side of a device must be {low:g}..{high:g} m, '
            f'got {size:.3g} m{hint}'
        )
