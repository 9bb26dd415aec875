"""What a device hands to a renderer: closed triangle meshes with a material and a pose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthex_ros.geometry import transform_points


@dataclass(frozen=True)
class TriangleMesh:
    """A closed surface, or several that do not overlap; outward normals by the right hand.

    Attributes:
        vertices_m: corners [m], shape (V, 3), float64.
        faces: corner indices counter-clockwise from outside, shape (F, 3), int32.
    """

    vertices_m: NDArray[np.float64]
    faces: NDArray[np.int32]

    def __post_init__(self):
        if self.vertices_m.ndim != 2 or self.vertices_m.shape[1] != 3:
            raise ValueError(f'vertices_m must have shape (V, 3), got {self.vertices_m.shape}')
        if self.faces.ndim != 2 or self.faces.shape[1] != 3:
            raise ValueError(f'faces must have shape (F, 3), got {self.faces.shape}')
        if not np.all(np.isfinite(self.vertices_m)):
            raise ValueError('vertices_m must be finite, got NaN or infinity')
        object.__setattr__(self, 'faces', np.ascontiguousarray(self.faces))

    def volume_m3(self) -> float:
        """Return the enclosed volume [m^3], positive for outward normals (divergence theorem)."""
        a, b, c = (self.vertices_m[self.faces[:, k]] for k in range(3))
        return float(np.einsum('ij,ij->', a, np.cross(b, c)) / 6.0)


@dataclass(frozen=True)
class Body:
    """One rigid piece of a device.

    Attributes:
        mesh: closed mesh in its own frame.
        material: name or chemical formula known to the renderer, such as 'nitinol'.
        world_from_mesh: pose in `world`, shape (4, 4) [m].
        label: class id in label images; 0 is drawn but not labelled.
    """

    mesh: TriangleMesh
    material: str
    world_from_mesh: NDArray[np.float64]
    label: int = 0

    def vertices_world_m(self) -> NDArray[np.float64]:
        """Return the corners in `world` [m], shape (V, 3)."""
        return transform_points(self.world_from_mesh, self.mesh.vertices_m)
