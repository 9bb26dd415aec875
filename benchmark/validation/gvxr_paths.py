"""Path lengths through meshes by gVirtualXray, an independent renderer of meshes.

    pip install gvxr==2.1.0      # and OpenGL through EGL; Mesa's software renderer will do

gVXR runs in a process of its own: it loads its libraries and writes its messages there.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import trimesh
from numpy.typing import NDArray

from synthex_ros.geometry import ProjectionGeometry

LONGEST_EDGE_M = 1e-3
"""gVXR interpolates distances linearly within triangles: large ones must be cut up."""
MM, M_OF_CM = 1e3, 1e-2
_TIMEOUT_S = 300


class GvxrMissingError(Exception):
    """gVXR or its OpenGL cannot run here; the message says why."""


def paths_m(
    meshes: Sequence[trimesh.Trimesh], geometry: ProjectionGeometry
) -> list[NDArray[np.float64]]:
    """Return the path image [m] of each mesh, posed in the source frame [m].

    Raises:
        GvxrMissingError: it is not installed, or finds no OpenGL.
    """
    with tempfile.TemporaryDirectory(prefix='gvxr_') as name:
        folder = Path(name)
        fine = [mesh.subdivide_to_size(LONGEST_EDGE_M, max_iter=16) for mesh in meshes]
        corners = {f'vertices_{k}': mesh.vertices for k, mesh in enumerate(fine)}
        faces = {f'faces_{k}': mesh.faces for k, mesh in enumerate(fine)}
        np.savez(folder / 'meshes.npz', **corners, **faces)
        (pitch_v, pitch_u), (rows, columns) = geometry.pixel_pitch_m, geometry.shape_px
        numbers = (geometry.source_to_detector_m, pitch_v, pitch_u, rows, columns)
        middle = ((columns - 1) / 2, (rows - 1) / 2)
        if not np.allclose(geometry.piercing_px, middle):
            raise ValueError(
                f'piercing_px must be the middle {middle}, got {geometry.piercing_px}'
            )
        command = [sys.executable, '-m', __name__, name, *map(repr, numbers)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S)
        result = folder / 'paths.npz'
        if done.returncode or not result.exists():
            raise GvxrMissingError(_reason(done.stderr))
        with np.load(result) as data:
            return [data[f'path_{k}'] for k in range(len(meshes))]


def _reason(said: str) -> str:
    lines = [line for line in said.strip().splitlines() if 'Error' in line]
    return lines[-1].strip() if lines else 'gVXR ended without a result'


def _render(folder: Path, source_to_detector_m: float, pitch_m: tuple, shape_px: tuple) -> None:
    """Render the meshes of a folder; the source is at the origin, the detector across z."""
    from gvxrPython3 import gvxr

    gvxr.useLogFile(str(folder / 'log.txt'))
    gvxr.createNewContext('EGL')
    gvxr.usePointSource()
    gvxr.setSourcePosition(0.0, 0.0, 0.0, 'mm')
    gvxr.setDetectorPosition(0.0, 0.0, source_to_detector_m * MM, 'mm')
    gvxr.setDetectorUpVector(0, -1, 0)
    gvxr.setDetectorRightVector(1, 0, 0)
    gvxr.setDetectorNumberOfPixels(shape_px[1], shape_px[0])
    gvxr.setDetectorPixelSize(pitch_m[1] * MM, pitch_m[0] * MM, 'mm')
    gvxr.setMonoChromatic(60.0, 'keV', 1)
    images = {}
    with np.load(folder / 'meshes.npz') as data:
        for k in range(len(data.files) // 2):
            name = f'mesh_{k}'
            gvxr.removePolygonMeshesFromXRayRenderer()
            corners = (data[f'vertices_{k}'] * MM).ravel().tolist()
            gvxr.makeTriangularMesh(name, corners, data[f'faces_{k}'].ravel().tolist(), 'mm')
            gvxr.addPolygonMeshAsInnerSurface(name)
            gvxr.setElement(name, 'Ti')
            gvxr.setDensity(name, 4.506, 'g/cm3')
            # Centimetres, rows upwards.
            images[f'path_{k}'] = M_OF_CM * np.array(gvxr.computeLBuffer(name))[::-1]
    np.savez(folder / 'paths.npz', **images)


if __name__ == '__main__':
    _folder, *_numbers = sys.argv[1:]
    _distance, _pitch_v, _pitch_u = map(float, _numbers[:3])
    _render(Path(_folder), _distance, (_pitch_v, _pitch_u), (int(_numbers[3]), int(_numbers[4])))
