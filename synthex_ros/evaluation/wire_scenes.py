"""Scenes of the guidewire tasks: a wire that differs from its model, free or in vessels."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from synthex_ros.anatomy.vessels.lumen import Lumen
from synthex_ros.anatomy.vessels.model import VesselModel, vessel_model
from synthex_ros.anatomy.vessels.procedural import procedural_tree
from synthex_ros.control.magnetic.build import magnetic_controller
from synthex_ros.control.magnetic.guidewire import GuidewireSettings
from synthex_ros.control.magnetic.mouths import find_mouths
from synthex_ros.control.magnetic.planner import PlannedPath, PlannerSettings, plan_path
from synthex_ros.devices.magnetic.coil_plant import CoilPlant
from synthex_ros.devices.magnetic.coils import CoilArray
from synthex_ros.devices.magnetic.environment import Environment
from synthex_ros.devices.magnetic.guidewire import GuidewirePlant
from synthex_ros.devices.magnetic.guidewire_parameters import GuidewireParameters
from synthex_ros.devices.magnetic.numbers import wire_numbers
from synthex_ros.evaluation.magnetic_loop import TICK_S, Imager, ImagerModel, MagneticLoop
from synthex_ros.evaluation.magnetic_scenes import RULES, off
from synthex_ros.geometry import make_pose
from synthex_ros.simulation.coil_drive import CoilDrive

Array = NDArray[np.float64]

LINE_M = np.linspace(0.048, 0.0, 13)
"""Points of the centre line that the tracker gives, by their distance from the tip [m]."""

CHEST_TARGETS = (
    'ascending_aorta', 'common_carotid_artery_left', 'subclavian_artery_left',
    'subclavian_artery_right', 'common_carotid_artery_right',
)  # fmt: skip


VESSEL_WIRE = GuidewireParameters(body_diameter_m=0.20e-3, taper_length_m=0.10)
"""A wire for the arch: a body of 0.3 mm with a short taper springs out of a branch at 90 deg."""

BRANCH_WIRE = GuidewireParameters(
    body_diameter_m=0.18e-3,
    taper_length_m=0.10,
    flexible_length_m=0.08,
    flexible_core_diameter_m=0.13e-3,
    flexible_elements=40,
    magnet_length_m=5e-3,
    magnet_diameter_m=0.70e-3,
)
"""A wire for branches that turn aside or back: one core over most of what goes into them.

