"""The exposure that shows a tree of vessels, and its roadmap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthex_ros.anatomy.vessels import VesselModel, VesselTree
from synthex_ros.anatomy.volume import Volume
from synthex_ros.geometry import CArm, View, invert_pose, joints_of_clinical, make_pose, view_name
from synthex_ros.rendering.roadmap import Roadmap, make_roadmap
from synthex_ros.xray.beam import Technique
from synthex_ros.xray.exposure_control import ExposureControl
from synthex_ros.xray.renderer import Renderer
from synthex_ros.xray.scene import Scene

SUBTRACTION_KERMA_GY = 5e-6
"""Detector kerma of a frame for subtraction, some hundred times that of fluoroscopy [Gy]."""


@dataclass(frozen=True, eq=False)
class SeenVessels:
    """A roadmap and where it was taken from.

    Attributes:
        roadmap: the subtracted exposures.
        view_of_patient: their view, with the vessels' frame as its world.
        name: of the view, such as 'LAO 40 CRAN 0'.
    """

    roadmap: Roadmap
    view_of_patient: View
    name: str


def roadmap_of(
    model: VesselModel,
    volume: Volume,
    lao_deg: float = 40.0,
    cran_deg: float = 0.0,
    iodine_mg_ml: float = 40.0,
    seed: int = 0,
) -> SeenVessels:
    """Return the roadmap of vessels inside a CT, with the middle of their forks at the isocentre.

    Args:
        model: vessels in the frame of the CT.
        volume: CT around them.
        lao_deg: LAO, negative RAO [deg].
        cran_deg: CRAN, negative CAUD [deg].
        iodine_mg_ml: iodine in the vessels [mg/mL].
        seed: of the noise.
    """
    joints = joints_of_clinical(np.radians(lao_deg), np.radians(cran_deg))
    view = CArm().view(*joints)
    world_from_patient = make_pose(translation_m=-middle_m(model.tree))
    scene = Scene(volume, world_from_patient=world_from_patient)
    regulating = Renderer(scene, Technique(tube_voltage_kv=75.0), threads=1)
    technique = regulating.regulated(
        ExposureControl(SUBTRACTION_KERMA_GY, charge_limits_mas=(0.001, 100.0)), view
    )
    renderer = Renderer(scene, technique, anatomy_px=384)
    rng = np.random.default_rng(seed)
    roadmap = make_roadmap(renderer, view, model.wall, rng, iodine_mg_ml=iodine_mg_ml)
    of_patient = View(view.geometry, invert_pose(world_from_patient) @ view.world_from_source)
    return SeenVessels(roadmap, of_patient, view_name(*joints))


def middle_m(tree: VesselTree) -> NDArray[np.float64]:
    """Return the mean of a tree's forks, or of its points if it has none, shape (3,) [m]."""
    children = np.bincount(tree.parent[1:], minlength=len(tree.parent))
    forks = np.flatnonzero(children > 1)
    if len(forks) == 0:
        return tree.points_m.mean(axis=0)
    return (tree.points_m[forks].mean(axis=0) + tree.points_m.mean(axis=0)) / 2
