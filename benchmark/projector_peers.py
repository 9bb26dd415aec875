"""Projectors of other projects behind our geometry: ITK-RTK, plastimatch and DiffDRR.

    pip install itk-rtk==2.7.0.post1 plastimatch==1.10.0     # none of them is a dependency
    pip install torch && pip install --no-deps diffdrr==0.6.1

Only public interfaces are used; an adapter states our geometry in the peer's terms. All work in
the grid's axes, millimetres, with the origin at the grid's centre, and return line integrals of
density 1 + HU/1000 in g/cm^2.
"""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from synthex_ros.anatomy import Volume
from synthex_ros.geometry import ProjectionGeometry, View, invert_pose

MM = 1000.0
CM_OF_MM = 0.1
SOURCE_TO_AXIS_MM = 700.0
SAMPLES = 500
"""Samples a ray of DiffDRR's trilinear mode: its default."""
RAYS_AT_ONCE = 1 << 14


@dataclass(frozen=True, eq=False)
class Shot:
    """A view in the grid's axes [mm], origin at the grid's centre.

    Attributes:
        source: focal spot, (x, y, z).
        turn: axes of the image (columns, rows, depth) as columns, shape (3, 3).
        geometry: of the exposure.
    """

    source: NDArray[np.float64]
    turn: NDArray[np.float64]
    geometry: ProjectionGeometry


class Grid:
    """Densities of a CT, and where they lie.

    Args:
        volume: CT.
        density: [g/cm^3], shape (z, y, x), float32; default 1 + HU/1000.
    """

    def __init__(self, volume: Volume, density: NDArray[np.float32] | None = None) -> None:
        if density is None:
            density = np.maximum(1 + volume.hu.astype(np.float32) / 1000, 0)
        self.density = density
        self.spacing_mm = np.array(volume.spacing_m) * MM
        self.centre_mm = 0.5 * (np.array(volume.hu.shape[::-1]) - 1) * self.spacing_mm
        self._grid_from_patient = invert_pose(volume.patient_from_grid)

    def shot(self, view: View, world_from_patient: NDArray) -> Shot:
        """Return a view in the axes of the grid."""
        grid_from_source = (
            self._grid_from_patient @ invert_pose(world_from_patient) @ view.world_from_source
        )
        source = grid_from_source[:3, 3] * MM - self.centre_mm
        return Shot(source, grid_from_source[:3, :3], view.geometry)


class Joseph:
    """ITK-RTK's JosephForwardProjectionImageFilter: linear between voxels.

    Args:
        volume: CT.
        density: [g/cm^3], shape (z, y, x), float32; default 1 + HU/1000.
    """

    def __init__(self, volume: Volume, density: NDArray[np.float32] | None = None) -> None:
        import itk
        from itk import RTK

        self._itk, self._rtk, self._grid = itk, RTK, Grid(volume, density)
        self._type = itk.Image[itk.F, 3]
        self._image = itk.image_from_array(self._grid.density)
        self._image.SetSpacing(self._grid.spacing_mm.tolist())
        self._image.SetOrigin((-self._grid.centre_mm).tolist())

    def area_density_g_cm2(self, view: View, world_from_patient: NDArray) -> NDArray:
        """Return line integrals of density [g/cm^2], shape (rows, columns)."""
        shot, geometry = self._grid.shot(view, world_from_patient), view.geometry
        turn, source = shot.turn, shot.source
        centre = source + turn[:, 2] * geometry.source_to_detector_m * MM
        rtk_geometry = self._rtk.ThreeDCircularProjectionGeometry.New()
        vectors = ([float(x) for x in v] for v in (source, centre, turn[:, 0], turn[:, 1]))
        if not rtk_geometry.AddProjection(*vectors):
            raise RuntimeError('RTK refused the projection')
        (rows, columns), (pitch_v, pitch_u) = geometry.shape_px, geometry.pixel_pitch_m
        u0, v0 = geometry.piercing_px
        blank = self._rtk.ConstantImageSource[self._type].New(
            Origin=[-u0 * pitch_u * MM, -v0 * pitch_v * MM, 0.0],
            Spacing=[pitch_u * MM, pitch_v * MM, 1.0],
            Size=[columns, rows, 1],
            Constant=0.0,
        )
        joseph = self._rtk.JosephForwardProjectionImageFilter[self._type, self._type].New()
        joseph.SetGeometry(rtk_geometry)
        joseph.SetInput(0, blank.GetOutput())
        joseph.SetInput(1, self._image)
        joseph.Update()
        return self._itk.array_from_image(joseph.GetOutput())[0] * CM_OF_MM


