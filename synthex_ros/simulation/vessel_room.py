"""The vessels of a room in `world`: of its CT, of a seed, or a straight tube."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.anatomy import load_volume
from synthex_ros.anatomy.vessels import (
    TREES,
    Lumen,
    TubeLumen,
    VesselModel,
    procedural_tree,
    vessel_model,
)
from synthex_ros.anatomy.volume import Volume
from synthex_ros.bodies import TriangleMesh
from synthex_ros.devices.magnetic.flow import Pulse, VesselFlow
from synthex_ros.geometry import make_pose

Array = NDArray[np.float64]

VESSELS = ('none', *TREES, 'procedural', 'tube')
TUBE_LENGTH_M = 0.12


@dataclass(frozen=True, eq=False)
class VesselSettings:
    """Which vessels there are, and how the blood runs in them.

    Attributes:
        kind: one of `VESSELS`.
        world_from_entry: where a procedural tree or a tube begins; it runs along +z (4x4) [m].
        seed: of a procedural tree.
        forks: of a procedural tree.
        tube_radius_m: radius of a tube [m].
        flow_m_s: mean velocity at the root, away from it; negative runs to it [m/s].
        profile: 'poiseuille' or 'plug'.
        pulse_hz: heartbeats a second; 0 is steady flow [Hz].
    """

    kind: str
    world_from_entry: Array
    seed: int = 0
    forks: int = 4
    tube_radius_m: float = 3e-3
    flow_m_s: float = 0.0
    profile: str = 'poiseuille'
    pulse_hz: float = 1.1

    def __post_init__(self):
        if self.kind not in VESSELS:
            raise ValueError(f'vessels must be one of {", ".join(VESSELS)}, got {self.kind!r}')


@dataclass(frozen=True, eq=False)
class RoomVessels:
    """Vessels in `world`.

    Attributes:
        lumen: where they are open.
        points_m: centre line, root first, shape (N, 3) [m].
        radius_m: shape (N,) [m].
        parent: node before each node, -1 at the root, shape (N,).
        wall: closed mesh of the lumen's surface, None for a tube.
        model: tree with names, None for a tube.
    """

    lumen: Lumen
    points_m: Array
    radius_m: Array
    parent: NDArray[np.int64]
    wall: TriangleMesh | None = None
    model: VesselModel | None = None

    def flow(self, settings: VesselSettings) -> VesselFlow | None:
        """Return the blood flow, or None where blood rests."""
        if settings.flow_m_s == 0:
            return None
        return VesselFlow(
            self.points_m,
            self.radius_m,
            settings.flow_m_s,
            self.parent,
            settings.profile,
            Pulse(rate_hz=settings.pulse_hz),
        )


def made_vessels(settings: VesselSettings) -> RoomVessels | None:
    """Return vessels that need no CT, or None for those of a CT and for none."""
    pose = settings.world_from_entry
    if settings.kind == 'procedural':
        return _of_model(procedural_tree(settings.seed, settings.forks).moved(pose))
    if settings.kind != 'tube':
        return None
    lumen = TubeLumen(settings.tube_radius_m, pose[:3, 3], pose[:3, 2])
    points = lumen.axis_m(np.linspace(0, TUBE_LENGTH_M, 13))
    radius = np.full(len(points), settings.tube_radius_m)
    return RoomVessels(lumen, points, radius, np.arange(-1, len(points) - 1))


def ct_vessels(
    settings: VesselSettings, volume: Volume, world_from_patient: Array
) -> RoomVessels | None:
    """Return vessels of a segmented CT in `world`, or None where none are wanted.

    Raises:
        ValueError: the CT has no such vessels.
    """
    if settings.kind not in TREES:
        return None
    return _of_model(vessel_model(volume, settings.kind).moved(world_from_patient))


def known_vessels(
    settings: VesselSettings, anatomy: str, isocenter_patient_m: ArrayLike
) -> RoomVessels | None:
    """Return the vessels of a room that is not built, such as for a tracker; None for none.

    Args:
        settings: which vessels.
        anatomy: the CT, where they are those of one.
        isocenter_patient_m: point of the patient at the isocentre, from the middle of the CT [m].

    Raises:
        ValueError, OSError: the CT has no such vessels or cannot be read.
    """
    if settings.kind not in TREES:
        return made_vessels(settings)
    volume = load_volume(anatomy)
    isocenter = volume.centre_patient_m + np.asarray(isocenter_patient_m, float)
    return ct_vessels(settings, volume, make_pose(translation_m=-isocenter))


def _of_model(model: VesselModel) -> RoomVessels:
    tree = model.tree
    return RoomVessels(model.lumen, tree.points_m, tree.radius_m, tree.parent, model.wall, model)
