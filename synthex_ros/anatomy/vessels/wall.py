"""The wall of a lumen as a closed triangle mesh, and its files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from synthex_ros.anatomy.vessels.lumen import SampledLumen
from synthex_ros.bodies import TriangleMesh

MESH_SUFFIXES = ('.stl', '.ply', '.obj')
"""File formats of a wall; lengths in them are millimetres."""


def wall_mesh(
    lumen: SampledLumen, offset_m: float = 0.0, smoothing_rounds: int = 10
) -> TriangleMesh:
    """Return the closed surface where the distance to the wall is `offset_m`.

    Marching cubes (Lewiner et al., J. Graph. Tools 8 (2003) 1), smoothed by Taubin's filter, which
    does not shrink it (Taubin, SIGGRAPH 1995). Vessels that leave the grid end in a flat cap.

    Args:
        lumen: where the vessel is open.
        offset_m: surface inside the wall if positive [m].
        smoothing_rounds: of Taubin's filter; 0 leaves the surface as it is.

    Raises:
        ValueError: nothing of the lumen is left at that offset.
    """
    import trimesh
    from skimage.measure import marching_cubes

    room = np.pad(lumen.distance_m, 1, constant_values=-float(lumen.spacing_m[0]))
    if not room.max() > offset_m:
        raise ValueError(
            f'offset_m must be below the largest radius, {lumen.distance_m.max():.4g} m, '
            f'got {offset_m:g}'
        )
    corners, faces, _, _ = marching_cubes(room, offset_m, allow_degenerate=False)
    mesh = trimesh.Trimesh(lumen.index_to_m(corners[:, ::-1] - 1.0), faces)
    mesh = max(mesh.split(only_watertight=True), key=lambda part: abs(part.volume))
    if smoothing_rounds:
        # lamb and nu so that 1 / lamb - 1 / nu = 0.1: pass band of a tenth of Nyquist's frequency
        trimesh.smoothing.filter_taubin(mesh, lamb=0.5, nu=0.526, iterations=smoothing_rounds)
    vertices, triangles = np.asarray(mesh.vertices, float), np.asarray(mesh.faces, np.int32)
    result = TriangleMesh(vertices, triangles)
    if result.volume_m3() < 0:
        result = TriangleMesh(vertices, np.ascontiguousarray(triangles[:, ::-1]))
    return result


def save_mesh(mesh: TriangleMesh, path: Path) -> Path:
    """Write a mesh as STL, PLY or OBJ in millimetres and return the path.

    Raises:
        ValueError: another suffix.
    """
    import trimesh

    path = Path(path)
    if path.suffix.lower() not in MESH_SUFFIXES:
        raise ValueError(f'{path}: a wall must be written as {", ".join(MESH_SUFFIXES)}')
    trimesh.Trimesh(1e3 * mesh.vertices_m, mesh.faces, process=False).export(path)
    return path