class Plastimatch:
    """The command `plastimatch drr` on the processor.

    Args:
        volume: CT.
        mode: 'exact' takes voxels as constant, 'uniform' samples linearly between them.
    """

    def __init__(self, volume: Volume, mode: str) -> None:
        self._mode, self._grid = mode, Grid(volume)
        self._folder = tempfile.TemporaryDirectory(prefix='plastimatch_')
        self._program = _plastimatch_program() or 'plastimatch'
        image = sitk.GetImageFromArray(self._grid.density)
        image.SetSpacing(self._grid.spacing_mm.tolist())
        image.SetOrigin((-self._grid.centre_mm).tolist())
        self._input = str(Path(self._folder.name) / 'density.mha')
        sitk.WriteImage(image, self._input)
        self.last_ms = np.nan
        """Time of the last image by its own account, without reading the volume [ms]."""

    def area_density_g_cm2(self, view: View, world_from_patient: NDArray) -> NDArray:
        """Return line integrals of density [g/cm^2], shape (rows, columns)."""
        shot, geometry = self._grid.shot(view, world_from_patient), view.geometry
        (rows, columns), (pitch_v, pitch_u) = geometry.shape_px, geometry.pixel_pitch_m
        u0, v0 = geometry.piercing_px
        across, down, depth = shot.turn.T
        options = {
            '-i': self._mode,
            '-r': f'{rows} {columns}',
            '-z': f'{rows * pitch_v * MM:.9g} {columns * pitch_u * MM:.9g}',
            '-c': f'{v0:.9g} {u0:.9g}',
            '--sad': f'{SOURCE_TO_AXIS_MM}',
            '--sid': f'{geometry.source_to_detector_m * MM:.9g}',
            '-o': _words(shot.source + SOURCE_TO_AXIS_MM * depth),
            '--nrm': _words(-depth),
            '--vup': _words(-down),
            '-P': 'none',
            '-t': 'pfm',
            '-A': 'cpu',
            '-O': str(Path(self._folder.name) / 'image'),
            '-I': self._input,
        }
        command = [self._program, 'drr', *(word for pair in options.items() for word in pair)]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        total = re.search(r'Total time: (\S+) sec', said)
        self.last_ms = 1e3 * float(total.group(1)) if total else np.nan
        data = next(Path(self._folder.name).glob('image*.pfm')).read_bytes()
        head = re.match(rb'Pf\s+\d+\s+\d+\s+\S+\s', data)
        if head is None:
            raise RuntimeError(f'plastimatch wrote no image; it said: {said}')
        return np.frombuffer(data[head.end() :], '<f4').reshape(rows, columns)


class DiffDrr:
    """DiffDRR's trilinear renderer on the processor.

    Args:
        volume: CT.
        every: rays of every so many rows and columns only.
    """

    def __init__(self, volume: Volume, every: int = 1) -> None:
        import torch
        from diffdrr.renderers import Trilinear

        self._torch, self._grid, self.every = torch, Grid(volume), every
        self._render = Trilinear(voxel_shift=0.5)
        density = np.ascontiguousarray(self._grid.density.transpose(2, 1, 0))  # [x, y, z]
        self._density = torch.from_numpy(density)

    def area_density_g_cm2(self, view: View, world_from_patient: NDArray) -> NDArray:
        """Return line integrals of density [g/cm^2] of the rays chosen, (rows, columns)."""
        shot, torch = self._grid.shot(view, world_from_patient), self._torch
        rows, columns = (np.arange(n)[:: self.every] for n in view.geometry.shape_px)
        pixels = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)
        rays = view.geometry.back_project(pixels)
        ends = rays * (view.geometry.source_to_detector_m * MM / rays[:, 2:])
        length_mm = np.linalg.norm(ends, axis=1)
        start, stop = (
            self._voxels(x) for x in (shot.source[None], shot.source + ends @ shot.turn.T)
        )
        parts = []
        with torch.no_grad():
            for first in range(0, len(stop), RAYS_AT_ONCE):
                chosen = slice(first, first + RAYS_AT_ONCE)
                length = torch.tensor(length_mm[chosen], dtype=torch.float32)[None, None]
                parts.append(
                    self._render(
                        self._density, start[None], stop[None, chosen], length, n_points=SAMPLES
                    )
                )
        image = torch.cat(parts, -1).reshape(len(rows), len(columns)).numpy()
        return image * CM_OF_MM

    def _voxels(self, points_mm: NDArray) -> Any:
        indices = (points_mm + self._grid.centre_mm) / self._grid.spacing_mm
        return self._torch.tensor(indices, dtype=self._torch.float32)


def why_not(peer: type) -> str | None:
    """Return why a peer cannot run here, or None if it can."""
    if peer is Plastimatch:
        if _plastimatch_program():
            return None
        return 'plastimatch is not installed (pip install plastimatch==1.10.0)'
    modules, hint = {
        Joseph: (('itk',), 'itk-rtk==2.7.0.post1'),
        DiffDrr: (('torch', 'diffdrr.renderers'), '--no-deps diffdrr==0.6.1, and torch'),
    }[peer]
    try:
        found = [importlib.import_module(name) for name in modules]
    except ImportError as error:
        return f'{peer.__name__} cannot be imported ({error}; pip install {hint})'
    if peer is Joseph and not hasattr(found[0], 'RTK'):
        return f'ITK is installed without RTK (pip install {hint})'
    return None


def _plastimatch_program() -> str | None:
    beside = Path(sys.executable).with_name('plastimatch')
    return str(beside) if beside.exists() else shutil.which('plastimatch')


def _words(vector: NDArray) -> str:
    return ' '.join(f'{value:.9g}' for value in vector)