At such a mouth nothing but the stiffness of the bend itself pushes, some mN. Where the core grows
from millimetre to millimetre, bending it anew takes as much, and the wire springs out instead.
"""

_ASIDE_RAD = math.radians(80)


def wire_for(path: PlannedPath) -> GuidewireParameters:
    """Return the wire for a path, as it is chosen by hand: by how far its branches turn."""
    aside = any(mouth.turn_rad > _ASIDE_RAD for mouth in find_mouths(path))
    return BRANCH_WIRE if aside else VESSEL_WIRE


def true_wire(rng: np.random.Generator, parameters: GuidewireParameters) -> GuidewireParameters:
    """Return a wire whose magnet and soft part differ from the nominal ones."""
    # bending goes with the fourth power of the core: 4.7 % in diameter are 20 % in stiffness
    return replace(
        parameters,
        magnet_magnetization_a_m=parameters.magnet_magnetization_a_m * off(rng),
        flexible_core_diameter_m=parameters.flexible_core_diameter_m * off(rng) ** 0.25,
        jacket_youngs_pa=parameters.jacket_youngs_pa * off(rng),
        precurve_rad=float(rng.uniform(-0.1, 0.1)),
    )


@dataclass(frozen=True, eq=False)
class WireScene:
    """A guidewire with its loop.

    Attributes:
        loop: everything, ready to run.
        coils: the coils, for failures and limits.
        base: pose of the entry in `world`, shape (4, 4).
        known: the wire as the controller knows it.
    """

    loop: MagneticLoop
    coils: CoilPlant
    base: Array
    known: GuidewireParameters


def wire_scene(
    seed: int,
    base: Array,
    insertion_m: float,
    *,
    lumen: Lumen | None = None,
    follows: bool = False,
    coils: str = 'navion_like',
    settings: GuidewireSettings | None = None,
    imager: ImagerModel | None = None,
    known: GuidewireParameters | None = None,
) -> WireScene:
    """Return a guidewire fed to `insertion_m` [m]; `base` is its entry in `world`.

    Args:
        seed: draws how the wire differs from its model, and all noise.
        base: pose of the entry in `world`, shape (4, 4).
        insertion_m: insertion at the start [m].
        lumen: vessel in `world`; None is open space.
        follows: the table moves under the coils so that the tip stays near their middle.
        coils: name of the coil system.
        settings: of the control law.
        imager: imager model.
        known: the wire as the controller knows it.
    """
    rng = np.random.default_rng([seed, 1])
    known = known or GuidewireParameters()
    around = Environment(lumen, None, base)
    plant = GuidewirePlant(true_wire(rng, known), around)
    plant.reset([insertion_m, 0.0])
    controller = magnetic_controller(
        'guidewire',
        wire_numbers(known),
        known.limits,
        world_from_base=base,
        settings=settings,
        rules=RULES,
    )
    source = CoilPlant(CoilArray.from_calibration(coils), seed)
    drive = CoilDrive(source, np.eye(4), lambda _: known.moment_a_m2, 1e-3)
    loop = MagneticLoop(
        plant,
        drive,
        controller,
        Imager(imager or ImagerModel(), seed),
        lambda: plant.landmarks(base),
        on_tick=_move_table if follows else None,
        line=lambda: plant.behind_tip(base, LINE_M),
    )
    loop.move_room(loop.tip_m())
    return WireScene(loop, source, base, known)


def _move_table(loop: MagneticLoop) -> None:
    """Keep the tip within 3 cm of the middle of coils and image, at 20 mm/s at most."""
    offset = loop.log.tip_m[-1] - loop.drive.centre_m
    away = float(np.linalg.norm(offset))
    if away > 0.03:
        loop.move_room(offset / away * min(away - 0.03, 0.02 * TICK_S))


@lru_cache(maxsize=4)
def chest_vessels() -> VesselModel:
    """Return the arteries of the chest CT."""
    from synthex_ros.anatomy.samples import load_sample

    return vessel_model(load_sample('chest'))


def tree_path(number: int, smoothing_m: float = 20e-3) -> tuple[VesselModel, PlannedPath]:
    """Return the vessels and the planned path of one of 20 targets.

    The first five are in the chest CT, from the descending aorta; the others are tips of
    procedural trees with 3 to 6 forks.
    """
    settings = PlannerSettings(smoothing_m=smoothing_m)
    if number < len(CHEST_TARGETS):
        vessels = chest_vessels()
        target = CHEST_TARGETS[number]
        path = plan_path(
            vessels.tree, 'descending_aorta', target, lumen=vessels.lumen, settings=settings
        )
        return vessels, path
    vessels = procedural_tree(number, forks=3 + number % 4)
    ends = [name for name in vessels.tree.places if name != 'entry']
    target = ends[number % len(ends)]
    path = plan_path(vessels.tree, 'entry', target, lumen=vessels.lumen, settings=settings)
    return vessels, path


def entry_pose(path: PlannedPath, back_m: float) -> Array:
    """Return the pose from which a wire enters a path, `back_m` [m] before its start."""
    along = path.tangent(0.004)
    side = np.eye(3)[int(np.argmin(np.abs(along)))]
    side = side - (side @ along) * along
    side /= np.linalg.norm(side)
    turn = np.stack([side, np.cross(along, side), along], axis=1)
    return make_pose(turn, path.points_m[0] - back_m * along)
